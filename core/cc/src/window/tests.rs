//! Behaviour shared by Reno and CUBIC, tried on both.

use super::*;
use crate::api::{CongestionController, PathChange};
use crate::testing::{Bench, MSS, path, slow_start_until};
use crate::{Cubic, Reno};
use usertcp_base::Rate;

const RTO: Span = Span::from_millis(300);

/// Runs a test for both controllers.
macro_rules! both {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            cases::$name::<Reno>();
            cases::$name::<Cubic>();
        }
    )* };
}

both! {
    starts_with_ten_segments,
    starts_with_two_jumbo_segments,
    starts_with_one_segment_after_a_lost_handshake,
    doubles_per_round_trip_and_never_more,
    ack_splitting_gains_nothing,
    threshold_survives_repeated_timeouts,
    timeout_counts_flight_and_not_window,
    repairs_a_timeout_by_slow_start,
    does_not_grow_in_fast_recovery,
    does_not_grow_when_the_application_is_the_limit,
    halves_an_unused_window_after_five_minutes,
    idle_time_decays_towards_the_initial_window,
    short_idle_time_changes_nothing,
    undo_restores_exactly,
    undo_of_a_timeout_restores_exactly,
    undo_restores_slow_start_of_the_least_window,
    undo_twice_is_undo_once,
    marks_reduce_to_one_segment,
    undo_after_a_mark_does_nothing,
    undo_after_idle_decay_does_nothing,
    undo_keeps_a_window_that_has_outgrown,
    a_smaller_mss_before_the_first_answer_shrinks_the_burst,
    a_smaller_mss_later_keeps_the_octets,
    parks_and_resumes,
    an_empty_residue_is_a_start,
    nothing_is_paced_before_a_round_trip_is_known,
    slow_start_is_paced_at_twice_the_window,
    local_paths_are_not_paced,
    an_initial_window_may_leave_at_once,
    rising_delay_ends_slow_start,
}

mod cases {
    use super::*;

    // 6928-1
    pub fn starts_with_ten_segments<C: CongestionController>() {
        assert_eq!(Bench::<C>::new(&path(100)).window(), 14_600);
    }

    // 6928-1
    pub fn starts_with_two_jumbo_segments<C: CongestionController>() {
        let bench = Bench::<C>::new(&PathStart { mss_octets: 9000, ..path(100) });
        assert_eq!(bench.window(), 18_000);
    }

    // 6928-2
    pub fn starts_with_one_segment_after_a_lost_handshake<C: CongestionController>() {
        let bench = Bench::<C>::new(&PathStart { handshake_lost: true, ..path(100) });
        assert_eq!(bench.window(), MSS);
    }

    // 5681-1
    pub fn doubles_per_round_trip_and_never_more<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        for _ in 0..8 {
            let before = bench.window();
            bench.round();
            assert_eq!(bench.window(), 2 * before);
        }
    }

    // AT-12, 5681-8: in slow start and beyond.
    pub fn ack_splitting_gains_nothing<C: CongestionController>() {
        let start = slow_start_until(16, 100);
        let (mut whole, mut split) = (Bench::<C>::new(&start), Bench::<C>::new(&start));
        for _ in 0..6 {
            whole.round();
            split.round_in_parts(1);
            assert!(whole.window().abs_diff(split.window()) <= MSS);
        }
        assert!(whole.segments() > 16);
    }

    // 5681-3, 5681-4
    pub fn threshold_survives_repeated_timeouts<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(3);
        bench.time_out(true);
        let threshold = bench.controller.threshold();
        assert!(threshold > 2 * MSS && bench.window() == MSS);
        bench.time_out(false);
        assert_eq!((bench.controller.threshold(), bench.window()), (threshold, MSS));
    }

    // 5681-3, 9438-4: an application-limited flow.
    pub fn timeout_counts_flight_and_not_window<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(3);
        bench.congestion(CongestionKind::Timeout { first: true }, 10 * MSS);
        assert!(bench.controller.threshold() <= 7 * MSS);
        bench.congestion(CongestionKind::Timeout { first: true }, 0);
        assert_eq!(bench.controller.threshold(), 2 * MSS);
    }

    // 3465-1: at most one segment per acknowledgement while the timeout is repaired.
    pub fn repairs_a_timeout_by_slow_start<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(3);
        bench.time_out(true);
        bench.in_recovery = true;
        bench.ack(8 * MSS, true);
        assert_eq!(bench.window(), 2 * MSS);
        bench.ack(8 * MSS, true);
        assert_eq!(bench.window(), 3 * MSS);
        bench.ack(MSS, false);
        assert_eq!(bench.window(), 4 * MSS);
        bench.in_recovery = false;
        bench.ack(4 * MSS, true);
        assert_eq!(bench.window(), 8 * MSS);
    }

    // 9937-5, AT-13: what arrives during recovery is recovery's.
    pub fn does_not_grow_in_fast_recovery<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(3);
        bench.congestion(CongestionKind::Loss, bench.window());
        let reduced = bench.window();
        assert_eq!(reduced, bench.controller.threshold());
        bench.in_recovery = true;
        bench.rounds(3);
        assert_eq!(bench.window(), reduced);
    }

    // 7661-2
    pub fn does_not_grow_when_the_application_is_the_limit<C: CongestionController>() {
        for start in [path(100), slow_start_until(5, 100)] {
            let mut bench = Bench::<C>::new(&start);
            bench.window_limited = false;
            let before = bench.window();
            bench.rounds(10);
            assert_eq!(bench.window(), before);
        }
    }

    // 7661-4
    pub fn halves_an_unused_window_after_five_minutes<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(4);
        let before = bench.window();
        bench.window_limited = false;
        for _ in 0..299 {
            bench.pass(Span::from_secs(1));
            bench.ack(100, true);
        }
        assert_eq!(bench.window(), before);
        bench.pass(Span::from_secs(1));
        bench.ack(100, true);
        bench.ack(100, false);
        assert_eq!(bench.window(), before / 2);
        assert!(bench.controller.threshold() >= before / 4 * 3);
        for _ in 0..3000 {
            bench.pass(Span::from_secs(1));
            bench.ack(100, true);
        }
        assert_eq!(bench.window(), 14_600);
    }

    // 5681-6
    pub fn idle_time_decays_towards_the_initial_window<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&slow_start_until(80, 100));
        bench.rounds(4);
        let before = bench.window();
        bench.rest(Span::from_millis(700), RTO);
        assert_eq!(bench.window(), before / 4);
        assert_eq!(bench.controller.threshold(), (before - before / 4).max(80 * MSS));
        bench.rest(Span::from_secs(3600), RTO);
        assert_eq!(bench.window(), 14_600);
    }

    pub fn short_idle_time_changes_nothing<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(4);
        let before = bench.controller.describe();
        bench.rest(RTO, RTO);
        assert_eq!(bench.controller.describe(), before);
    }

    // 9438-7
    pub fn undo_restores_exactly<C: CongestionController>() {
        for start in [path(100), slow_start_until(20, 100)] {
            let mut bench = Bench::<C>::new(&start);
            bench.rounds(4);
            let before = bench.controller.describe();
            bench.lose();
            assert_ne!(bench.controller.describe(), before);
            bench.controller.on_undo(bench.now);
            assert_eq!(bench.controller.describe(), before);
        }
    }

    // 9438-7, 4015-1
    pub fn undo_of_a_timeout_restores_exactly<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(4);
        let before = bench.controller.describe();
        bench.time_out(true);
        bench.time_out(false);
        bench.in_recovery = true;
        bench.round();
        bench.in_recovery = false;
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), before);
        // And the first slow start goes on.
        let window = bench.window();
        bench.round();
        assert_eq!(bench.window(), 2 * window);
    }

    // The loss left the window as it was and took only the threshold.
    pub fn undo_restores_slow_start_of_the_least_window<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&PathStart { handshake_lost: true, ..path(100) });
        bench.round();
        let before = bench.controller.describe();
        bench.congestion(CongestionKind::Loss, 2 * MSS);
        assert_eq!((bench.window(), bench.controller.threshold()), (2 * MSS, 2 * MSS));
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), before);
    }

    pub fn undo_twice_is_undo_once<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(2);
        bench.lose();
        bench.controller.on_undo(bench.now);
        bench.lose();
        bench.controller.on_undo(bench.now);
        let after = bench.controller.describe();
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), after);
    }

    // RFC 9438 §4.6
    pub fn marks_reduce_to_one_segment<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        for _ in 0..20 {
            bench.congestion(CongestionKind::Marked, bench.window());
        }
        assert_eq!((bench.window(), bench.controller.threshold()), (MSS, 2 * MSS));
        bench.congestion(CongestionKind::Loss, MSS);
        assert_eq!((bench.window(), bench.controller.threshold()), (MSS, 2 * MSS));
    }

    pub fn undo_after_a_mark_does_nothing<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(4);
        bench.lose();
        bench.congestion(CongestionKind::Marked, bench.window());
        let after = bench.controller.describe();
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), after);
    }

    pub fn undo_after_idle_decay_does_nothing<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(4);
        bench.lose();
        bench.rest(Span::from_secs(10), RTO);
        let after = bench.controller.describe();
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), after);
    }

    // RFC 9438 §4.9
    pub fn undo_keeps_a_window_that_has_outgrown<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&slow_start_until(10, 100));
        bench.lose();
        bench.rounds(100);
        let after = bench.controller.describe();
        assert!(after.window_octets > 14_600);
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.describe(), after);
    }

    pub fn a_smaller_mss_before_the_first_answer_shrinks_the_burst<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&PathStart { mss_octets: 9000, ..path(100) });
        bench.controller.on_path(bench.now, &PathChange::Mss(1400));
        assert_eq!(bench.window(), 2800);
    }

    pub fn a_smaller_mss_later_keeps_the_octets<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        bench.rounds(2);
        let before = bench.window();
        bench.controller.on_path(bench.now, &PathChange::Mss(1200));
        assert_eq!(bench.window(), before);
        bench.controller.on_path(bench.now, &PathChange::Mss(u32::MAX));
        assert_eq!(bench.window(), 1 << 16);
    }

    pub fn parks_and_resumes<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&slow_start_until(100, 100));
        bench.rounds(3);
        let before = bench.controller.describe();
        let residue = bench.controller.park();
        let at_once = C::resume(residue, &path(100), Span::ZERO);
        assert_eq!(at_once.describe(), before);
        let late = C::resume(residue, &path(100), Span::from_secs(600)).describe();
        assert_eq!(late.window_octets, 14_600);
        assert_eq!(late.threshold_octets, before.threshold_octets);
    }

    pub fn an_empty_residue_is_a_start<C: CongestionController>() {
        let resumed = C::resume(Residue::default(), &path(100), Span::from_secs(9));
        assert_eq!(resumed.describe(), C::start(&path(100)).describe());
    }

    pub fn nothing_is_paced_before_a_round_trip_is_known<C: CongestionController>() {
        let budget = C::start(&PathStart { rtt: None, ..path(0) }).budget();
        assert_eq!((budget.rate, budget.quantum_octets), (Rate::UNLIMITED, 65_536));
    }

    pub fn slow_start_is_paced_at_twice_the_window<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&slow_start_until(40, 100));
        bench.ack(MSS, true);
        let budget = bench.controller.budget();
        assert_eq!(budget.rate.octets_per_second(), u64::from(11 * MSS) * 2 * 10);
        assert_eq!(budget.quantum_octets, 2 * MSS);
        bench.rounds(3);
        let budget = bench.controller.budget();
        assert_eq!(budget.rate.octets_per_second(), u64::from(budget.window_octets) * 12);
    }

    /// 10 Gbit/s and more at 50 µs: no rate, a full offload unit at once.
    pub fn local_paths_are_not_paced<C: CongestionController>() {
        let micros = Span::from_micros(50);
        let mut bench = Bench::<C>::new(&PathStart { rtt: Some(micros), ..path(0) });
        bench.rounds(3);
        let budget = bench.controller.budget();
        assert_eq!((budget.rate, budget.quantum_octets), (Rate::UNLIMITED, 65_536));
    }

    // RFC 6928 §2
    pub fn an_initial_window_may_leave_at_once<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(100));
        assert_eq!(bench.controller.budget().quantum_octets, 14_600);
        bench.ack(MSS, true);
        assert_eq!(bench.controller.budget().quantum_octets, 2 * MSS);
        bench.rest(Span::from_secs(2), RTO);
        assert_eq!(bench.controller.budget().quantum_octets, 14_600);
    }

    // 9406-2, 9406-3
    pub fn rising_delay_ends_slow_start<C: CongestionController>() {
        let mut bench = Bench::<C>::new(&path(40));
        bench.rounds(2);
        bench.rtt = Span::from_millis(46);
        let window = bench.window();
        bench.round();
        // Seven samples pass at full speed, from the eighth on it is a quarter.
        let fast = 7 * MSS;
        assert_eq!(bench.window(), window + fast + (window - fast) / 4);
        bench.rounds(5);
        let after = bench.controller.describe();
        assert!(!after.slow_start && after.threshold_octets <= after.window_octets);
        assert!(after.window_octets < 5 * window);
    }
}

#[test]
fn initial_windows_follow_the_formula() {
    for (mss, window) in
        [(536, 5360), (1460, 14_600), (1400, 14_000), (2000, 14_600), (8000, 16_000)]
    {
        assert_eq!(initial_window(mss), window);
    }
}

#[test]
fn a_remembered_threshold_ends_the_first_slow_start_for_good() {
    let mut bench = Bench::<Reno>::new(&slow_start_until(20, 100));
    bench.rounds(3);
    assert!(!bench.controller.describe().slow_start);
    assert_eq!(bench.controller.window().hystart.phase(), Phase::Done);
}

// 9406-5: HyStart++ guards the first slow start only, but that one to its end.
#[test]
fn undo_takes_hystart_back_up() {
    let mut bench = Bench::<Reno>::new(&path(100));
    bench.rounds(3);
    let before = bench.controller.window().hystart.clone();
    bench.lose();
    assert_eq!(bench.controller.window().hystart.phase(), Phase::Done);
    bench.controller.on_undo(bench.now);
    assert_eq!(bench.controller.window().hystart, before);
}

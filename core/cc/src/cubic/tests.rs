use super::*;
use crate::testing::{Bench, MSS, path, slow_start_until};

/// A controller that reached `segments` in slow start.
fn at(segments: u32, rtt_millis: u64) -> Bench<Cubic> {
    let mut bench = Bench::<Cubic>::new(&slow_start_until(segments, rtt_millis));
    while bench.segments() < segments {
        bench.round();
    }
    // Crossing the threshold ran an epoch for part of a round; its growth is not of interest.
    bench.controller.window =
        crate::window::Window::taken_over(&path(rtt_millis), segments * MSS, segments * MSS);
    bench.controller.epoch = Epoch::none();
    bench
}

// 9438-1: K = cbrt(30 / 0.4) = 4.217 s.
#[test]
fn a_hundred_segments_are_back_after_k() {
    let mut bench = at(100, 100);
    bench.lose();
    assert_eq!((bench.segments(), bench.controller.threshold()), (70, 70 * MSS));
    let (began, mut back) = (bench.now, None);
    while back.is_none() {
        bench.round();
        if bench.window() >= 100 * MSS {
            back = Some(bench.now.since(began).as_millis());
        }
    }
    let millis = back.unwrap();
    assert!(millis.abs_diff(4217) <= 4217 / 20, "{millis}");
    assert_eq!(bench.controller.epoch.peak, 100 * MSS);
    // Convex beyond: faster and faster.
    bench.rounds(20);
    let first = bench.window();
    bench.rounds(20);
    let second = bench.window();
    bench.rounds(20);
    assert!(bench.window() - second > second - first);
}

// 9438-2
#[test]
fn no_round_trip_grows_by_more_than_half() {
    let mut bench = at(10, 1000);
    bench.lose();
    for _ in 0..100 {
        let before = bench.window();
        bench.round();
        assert!(bench.window() - before <= before / 2 + 1);
    }
    assert!(bench.window() > 1000 * MSS);
}

// 9438-3: α = 9/17 until the window before the loss, 1 from there on.
#[test]
fn short_round_trips_grow_like_reno() {
    let mut bench = at(40, 5);
    bench.lose();
    assert_eq!(bench.segments(), 28);
    bench.rounds(17);
    let grown = bench.window() - 28 * MSS;
    assert!(grown.abs_diff(9 * MSS) < MSS / 4, "{grown}");
    while bench.segments() < 40 {
        bench.round();
    }
    let before = bench.window();
    bench.rounds(10);
    let grown = bench.window() - before;
    assert!(grown.abs_diff(10 * MSS) < MSS / 2, "{grown}");
}

// 9438-4
#[test]
fn loss_counts_the_flight_and_leaves_two_segments() {
    let mut bench = at(100, 100);
    bench.congestion(CongestionKind::Loss, 50 * MSS);
    assert_eq!(bench.window(), 35 * MSS);
    bench.congestion(CongestionKind::Loss, MSS);
    assert_eq!((bench.window(), bench.controller.threshold()), (2 * MSS, 2 * MSS));
}

// 9438-5
#[test]
fn a_loss_below_the_last_peak_lowers_the_peak_further() {
    let mut bench = at(100, 100);
    bench.lose();
    while bench.segments() < 80 {
        bench.ack(MSS, false);
        bench.pass(Span::from_millis(1));
    }
    bench.controller.window = crate::window::Window::taken_over(&path(100), 80 * MSS, 70 * MSS);
    bench.congestion(CongestionKind::Loss, 80 * MSS);
    assert_eq!(bench.controller.epoch.peak, 68 * MSS);
    assert_eq!(bench.controller.epoch.prior, 80 * MSS);
    assert_eq!(bench.segments(), 56);
}

// 9438-6
#[test]
fn a_timeout_keeps_seven_tenths_as_threshold_and_starts_flat() {
    let mut bench = at(100, 100);
    bench.lose();
    bench.rounds(10);
    let flight = bench.window();
    bench.time_out(true);
    assert_eq!(bench.window(), MSS);
    assert_eq!(bench.controller.threshold(), (u64::from(flight) * 7 / 10) as u32);
    while bench.controller.describe().slow_start {
        bench.round();
    }
    bench.round();
    let Epoch { peak, k_micros, running, .. } = bench.controller.epoch;
    assert!(running && k_micros == 0);
    assert!(peak.abs_diff(bench.controller.threshold()) <= MSS);
}

// 9438-9, RFC 9438 §4.10
#[test]
fn after_hystart_the_curve_starts_at_its_flat_point() {
    let mut bench = Bench::<Cubic>::new(&path(40));
    bench.rounds(2);
    bench.rtt = Span::from_millis(60);
    while bench.controller.describe().slow_start {
        bench.round();
    }
    bench.round();
    let Epoch { peak, prior, k_micros, running, .. } = bench.controller.epoch;
    assert!(running && k_micros == 0 && prior == peak && peak >= bench.controller.threshold());
}

// 9438-7: window, threshold, W_max, K and the epoch.
#[test]
fn undo_restores_every_field() {
    for timeout in [false, true] {
        let mut bench = at(100, 100);
        bench.lose();
        bench.rounds(12);
        let (epoch, shown) = (bench.controller.epoch, bench.controller.describe());
        if timeout {
            bench.time_out(true);
            bench.time_out(false);
            bench.in_recovery = true;
            bench.round();
            bench.in_recovery = false;
        } else {
            bench.lose();
        }
        bench.pass(Span::from_secs(10));
        bench.controller.on_undo(bench.now);
        assert_eq!(bench.controller.epoch, epoch);
        assert_eq!(bench.controller.describe(), shown);
        // And the time in between is not made up for in one leap.
        bench.round();
        assert!(bench.window() - shown.window_octets <= 2 * MSS);
    }
}

// 9438-8
#[test]
fn ten_seconds_idle_do_not_make_it_jump() {
    // An idle time shorter than the retransmission timeout, so that the window is kept.
    let mut idle = at(100, 100);
    idle.lose();
    let mut busy = at(100, 100);
    busy.lose();
    idle.rounds(20);
    busy.rounds(20);
    idle.rest(Span::from_secs(10), Span::from_secs(60));
    assert_eq!(idle.controller.epoch, busy.controller.epoch);
    // The first segment alone says it too.
    idle.pass(Span::from_secs(10));
    idle.controller.on_sent(&Sent {
        now: idle.now,
        octets: MSS,
        in_flight_octets: MSS,
        retransmission: false,
        first_after_idle: true,
    });
    idle.round();
    busy.round();
    assert_eq!(idle.window(), busy.window());
}

// 9438-8
#[test]
fn time_limited_by_the_application_does_not_count() {
    let mut limited = at(100, 100);
    limited.lose();
    limited.rounds(20);
    let epoch = limited.controller.epoch;
    limited.window_limited = false;
    limited.rounds(100);
    assert_eq!(limited.controller.epoch, epoch);
}

// 9438-8 and 5681-6 together: a window that decayed begins a new epoch.
#[test]
fn after_a_decay_the_epoch_begins_anew() {
    let mut bench = at(100, 100);
    bench.lose();
    bench.rounds(60);
    bench.rest(Span::from_secs(10), Span::from_millis(300));
    assert_eq!(bench.window(), 14_600);
    assert!(!bench.controller.epoch.running);
    while bench.controller.describe().slow_start {
        bench.round();
    }
    let before = bench.window();
    bench.round();
    assert!(bench.window() - before <= 5 * MSS);
}

// 8511-1
#[test]
fn an_early_mark_keeps_more_where_it_is_known_to_be_early() {
    for (early, left) in [(false, 70), (true, 85)] {
        let mut bench = at(100, 100);
        bench.controller.window.set_early_marks(early);
        bench.congestion(CongestionKind::Marked, 100 * MSS);
        assert_eq!(bench.segments(), left);
    }
}

/// The average window in segments when every 10^4th segment is lost.
fn average_window(mut bench: Bench<Cubic>) -> u64 {
    const ROUNDS: u64 = 20_000;
    let (mut sum, mut since_loss) = (0, 0);
    for _ in 0..ROUNDS {
        sum += u64::from(bench.segments());
        since_loss += bench.segments();
        bench.round();
        if since_loss >= 10_000 {
            since_loss -= 10_000;
            let flight = bench.window();
            bench.congestion(CongestionKind::Loss, flight);
        }
    }
    sum / ROUNDS
}

// RFC 9438 tables 1 and 2: 187 segments at 100 ms, Reno's 120 at 10 ms.
#[test]
fn average_windows_are_those_of_the_tables() {
    let (long, short) = (average_window(at(187, 100)), average_window(at(120, 10)));
    assert!(long.abs_diff(187) <= 18, "{long}");
    assert!(short.abs_diff(120) <= 12, "{short}");
}

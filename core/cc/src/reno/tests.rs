use super::*;
use crate::testing::{Bench, MSS, path, slow_start_until};

// 5681-2
#[test]
fn ten_round_trips_add_ten_segments() {
    let mut bench = Bench::<Reno>::new(&slow_start_until(10, 100));
    assert!(!bench.controller.describe().slow_start);
    bench.rounds(10);
    assert_eq!(bench.segments(), 20);
}

// 5681-3
#[test]
fn loss_halves_the_flight() {
    let mut bench = Bench::<Reno>::new(&slow_start_until(100, 100));
    bench.rounds(4);
    assert_eq!(bench.segments(), 100);
    bench.lose();
    assert_eq!((bench.segments(), bench.controller.threshold()), (50, 50 * MSS));
}

// 8511-1
#[test]
fn an_early_mark_costs_a_fifth_where_it_is_known_to_be_early() {
    for (early, left) in [(false, 50), (true, 80)] {
        let mut bench = Bench::<Reno>::new(&slow_start_until(100, 100));
        bench.rounds(4);
        bench.controller.window_mut().set_early_marks(early);
        bench.congestion(CongestionKind::Marked, 100 * MSS);
        assert_eq!(bench.segments(), left);
    }
}

#[test]
fn undo_restores_every_field() {
    let mut bench = Bench::<Reno>::new(&slow_start_until(20, 100));
    bench.rounds(5);
    bench.ack(MSS, false);
    let before = bench.controller.clone();
    bench.lose();
    bench.controller.on_undo(bench.now);
    // What undo cannot restore: when the window was last justified.
    bench.controller.window = before.window.clone();
    assert_eq!(bench.controller, before);
}

// A flow whose last rounds were larger is reduced from what it had in flight.
#[test]
fn loss_in_a_small_flight_counts_the_flight() {
    let mut bench = Bench::<Reno>::new(&path(100));
    bench.rounds(4);
    bench.congestion(CongestionKind::Loss, 16 * MSS);
    assert_eq!(bench.segments(), 8);
}

/// A window of 160 segments of which `pipe` are used a round trip, for three seconds; then a loss
/// with `flight` segments out, of which `resent` are sent again. The window while that is repaired
/// and after, segments.
fn loss_in_an_unused_window(pipe: u32, flight: u32, resent: u32) -> (u32, u32) {
    let mut bench = Bench::<Reno>::new(&slow_start_until(160, 100));
    bench.rounds(4);
    assert_eq!(bench.segments(), 160);
    bench.window_limited = false;
    for _ in 0..30 {
        bench.pass(bench.rtt);
        bench.ack(pipe * MSS, true);
    }
    assert_eq!(bench.segments(), 160);
    bench.congestion(CongestionKind::Loss, flight * MSS);
    let during = bench.segments();
    for _ in 0..resent {
        bench.controller.on_sent(&Sent {
            now: bench.now,
            octets: MSS,
            in_flight_octets: MSS,
            retransmission: true,
            first_after_idle: false,
        });
    }
    bench.controller.on_path(bench.now, &PathChange::RecoveryEnded);
    (during, bench.segments())
}

// proves 7661-3
#[test]
fn a_loss_in_an_unused_window_counts_what_was_used() {
    // Half of the larger of pipeACK and flight; at the end half of what was sent again less.
    assert_eq!(loss_in_an_unused_window(40, 10, 8), (20, 16));
    assert_eq!(loss_in_an_unused_window(10, 60, 8), (30, 26));
    assert_eq!(loss_in_an_unused_window(6, 4, 4), (3, 1), "at least one segment");
    // Validated, by rounds before or by the flight: the flight alone counts, as in RFC 5681.
    assert_eq!(loss_in_an_unused_window(80, 10, 8), (5, 5));
    assert_eq!(loss_in_an_unused_window(10, 80, 8), (40, 40));
}

#[test]
fn what_slow_start_leaves_counts_for_avoidance() {
    let mut bench = Bench::<Reno>::new(&slow_start_until(12, 100));
    bench.ack(10 * MSS, true);
    assert_eq!(bench.segments(), 12);
    // Two segments reached the threshold, eight remain, four complete a window.
    bench.ack(4 * MSS - 1, true);
    assert_eq!(bench.segments(), 12);
    bench.ack(1, false);
    assert_eq!(bench.segments(), 13);
}

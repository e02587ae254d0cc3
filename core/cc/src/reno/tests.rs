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

// A flow that uses a tenth of its window is reduced from what it had in flight (7661-3).
#[test]
fn loss_in_a_small_flight_counts_the_flight() {
    let mut bench = Bench::<Reno>::new(&path(100));
    bench.rounds(4);
    bench.congestion(CongestionKind::Loss, 16 * MSS);
    assert_eq!(bench.segments(), 8);
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

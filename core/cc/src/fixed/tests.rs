use super::*;
use crate::testing::{Bench, MSS, path};

#[test]
fn nothing_moves_it() {
    let rate = Rate::from_bits_per_second(10_000_000_000);
    let mut bench = Bench::around(FixedWindow::with(1_000_000, rate, &path(1)), &path(1));
    let budget = bench.controller.budget();
    assert_eq!((budget.window_octets, budget.rate), (1_000_000, rate));
    bench.round();
    bench.lose();
    bench.time_out(true);
    bench.rest(Span::from_secs(100), Span::from_millis(200));
    bench.controller.on_undo(bench.now);
    assert_eq!(bench.controller.budget(), budget);
    assert_eq!(bench.controller.threshold(), 1_000_000);
}

#[test]
fn a_window_holds_a_segment() {
    let mut fixed = FixedWindow::with(0, Rate::UNLIMITED, &path(1));
    assert_eq!(fixed.budget().window_octets, MSS);
    fixed.on_path(Instant::ZERO, &PathChange::Mss(9000));
    assert_eq!(fixed.budget().window_octets, 9000);
    assert_eq!(FixedWindow::with(u32::MAX, Rate::UNLIMITED, &path(1)).threshold(), MAX_WINDOW);
}

#[test]
fn window_and_rate_survive_parking() {
    for rate in [Rate::UNLIMITED, Rate::from_octets_per_second(1_250_000_000 / 1024 * 1024)] {
        let parked = FixedWindow::with(300_000, rate, &path(1)).park();
        let budget = FixedWindow::resume(parked, &path(1), Span::from_secs(60)).budget();
        assert_eq!(budget.window_octets, 300_000);
        assert!(budget.rate <= rate && budget.rate >= rate.scaled(99_999, 100_000));
    }
    let fresh = FixedWindow::resume(Residue::default(), &path(1), Span::ZERO);
    assert_eq!(fresh.budget(), FixedWindow::start(&path(1)).budget());
}

extern crate std;

use super::*;
use crate::testing::{Bench, MSS, path, slow_start_until};
use std::string::ToString;

#[test]
fn names_are_read_and_written() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert_eq!("newreno".parse(), Ok(Algorithm::Reno));
    assert_eq!("CUBIC".parse(), Ok(Algorithm::Cubic));
    assert_eq!("fixed".parse::<Algorithm>(), Err(UnknownAlgorithm));
    assert_eq!("".parse::<Algorithm>(), Err(UnknownAlgorithm));
}

#[test]
fn cubic_is_the_default() {
    let any = AnyController::start(&path(100));
    assert_eq!((any.algorithm(), any.describe().name), (Some(Algorithm::Cubic), "cubic"));
    assert_eq!(Algorithm::default(), Algorithm::Cubic);
}

#[test]
fn switching_keeps_window_and_threshold() {
    let start = slow_start_until(30, 100);
    let mut bench = Bench::around(AnyController::start_with(Algorithm::Reno, &start), &start);
    bench.rounds(5);
    bench.lose();
    for algorithm in [Algorithm::Cubic, Algorithm::Cubic, Algorithm::Reno] {
        let before = bench.controller.describe();
        bench.controller.switch(algorithm, bench.now);
        let name = algorithm.name();
        assert_eq!(bench.controller.describe(), Snapshot { name, ..before });
        bench.rounds(3);
        assert!(bench.segments() - before.window_octets / MSS <= 4);
    }
}

#[test]
fn switching_in_slow_start_goes_on_doubling() {
    let start = path(100);
    let mut bench = Bench::around(AnyController::start(&start), &start);
    bench.rounds(2);
    bench.controller.switch(Algorithm::Reno, bench.now);
    let before = bench.window();
    bench.round();
    assert_eq!(bench.window(), 2 * before);
}

#[test]
fn switching_from_a_fixed_window_controls_from_there() {
    let start = path(100);
    let fixed = AnyController::fixed(100 * MSS, Rate::UNLIMITED, &start);
    assert_eq!(fixed.algorithm(), None);
    let mut bench = Bench::around(fixed, &start);
    bench.controller.switch(Algorithm::Cubic, bench.now);
    let Snapshot { window_octets, slow_start, .. } = bench.controller.describe();
    assert_eq!((window_octets, slow_start), (100 * MSS, false));
    bench.lose();
    assert_eq!(bench.segments(), 70);
}

#[test]
fn a_residue_brings_its_algorithm_back() {
    let start = path(100);
    for any in [
        AnyController::start_with(Algorithm::Cubic, &start),
        AnyController::start_with(Algorithm::Reno, &start),
        AnyController::fixed(1 << 18, Rate::UNLIMITED, &start),
    ] {
        let back = AnyController::resume(any.park(), &start, Span::ZERO);
        assert_eq!(back.describe(), any.describe());
    }
    let empty = AnyController::resume(Residue::default(), &start, Span::ZERO);
    assert_eq!(empty.describe(), AnyController::start(&start).describe());
}

#[test]
fn early_marks_reach_the_controller() {
    let start = slow_start_until(100, 100);
    let mut bench = Bench::around(AnyController::start(&start), &start);
    bench.rounds(4);
    bench.controller.set_early_marks(true);
    let window = bench.window();
    bench.congestion(CongestionKind::Marked, window);
    assert_eq!(bench.window(), (u64::from(window) * 17 / 20) as u32);
}

/// What a TCB pays. A change here is a change of the memory budget.
#[test]
fn sizes_are_known() {
    std::println!(
        "any {} cubic {} reno {} fixed {} window {}",
        size_of::<AnyController>(),
        size_of::<Cubic>(),
        size_of::<Reno>(),
        size_of::<FixedWindow>(),
        size_of::<Window>(),
    );
}

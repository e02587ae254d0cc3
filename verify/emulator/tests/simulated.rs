//! The acceptance path in virtual time, usertcp at both ends: what the sender makes of loss and of
//! reordering. Deterministic: each figure is a function of the seeds.

#![allow(clippy::float_arithmetic, clippy::expect_used)] // figures; a helper of tests

use usertcp_emulator::options::{self, Command};
use usertcp_emulator::simulate::Simulation;

const SECONDS: u64 = 10;
const SEEDS: u64 = 5;

/// Median of Mbit/s, and of percent sent again, over the seeds.
fn medians(line: &str) -> (f64, f64) {
    let words = format!("simulate {line}");
    let options = match options::parse(words.split_whitespace().map(str::to_owned)) {
        Ok(Command::Simulate(options)) => options,
        other => panic!("{other:?}"),
    };
    let mut figures: Vec<(f64, f64)> = (1..=SEEDS)
        .map(|seed| {
            let mut simulation = Simulation::new(&options, seed).expect("it starts");
            while simulation.step(SECONDS * 1_000_000_000) {}
            let octets = simulation.received().expect("the right octets");
            (octets as f64 * 8e-6 / SECONDS as f64, simulation.resent_percent())
        })
        .collect();
    let middle = figures.len() / 2;
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let megabits = figures[middle].0;
    figures.sort_by(|a, b| a.1.total_cmp(&b.1));
    (megabits, figures[middle].1)
}

/// A queue that never overflows: what is sent again is sent again for reordering alone.
const DEEP: &str = "--queue-packets 4000";

#[test]
fn reordering_alone_fills_the_path_and_sends_little_again() {
    for how in ["", "--reorder-within 20", "--reorder-by 25ms"] {
        let (megabits, resent) = medians(&format!("--reorder 5 {how} {DEEP}"));
        assert!(resent < 1.0, "{how}: {resent} % sent again");
        assert!(megabits > 80.0, "{how}: {megabits} Mbit/s");
    }
}

// Ahead by half a round trip, as netem does it: more than RACK allows for before it has seen any. It
// has to learn, with every packet under way taken for lost a few times, and must not forget (12 % were
// sent again when an undone recovery counted as one of the sixteen).
#[test]
fn a_reordering_window_that_is_too_small_grows_and_stays() {
    let (megabits, resent) = medians(&format!("--reorder 5 --reorder-early {DEEP}"));
    assert!(resent < 2.0, "{resent} % sent again");
    assert!(megabits > 80.0, "{megabits} Mbit/s");
}

// A queue of one round trip, which slow start overflows: the loss must not be taken for more than it
// is, though late packets fall into the recovery.
#[test]
fn reordering_during_recovery_does_not_cut_the_window_again_and_again() {
    let (megabits, _) = medians("--reorder 5");
    assert!(megabits > 70.0, "{megabits} Mbit/s");
}

// RFC 9438 §5.2: W is about 1.17 / p^0.75 · RTT^0.75 or, here, that of Reno: 12 segments in 50 ms.
#[test]
fn one_percent_of_loss_leaves_what_the_response_function_says() {
    let (megabits, resent) = medians("--loss 1");
    assert!((2.8..4.5).contains(&megabits), "{megabits} Mbit/s");
    assert!((0.7..1.3).contains(&resent), "{resent} %");
}

//! Everything that may be set while data is under way, and hosts that sleep, over all kinds of bad paths.
//!
//! Others by hand: `SIM_FROM=1000 SIM_TO=20000 cargo test --release -p usertcp-sim --test mixed of_a_range`; one:
//! `SIM_SEED=n cargo test -p usertcp-sim --test mixed one_seed -- --nocapture`.

use usertcp_sim::number_from_environment as number;
use usertcp_sim::scenario::Scenario;

/// What goes wrong with a seed, a panic too.
fn failure_of(seed: u64) -> Option<String> {
    let run = std::panic::catch_unwind(|| Scenario::mixed(seed).run_mixed());
    let failure = run.map_or_else(|_| Some(format!("seed {seed}: panics")), Result::err);
    if let Some(failure) = &failure {
        println!("{failure}");
    }
    failure
}

fn run_range(from: u64, to: u64) {
    let failures = (from..to).filter_map(failure_of).count();
    assert!(failures == 0, "{failures} of {} seeds failed", to - from);
}

#[test]
fn whatever_is_set_all_data_arrives() {
    run_range(0, 100);
}

// A writer told of frames that do not suit it, without end; a closed window that never opened again.
#[test]
fn seeds_that_once_failed() {
    run_range(970, 971);
    run_range(12_251, 12_252);
}

#[test]
fn seeds_of_a_range() {
    run_range(number("SIM_FROM", 1000), number("SIM_TO", 1010));
}

/// Prints every segment of `SIM_SEED`.
#[test]
fn one_seed() {
    let mut scenario = Scenario::mixed(number("SIM_SEED", 0));
    scenario.trace = std::env::var_os("SIM_SEED").is_some();
    println!("{scenario:?}");
    match scenario.run_mixed() {
        Ok(report) => println!("{report:#?}"),
        Err(error) => panic!("{error}"),
    }
}

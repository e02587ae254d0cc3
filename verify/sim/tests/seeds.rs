//! Loss × reorder × duplication × corruption × small MTU, both families, sequence numbers around
//! 2^32: everything arrives, in order; nothing illegal is sent; nothing is left behind.

use usertcp_sim::scenario::Scenario;

fn run_range(from: u64, to: u64) {
    let failures: Vec<String> =
        (from..to).filter_map(|seed| Scenario::from_seed(seed).run().err()).collect();
    let count = failures.len();
    assert!(failures.is_empty(), "{count} seeds failed, the first: {}", failures[0]);
}

// A thousand seeds in two halves, so that both cores work.
#[test]
fn a_thousand_seeds_first_half() {
    run_range(0, 500);
}

#[test]
fn a_thousand_seeds_second_half() {
    run_range(500, 1000);
}

// A listener whose fast open began with ECN, and whose peer takes that back with its third SYN.
#[test]
fn seeds_that_once_failed() {
    run_range(5_013_006, 5_013_007);
    run_range(5_020_843, 5_020_844);
    run_range(5_137_239, 5_137_240);
}

/// `SIM_SEED=n cargo test -p usertcp-sim one_seed -- --nocapture`
#[test]
fn one_seed() {
    let seed = usertcp_sim::number_from_environment("SIM_SEED", 0);
    let mut scenario = Scenario::from_seed(seed);
    scenario.trace = std::env::var_os("SIM_SEED").is_some();
    println!("{scenario:#?}");
    match scenario.run() {
        Ok(report) => println!("{report:#?}"),
        Err(error) => panic!("{error}"),
    }
}

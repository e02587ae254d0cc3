//! Many seeds by hand: `SIM_FROM=1000 SIM_TO=20000 cargo test --release -p usertcp-sim --test many`.

use usertcp_sim::number_from_environment;
use usertcp_sim::scenario::Scenario;

#[test]
fn seeds_of_a_range() {
    let (from, to) =
        (number_from_environment("SIM_FROM", 1000), number_from_environment("SIM_TO", 1010));
    let failures: Vec<String> =
        (from..to).filter_map(|seed| Scenario::from_seed(seed).run().err()).collect();
    for failure in failures.iter().take(10) {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} of {} seeds failed", failures.len(), to - from);
}

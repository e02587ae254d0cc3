//! Many seeds by hand: `SIM_FROM=1000 SIM_TO=20000 cargo test --release -p usertcp-sim --test many`.

use usertcp_sim::scenario::Scenario;

#[test]
fn seeds_of_a_range() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (from, to) = (number("SIM_FROM", 1000), number("SIM_TO", 1010));
    let failures: Vec<String> =
        (from..to).filter_map(|seed| Scenario::from_seed(seed).run().err()).collect();
    for failure in failures.iter().take(10) {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} of {} seeds failed", failures.len(), to - from);
}

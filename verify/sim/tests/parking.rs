//! A thousand random histories, with parking at every quiet moment and without: what is on the wire is
//! the same, octet by octet.

use usertcp_base::Parking;
use usertcp_sim::scenario::Scenario;
use usertcp_sim::world::Recording;

/// What two runs sent, compared; how often the first one parked a connection.
fn compare(seed: u64) -> Result<u64, String> {
    let scenario = Scenario::from_seed(seed).with_silences();
    let run = |parking: Parking| Scenario { parking, ..scenario.clone() }.run_recording();
    let ((report, with), (_, without)) = (run(Parking::AtOnce)?, run(Parking::Never)?);
    match difference(&with, &without) {
        None => Ok(report.parked),
        Some(what) => Err(format!("seed {seed}: {what}")),
    }
}

fn difference(with: &Recording, without: &Recording) -> Option<String> {
    let pairs = with.iter().zip(without).enumerate();
    let differs = pairs.map(|(index, (one, other))| (index, one, other)).find(|(_, one, other)| {
        // A round trip in a record is rounded: what waits for a timer may leave a moment apart.
        let apart = one.0.max(other.0).since(one.0.min(other.0)).as_micros();
        (one.1, &one.2) != (other.1, &other.2) || apart > 1000
    });
    if let Some((index, one, other)) = differs {
        return Some(format!("segment {index}:\n{one:?}\n{other:?}"));
    }
    (with.len() != without.len()).then(|| format!("{} and {}", with.len(), without.len()))
}

fn run_range(from: u64, to: u64) {
    let (mut failures, mut parked) = (Vec::new(), 0);
    for seed in from..to {
        match compare(seed) {
            Ok(count) => parked += count,
            Err(error) => failures.push(error),
        }
    }
    println!("parked {parked} times");
    let count = failures.len();
    let all: Vec<_> = failures.iter().map(|all| all.split(":").next()).collect();
    assert!(failures.is_empty(), "{count} seeds failed, {all:?} the first: {}", failures[0]);
    assert!(parked > 5 * (to - from), "{parked}");
}

#[test]
fn parking_changes_nothing_on_the_wire_first_half() {
    run_range(0, 500);
}

#[test]
fn parking_changes_nothing_on_the_wire_second_half() {
    run_range(500, 1000);
}

/// `SIM_SEED=n cargo test -p usertcp-sim --test parking one_seed -- --nocapture`
#[test]
fn one_seed() {
    let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    for parking in [Parking::AtOnce, Parking::Never] {
        let scenario = Scenario { parking, trace: true, ..Scenario::from_seed(seed) };
        println!("{parking:?}");
        println!("{:?}", scenario.with_silences().run());
    }
}

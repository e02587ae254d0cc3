//! A thousand random histories, with parking at every quiet moment and without: what is on the wire is
//! the same, octet by octet but for a tick of the timestamps' clock.

use usertcp_base::Parking;
use usertcp_sim::number_from_environment;
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
        let apart = one.0.max(other.0).since(one.0.min(other.0)).as_micros();
        one.1 != other.1 || !are_same(&one.2, &other.2) || apart > 1000
    });
    if let Some((index, one, other)) = differs {
        return Some(format!("segment {index}:\n{one:?}\n{other:?}"));
    }
    (with.len() != without.len()).then(|| format!("{} and {}", with.len(), without.len()))
}

/// Round trips in a record are rounded to one part in 260,000: what waits for a timer may leave a tick
/// later, and then a millisecond may have passed on the timestamps' clock. All else is equal.
fn are_same(one: &[u8], other: &[u8]) -> bool {
    let ((one, clocks), (other, others)) = (without_clocks(one), without_clocks(other));
    one == other && clocks.iter().zip(others).all(|(a, b)| a.wrapping_sub(b).wrapping_add(1) <= 2)
}

/// A packet with zeros for checksum and timestamps, and the timestamps.
fn without_clocks(packet: &[u8]) -> (Vec<u8>, [u32; 2]) {
    let (mut packet, mut clocks) = (packet.to_vec(), [0; 2]);
    let tcp = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let end = tcp + usize::from(packet[tcp + 12] >> 4) * 4;
    packet[tcp + 16..tcp + 18].fill(0);
    let mut at = tcp + 20;
    while at < end && packet[at] != 0 {
        match packet[at] {
            1 => at += 1,
            8 => {
                for (clock, octets) in clocks.iter_mut().zip(packet[at + 2..].chunks_exact_mut(4)) {
                    *clock = u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]);
                    octets.fill(0);
                }
                at += 10;
            }
            _ => at += usize::from(packet[at + 1]),
        }
    }
    (packet, clocks)
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

/// A tick more of a retransmission must not become a keep-alive some milliseconds later.
#[test]
fn parking_changes_nothing_where_it_once_did() {
    run_range(201_223, 201_224);
    run_range(204_031, 204_032);
}

/// Others by hand: `SIM_FROM=1000 SIM_TO=20000 cargo test -p usertcp-sim --test parking of_a_range`. About two of a
/// thousand have a timer some milliseconds off: a record knows to 2 s when the least round trip was seen (so what RACK
/// waits for may differ once), and what is a tick late may be the next millisecond of a silence.
#[test]
fn parking_changes_nothing_on_the_wire_of_a_range() {
    run_range(number_from_environment("SIM_FROM", 1000), number_from_environment("SIM_TO", 1020));
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

//! Numbers grow with time for one flow and are unrelated between flows.

use super::*;
use alloc::collections::BTreeSet;
use usertcp_base::{LocalIndex, RemoteAddr};

fn secrets() -> Secrets {
    Secrets::from_seed([5; 32]).unwrap()
}

fn flow(port: u16) -> FlowKey {
    FlowKey { remote: RemoteAddr([1; 16]), local: LocalIndex(0), remote_port: port, local_port: 80 }
}

#[test]
fn one_flow_follows_the_four_microsecond_clock() {
    let early = initial_sequence(&secrets(), &flow(1), Instant::from_micros(1000));
    let late = initial_sequence(&secrets(), &flow(1), Instant::from_micros(5000));
    assert_eq!(late.since(early), 1000);
}

#[test]
fn flows_are_unrelated() {
    let secrets = secrets();
    let mut top_bits = [0; 16];
    let mut seen = BTreeSet::new();
    for port in 0..16_000 {
        let seq = initial_sequence(&secrets, &flow(port), Instant::ZERO);
        top_bits[(seq.0 >> 28) as usize] += 1;
        seen.insert(seq.0);
    }
    assert!(seen.len() > 15_990);
    assert!(top_bits.iter().all(|count| (850..1150).contains(count)), "{top_bits:?}");
    let other = FlowKey { local: LocalIndex(1), ..flow(1) };
    assert_ne!(
        initial_sequence(&secrets, &flow(1), Instant::ZERO),
        initial_sequence(&secrets, &other, Instant::ZERO)
    );
}

#[test]
fn each_purpose_has_numbers_of_its_own() {
    let secrets = secrets();
    let sequence = initial_sequence(&secrets, &flow(1), Instant::ZERO).0;
    assert_ne!(sequence, timestamp_offset(&secrets, &flow(1)));
}

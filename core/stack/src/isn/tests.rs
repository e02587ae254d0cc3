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

fn sequence(secrets: &Secrets, flow: &FlowKey, now: Instant) -> Seq {
    Numbers::of(secrets, flow, now).initial_sequence
}

fn offset(secrets: &Secrets, port: u16, now: Instant) -> u32 {
    Numbers::of(secrets, &flow(port), now).timestamp_offset
}

#[test]
fn one_flow_follows_the_four_microsecond_clock() {
    let early = sequence(&secrets(), &flow(1), Instant::from_micros(1000));
    let late = sequence(&secrets(), &flow(1), Instant::from_micros(5000));
    assert_eq!(late.since(early), 1000);
}

#[test]
fn flows_are_unrelated() {
    let secrets = secrets();
    let mut top_bits = [0; 16];
    let mut seen = BTreeSet::new();
    for port in 0..16_000 {
        let seq = sequence(&secrets, &flow(port), Instant::ZERO);
        top_bits[(seq.0 >> 28) as usize] += 1;
        seen.insert(seq.0);
    }
    assert!(seen.len() > 15_990);
    assert!(top_bits.iter().all(|count| (850..1150).contains(count)), "{top_bits:?}");
    let other = FlowKey { local: LocalIndex(1), ..flow(1) };
    assert_ne!(
        sequence(&secrets, &flow(1), Instant::ZERO),
        sequence(&secrets, &other, Instant::ZERO)
    );
}

#[test]
fn the_offset_stays_the_flow_s_own_and_is_not_the_sequence_number() {
    let secrets = secrets();
    let first = offset(&secrets, 1, Instant::ZERO);
    assert_eq!(first, offset(&secrets, 1, Instant::from_micros(5000)));
    assert_ne!(first, offset(&secrets, 2, Instant::ZERO));
    assert_ne!(first, sequence(&secrets, &flow(1), Instant::ZERO).0);
}

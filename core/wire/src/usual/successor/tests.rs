//! Against packets written and read one by one.

use super::*;
use crate::usual::{IpHeader, TcpHeader, write_both_v4};
use proptest::prelude::*;
use usertcp_base::{Ecn, Seq, WireWindow};

/// Both headers in front of `payload`, which begins at `seq`.
fn packet(seq: u32, payload: &[u8]) -> [u8; BOTH_V4] {
    let ip = IpHeader {
        payload_octets: 32 + payload.len() as u16,
        ecn: Ecn::NotCapable,
        dscp: 11,
        hop_limit: 64,
        source: [10, 0, 200, 1],
        destination: [10, 0, 0, 2],
    };
    let tcp = TcpHeader {
        source_port: 0xF00F,
        destination_port: 443,
        seq: Seq(seq),
        ack: Seq(0xFEDC_BA98),
        push: false,
        fin: false,
        window: WireWindow(0xFFF0),
        value: 0xFFFF_0001,
        echo: 77,
    };
    let mut headers = [0; BOTH_V4];
    write_both_v4(&mut headers, &ip, &tcp, Some(sum_of(payload)));
    headers
}

fn sum_of(payload: &[u8]) -> Running {
    let mut sum = Running::default();
    sum.add(payload);
    sum
}

proptest! {
    /// A run of packets whose checksums are right, beyond the end of the sequence numbers.
    #[test]
    fn each_of_a_run_is_known_and_intact(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 101), 2..9),
        seq in prop_oneof![any::<u32>(), u32::MAX - 300..],
    ) {
        let mut successor = Successor::of(&packet(seq, &payloads[0]), 101);
        let mut seq = seq;
        for payload in &payloads[1..] {
            seq = seq.wrapping_add(101);
            let headers = successor.has(&packet(seq, payload)).unwrap();
            prop_assert!(headers.are_intact(sum_of(payload)));
            let mut broken = payload.clone();
            broken[57] ^= 0x10;
            prop_assert!(!headers.are_intact(sum_of(&broken)));
            successor.go_on();
        }
        // The one that came last does not follow itself.
        prop_assert!(successor.has(&packet(seq, &payloads[0])).is_none());
    }
}

/// Any other octet of the headers is something new, but of the TCP checksum, which is summed, and of the urgent
/// pointer, which is summed as well.
#[test]
fn whatever_differs_is_another_packet() {
    let payload = [7; 64];
    let successor = Successor::of(&packet(1000, &payload), 64);
    let next = packet(1064, &payload);
    assert!(successor.has(&next).unwrap().are_intact(sum_of(&payload)));
    for at in 0..BOTH_V4 {
        for bit in 0..8 {
            let mut other = next;
            other[at] ^= 1 << bit;
            let known = successor.has(&other);
            assert_eq!(known.is_some(), (36..40).contains(&at), "{at} {bit}");
            assert!(!known.is_some_and(|headers| headers.are_intact(sum_of(&payload))));
        }
    }
}

//! ICMP errors reach the connection they quote, and no other: MUST-54, IC-1, IC-2.

use crate::hand::{Hand, OURS, PEER, Wire};
use core::net::IpAddr;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, DropReason, Ecn, Limits};
use usertcp_stack::ShardEvent;
use usertcp_wire::{checksum, ipv4};

/// An ICMP "destination unreachable" of `code` from the peer, quoting a segment of ours.
pub fn unreachable(code: u8, quoted: &Wire) -> Vec<u8> {
    let mut message = vec![3, code, 0, 0, 0, 0, 0, 0];
    message.extend(&quoted.octets()[..28]);
    let sum = checksum::finish(checksum::sum(&message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = ipv4::emit(&ipv4::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        total_octets: 20 + message.len() as u16,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: 1,
        source: PEER,
        destination: OURS,
    })
    .to_vec();
    packet.extend(message);
    packet
}

fn opening() -> (Hand, ConnId, Wire) {
    let mut hand = Hand::new(Limits::default());
    let conn = hand.shard.connect(hand.now, &crate::pair::to(IpAddr::V4(PEER), 80)).unwrap();
    let syn = hand.sent().remove(0);
    (hand, conn, syn)
}

#[test]
fn a_hard_error_about_our_syn_ends_the_attempt() {
    let (mut hand, conn, syn) = opening();
    hand.give_octets(&unreachable(3, &syn));
    let closed = ShardEvent::Closed { conn, reason: CloseReason::Unreachable };
    assert!(hand.events.contains(&closed));
}

#[test]
fn a_soft_error_is_told_and_the_attempt_goes_on() {
    let (mut hand, conn, syn) = opening();
    hand.give_octets(&unreachable(1, &syn));
    assert_eq!(hand.events, [ShardEvent::SoftError(conn)]);
    assert!(hand.shard.next_deadline().is_some());
}

// proves IC-12: while it opens, too
#[test]
fn soft_errors_are_told_ten_times_a_second_at_most() {
    let (mut hand, conn, syn) = opening();
    for _ in 0..100 {
        hand.give_octets(&unreachable(1, &syn));
    }
    assert_eq!(hand.events, [ShardEvent::SoftError(conn)]);
}

#[test]
fn what_quotes_another_number_or_flow_is_ignored() {
    let (mut hand, _, syn) = opening();
    let mut other = syn.clone();
    other.header.seq += 1;
    hand.give_octets(&unreachable(3, &other));
    let mut other = syn;
    other.header.source_port ^= 1;
    hand.give_octets(&unreachable(3, &other));
    assert_eq!(hand.shard.counters().dropped(DropReason::IcmpUnmatched), 2);
    assert_eq!(hand.events, []);
    assert_eq!(hand.shard.usage().anchors, 1);
}

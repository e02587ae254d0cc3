//! Segments of no connection: E-1 to E-4, AT-2, AT-15, AT-16, AT-21, checksums.

use crate::hand::{Hand, OURS, Wire, wire};
use crate::pair::assert_empty;
use core::net::Ipv4Addr;
use usertcp_base::{DropReason, Limits, Seq, Span};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile};
use usertcp_wire::tcp::Flags;

fn listening(limits: Limits) -> Hand {
    let mut hand = Hand::new(limits);
    let profile = Profile::<Reno>::default();
    hand.shard.listen(&Listen { local: None, port: Some(80), backlog: 8, profile }).unwrap();
    hand
}

fn only(answers: Vec<Wire>) -> Wire {
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.into_iter().next().unwrap()
}

/// E-1, E-2, E-3.
#[test]
fn a_closed_port_answers_by_the_rules() {
    let mut hand = Hand::new(Limits::default());
    let answer = only(hand.give(&wire(Flags::SYN, 1000, 0).with_payload(&[7; 10])));
    assert_eq!(answer.header.flags, Flags::RST | Flags::ACK);
    assert_eq!((answer.header.seq, answer.header.ack), (Seq(0), Seq(1011)));
    let answer = only(hand.give(&wire(Flags::ACK, 1000, 77)));
    assert_eq!(answer.header.flags, Flags::RST);
    assert_eq!((answer.header.seq, answer.header.ack), (Seq(77), Seq(0)));
    assert_eq!(hand.give(&wire(Flags::RST, 1, 0)).len(), 0);
    assert_eq!(hand.give(&wire(Flags::RST | Flags::ACK, 1, 5)).len(), 0);
    assert_eq!(hand.shard.counters().dropped(DropReason::NoConnection), 4);
    assert_empty(&hand.shard);
}

/// E-4.
#[test]
fn a_listener_answers_by_the_rules() {
    let mut hand = listening(Limits::default());
    assert_eq!(hand.give(&wire(Flags::RST, 1, 0)).len(), 0);
    assert_eq!(hand.give(&wire(Flags::PSH, 1, 0)).len(), 0);
    let answer = only(hand.give(&wire(Flags::ACK, 1, 99)));
    assert_eq!((answer.header.flags, answer.header.seq), (Flags::RST, Seq(99)));
}

/// AT-16: only a SYN, with or without ECN bits, opens.
#[test]
fn every_combination_of_flags_at_a_listener() {
    let limits = Limits { resets_per_second: 100_000, ..Limits::default() };
    let mut hand = listening(limits);
    for bits in 0..512_u16 {
        let flags = Flags::from_bits(bits);
        let segment = wire(flags, 1000, 77).by(Ipv4Addr::new(10, 0, 1, 1), 2000 + bits);
        let answers = hand.give(&segment);
        let opens =
            flags.contains(Flags::SYN) && !flags.intersects(Flags::ACK | Flags::RST | Flags::FIN);
        if opens {
            let asks = flags.contains(Flags::ECE) && flags.contains(Flags::CWR);
            let ecn = if asks { Flags::ECE } else { Flags::NONE };
            assert_eq!(only(answers).header.flags, Flags::SYN | Flags::ACK | ecn, "{flags:?}");
        } else if flags.contains(Flags::ACK) && !flags.contains(Flags::RST) {
            assert_eq!(only(answers).header.flags, Flags::RST, "{flags:?}");
        } else {
            assert_eq!(answers.len(), 0, "{flags:?}");
        }
    }
}

/// AT-2: resets are limited, the segments are not remembered.
#[test]
fn resets_are_limited() {
    let mut hand = Hand::new(Limits { resets_per_second: 100, ..Limits::default() });
    let mut resets = 0;
    for number in 0..5000 {
        resets += hand.give(&wire(Flags::ACK, number, 5)).len();
    }
    assert!(resets <= 100, "{resets}");
    assert!(hand.shard.counters().dropped(DropReason::ResetLimited) >= 4900);
    hand.now = hand.now + Span::from_secs(1);
    assert_eq!(hand.give(&wire(Flags::ACK, 1, 5)).len(), 1);
    assert_empty(&hand.shard);
}

/// AT-15.
#[test]
fn a_segment_from_ourselves_is_dropped() {
    let mut hand = listening(Limits::default());
    let land = wire(Flags::SYN, 1000, 0).by(OURS, 80);
    assert_eq!(hand.give(&land).len(), 0);
    assert_eq!(hand.give(&wire(Flags::SYN, 1, 0).towards(0)).len(), 0);
    assert_eq!(hand.give(&wire(Flags::SYN, 1, 0).by(Ipv4Addr::new(10, 0, 0, 7), 0)).len(), 0);
    assert_eq!(hand.shard.usage().anchors, 0);
}

/// AT-21, BG-3, BG-4: an answer is one packet, without content, and not larger than the question
/// (a bare SYN excepted, whose answer adds the MSS).
#[test]
fn answers_do_not_amplify() {
    let mut hand = listening(Limits::default());
    for (port, flags) in [(80, Flags::SYN), (81, Flags::SYN), (81, Flags::PSH | Flags::ACK)] {
        for octets in [0, 1, 100, 1400] {
            let question = wire(flags, 1000, 77).towards(port).with_payload(&vec![1; octets]);
            let question = question.by(Ipv4Addr::new(10, 0, 2, 1), 3000 + octets as u16);
            let answer = only(hand.give(&question));
            assert_eq!(answer.payload.len(), 0);
            let (asked, answered) = (question.octets().len(), answer.octets().len());
            let allowed = if port == 80 { (asked * 11 / 10).max(44) } else { asked };
            assert!(answered <= allowed, "{flags:?} {asked} -> {answered}");
        }
    }
}

#[test]
fn a_broken_checksum_is_counted_and_not_answered() {
    let mut hand = Hand::new(Limits::default());
    let mut octets = wire(Flags::SYN, 1000, 0).with_payload(b"odd").octets();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    assert_eq!(hand.give_octets(&octets).len(), 0);
    assert_eq!(hand.shard.counters().dropped(DropReason::TcpChecksum), 1);
}

//! The application decides on each SYN.

use crate::hand::{Hand, Wire, wire};
use usertcp_base::{ConnId, DropReason, Limits, ListenerId, Span};
use usertcp_cc::Reno;
use usertcp_stack::{ConnError, Decision, Gate, Listen, Profile, ShardEvent};
use usertcp_wire::tcp::Flags;

fn asked() -> (Hand, ListenerId, ConnId) {
    let limits = Limits { embryos_per_listener: 4, embryo_source_share: 1, ..Limits::default() };
    let mut hand = Hand::new(limits);
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 8, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    hand.shard.set_gate(listener, Gate::Ask);
    assert_eq!(hand.give(&wire(Flags::SYN, 5000, 0)).len(), 0, "nothing is answered yet");
    let [ShardEvent::Asked { listener: at, conn }] = hand.events[..] else {
        panic!("{:?}", hand.events)
    };
    assert_eq!(at, listener);
    (hand, listener, conn)
}

fn decide(hand: &mut Hand, conn: ConnId, decision: Decision) -> Vec<Wire> {
    hand.shard.decide(hand.now, conn, decision).unwrap();
    hand.sent()
}

#[test]
fn accept_answers_later() {
    let (mut hand, listener, conn) = asked();
    assert_eq!(hand.shard.info(hand.now, conn).unwrap().remote.port(), 1000);
    hand.run_until(hand.now + Span::from_secs(5));
    assert_eq!(hand.give(&wire(Flags::SYN, 5000, 0)).len(), 0, "the peer tries again");
    let answer = decide(&mut hand, conn, Decision::Accept).remove(0);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    hand.give(&wire(Flags::ACK, 5001, answer.header.seq.0.wrapping_add(1)));
    assert_eq!(hand.shard.accept(listener), Some(conn));
    let again = hand.shard.decide(hand.now, conn, Decision::Accept);
    assert_eq!(again, Err(ConnError::Stale));
}

#[test]
fn refuse_resets_and_ignore_forgets() {
    let (mut hand, _, conn) = asked();
    let answer = decide(&mut hand, conn, Decision::Refuse).remove(0);
    assert_eq!(answer.header.flags, Flags::RST | Flags::ACK);
    assert_eq!(hand.shard.usage().anchors, 0);
    let (mut hand, _, conn) = asked();
    assert_eq!(decide(&mut hand, conn, Decision::Ignore).len(), 0);
    assert_eq!(hand.shard.usage().anchors, 0);
}

#[test]
fn a_demanded_cookie_opens_without_a_second_question() {
    let (mut hand, listener, conn) = asked();
    let answer = decide(&mut hand, conn, Decision::Cookie).remove(0);
    assert_eq!(hand.shard.usage().anchors, 0);
    hand.give(&wire(Flags::ACK, 5001, answer.header.seq.0.wrapping_add(1)));
    assert!(hand.shard.accept(listener).is_some());
}

#[test]
fn questions_are_bounded_and_expire() {
    let (mut hand, listener, _) = asked();
    for port in 0..10 {
        let syn = wire(Flags::SYN, 5000, 0).by(crate::hand::PEER, 2000 + port);
        assert_eq!(hand.give(&syn).len(), 0);
    }
    assert_eq!(hand.shard.usage().anchors, 4);
    assert_eq!(hand.shard.counters().dropped(DropReason::EmbryoLimit), 7);
    hand.give(&wire(Flags::RST, 5001, 0));
    assert_eq!(hand.shard.usage().anchors, 3, "the peer gave up");
    hand.run_until(hand.now + Span::from_secs(80));
    assert_eq!(hand.shard.usage().anchors, 0);
    assert_eq!(hand.shard.listener_info(listener).unwrap().half_open, 0);
}

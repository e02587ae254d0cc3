//! Letting go of an active open before it is synchronised (RFC 9293 §3.10.4, SYN-RECEIVED).

use crate::hand::{Hand, PEER, Wire, wire};
use crate::pair::{assert_empty, to};
use usertcp_base::{ConnId, Limits, Seq, Span};
use usertcp_stack::ConnError;
use usertcp_wire::tcp::Flags;

/// An active open to the peer's port 1000 from our port 80, which the peer's own SYN crossed.
fn crossed() -> (Hand, ConnId, Seq) {
    let mut hand = Hand::new(Limits::default());
    let mut connect = to(PEER.into(), 1000);
    connect.local_port = Some(80);
    let conn = hand.shard.connect(hand.now, &connect).unwrap();
    let syn = hand.sent().remove(0);
    let answer = hand.give(&wire(Flags::SYN, 5000, 0)).remove(0);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    (hand, conn, syn.header.seq + 1)
}

/// The peer's acknowledgement of our SYN, and of the FIN that follows it.
fn established_and_closed(hand: &mut Hand, next: Seq) {
    let answer: Vec<Wire> = hand.give(&wire(Flags::ACK, 5001, next.0));
    let fin = answer.iter().find(|answer| answer.header.flags.contains(Flags::FIN)).unwrap();
    assert_eq!(fin.header.seq, next);
    hand.give(&wire(Flags::ACK, 5001, next.0.wrapping_add(1)));
}

#[test]
fn a_handle_closed_while_opening_is_gone_after_fin_wait_2() {
    let (mut hand, conn, next) = crossed();
    hand.shard.close(hand.now, conn).unwrap();
    established_and_closed(&mut hand, next);
    hand.run_until(hand.now + Span::from_secs(61));
    assert_empty(&hand.shard);
}

#[test]
fn data_for_a_handle_closed_while_opening_are_reset() {
    let (mut hand, conn, next) = crossed();
    hand.shard.close(hand.now, conn).unwrap();
    established_and_closed(&mut hand, next);
    let data = wire(Flags::ACK, 5001, next.0.wrapping_add(1)).with_payload(b"nobody reads this");
    assert!(hand.give(&data).remove(0).header.flags.contains(Flags::RST));
    assert_empty(&hand.shard);
}

#[test]
fn a_half_closed_while_opening_still_reads() {
    let (mut hand, conn, next) = crossed();
    hand.shard.shutdown_write(hand.now, conn).unwrap();
    established_and_closed(&mut hand, next);
    let data = wire(Flags::ACK, 5001, next.0.wrapping_add(1)).with_payload(b"answer");
    hand.give(&data);
    assert_eq!(crate::pair::read_all(&mut hand.shard, hand.now, conn).unwrap(), b"answer");
    assert_eq!(hand.shard.write(hand.now, conn, b"x"), Err(ConnError::SendClosed));
}

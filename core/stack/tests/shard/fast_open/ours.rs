//! Fast opens of ours.

use super::*;
use crate::pair::{Pair, pattern, read_all, to};
use core::net::IpAddr;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Span};
use usertcp_stack::{AuthKey, ConnError, FirstData, KeyKind, MasterKey, Scope, ShardEvent};
use usertcp_tcp::StateName;

const SYN_ACK: Flags = Flags::SYN.union(Flags::ACK);

fn begin(hand: &mut Hand, octets: &[u8], without_cookie: bool) -> (ConnId, Wire) {
    let to = to(IpAddr::V4(PEER), 80);
    let first = FirstData { octets, without_cookie };
    let (conn, taken) = hand.shard.connect_with(hand.now, &to, first).unwrap();
    assert_eq!(taken, octets.len());
    let syn = hand.sent().remove(0);
    assert_eq!(syn.header.flags, Flags::SYN);
    (conn, syn)
}

/// The peer's answer to our SYN.
fn answer(syn: &Wire, acked: u32, cookie: Option<Cookie>) -> Wire {
    let options = Options { mss: Some(1400), fast_open: cookie, ..Options::default() };
    let mut segment = wire(SYN_ACK, 9000, (syn.header.seq + 1).0.wrapping_add(acked));
    segment.header.source_port = 80;
    segment.header.destination_port = syn.header.source_port;
    segment.with_options(options)
}

fn given() -> Cookie {
    Cookie::new(&[0xC0; 8]).unwrap()
}

/// A shard that was given a cookie.
fn knowing() -> Hand {
    let mut hand = Hand::new(Limits::default());
    let (conn, syn) = begin(&mut hand, b"", false);
    assert_eq!(syn.options.fast_open, Some(Cookie::REQUEST));
    hand.give(&answer(&syn, 0, Some(given())));
    hand.shard.abort(hand.now, conn);
    hand.sent();
    hand
}

// proves 7413-6
#[test]
fn an_ordinary_open_has_no_option() {
    let mut hand = knowing();
    hand.shard.connect(hand.now, &to(IpAddr::V4(PEER), 80)).unwrap();
    let syn = hand.sent().remove(0);
    assert_eq!((syn.options.fast_open, syn.payload.len()), (None, 0));
}

// proves 7413-1, 7413-5
#[test]
fn without_a_cookie_one_is_asked_for_and_data_follows_the_handshake() {
    let mut hand = Hand::new(Limits::default());
    let (conn, syn) = begin(&mut hand, b"hello", false);
    assert_eq!((syn.options.fast_open, syn.payload.len()), (Some(Cookie::REQUEST), 0));
    let sent = hand.give(&answer(&syn, 0, Some(given())));
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].header.ack.0, &sent[0].payload[..]), (9001, &b"hello"[..]));
    assert!(hand.events.contains(&ShardEvent::Connected(conn)));
    assert!(!hand.shard.info(hand.now, conn).unwrap().figures.unwrap().syn_data);
    // The next one has it, and its MSS less the room for options.
    let (_, syn) = begin(&mut hand, &[5; 3000], false);
    assert_eq!((syn.options.fast_open, syn.payload.len()), (Some(given()), 1360));
    assert_eq!(hand.shard.counters().fast_opens_failed, 0);
}

// proves 7413-5, 7413-7
#[test]
fn what_the_syn_ack_acknowledges_is_not_sent_again_and_the_rest_is() {
    for acked in [0, 1, 700, 1359, 1360] {
        let mut hand = knowing();
        let data = pattern(3000);
        let (conn, syn) = begin(&mut hand, &data, false);
        assert_eq!(syn.payload, data[..1360]);
        let sent = hand.give(&answer(&syn, acked, None));
        let seq = syn.header.seq + 1 + acked;
        let mut rest = Vec::<u8>::new();
        for segment in &sent {
            assert_eq!(segment.header.seq, seq + rest.len() as u32);
            assert_eq!(segment.header.ack.0, 9001);
            rest.extend(&segment.payload);
        }
        assert_eq!(rest, data[acked as usize..], "{acked}");
        let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
        assert_eq!(figures.syn_data, acked > 0);
        assert_eq!(figures.octets_acknowledged, u64::from(acked));
        assert_eq!(figures.octets_retransmitted, 0);
        let counters = hand.shard.counters();
        assert_eq!(
            (counters.fast_opens_out, counters.fast_opens_failed),
            if acked > 0 { (1, 0) } else { (0, 1) }
        );
        // Data refused outright counts as a failure; in part it does not (RFC 7413 §4.1.3.1).
        let (_, syn) = begin(&mut hand, b"x", false);
        assert_eq!(syn.options.fast_open, (acked > 0).then(given));
    }
}

#[test]
fn beyond_the_syns_data_no_acknowledgement_is_believed() {
    let mut hand = knowing();
    let (conn, syn) = begin(&mut hand, b"hello", false);
    for acked in [6, 5000, u32::MAX] {
        let sent = hand.give(&answer(&syn, acked, None));
        assert_eq!(sent[0].header.flags, Flags::RST);
    }
    let reset = |acked| {
        let mut segment = answer(&syn, acked, None);
        segment.header.flags = Flags::RST | Flags::ACK;
        segment.with_options(Options::default())
    };
    hand.give(&reset(6));
    assert_eq!(hand.shard.info(hand.now, conn).unwrap().state, StateName::SynSent);
    hand.give(&reset(5));
    let refused = ShardEvent::Closed { conn, reason: CloseReason::Refused };
    assert_eq!(hand.events.last(), Some(&refused));
}

// proves 7413-5
#[test]
fn a_syn_goes_out_again_plain_and_fast_open_rests_there() {
    let mut hand = knowing();
    let (conn, syn) = begin(&mut hand, b"hello", false);
    assert_eq!(syn.payload, b"hello");
    let again = hand.run_until(hand.now + Span::from_secs(2));
    assert_eq!(again.len(), 1);
    let plain = &again[0].1;
    assert_eq!((plain.header.flags, plain.header.seq), (Flags::SYN, syn.header.seq));
    assert_eq!((plain.options.fast_open, plain.payload.len()), (None, 0));
    let sent = hand.give(&answer(&syn, 0, None));
    assert_eq!((sent[0].header.seq, &sent[0].payload[..]), (syn.header.seq + 1, &b"hello"[..]));
    assert!(hand.events.contains(&ShardEvent::Connected(conn)));
    // The next connection is without, and those of another port are not.
    let (_, next) = begin(&mut hand, b"x", false);
    assert_eq!((next.options.fast_open, next.payload.len()), (None, 0));
    let sent = hand.give(&answer(&next, 0, None));
    assert_eq!(sent[0].payload, b"x");
    let other = to(IpAddr::V4(PEER), 443);
    let first = FirstData { octets: b"x", without_cookie: false };
    hand.shard.connect_with(hand.now, &other, first).unwrap();
    assert_eq!(hand.sent()[0].payload, b"x");
    // After a while it is tried again.
    hand.run_until(hand.now + Span::from_secs(61));
    let (_, later) = begin(&mut hand, b"x", false);
    assert_eq!((later.options.fast_open, later.payload.len()), (Some(given()), 1));
}

// proves 7413-5
#[test]
fn a_repeated_syn_that_was_not_the_options_fault_teaches_nothing() {
    // Data acknowledged, or another cookie, after the SYN went out twice: the first one had arrived.
    for (acked, cookie) in [(5, None), (0, Some(given()))] {
        let mut hand = knowing();
        let (_, syn) = begin(&mut hand, b"hello", false);
        hand.run_until(hand.now + Span::from_secs(2));
        hand.give(&answer(&syn, acked, cookie));
        let (_, next) = begin(&mut hand, b"x", false);
        assert_eq!(next.payload, b"x");
    }
}

// proves 7413-5
#[test]
fn silence_and_hard_errors_are_failures_too() {
    let mut hand = knowing();
    let (conn, _) = begin(&mut hand, b"hello", false);
    hand.run_until(hand.now + Span::from_secs(250));
    let closed = ShardEvent::Closed { conn, reason: CloseReason::TimedOut };
    assert_eq!(hand.events.last(), Some(&closed));
    let (_, next) = begin(&mut hand, b"x", false);
    assert_eq!(next.options.fast_open, None);
}

// proves 7413-5: a cookie that was not asked for is not kept
#[test]
fn a_gift_is_not_taken() {
    let mut hand = Hand::new(Limits::default());
    hand.shard.connect(hand.now, &to(IpAddr::V4(PEER), 80)).unwrap();
    let syn = hand.sent().remove(0);
    hand.give(&answer(&syn, 0, Some(given())));
    let (_, next) = begin(&mut hand, b"x", false);
    assert_eq!(next.options.fast_open, Some(Cookie::REQUEST));
}

#[test]
fn data_goes_without_a_cookie_where_the_application_says_so() {
    let mut hand = Hand::new(Limits::default());
    let (_, syn) = begin(&mut hand, &[1; 2000], true);
    // The default MSS, less the room for options.
    assert_eq!((syn.options.fast_open, syn.payload.len()), (None, 496));
    hand.give(&answer(&syn, 496, None));
    assert_eq!(hand.shard.counters().fast_opens_out, 1);
    let (_, syn) = begin(&mut hand, b"xy", true);
    hand.give(&answer(&syn, 0, None));
    let (_, syn) = begin(&mut hand, b"xy", true);
    assert_eq!(syn.payload.len(), 0, "refused lately");
}

#[test]
fn both_open_at_once_and_the_data_is_sent_once_more() {
    let mut hand = knowing();
    let (conn, syn) = begin(&mut hand, b"hello", false);
    let mut theirs = answer(&syn, 0, None);
    theirs.header.flags = Flags::SYN;
    let reply = hand.give(&theirs).remove(0);
    assert_eq!((reply.header.flags, reply.header.seq), (SYN_ACK, syn.header.seq));
    assert_eq!((reply.header.ack.0, reply.payload.len()), (9001, 0));
    let mut ack = answer(&syn, 0, None).with_options(Options::default());
    ack.header.flags = Flags::ACK;
    ack.header.seq += 1;
    let sent = hand.give(&ack);
    assert_eq!(sent.last().unwrap().payload, b"hello");
    assert_eq!(hand.shard.info(hand.now, conn).unwrap().state, StateName::Established);
}

#[test]
fn an_attempt_that_is_closed_leaves_nothing() {
    let mut hand = knowing();
    let (conn, _) = begin(&mut hand, b"hello", false);
    hand.shard.close(hand.now, conn).unwrap();
    assert_eq!(hand.shard.write(hand.now, conn, b"x"), Err(ConnError::Stale));
    assert_eq!(hand.shard.usage().anchors, 0);
}

// proves 7413-5, 7413-7: two shards
#[test]
fn two_shards_save_a_round_trip() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    pair.server.shard.set_fast_open(listener, fast(8));
    let to = to(pair.server.address, 80);
    for round in 0..3 {
        let data = pattern(5000);
        let first = FirstData { octets: &data, without_cookie: false };
        let (client, taken) = pair.client.shard.connect_with(pair.now, &to, first).unwrap();
        assert_eq!(taken, 5000);
        pair.run(Span::from_millis(50));
        let server = pair.server.shard.accept(listener).expect("a connection");
        assert_eq!(read_all(&mut pair.server.shard, pair.now, server).unwrap(), data);
        assert_eq!(pair.server.shard.write(pair.now, server, b"back").unwrap(), 4);
        pair.settle();
        assert_eq!(read_all(&mut pair.client.shard, pair.now, client).unwrap(), b"back");
        for (shard, conn) in [(&pair.client.shard, client), (&pair.server.shard, server)] {
            let figures = shard.info(pair.now, conn).unwrap().figures.unwrap();
            assert_eq!(figures.syn_data, round > 0);
        }
        pair.client.shard.close(pair.now, client).unwrap();
        pair.server.shard.close(pair.now, server).unwrap();
        pair.run(Span::from_secs(1));
    }
    assert_eq!(pair.client.shard.counters().fast_opens_out, 2);
    assert_eq!(pair.server.shard.counters().fast_opens_in, 2);
    assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
}

// A signature and a cookie do not fit one SYN: signed connections open as ever.
#[test]
fn where_segments_are_signed_there_is_no_fast_open() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    pair.server.shard.set_fast_open(listener, fast(8));
    let addresses = (pair.client.address, pair.server.address);
    for (end, peer) in [(&mut pair.client, addresses.1), (&mut pair.server, addresses.0)] {
        let kind = KeyKind::Md5(MasterKey::new(b"secret").unwrap());
        end.shard.add_auth_key(AuthKey { scope: Scope::host(peer), kind }).unwrap();
    }
    let to = to(pair.server.address, 80);
    for _ in 0..2 {
        let first = FirstData { octets: b"signed", without_cookie: true };
        let (client, taken) = pair.client.shard.connect_with(pair.now, &to, first).unwrap();
        assert_eq!(taken, 6);
        pair.run(Span::from_millis(50));
        let server = pair.server.shard.accept(listener).expect("a connection");
        assert_eq!(read_all(&mut pair.server.shard, pair.now, server).unwrap(), b"signed");
        let figures = pair.client.shard.info(pair.now, client).unwrap().figures.unwrap();
        assert!(!figures.syn_data);
    }
    let counters = (pair.client.shard.counters(), pair.server.shard.counters());
    assert_eq!((counters.0.fast_opens_failed, counters.1.fast_opens_in), (0, 0));
}

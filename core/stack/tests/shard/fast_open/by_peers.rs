//! Fast opens by a peer.

use super::*;
use crate::pair::assert_counts;
use core::net::Ipv4Addr;
use usertcp_base::observe::CloseReason;
use usertcp_base::{DropReason, Span};
use usertcp_stack::{ConnError, Gate, ShardEvent};
use usertcp_tcp::StateName;
use usertcp_wire::tcp::Timestamps;

const SYN_ACK: Flags = Flags::SYN.union(Flags::ACK);

// proves 7413-6
#[test]
fn off_means_that_cookies_are_neither_given_nor_taken() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    hand.shard.set_fast_open(listener, None);
    for (port, shown) in [(1000, Some(Cookie::REQUEST)), (1001, Some(cookie)), (1002, None)] {
        let answer = hand.give(&syn(port, shown, b"hello")).remove(0);
        assert_eq!((answer.header.flags, answer.header.ack.0), (SYN_ACK, 5001));
        assert_eq!(answer.options.fast_open, None);
        assert_eq!(hand.shard.accept(listener), None);
    }
    // And off at the start.
    let (mut hand, listener) = listening(Limits::default(), None);
    let answer = hand.give(&syn(1000, Some(Cookie::REQUEST), b"")).remove(0);
    assert_eq!(answer.options.fast_open, None);
    assert_eq!(hand.shard.accept(listener), None);
}

// proves 7413-1, 7413-2, 7413-6, OPT-34, AT-33
#[test]
fn a_valid_cookie_brings_data_to_the_application_before_the_handshake_ends() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    assert_eq!(cookie.octets().len(), 8);
    hand.events.clear();
    let answers = hand.give(&syn(1000, Some(cookie), b"GET /"));
    assert_eq!(answers.len(), 1, "{answers:?}");
    let iss = answers[0].header.seq;
    assert_eq!((answers[0].header.flags, answers[0].header.ack.0), (SYN_ACK, 5006));
    assert_eq!(answers[0].options.fast_open, None);
    let conn = hand.shard.accept(listener).expect("a connection");
    assert_eq!(hand.events, [ShardEvent::Accepted { listener, conn }, ShardEvent::Readable(conn)]);
    let info = hand.shard.info(hand.now, conn).unwrap();
    assert_eq!(info.state, StateName::SynReceived);
    let figures = info.figures.expect("figures");
    assert!(figures.syn_data && figures.octets_received == 5);
    assert_eq!(read(&mut hand, conn), b"GET /");
    // It may answer at once, within the initial window.
    assert_eq!(hand.shard.write(hand.now, conn, &[7; 3000]).unwrap(), 3000);
    let sent = hand.sent();
    let lengths: Vec<usize> = sent.iter().map(|segment| segment.payload.len()).collect();
    assert_eq!(lengths, [1000, 1000, 1000]);
    assert_eq!((sent[0].header.seq, sent[0].header.ack.0), (iss + 1, 5006));
    // An acknowledgement of the SYN-ACK and some of the data completes the handshake.
    let ack = wire(Flags::ACK, 5006, iss.0.wrapping_add(2001)).by(PEER, 1000);
    hand.now = hand.now + Span::from_millis(30);
    assert_eq!(hand.give(&ack).len(), 0);
    let info = hand.shard.info(hand.now, conn).unwrap();
    let figures = info.figures.expect("figures");
    assert_eq!((info.state, figures.state), (StateName::Established, StateName::Established));
    assert_eq!((figures.octets_acknowledged, figures.in_flight_octets), (2000, 1000));
    assert_eq!(figures.srtt, Span::from_millis(30));
    assert_eq!(hand.shard.counters().fast_opens_in, 1);
    assert_counts(&hand.shard, listener, 0);
}

// proves 7413-2, 7413-3, AT-33
#[test]
fn a_bad_cookie_gets_an_ordinary_handshake_and_a_good_cookie() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    let mut forged = cookie.octets().to_vec();
    forged[7] ^= 1;
    let stranger = Ipv4Addr::new(10, 0, 0, 77);
    let cases = [
        syn(1000, Cookie::new(&forged), b"evil"),
        syn(1001, Cookie::new(&cookie.octets()[..4]), b"evil"),
        // The cookie of another address.
        syn(1002, Some(cookie), b"evil").by(stranger, 1002),
    ];
    for case in cases {
        let answer = hand.give(&case).remove(0);
        assert_eq!((answer.header.flags, answer.header.ack.0), (SYN_ACK, 5001));
        assert_eq!(hand.shard.accept(listener), None);
        let fresh = answer.options.fast_open.expect("a cookie");
        if case.source == PEER {
            assert_eq!(fresh, cookie);
        } else {
            assert_ne!(fresh, cookie);
        }
        // The data comes again after the handshake, and once only.
        let mut rest = case.clone();
        rest.header.flags = Flags::ACK | Flags::PSH;
        rest.header.seq += 1;
        rest.header.ack = answer.header.seq + 1;
        rest.options = Options::default();
        hand.give(&rest);
        let conn = hand.shard.accept(listener).expect("a connection");
        assert_eq!(read(&mut hand, conn), b"evil");
        assert!(!hand.shard.info(hand.now, conn).unwrap().figures.unwrap().syn_data);
    }
    assert_eq!(hand.shard.counters().fast_open_cookies_invalid, 3);
    assert_eq!(hand.shard.counters().fast_opens_in, 0);
}

// proves 7413-2
#[test]
fn the_key_before_is_honoured_and_its_cookies_are_exchanged() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    hand.shard.set_fast_open_keys(key(1), None);
    let old = cookie_of(&mut hand);
    hand.shard.rotate_fast_open_key(key(2));
    let answer = hand.give(&syn(1000, Some(old), b"x")).remove(0);
    assert_eq!(answer.header.ack.0, 5002);
    let new = answer.options.fast_open.expect("another cookie");
    assert_ne!(new, old);
    assert!(hand.shard.accept(listener).is_some());
    let answer = hand.give(&syn(1001, Some(new), b"x")).remove(0);
    assert_eq!((answer.header.ack.0, answer.options.fast_open), (5002, None));
    hand.shard.rotate_fast_open_key(key(3));
    let answer = hand.give(&syn(1002, Some(old), b"x")).remove(0);
    assert_eq!(answer.header.ack.0, 5001, "two changes ago");
}

// proves 7413-4, AT-33
#[test]
fn pending_fast_opens_are_capped_and_resets_free_no_place_at_once() {
    let (mut hand, listener) = listening(Limits::default(), fast(2));
    let cookie = cookie_of(&mut hand);
    let accepted = |answer: &Wire| answer.header.ack.0 == 5002;
    let first = hand.give(&syn(1000, Some(cookie), b"1")).remove(0);
    let second = hand.give(&syn(1001, Some(cookie), b"2")).remove(0);
    assert!(accepted(&first) && accepted(&second));
    assert_counts(&hand.shard, listener, 2);
    // Above the cap: an ordinary handshake, without any sign of Fast Open.
    let third = hand.give(&syn(1002, Some(cookie), b"3")).remove(0);
    assert_eq!((third.header.ack.0, third.options.fast_open), (5001, None));
    let asked = hand.give(&syn(1003, Some(Cookie::REQUEST), b"")).remove(0);
    assert_eq!(asked.options.fast_open, None);
    // One completes: one place.
    let ack = wire(Flags::ACK, 5002, first.header.seq.0.wrapping_add(1)).by(PEER, 1000);
    hand.give(&ack);
    let fourth = hand.give(&syn(1004, Some(cookie), b"4")).remove(0);
    assert!(accepted(&fourth));
    // One is reset: no place for a minute.
    assert_eq!(hand.give(&wire(Flags::RST, 5002, 0).by(PEER, 1001)).len(), 0);
    let fifth = hand.give(&syn(1005, Some(cookie), b"5")).remove(0);
    assert!(!accepted(&fifth));
    let ack = wire(Flags::ACK, 5002, fourth.header.seq.0.wrapping_add(1)).by(PEER, 1004);
    hand.give(&ack);
    hand.run_until(hand.now + Span::from_secs(59));
    assert!(accepted(&hand.give(&syn(1006, Some(cookie), b"6")).remove(0)));
    assert!(!accepted(&hand.give(&syn(1007, Some(cookie), b"7")).remove(0)));
    hand.run_until(hand.now + Span::from_secs(1));
    assert!(accepted(&hand.give(&syn(1008, Some(cookie), b"8")).remove(0)));
}

// proves 7413-4: the row's own example
#[test]
fn of_a_hundred_and_twenty_nine_the_last_is_ordinary() {
    let limits = Limits { embryo_source_share: 1, ..Limits::default() };
    let (mut hand, _) = listening(limits, fast(128));
    let cookie = cookie_of(&mut hand);
    for port in 1000..1128 {
        assert_eq!(hand.give(&syn(port, Some(cookie), b"x")).remove(0).header.ack.0, 5002);
    }
    assert_eq!(hand.give(&syn(2000, Some(cookie), b"x")).remove(0).header.ack.0, 5001);
}

// proves 7413-1: the SYN-ACK is sent again without the option, and data is not
#[test]
fn a_lost_syn_ack_is_sent_again_alone() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    hand.shard.set_fast_open_keys(key(1), None);
    let old = cookie_of(&mut hand);
    hand.shard.rotate_fast_open_key(key(2));
    let first = hand.give(&syn(1000, Some(old), b"abc")).remove(0);
    assert!(first.options.fast_open.is_some());
    let conn = hand.shard.accept(listener).expect("a connection");
    hand.shard.write(hand.now, conn, &[1; 1500]).unwrap();
    assert_eq!(hand.sent().len(), 2);
    let start = hand.now;
    let again = hand.run_until(start + Span::from_secs(4));
    let times: Vec<u64> = again.iter().map(|(at, _)| at.since(start).as_millis()).collect();
    assert_eq!(times, [1000, 3000]);
    for (_, segment) in &again {
        assert_eq!((segment.header.flags, segment.header.ack.0), (SYN_ACK, 5004));
        assert_eq!((segment.options.fast_open, segment.payload.len()), (None, 0));
    }
    // The client's SYN again, without data: the same answer.
    let repeat = hand.give(&syn(1000, None, b"")).remove(0);
    assert_eq!((repeat.header.flags, repeat.header.ack.0), (SYN_ACK, 5004));
    // Once it is acknowledged, what was sent in vain is sent again.
    hand.give(&wire(Flags::ACK, 5004, first.header.seq.0.wrapping_add(1)).by(PEER, 1000));
    let resent = hand.run_until(hand.now + Span::from_secs(4));
    assert_eq!(resent[0].1.header.seq, first.header.seq + 1);
    assert_eq!(resent[0].1.payload.len(), 1000);
}

#[test]
fn a_fast_open_that_nobody_completes_ends() {
    let (mut hand, listener) = listening(Limits::default(), fast(1));
    let cookie = cookie_of(&mut hand);
    hand.give(&syn(1000, Some(cookie), b"abc"));
    let conn = hand.shard.accept(listener).expect("a connection");
    hand.shard.write(hand.now, conn, b"never heard").unwrap();
    hand.sent();
    let sent = hand.run_until(hand.now + Span::from_secs(100));
    assert_eq!(sent.len(), 5, "SYN-ACKs");
    let closed = ShardEvent::Closed { conn, reason: CloseReason::TimedOut };
    assert_eq!(hand.events.last(), Some(&closed));
    hand.shard.close(hand.now, conn).unwrap();
    assert_counts(&hand.shard, listener, 0);
    assert_eq!(hand.shard.usage().tcbs, 0);
    // Its place is free.
    assert_eq!(hand.give(&syn(1001, Some(cookie), b"x")).remove(0).header.ack.0, 5002);
}

#[test]
fn what_is_no_acknowledgement_of_ours_completes_nothing() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    let mut first = syn(1000, Some(cookie), b"abc");
    first.options.timestamps = Some(Timestamps { value: 500, echo: 0 });
    let answer = hand.give(&first).remove(0);
    let conn = hand.shard.accept(listener).expect("a connection");
    let iss = answer.header.seq.0;
    let with = |mut segment: Wire, value| {
        segment.options.timestamps = Some(Timestamps { value, echo: 0 });
        segment.by(PEER, 1000)
    };
    // Beyond what was sent, or before the SYN-ACK: reset, and nothing else.
    for ack in [iss, iss.wrapping_add(2)] {
        let replies = hand.give(&with(wire(Flags::ACK, 5004, ack), 501));
        assert_eq!(
            (replies[0].header.flags, replies[0].header.seq.0),
            (Flags::RST, ack),
            "{replies:?}"
        );
    }
    // An old timestamp, a number outside of the window, a SYN of another number: challenged.
    let good = iss.wrapping_add(1);
    for segment in [
        with(wire(Flags::ACK, 5004, good), 499),
        with(wire(Flags::ACK, 80_000, good), 501),
        with(wire(Flags::SYN, 6000, 0), 501),
        with(wire(Flags::RST, 5005, 0), 501),
    ] {
        // Identical ones are half a second apart at least.
        hand.now = hand.now + Span::from_millis(600);
        let replies = hand.give(&segment);
        assert_eq!(replies[0].header.flags, Flags::ACK, "{segment:?}");
        assert_eq!((replies[0].header.seq.0, replies[0].header.ack.0), (good, 5004));
    }
    let state = |hand: &Hand| hand.shard.info(hand.now, conn).unwrap().state;
    assert_eq!(state(&hand), StateName::SynReceived);
    hand.give(&with(wire(Flags::ACK, 5004, good), 502));
    assert_eq!(state(&hand), StateName::Established);
}

#[test]
fn the_peer_resets_what_the_application_has() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    hand.give(&syn(1000, Some(cookie), b"abc"));
    let conn = hand.shard.accept(listener).expect("a connection");
    hand.give(&wire(Flags::RST, 5004, 0).by(PEER, 1000));
    let closed = ShardEvent::Closed { conn, reason: CloseReason::Reset };
    assert_eq!(hand.events.last(), Some(&closed));
    // What came can still be read.
    assert_eq!(read(&mut hand, conn), b"abc");
    let over = hand.shard.write(hand.now, conn, b"x");
    assert_eq!(over, Err(ConnError::Ended(CloseReason::Reset)));
    hand.shard.close(hand.now, conn).unwrap();
    assert_eq!(hand.shard.usage().tcbs, 0);
    assert_counts(&hand.shard, listener, 0);
}

#[test]
fn the_application_may_close_or_abort_before_the_handshake_ends() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    let answer = hand.give(&syn(1000, Some(cookie), b"abc")).remove(0);
    let conn = hand.shard.accept(listener).expect("a connection");
    assert_eq!(read(&mut hand, conn), b"abc");
    hand.shard.write(hand.now, conn, b"answer").unwrap();
    hand.shard.close(hand.now, conn).unwrap();
    let sent = hand.sent();
    let last = sent.last().expect("a segment");
    assert!(last.header.flags.contains(Flags::FIN));
    let iss = answer.header.seq.0;
    hand.give(&wire(Flags::ACK | Flags::FIN, 5004, iss.wrapping_add(8)).by(PEER, 1000));
    assert_counts(&hand.shard, listener, 0);
    assert_eq!((hand.shard.usage().tcbs, hand.shard.usage().time_waits), (0, 1));
    // Abort: a reset, and nothing is left. Data that was not read makes closing one, too.
    for port in [1001, 1002] {
        let answer = hand.give(&syn(port, Some(cookie), b"abc")).remove(0);
        let conn = hand.shard.accept(listener).expect("a connection");
        if port == 1001 {
            hand.shard.abort(hand.now, conn);
        } else {
            hand.shard.close(hand.now, conn).unwrap();
        }
        let reset = hand.sent().remove(0);
        assert!(reset.header.flags.contains(Flags::RST));
        assert_eq!(reset.header.seq, answer.header.seq + 1);
        assert_eq!(hand.shard.usage().tcbs, 0);
        assert_counts(&hand.shard, listener, 0);
    }
    // The listener goes away: what was not accepted is reset.
    hand.give(&syn(1003, Some(cookie), b"abc"));
    hand.shard.close_listener(hand.now, listener);
    assert!(hand.sent()[0].header.flags.contains(Flags::RST));
    assert_eq!(hand.shard.usage().tcbs, 0);
}

#[test]
fn without_a_place_behind_it_a_fast_open_is_ordinary() {
    let limits = Limits { hot_connections: 1, ..Limits::default() };
    let (mut hand, _) = listening(limits, fast(8));
    let cookie = cookie_of(&mut hand);
    assert_eq!(hand.give(&syn(1000, Some(cookie), b"x")).remove(0).header.ack.0, 5002);
    let answer = hand.give(&syn(1001, Some(cookie), b"x")).remove(0);
    assert_eq!((answer.header.ack.0, answer.options.fast_open), (5001, Some(cookie)));
}

// proves AT-33
#[test]
fn while_syn_cookies_answer_and_where_a_gate_asks_there_is_no_fast_open() {
    let limits = Limits { embryos_per_listener: 1, embryo_source_share: 1, ..Limits::default() };
    let (mut hand, listener) = listening(limits, fast(8));
    let cookie = cookie_of(&mut hand);
    assert_eq!(hand.give(&syn(1000, None, b"")).len(), 1);
    for shown in [Some(cookie), Some(Cookie::REQUEST)] {
        let answer = hand.give(&syn(1001, shown, b"x")).remove(0);
        assert_eq!((answer.header.ack.0, answer.options.fast_open), (5001, None));
        assert_eq!(hand.shard.accept(listener), None);
    }
    assert_eq!(hand.shard.counters().cookies_out, 2);
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    hand.shard.set_gate(listener, Gate::Ask);
    assert_eq!(hand.give(&syn(1000, Some(cookie), b"x")).len(), 0);
    assert!(matches!(hand.events.last(), Some(ShardEvent::Asked { .. })));
}

#[test]
fn a_valid_cookie_without_data_opens_too_and_data_alone_does_where_it_may() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    assert_eq!(hand.give(&syn(1000, Some(cookie), b"")).remove(0).header.ack.0, 5001);
    let conn = hand.shard.accept(listener).expect("a connection");
    assert!(!hand.shard.info(hand.now, conn).unwrap().figures.unwrap().syn_data);
    assert_eq!(hand.give(&syn(1001, None, b"xy")).remove(0).header.ack.0, 5001);
    assert_eq!(hand.shard.accept(listener), None);
    let open = FastOpenListen { pending: 8, without_cookie: true };
    hand.shard.set_fast_open(listener, Some(open));
    let forged = Cookie::new(&[0; 8]);
    for (port, shown) in [(1002, None), (1003, forged), (1004, Some(Cookie::REQUEST))] {
        let answer = hand.give(&syn(port, shown, b"xy")).remove(0);
        assert_eq!((answer.header.ack.0, answer.options.fast_open), (5003, None));
        assert!(hand.shard.accept(listener).is_some());
    }
    // Without data there is nothing to accept.
    assert_eq!(hand.give(&syn(1005, None, b"")).remove(0).header.ack.0, 5001);
    assert_eq!(hand.shard.accept(listener), None);
}

#[test]
fn a_syn_longer_than_the_window_is_taken_in_part() {
    let limits =
        Limits { receive_buffer_start_octets: 3, receive_buffer_octets: 3, ..Limits::default() };
    let (mut hand, listener) = listening(limits, fast(8));
    let cookie = cookie_of(&mut hand);
    let answer = hand.give(&syn(1000, Some(cookie), b"abcdef")).remove(0);
    assert_eq!((answer.header.ack.0, answer.header.window.0), (5004, 0));
    let conn = hand.shard.accept(listener).expect("a connection");
    assert_eq!(read(&mut hand, conn), b"abc");
    assert_eq!(hand.shard.counters().dropped(DropReason::BeyondWindow), 0);
}

// proves 3168-1
#[test]
fn a_syn_again_without_ecn_takes_it_back() {
    let (mut hand, listener) = listening(Limits::default(), fast(8));
    let cookie = cookie_of(&mut hand);
    let plain = syn(1000, Some(cookie), b"GET /");
    let mut asking = plain.clone();
    asking.header.flags = Flags::SYN | Flags::ECE | Flags::CWR;
    let answer = hand.give(&asking).remove(0);
    assert_eq!(answer.header.flags, SYN_ACK | Flags::ECE);
    let conn = hand.shard.accept(listener).expect("a connection");
    let is_capable = |hand: &Hand| hand.shard.info(hand.now, conn).unwrap().figures.unwrap().ecn;
    assert!(is_capable(&hand));
    // The answer was lost, and the peer thinks that it was for the flags.
    let again = hand.give(&plain).remove(0);
    assert_eq!(again.header.flags, SYN_ACK);
    assert!(!is_capable(&hand), "it was told that there is no ECN");
    hand.give(&wire(Flags::ACK, 5006, answer.header.seq.0.wrapping_add(1)).by(PEER, 1000));
    assert!(!is_capable(&hand));
    assert_eq!(hand.shard.info(hand.now, conn).unwrap().state, StateName::Established);
}

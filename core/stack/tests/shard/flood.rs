//! SYN floods, cookies, full backlogs: AT-1, AT-34, AT-39, AT-42, E-31, 4987-1 to -3.

use crate::hand::{Hand, PEER, wire};
use crate::pair::{Pair, assert_empty};
use core::net::Ipv4Addr;
use usertcp_base::{DropReason, Limits, ListenerId, Span};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile, Read, ShardEvent};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

const EMBRYOS: u32 = 64;

fn flooded() -> (Hand, ListenerId) {
    let limits = Limits { embryos_per_listener: EMBRYOS, ..Limits::default() };
    let mut hand = Hand::new(limits);
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 4, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    for number in 0..10_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let syn = wire(Flags::SYN, number, 0).by(Ipv4Addr::new(172, 16 + b, c, d), 1024);
        assert_eq!(hand.give(&syn).len(), 1, "everyone gets an answer");
    }
    (hand, listener)
}

#[test]
fn a_flood_is_answered_by_cookies_and_keeps_nothing() {
    let (mut hand, _) = flooded();
    assert_eq!(hand.shard.usage().anchors, EMBRYOS);
    assert_eq!(hand.shard.counters().cookies_out, 10_000 - u64::from(EMBRYOS));
    // Half-open records repeat their SYN-ACK, cookies never do (BG-4).
    let again = hand.run_until(hand.now + Span::from_secs(200));
    assert_eq!(again.len(), 5 * EMBRYOS as usize);
    assert_empty(&hand.shard);
}

#[test]
fn a_cookie_opens_a_connection_with_all_that_was_offered() {
    let (mut hand, listener) = flooded();
    let options = Options {
        mss: Some(1400),
        scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 4444, echo: 0 }),
        ..Options::default()
    };
    let answer = hand.give(&wire(Flags::SYN, 9000, 0).with_options(options)).remove(0);
    let stamp = answer.options.timestamps.unwrap();
    assert_eq!(stamp.echo, 4444);
    assert!(answer.options.scale.is_some() && answer.options.sack_permitted);
    let timestamps = Some(Timestamps { value: 4450, echo: stamp.value });
    let ack = wire(Flags::ACK | Flags::PSH, 9001, answer.header.seq.0.wrapping_add(1))
        .with_options(Options { timestamps, ..Options::default() })
        .with_payload(b"GET /");
    hand.give(&ack);
    let conn = hand.shard.accept(listener).expect("open");
    let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
    assert!(figures.sack && figures.timestamps);
    assert_eq!(figures.scales.0, 7);
    assert_eq!(figures.send_mss_octets, 1400 - 12);
    let mut buffer = [0; 16];
    assert_eq!(hand.shard.read(hand.now, conn, &mut buffer), Ok(Read::Data(5)));
    assert_eq!(hand.shard.counters().cookies_accepted, 1);
}

#[test]
fn a_cookie_without_timestamps_keeps_the_mss_only() {
    let (mut hand, listener) = flooded();
    let options =
        Options { mss: Some(1300), scale: Some(7), sack_permitted: true, ..Options::default() };
    let answer = hand.give(&wire(Flags::SYN, 9000, 0).with_options(options)).remove(0);
    assert!(answer.options.scale.is_none() && !answer.options.sack_permitted);
    hand.give(&wire(Flags::ACK, 9001, answer.header.seq.0.wrapping_add(1)));
    let conn = hand.shard.accept(listener).expect("open");
    let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
    assert!(!figures.sack && !figures.timestamps);
    assert_eq!(figures.send_mss_octets, 1220);
}

/// 4987-2, 3168-1: ECN survives beside timestamps, and is not agreed to where it could not.
#[test]
fn a_cookie_keeps_ecn_where_it_can() {
    let asks = Flags::ECE | Flags::CWR;
    for (number, flags) in [asks, Flags::ECE, Flags::NONE].into_iter().enumerate() {
        for stamped in [true, false] {
            let (mut hand, listener) = flooded();
            let stamps = |value, echo| Options {
                timestamps: stamped.then_some(Timestamps { value, echo }),
                ..Options::default()
            };
            let port = 3000 + number as u16;
            let syn = wire(Flags::SYN | flags, 9000, 0).with_options(stamps(4444, 0));
            let answer = hand.give(&syn.by(PEER, port)).remove(0);
            let agreed = stamped && flags == asks;
            assert_eq!(answer.header.flags.contains(Flags::ECE), agreed, "{flags:?} {stamped}");
            assert!(!answer.header.flags.contains(Flags::CWR));
            let echo = answer.options.timestamps.map_or(0, |stamps| stamps.value);
            let ack = wire(Flags::ACK, 9001, answer.header.seq.0.wrapping_add(1));
            hand.give(&ack.with_options(stamps(4450, echo)).by(PEER, port));
            let conn = hand.shard.accept(listener).expect("open");
            let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
            assert_eq!(figures.ecn, agreed);
        }
    }
}

#[test]
fn a_guess_or_an_old_cookie_is_reset() {
    let (mut hand, listener) = flooded();
    let guess = hand.give(&wire(Flags::ACK, 9001, 12_345).by(PEER, 7)).remove(0);
    assert_eq!(guess.header.flags, Flags::RST);
    assert_eq!(hand.shard.counters().dropped(DropReason::CookieInvalid), 1);
    let answer = hand.give(&wire(Flags::SYN, 9000, 0)).remove(0);
    let late = wire(Flags::ACK, 9001, answer.header.seq.0.wrapping_add(1));
    hand.run_until(hand.now + Span::from_secs(121));
    assert_eq!(hand.give(&late).remove(0).header.flags, Flags::RST);
    assert_eq!(hand.shard.accept(listener), None);
}

/// AT-39: one source gets one sixteenth of the records, then cookies.
#[test]
fn one_source_gets_its_share() {
    let limits = Limits { embryos_per_listener: EMBRYOS, ..Limits::default() };
    let mut hand = Hand::new(limits);
    let profile = Profile::<Reno>::default();
    hand.shard.listen(&Listen { local: None, port: Some(80), backlog: 4, profile }).unwrap();
    for port in 0..1000 {
        assert_eq!(hand.give(&wire(Flags::SYN, 1, 0).by(PEER, 1024 + port)).len(), 1);
    }
    assert_eq!(hand.shard.usage().anchors, EMBRYOS / 16);
}

/// AT-42: who accepts nothing holds at most the backlog; later ones get in once there is room.
#[test]
fn a_backlog_that_nobody_empties_stays_bounded() {
    let mut pair = Pair::new();
    let listener = pair.listen(3);
    let clients = (0..10).map(|_| pair.connect()).collect::<Vec<_>>();
    pair.run(Span::from_millis(500));
    assert_eq!(pair.server.shard.usage().tcbs, 3);
    assert!(pair.server.shard.counters().dropped(DropReason::BacklogFull) > 0);
    let mut accepted = 0;
    for _ in 0..60 {
        while pair.server.shard.accept(listener).is_some() {
            accepted += 1;
        }
        pair.run(Span::from_secs(1));
    }
    assert_eq!(accepted, 10);
    for client in clients {
        assert!(pair.client.saw(ShardEvent::Connected(client)));
    }
}

/// AT-1: a flood that could take every anchor does not; who acknowledges a cookie finds a place.
#[test]
fn half_open_records_leave_anchors_for_connections() {
    let mut hand = Hand::new(Limits { connections: 64, ..Limits::default() });
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 4, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    for number in 0..1000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let syn = wire(Flags::SYN, number, 0).by(Ipv4Addr::new(172, 16 + b, c, d), 1024);
        assert_eq!(hand.give(&syn).len(), 1, "everyone gets an answer");
    }
    assert_eq!(hand.shard.usage().anchors, 56);
    let answer = hand.give(&wire(Flags::SYN, 9000, 0)).remove(0);
    hand.give(&wire(Flags::ACK, 9001, answer.header.seq.0.wrapping_add(1)));
    assert!(hand.shard.accept(listener).is_some());
}

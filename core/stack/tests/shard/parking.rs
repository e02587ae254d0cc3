//! Idle connections without their TCBs: sharing, running out of TCBs, keep-alive of many, and that every
//! call on a parked connection does what it does on any other.

use crate::hand::{Hand, OURS, PEER, Wire, wire};
use crate::pair::Pair;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Parking, Seq, Span, WireWindow};
use usertcp_stack::{ConnError, Listen, Profile, Read, ShardEvent};
use usertcp_tcp::{KeepAlive, Settings, StateName};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

fn hand(limits: Limits, keep_alive: Option<Span>) -> (Hand, ListenerId) {
    let mut hand = Hand::new(limits);
    let mut settings = Settings::default();
    if let Some(idle) = keep_alive {
        let interval = Span::from_secs(2);
        settings.keep_alive = KeepAlive { enabled: true, idle, interval, probes: 3 };
    }
    let profile = Profile { settings, ..Profile::default() };
    let listen = Listen { local: Some(OURS.into()), port: Some(80), backlog: 4096, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    (hand, listener)
}

/// The timestamps of a peer: its clock at `now`, and what it echoes.
fn stamps(hand: &Hand, echo: u32) -> Options {
    let value = 7_000 + hand.now.as_millis() as u32;
    Options { timestamps: Some(Timestamps { value, echo }), ..Options::default() }
}

/// Opens a connection with timestamps: our next number, and our timestamp.
fn open(hand: &mut Hand, port: u16, isn: u32) -> (Seq, u32) {
    let mut options = stamps(hand, 0);
    options.sack_permitted = true;
    let syn = wire(Flags::SYN, isn, 0).by(PEER, port).with_options(options);
    let answer = hand.give(&syn).remove(0);
    let seq = answer.header.seq + 1;
    let value = answer.options.timestamps.unwrap().value;
    hand.now = hand.now + Span::from_millis(20);
    let ack = wire(Flags::ACK, isn + 1, seq.0).by(PEER, port).with_options(stamps(hand, value));
    assert!(hand.give(&ack).is_empty());
    (seq, value)
}

fn rest(hand: &mut Hand) -> Vec<(Instant, Wire)> {
    let end = hand.now + Span::from_secs(3);
    hand.run_until(end)
}

#[test]
fn a_thousand_handshakes_share_a_few_moulds() {
    let (mut hand, listener) = hand(Limits::default(), None);
    for port in 1..=1000u16 {
        open(&mut hand, port, u32::from(port).wrapping_mul(0x9E37_79B9));
        let accepted = hand.shard.accept(listener).unwrap();
        assert!(hand.shard.set_token(accepted, u32::from(port)));
    }
    assert!(rest(&mut hand).is_empty(), "parking says nothing");
    let usage = hand.shard.usage();
    assert_eq!((usage.anchors, usage.tcbs, usage.parked), (1000, 0, 1000));
    assert!(usage.moulds <= 2, "{usage:?}");
    assert_eq!(hand.shard.pool().stats().used_octets, 0);
    let tokens: u32 = hand.shard.connections().filter_map(|conn| hand.shard.token(conn)).sum();
    assert_eq!(tokens, 500 * 1001);
}

#[test]
fn those_who_are_alike_find_each_other_among_many_who_are_not() {
    let (mut hand, listener) = hand(Limits::default(), None);
    // Two thousand of whom each has another window, so a mould of its own, and then those who are like the last.
    for port in 1..=3000u16 {
        let (seq, value) = open(&mut hand, port, u32::from(port).wrapping_mul(0x9E37_79B9));
        let isn = u32::from(port).wrapping_mul(0x9E37_79B9);
        let mut update = wire(Flags::ACK, isn.wrapping_add(1), seq.0).by(PEER, port);
        update.header.window = WireWindow(60_000 + port.min(2000));
        assert!(hand.give(&update.with_options(stamps(&hand, value))).is_empty());
        hand.shard.accept(listener).unwrap();
    }
    assert!(rest(&mut hand).is_empty());
    let usage = hand.shard.usage();
    assert_eq!((usage.tcbs, usage.parked), (0, 3000));
    assert!((2000..=2010).contains(&usage.moulds), "{usage:?}");
}

#[test]
fn the_first_segment_wakes_and_the_next_silence_parks_again() {
    let (mut hand, listener) = hand(Limits::default(), None);
    let (seq, value) = open(&mut hand, 7, 100);
    let conn = hand.shard.accept(listener).unwrap();
    for round in 0..5u32 {
        rest(&mut hand);
        assert_eq!(hand.shard.usage().parked, 1, "round {round}");
        let from = 101 + round * 4;
        let data = wire(Flags::ACK | Flags::PSH, from, seq.0).by(PEER, 7).with_payload(b"ping");
        let data = data.with_options(stamps(&hand, value));
        hand.give(&data);
        assert!(hand.events.contains(&ShardEvent::Readable(conn)));
        hand.events.clear();
        let mut out = [0; 8];
        assert_eq!(hand.shard.read(hand.now, conn, &mut out), Ok(Read::Data(4)));
        let info = hand.shard.info(hand.now, conn).unwrap();
        assert_eq!(info.figures.unwrap().octets_received, u64::from(round + 1) * 4);
    }
    let counters = hand.shard.counters();
    assert_eq!((counters.parked, counters.activated), (5, 5));
}

/// One request in a long silence: its connection is parked as soon as the answer is acknowledged, and no deadline is
/// left that would look at it again.
#[test]
fn after_a_lone_exchange_nothing_is_left_in_the_wheel() {
    let (mut hand, listener) = hand(Limits::default(), None);
    let (seq, value) = open(&mut hand, 7, 100);
    let conn = hand.shard.accept(listener).unwrap();
    rest(&mut hand);
    let usage = hand.shard.usage();
    assert_eq!((usage.parked, usage.timers), (1, 0), "after the handshake");
    let ask = wire(Flags::ACK | Flags::PSH, 101, seq.0).by(PEER, 7).with_payload(b"ping");
    let ask = ask.with_options(stamps(&hand, value));
    hand.give(&ask);
    let mut out = [0; 8];
    assert_eq!(hand.shard.read(hand.now, conn, &mut out), Ok(Read::Data(4)));
    assert_eq!(hand.shard.write(hand.now, conn, b"pong"), Ok(4));
    let answer = hand.sent().remove(0);
    hand.now = hand.now + Span::from_millis(20);
    let echo = answer.options.timestamps.unwrap().value;
    let ack = wire(Flags::ACK, 105, seq.0 + 4).by(PEER, 7).with_options(stamps(&hand, echo));
    assert!(hand.give(&ack).is_empty());
    let heard = hand.now;
    let usage = hand.shard.usage();
    assert_eq!((usage.parked, usage.timers), (1, 0));
    assert!(hand.shard.next_deadline().is_none());
    // Another so soon is no lone one: it is the silence after it that parks.
    let ask = wire(Flags::ACK | Flags::PSH, 105, seq.0 + 4).by(PEER, 7).with_payload(b"ping");
    hand.give(&ask.with_options(stamps(&hand, echo)));
    assert_eq!(hand.shard.read(hand.now, conn, &mut out), Ok(Read::Data(4)));
    assert_eq!(hand.shard.write(hand.now, conn, b"pong"), Ok(4));
    let answer = hand.sent().remove(0);
    let echo = answer.options.timestamps.unwrap().value;
    let ack = wire(Flags::ACK, 109, seq.0 + 8).by(PEER, 7).with_options(stamps(&hand, echo));
    assert!(hand.give(&ack).is_empty());
    assert_eq!(hand.shard.usage().parked, 0);
    assert!(hand.run_until(heard + Span::from_millis(1010)).is_empty());
    let usage = hand.shard.usage();
    assert_eq!((usage.parked, usage.timers), (1, 0));
    assert!(hand.shard.next_deadline().is_none());
}

/// DESIGN §5.3: with few TCBs the one idle for longest makes way; with none idle a segment is lost.
#[test]
fn when_tcbs_run_out_the_quiet_make_way() {
    let limits = Limits { hot_connections: 4, ..Limits::default() };
    let (mut hand, listener) = hand(limits, None);
    let mut conns = Vec::new();
    for port in 1..=40u16 {
        let (seq, value) = open(&mut hand, port, u32::from(port) * 1000);
        conns.push((hand.shard.accept(listener).unwrap(), seq, value));
        assert!(hand.shard.usage().tcbs <= 4, "{:?}", hand.shard.usage());
    }
    assert_eq!(hand.shard.usage().parked, 36);
    // Four are busy: what they wrote is not acknowledged.
    for (conn, ..) in conns.iter().take(4) {
        assert_eq!(hand.shard.write(hand.now, *conn, b"busy"), Ok(4));
        assert_eq!(hand.sent().len(), 1);
    }
    let (conn, seq, value) = conns[20];
    let data = wire(Flags::ACK, 21_001, seq.0).by(PEER, 21).with_payload(b"lost");
    let data = data.with_options(stamps(&hand, value));
    assert!(hand.give(&data).is_empty());
    assert!(hand.shard.info(hand.now, conn).is_ok(), "it lives on");
    // A write waits and is told; other calls say why not.
    assert_eq!(hand.shard.write(hand.now, conn, b"later"), Ok(0));
    assert_eq!(hand.shard.shutdown_write(hand.now, conn), Err(ConnError::Limit));
    assert_eq!(hand.shard.set_option(hand.now, conn, |_| {}), Err(ConnError::Limit));
    // There is memory, which is not what it waits for: it is not told of that, again and again.
    for _ in 0..20 {
        hand.events.clear();
        assert!(hand.shard.handle_deadlines(hand.now, 1000) && hand.sent().is_empty());
        assert!(!hand.events.contains(&ShardEvent::Writable(conn)));
    }
    hand.events.clear();
    // One of the busy ones is done.
    let (_, first, value) = conns[0];
    let ack = wire(Flags::ACK, 1001, first.0 + 4).by(PEER, 1).with_options(stamps(&hand, value));
    hand.give(&ack);
    let end = hand.now + Span::from_millis(100);
    hand.run_until(end);
    assert!(hand.events.contains(&ShardEvent::Writable(conn)), "{:?}", hand.events);
    assert_eq!(hand.shard.write(hand.now, conn, b"later"), Ok(5));
    assert_eq!(hand.sent().iter().filter(|sent| sent.payload == b"later").count(), 1);
    // An idle one for which there is no TCB is closed with a reset.
    let (idle, ..) = conns[30];
    assert_eq!(hand.shard.close(hand.now, idle), Ok(()));
    let resets = hand.sent().into_iter().filter(|sent| sent.header.flags.contains(Flags::RST));
    assert_eq!(resets.map(|reset| reset.header.destination_port).collect::<Vec<_>>(), [31]);
}

/// Every call of the application on a parked connection, beside the same on one that never is.
#[test]
fn every_call_finds_what_it_would_find_awake() {
    let calls: &[fn(&mut Hand, ConnId) -> String] = &[
        |hand, conn| format!("{:?}", hand.shard.send_room(conn)),
        |hand, conn| format!("{:?}", hand.shard.is_worth_writing(conn)),
        |hand, conn| format!("{:?}", hand.shard.settings(conn)),
        |hand, conn| format!("{:?}", hand.shard.is_readable(conn)),
        |hand, conn| format!("{:?}", hand.shard.readable_octets(conn)),
        |hand, conn| format!("{:?}", hand.shard.peek(conn, 0, &mut [0; 4])),
        |hand, conn| format!("{:?}", hand.shard.read(hand.now, conn, &mut [0; 4])),
        |hand, conn| format!("{:?}", hand.shard.push(hand.now, conn)),
        |hand, conn| format!("{:?}", hand.shard.mark_urgent(hand.now, conn)),
        |hand, conn| format!("{:?}", hand.shard.shutdown_read(hand.now, conn)),
        |hand, conn| format!("{:?}", hand.shard.set_option(hand.now, conn, |s| s.dscp = 9)),
        |hand, conn| format!("{:?}", hand.shard.write(hand.now, conn, b"words")),
        |hand, conn| format!("{:?}", hand.shard.shutdown_write(hand.now, conn)),
        |hand, conn| format!("{:?}", hand.shard.close(hand.now, conn)),
        |hand, conn| {
            hand.shard.abort(hand.now, conn);
            String::new()
        },
        |hand, conn| {
            let info = hand.shard.info(hand.now, conn).unwrap();
            assert_eq!(info.state, StateName::Established);
            let figures = info.figures.unwrap();
            format!("{:?} {:?} {:?}", info.remote, figures.srtt, figures.peer_window_octets)
        },
    ];
    for call in calls {
        let found = [Parking::Never, Parking::AtRest].map(|parking| {
            let (mut hand, listener) = hand(Limits { parking, ..Limits::default() }, None);
            open(&mut hand, 7, 100);
            let conn = hand.shard.accept(listener).unwrap();
            rest(&mut hand);
            assert_eq!(hand.shard.usage().parked, u32::from(parking == Parking::AtRest));
            let said = call(&mut hand, conn);
            let sent = hand.sent();
            (said, format!("{sent:?}"), hand.events)
        });
        assert_eq!(found[0], found[1]);
    }
}

// proves MUST-24 to MUST-29 for parked connections: many at a time, each probed, answered or given up
#[test]
fn keep_alive_of_many_is_spread_and_the_dead_are_found() {
    let (mut hand, listener) = hand(Limits::default(), Some(Span::from_secs(40)));
    let mut ends = std::collections::BTreeMap::new();
    for port in 1..=500u16 {
        let (seq, value) = open(&mut hand, port, u32::from(port) << 16);
        ends.insert(port, (hand.shard.accept(listener).unwrap(), seq, value));
    }
    rest(&mut hand);
    hand.events.clear();
    let began = hand.now;
    let mut probes = std::collections::BTreeMap::<u16, Vec<Instant>>::new();
    while hand.now < began + Span::from_secs(200) {
        let next = hand.now + Span::from_millis(10);
        for (at, probe) in hand.run_until(next) {
            let port = probe.header.destination_port;
            if probe.header.flags.contains(Flags::RST) {
                continue;
            }
            probes.entry(port).or_default().push(at);
            let (_, seq, _) = ends[&port];
            assert_eq!((probe.header.seq, probe.payload.len()), (seq - 1, 0));
            // The dead keep theirs until the application lets go.
            let over = hand.events.len() as u32;
            assert!(hand.shard.usage().tcbs <= over, "no TCB for a probe");
            // Every fiftieth is dead.
            if port % 50 != 0 {
                let isn = u32::from(port) << 16;
                let value = probe.options.timestamps.unwrap().value;
                let answer = wire(Flags::ACK, isn + 1, seq.0).by(PEER, port);
                assert!(hand.give(&answer.with_options(stamps(&hand, value))).is_empty());
            }
        }
    }
    let dead: Vec<_> = ends.iter().filter(|(port, _)| *port % 50 == 0).collect();
    for (port, (conn, ..)) in dead {
        let closed = ShardEvent::Closed { conn: *conn, reason: CloseReason::KeepAlive };
        assert!(hand.events.contains(&closed), "{port}");
        assert_eq!(probes[port].len(), 3);
    }
    let mut firsts = Vec::new();
    for (port, times) in probes.iter().filter(|(port, _)| *port % 50 != 0) {
        assert!(times.len() >= 4, "{port}: {times:?}");
        for pair in times.windows(2) {
            let gap = pair[1].since(pair[0]).as_millis();
            assert!((40_000..=44_000).contains(&gap), "{port}: {gap}");
        }
        firsts.push(times[0]);
    }
    firsts.sort();
    let within = firsts.last().unwrap().since(firsts[0]);
    assert!(
        within > Span::from_secs(10),
        "they were opened within ten seconds, and are spread further"
    );
    assert_eq!(hand.shard.counters().drops.iter().sum::<u64>(), 0);
}

/// Both ends of a stream park, wake, and end in good order.
#[test]
fn two_parked_ends_talk_and_close() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    for _ in 0..3 {
        pair.run(Span::from_secs(5));
        assert_eq!(pair.client.shard.usage().parked + pair.server.shard.usage().parked, 2);
        assert_eq!(pair.send(client, server, b"still here"), b"still here");
    }
    pair.run(Span::from_secs(5));
    pair.client.shard.close(pair.now, client).unwrap();
    pair.run(Span::from_secs(1));
    pair.server.shard.close(pair.now, server).unwrap();
    pair.run(Span::from_secs(300));
    crate::pair::assert_empty(&pair.client.shard);
    crate::pair::assert_empty(&pair.server.shard);
}

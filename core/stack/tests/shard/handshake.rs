//! Opening, moving data, closing: two shards.

use crate::pair::{Pair, assert_empty, pattern, plain, read_all, to};
use usertcp_base::observe::CloseReason;
use usertcp_base::{Limits, Span};
use usertcp_device::{DeviceFacts, Medium};
use usertcp_stack::{ConnError, Read, ShardEvent};

#[test]
fn a_connection_opens_and_both_sides_are_told_once() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let client = pair.connect();
    pair.settle();
    assert!(pair.client.saw(ShardEvent::Connected(client)));
    let accepted = pair.server.count(|event| matches!(event, ShardEvent::Accepted { .. }));
    assert_eq!(accepted, 1);
    let server = pair.server.shard.accept(listener).unwrap();
    assert!(pair.server.saw(ShardEvent::Accepted { listener, conn: server }));
    assert_eq!(pair.server.shard.accept(listener), None);
    let info = pair.server.shard.info(pair.now, server).unwrap();
    assert_eq!(info.remote.ip(), pair.client.address);
    assert_eq!(info.local.port(), 80);
    assert_eq!(pair.client.shard.counters().active_opens, 1);
    assert_eq!(pair.server.shard.counters().passive_opens, 1);
}

#[test]
fn data_crosses_and_comes_back() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    let data = pattern(300_000);
    assert_eq!(pair.send(client, server, &data), data);
    let mut back = 0;
    let mut echoed = Vec::new();
    for _ in 0..10_000 {
        back += pair.server.shard.write(pair.now, server, &data[back..]).unwrap();
        pair.run(Span::from_millis(1));
        echoed.extend(read_all(&mut pair.client.shard, pair.now, client).unwrap());
        if echoed.len() == data.len() {
            break;
        }
    }
    assert_eq!(echoed, data);
    assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
}

#[test]
fn a_device_that_cuts_gets_super_segments() {
    let facts = DeviceFacts::offloading(Medium::Ip, 1500);
    let mut pair = Pair::with(facts, Limits::default(), 4096);
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    let data = pattern(2_000_000);
    assert_eq!(pair.send(client, server, &data), data);
    assert!(pair.client.packets_sent < 700, "{} packets", pair.client.packets_sent);
    let counters = pair.server.shard.counters();
    assert!(counters.segments_in > 1300, "wire segments count: {}", counters.segments_in);
    assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
}

#[test]
fn ipv6_carries_the_same() {
    for facts in [plain(), DeviceFacts::offloading(Medium::Ip, 9000)] {
        let mut pair = Pair::v6(facts);
        let listener = pair.listen(5);
        let (client, server) = pair.open(listener);
        let data = pattern(500_000);
        assert_eq!(pair.send(client, server, &data), data);
        let figures = pair.client.shard.info(pair.now, client).unwrap().figures.unwrap();
        assert_eq!(figures.send_mss_octets, u32::from(facts.mtu) - 40 - 20 - 12);
        assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
        assert_eq!(pair.server.shard.counters().dropped_total(), 0);
    }
}

#[test]
fn a_full_device_is_not_congestion() {
    let mut pair = Pair::with(plain(), Limits::default(), 3);
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    let data = pattern(200_000);
    assert_eq!(pair.send(client, server, &data), data);
    assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
    assert_eq!(pair.client.shard.counters().dropped_total(), 0);
}

#[test]
fn the_client_closes_first() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.client.shard.write(pair.now, client, b"bye").unwrap();
    pair.client.shard.shutdown_write(pair.now, client).unwrap();
    pair.settle();
    assert_eq!(pair.client.shard.write(pair.now, client, b"x"), Err(ConnError::SendClosed));
    assert!(pair.server.saw(ShardEvent::PeerClosed(server)));
    let mut buffer = [0; 10];
    assert_eq!(pair.server.shard.read(pair.now, server, &mut buffer), Ok(Read::Data(3)));
    assert_eq!(pair.server.shard.read(pair.now, server, &mut buffer), Ok(Read::End));
    pair.server.shard.write(pair.now, server, b"and you").unwrap();
    pair.server.shard.close(pair.now, server).unwrap();
    pair.settle();
    assert_eq!(pair.client.shard.read(pair.now, client, &mut buffer), Ok(Read::Data(7)));
    assert_eq!(pair.client.shard.read(pair.now, client, &mut buffer), Ok(Read::End));
    pair.settle();
    let closed = ShardEvent::Closed { conn: client, reason: CloseReason::Normal };
    assert_eq!(pair.client.count(|event| *event == closed), 1);
    assert_eq!(pair.client.shard.usage().time_waits, 1);
    pair.client.shard.close(pair.now, client).unwrap();
    assert_eq!(pair.client.shard.read(pair.now, client, &mut buffer), Err(ConnError::Stale));
    assert_empty(&pair.server.shard);
    pair.run(Span::from_secs(61));
    assert_empty(&pair.client.shard);
}

#[test]
fn both_close_at_once() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.client.shard.close(pair.now, client).unwrap();
    pair.server.shard.close(pair.now, server).unwrap();
    pair.settle();
    assert_eq!(pair.client.shard.usage().time_waits, 1);
    assert_eq!(pair.server.shard.usage().time_waits, 1);
    pair.run(Span::from_secs(61));
    assert_empty(&pair.client.shard);
    assert_empty(&pair.server.shard);
}

#[test]
fn a_closed_port_refuses() {
    let mut pair = Pair::new();
    let client = pair.connect();
    pair.settle();
    let closed = ShardEvent::Closed { conn: client, reason: CloseReason::Refused };
    assert!(pair.client.saw(closed));
    let error = ConnError::Ended(CloseReason::Refused);
    assert_eq!(pair.client.shard.write(pair.now, client, b"x"), Err(error));
    pair.client.shard.close(pair.now, client).unwrap();
    assert_empty(&pair.client.shard);
    assert_empty(&pair.server.shard);
}

#[test]
fn an_abort_reaches_the_peer() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.client.shard.write(pair.now, client, &pattern(5000)).unwrap();
    pair.client.shard.abort(pair.now, client);
    assert_eq!(pair.client.shard.write(pair.now, client, b"x"), Err(ConnError::Stale));
    pair.settle();
    let closed = ShardEvent::Closed { conn: server, reason: CloseReason::Reset };
    assert!(pair.server.saw(closed));
    pair.server.shard.close(pair.now, server).unwrap();
    assert_empty(&pair.client.shard);
    assert_empty(&pair.server.shard);
}

/// SHLD-3: data nobody will read makes a close a reset.
#[test]
fn closing_with_unread_data_resets() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.client.shard.write(pair.now, client, b"unread").unwrap();
    pair.settle();
    pair.server.shard.close(pair.now, server).unwrap();
    pair.settle();
    let closed = ShardEvent::Closed { conn: client, reason: CloseReason::Reset };
    assert!(pair.client.saw(closed));
    assert_empty(&pair.server.shard);
}

/// MUST-22, MUST-23: back-off, notice at R1, three minutes at least.
#[test]
fn a_black_hole_times_out() {
    let mut pair = Pair::new();
    let client = pair.client.shard.connect(pair.now, &to(pair.server.address, 9)).unwrap();
    let mut times = Vec::new();
    loop {
        let before = pair.client.packets_sent;
        // Only the client runs: nobody takes what it sends.
        while pair.client.shard.turn(pair.now, &mut pair.client.queue).sent > 0 {
            pair.client.packets_sent += 1;
        }
        if pair.client.packets_sent > before {
            times.push(pair.now.as_millis() / 1000);
        }
        while let Some(event) = pair.client.shard.poll_event() {
            pair.client.events.push(event);
        }
        match pair.client.shard.next_deadline() {
            Some(next) => pair.now = next,
            None => break,
        }
    }
    assert_eq!(times[..7], [0, 1, 3, 7, 15, 31, 63]);
    assert!(pair.client.saw(ShardEvent::PathSuspect(client)));
    let closed = ShardEvent::Closed { conn: client, reason: CloseReason::TimedOut };
    assert!(pair.client.saw(closed));
    assert!(pair.now.as_millis() >= 180_000);
}

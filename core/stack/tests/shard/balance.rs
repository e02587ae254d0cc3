//! What is opened and closed leaves nothing behind.

use crate::pair::{Pair, assert_empty, plain};
use usertcp_base::{Limits, Span};
use usertcp_stack::Read;

fn open_and_close(pair: &mut Pair, count: usize) {
    let listener = pair.listen(count as u32);
    let mut clients = Vec::new();
    while clients.len() < count {
        for _ in 0..250 {
            clients.push(pair.connect());
        }
        pair.run(Span::from_millis(1));
    }
    let servers = std::iter::from_fn(|| pair.server.shard.accept(listener)).collect::<Vec<_>>();
    assert_eq!(servers.len(), count);
    let now = pair.now;
    for client in &clients {
        assert_eq!(pair.client.shard.write(now, *client, b"hello"), Ok(5));
        pair.client.shard.close(now, *client).unwrap();
    }
    pair.run(Span::from_millis(1));
    let mut buffer = [0; 8];
    for server in &servers {
        let now = pair.now;
        assert_eq!(pair.server.shard.read(now, *server, &mut buffer), Ok(Read::Data(5)));
        pair.server.shard.close(now, *server).unwrap();
    }
    pair.run(Span::from_millis(1));
    pair.server.shard.close_listener(pair.now, listener);
}

#[test]
fn ten_thousand_connections_leave_nothing() {
    let mut pair = Pair::new();
    open_and_close(&mut pair, 10_000);
    assert_empty(&pair.server.shard);
    assert_eq!(pair.client.shard.usage().time_waits, 10_000);
    assert_eq!(pair.client.shard.usage().tcbs, 0);
    pair.run(Span::from_secs(61));
    assert_empty(&pair.client.shard);
    assert_eq!(pair.client.shard.counters().segments_retransmitted, 0);
    assert_eq!(pair.client.shard.counters().closes, 10_000);
    assert_eq!(pair.server.shard.counters().closes, 10_000);
}

#[test]
fn more_connections_than_records_are_refused_and_time_wait_makes_room() {
    let limits = Limits { connections: 500, ..Limits::default() };
    let mut pair = Pair::with(plain(), limits, 4096);
    for _ in 0..4 {
        open_and_close(&mut pair, 500);
        assert_eq!(pair.client.shard.usage().anchors, 500);
    }
    pair.run(Span::from_secs(61));
    assert_empty(&pair.client.shard);
    assert_empty(&pair.server.shard);
}

#[test]
fn an_idle_shard_is_small() {
    let pair = Pair::new();
    assert_eq!(pair.client.shard.usage().committed_anchors, 0);
    assert_empty(&pair.client.shard);
}

/// AT-40: what is due is handled once, also when what it waits for is the transmission that follows.
#[test]
fn a_paced_release_that_is_due_costs_one_wake() {
    let mut pair = Pair::new();
    let listener = pair.listen(1);
    let (client, _) = pair.open(listener);
    let shard = &mut pair.client.shard;
    let limit = usertcp_base::Rate::from_octets_per_second(1_000_000);
    shard.set_option(pair.now, client, |settings| settings.rate_limit = limit).unwrap();
    shard.write(pair.now, client, &[7; 50_000]).unwrap();
    pair.settle();
    for late in [0, 1, 100_000] {
        let next = pair.client.shard.next_deadline().expect("the pacer waits");
        pair.now = next + Span::from_micros(late);
        assert!(pair.client.shard.handle_deadlines(pair.now, 8), "{late} us late");
        pair.settle();
    }
}

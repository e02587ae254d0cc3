//! A turn of a shard: what a batch takes, and what is seldom there is not missed.

use crate::pair::{Pair, address, config, pattern, plain, read_all};
use usertcp_base::{ConnId, Instant, Limits, Rate, Span};
use usertcp_stack::{Shard, ShardConfig};

/// A pair whose client's batches are short.
fn pair_of_short_batches() -> Pair {
    let mut pair = Pair::new();
    let config = ShardConfig { transmit_batch: 24, ..config(1, plain(), Limits::default()) };
    pair.client.shard = Shard::new(config, (), Instant::ZERO).unwrap();
    pair
}

#[test]
fn a_segment_that_is_cut_into_most_of_a_batch_costs_nobody_behind_it_a_packet() {
    let mut pair = pair_of_short_batches();
    let listener = pair.listen(64);
    let bulk = pair.open(listener);
    // Its window opens.
    assert_eq!(pair.send(bulk.0, bulk.1, &pattern(300_000)), pattern(300_000));
    let talks: Vec<(ConnId, ConnId)> = (0..40).map(|_| pair.open(listener)).collect();
    for round in 0..20_usize {
        pair.client.shard.write(pair.now, bulk.0, &pattern(20_000 + 1000 * round)).unwrap();
        for (talk, _) in &talks {
            pair.client.shard.write(pair.now, *talk, b"hello").unwrap();
        }
        pair.settle();
        for (_, server) in &talks {
            assert_eq!(read_all(&mut pair.server.shard, pair.now, *server).unwrap(), b"hello");
        }
        pair.run(Span::from_millis(100));
        let arrived = read_all(&mut pair.server.shard, pair.now, bulk.1).unwrap();
        assert_eq!(arrived.len(), 20_000 + 1000 * round);
    }
    let counters = pair.client.shard.counters();
    assert_eq!((counters.segments_retransmitted, counters.dropped_total()), (0, 0));
}

/// Both have had turns in which there was nothing but packets of an open connection.
fn talking() -> (Pair, ConnId, ConnId) {
    let mut pair = Pair::new();
    let listener = pair.listen(8);
    let (client, server) = pair.open(listener);
    for _ in 0..10 {
        assert_eq!(pair.send(client, server, b"hello"), b"hello");
    }
    (pair, client, server)
}

#[test]
fn a_rate_that_is_set_after_turns_without_any_holds_from_then_on() {
    let (mut pair, client, server) = talking();
    pair.client.shard.set_shard_rate(pair.now, Rate::from_octets_per_second(100_000));
    pair.client.shard.write(pair.now, client, &pattern(100_000)).unwrap();
    let mut arrived = 0;
    for _ in 0..10 {
        pair.run(Span::from_millis(50));
        arrived += read_all(&mut pair.server.shard, pair.now, server).unwrap().len();
    }
    assert!((40_000..60_000).contains(&arrived), "{arrived} in half a second");
}

#[test]
fn a_time_wait_after_turns_without_any_ends_in_its_time() {
    let (mut pair, client, server) = talking();
    pair.client.shard.close(pair.now, client).unwrap();
    pair.settle();
    pair.server.shard.close(pair.now, server).unwrap();
    pair.settle();
    assert_eq!(pair.client.shard.usage().time_waits, 1);
    let msl = Limits::default().msl;
    pair.run(msl);
    assert_eq!(pair.client.shard.usage().time_waits, 1);
    pair.run(msl);
    assert_eq!(pair.client.shard.usage().time_waits, 0);
    assert_eq!(pair.client.shard.next_deadline(), None);
}

#[test]
fn a_reply_after_turns_without_any_leaves_with_the_next_packets() {
    let (mut pair, ..) = talking();
    // Nobody listens there: the answer is a reset.
    let nobody = pair.client.shard.connect(pair.now, &crate::pair::to(address(2), 81)).unwrap();
    pair.settle();
    assert_eq!(pair.server.shard.counters().resets_out, 1);
    let ended = |event: &_| matches!(event, usertcp_stack::ShardEvent::Closed { conn, .. } if *conn == nobody);
    assert_eq!(pair.client.count(ended), 1);
}

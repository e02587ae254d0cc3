//! Little memory, many packets, slow readers: nothing is lost, nobody sleeps for ever.

use crate::pair::{Pair, address, assert_empty, config, pattern, plain, read_all};
use usertcp_base::{ConnId, Instant, Limits, Prng, Span};
use usertcp_cc::Reno;
use usertcp_device::pipe;
use usertcp_frame::{Class, Frame, FramePool, PoolConfig};
use usertcp_stack::{Shard, ShardConfig, ShardEvent};

fn poor() -> Pair {
    let mut pair = Pair::new();
    let (near, far) = pipe(plain(), 512);
    let pool = PoolConfig { octets: 400 << 10, reserve_small: 264 };
    for (end, host, queue) in [(&mut pair.client, 1, near), (&mut pair.server, 2, far)] {
        let config = ShardConfig { pool: pool.clone(), ..config(host, plain(), Limits::default()) };
        end.shard = Shard::<Reno, ()>::new(config, (), Instant::ZERO).unwrap();
        end.queue = queue;
        end.address = address(host);
    }
    pair
}

/// Every connection writes more than the pool holds; all get through because each is told when to
/// write again, and never told for nothing for ever.
#[test]
fn writers_without_frames_are_woken() {
    let mut pair = poor();
    let listener = pair.listen(64);
    let ends = (0..20).map(|_| pair.open(listener)).collect::<Vec<_>>();
    let data = pattern(60_000);
    let mut sent = vec![0; ends.len()];
    let mut got = vec![Vec::new(); ends.len()];
    let mut may_write = vec![true; ends.len()];
    for _ in 0..5000 {
        for (at, (client, server)) in ends.iter().enumerate() {
            while may_write[at] && sent[at] < data.len() {
                let taken = pair.client.shard.write(pair.now, *client, &data[sent[at]..]).unwrap();
                sent[at] += taken;
                may_write[at] = sent[at] == data.len();
            }
            got[at].extend(read_all(&mut pair.server.shard, pair.now, *server).unwrap());
        }
        pair.client.events.clear();
        pair.run(Span::from_millis(10));
        for (at, (client, _)) in ends.iter().enumerate() {
            may_write[at] |= pair.client.saw(ShardEvent::Writable(*client));
        }
        if got.iter().all(|got| got.len() == data.len()) {
            break;
        }
    }
    assert!(got.iter().all(|got| *got == data), "all arrived, in order");
    let stats = pair.client.shard.pool().stats();
    assert!(stats.peak_octets > stats.budget_octets * 3 / 4, "memory was short: {stats:?}");
}

/// Whoever reacts to events alone, each time until there is no more to do, moves everything: no
/// wake-up is lost over random orders of reading, writing, closing and turning.
#[test]
fn events_alone_carry_a_transfer() {
    for seed in 0..40 {
        let mut prng = Prng::from_seed(seed);
        let limits = Limits {
            send_buffer_octets: 8000,
            send_buffer_start_octets: 8000,
            receive_buffer_octets: 10_000,
            receive_buffer_start_octets: 10_000,
            ..Limits::default()
        };
        let mut pair = Pair::with(plain(), limits, 1 + prng.below(20) as usize);
        let listener = pair.listen(5);
        let (client, server) = pair.open(listener);
        let data = pattern(100_000);
        let (mut sent, mut got, mut closed) = (0, Vec::new(), false);
        let (mut may_write, mut may_read) = (true, true);
        for _ in 0..20_000 {
            match prng.below(4) {
                0 if may_write && sent < data.len() => {
                    let most = data.len().min(sent + 1 + prng.below(9000) as usize);
                    let taken =
                        pair.client.shard.write(pair.now, client, &data[sent..most]).unwrap();
                    may_write = sent + taken == most;
                    sent += taken;
                }
                0 if sent == data.len() && !closed => {
                    pair.client.shard.shutdown_write(pair.now, client).unwrap();
                    closed = true;
                }
                1 if may_read => {
                    got.extend(read_all(&mut pair.server.shard, pair.now, server).unwrap());
                    may_read = false;
                }
                2 => pair.run(Span::from_micros(prng.below(100_000))),
                _ => pair.settle(),
            }
            may_write |= pair.client.saw(ShardEvent::Writable(client));
            may_read |= pair.server.saw(ShardEvent::Readable(server));
            pair.client.events.clear();
            pair.server.events.clear();
            if got.len() == data.len() && closed {
                break;
            }
        }
        assert_eq!(got.len(), data.len(), "seed {seed}");
        assert_eq!(got, data, "seed {seed}");
        pair.server.shard.close(pair.now, server).unwrap();
        pair.client.shard.close(pair.now, client).unwrap();
        pair.run(Span::from_secs(62));
        assert_empty(&pair.client.shard);
        assert_empty(&pair.server.shard);
    }
}

/// All frames of `class` that are still to be had.
fn all_of(pool: &FramePool, class: Class) -> Vec<Frame> {
    core::iter::from_fn(|| pool.take(class, 0)).collect()
}

/// A writer of few octets that was refused, because all frames are out; the full ones, and the small ones.
fn refused() -> (Pair, ConnId, Vec<Frame>, Vec<Frame>) {
    let mut pair = poor();
    let listener = pair.listen(5);
    let (client, _) = pair.open(listener);
    let pool = pair.client.shard.pool().clone();
    let mut small: Vec<Frame> = pool.take(Class::Small, 0).into_iter().collect();
    let full = all_of(&pool, Class::Full);
    small.extend(all_of(&pool, Class::Small));
    assert!(full.len() > 64 && small.len() > 200, "{:?}", pool.stats());
    assert_eq!(pair.client.shard.write(pair.now, client, b"few"), Ok(0));
    (pair, client, full, small)
}

/// Full frames are free, but not one whole block of them, from which small ones could be cut: the writer is told, but not again
/// and again in one moment; and as soon as a small one is free.
#[test]
fn a_writer_whom_no_frame_suits_is_not_told_without_end() {
    let (mut pair, client, full, mut small) = refused();
    let one_of_each_block: Vec<Frame> = full.into_iter().step_by(32).collect();
    let mut told = 0;
    for _ in 0..100 {
        pair.client.events.clear();
        pair.settle();
        if pair.client.saw(ShardEvent::Writable(client)) {
            told += 1;
            assert_eq!(pair.client.shard.write(pair.now, client, b"few"), Ok(0));
        }
    }
    assert_eq!(told, 1);
    pair.client.events.clear();
    pair.run(Span::from_millis(11));
    assert!(pair.client.saw(ShardEvent::Writable(client)), "after a while");
    assert_eq!(pair.client.shard.write(pair.now, client, b"few"), Ok(0));
    pair.client.events.clear();
    small.truncate(small.len() - 1);
    pair.settle();
    assert!(pair.client.saw(ShardEvent::Writable(client)), "at once");
    assert_eq!(pair.client.shard.write(pair.now, client, b"few"), Ok(3));
    drop(one_of_each_block);
}

/// A small frame is enough for few octets, however long all others are away.
#[test]
fn a_small_frame_alone_is_told_of() {
    let (mut pair, client, full, mut small) = refused();
    small.truncate(small.len() - 1);
    pair.client.events.clear();
    pair.settle();
    assert!(pair.client.saw(ShardEvent::Writable(client)));
    assert_eq!(pair.client.shard.write(pair.now, client, b"few"), Ok(3));
    drop(full);
}

//! Little memory, many packets, slow readers: nothing is lost, nobody sleeps for ever.

use crate::pair::{Pair, address, assert_empty, config, pattern, plain, read_all};
use usertcp_base::{Instant, Limits, Prng, Span};
use usertcp_cc::Reno;
use usertcp_device::pipe;
use usertcp_frame::PoolConfig;
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

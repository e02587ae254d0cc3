//! Peers that do not read, or hardly: what they hold is bounded, and others are served.

use crate::pair::{Pair, address, config, pattern, plain, read_all};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Limits, Span};
use usertcp_cc::Reno;
use usertcp_device::pipe;
use usertcp_frame::PoolConfig;
use usertcp_stack::{Shard, ShardConfig, ShardEvent};
use usertcp_tcp::LeastProgress;

/// A server with little memory; clients have plenty, and small windows.
fn poor_server() -> Pair {
    let mut pair = Pair::new();
    let (near, far) = pipe(plain(), 512);
    let small = Limits {
        receive_buffer_octets: 4000,
        receive_buffer_start_octets: 4000,
        ..Limits::default()
    };
    let patient = Limits { zero_window_grace: Span::from_secs(60), ..Limits::default() };
    let ends = [
        (&mut pair.client, 1, near, 16 << 20, small),
        (&mut pair.server, 2, far, 1 << 20, patient),
    ];
    for (end, host, queue, octets, limits) in ends {
        let pool = PoolConfig { octets, reserve_small: 264 };
        let config = ShardConfig { pool, ..config(host, plain(), limits) };
        end.shard = Shard::<Reno, ()>::new(config, (), Instant::ZERO).unwrap();
        end.queue = queue;
        end.address = address(host);
    }
    pair
}

fn ended(pair: &Pair, conn: ConnId) -> bool {
    pair.server.saw(ShardEvent::Closed { conn, reason: CloseReason::Limit })
}

// proves 6429-2, AT-9: the oldest go first, no more than needed, and a new connection is served
#[test]
fn memory_behind_closed_windows_goes_to_those_who_read() {
    let mut pair = poor_server();
    let listener = pair.listen(64);
    let data = pattern(64 << 10);
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let (_, server) = pair.open(listener);
        let _ = pair.server.shard.write(pair.now, server, &data).unwrap();
        pair.run(Span::from_millis(1500));
        stuck.push(server);
    }
    assert!(pair.server.shard.pool().is_tight(), "{:?}", pair.server.shard.pool().stats());
    pair.run(Span::from_secs(62));
    let gone: Vec<bool> = stuck.iter().map(|conn| ended(&pair, *conn)).collect();
    let count = gone.iter().filter(|gone| **gone).count();
    assert!(count > 0 && count < 16, "{gone:?}");
    assert!(gone.iter().take(count).all(|gone| *gone), "the oldest: {gone:?}");
    assert!(!pair.server.shard.pool().is_tight());
    // A newcomer that reads gets everything.
    let (client, server) = pair.open(listener);
    let (mut sent, mut got) = (0, Vec::new());
    for _ in 0..400 {
        sent += pair.server.shard.write(pair.now, server, &data[sent..]).unwrap();
        pair.run(Span::from_millis(50));
        got.extend(read_all(&mut pair.client.shard, pair.now, client).unwrap());
    }
    assert!(got == data, "{} of {}", got.len(), data.len());
}

// proves 6429-2
#[test]
fn closed_windows_are_left_alone_while_there_is_memory() {
    let mut pair = poor_server();
    let listener = pair.listen(64);
    let (_, server) = pair.open(listener);
    let _ = pair.server.shard.write(pair.now, server, &pattern(64 << 10)).unwrap();
    pair.run(Span::from_secs(300));
    assert!(!ended(&pair, server));
}

// proves AT-10: a reader of one octet a second where a hundred are demanded
#[test]
fn a_peer_that_reads_an_octet_a_second_is_let_go_after_one_interval() {
    for (demanded, octets_per_second, lives, idle) in [
        (true, 1, false, 0),
        (true, 200, true, 0),
        (false, 1, true, 0),
        // It was parked before: the demand is not forgotten.
        (true, 1, false, 100),
    ] {
        let mut pair = poor_server();
        let listener = pair.listen(64);
        let (client, server) = pair.open(listener);
        if demanded {
            let least = LeastProgress { octets: 3000, interval: Span::from_secs(30) };
            let set = pair.server.shard.set_option(pair.now, server, |settings| {
                settings.least_progress = Some(least);
            });
            assert_eq!(set, Ok(()));
        }
        pair.run(Span::from_secs(idle));
        assert_eq!(pair.server.shard.usage().parked, u32::from(idle > 0));
        let data = pattern(64 << 10);
        let _ = pair.server.shard.write(pair.now, server, &data).unwrap();
        pair.run(Span::from_millis(500));
        let mut after = None;
        for second in 0..90 {
            let mut buffer = vec![0; octets_per_second];
            let _ = pair.client.shard.read(pair.now, client, &mut buffer);
            pair.run(Span::from_secs(1));
            if after.is_none() && ended(&pair, server) {
                after = Some(second);
            }
        }
        match lives {
            true => assert_eq!(after, None),
            false => assert!(after.is_some_and(|after| (29..=40).contains(&after)), "{after:?}"),
        }
    }
}

//! Whose super-segments leave, and how many in a row.

use crate::pair::{Pair, pattern, read_all};
use usertcp_base::{ConnId, Limits, ListenerId, Span};
use usertcp_device::{DeviceFacts, Medium, Queue, RxBatch};

fn cutting() -> Pair {
    Pair::with(DeviceFacts::offloading(Medium::Ip, 1500), Limits::default(), 4096)
}

/// Opens two connections and sends so much that their windows are wide.
fn warm(pair: &mut Pair, listener: ListenerId) -> [ConnId; 2] {
    let both = [pair.open(listener), pair.open(listener)];
    for _ in 0..100 {
        for (client, _) in both {
            pair.client.shard.write(pair.now, client, &pattern(200_000)).unwrap();
        }
        pair.run(Span::from_millis(1));
        for (_, server) in both {
            read_all(&mut pair.server.shard, pair.now, server).unwrap();
        }
    }
    pair.run(Span::from_millis(100));
    both.map(|(client, server)| {
        read_all(&mut pair.server.shard, pair.now, server).unwrap();
        client
    })
}

/// What the client sends now: by source port, how many packets in a row.
fn sent(pair: &mut Pair) -> Vec<(u16, usize)> {
    pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let mut batch = RxBatch::new(4096);
    pair.server.queue.receive(pair.server.shard.pool(), &mut batch);
    let mut runs: Vec<(u16, usize)> = Vec::new();
    while let Some(packet) = batch.pop() {
        let mut header = [0; 22];
        packet.octets.copy_to(0, &mut header);
        let port = u16::from_be_bytes([header[20], header[21]]);
        match runs.last_mut() {
            Some((last, times)) if *last == port => *times += 1,
            _ => runs.push((port, 1)),
        }
    }
    runs
}

#[test]
fn who_has_little_to_say_waits_for_nobodys_run() {
    let mut pair = cutting();
    let listener = pair.listen(8);
    let bulk = warm(&mut pair, listener);
    pair.settle();
    let (small, _) = pair.open(listener);
    let port = |pair: &Pair, id| pair.client.shard.info(pair.now, id).unwrap().local.port();
    let [one, other, third] = [bulk[0], bulk[1], small].map(|id| port(&pair, id));
    for id in bulk {
        assert_eq!(pair.client.shard.write(pair.now, id, &pattern(250_000)).unwrap(), 250_000);
    }
    pair.client.shard.write(pair.now, small, b"hello").unwrap();
    // Four super-segments each, of which one is a turn and the others a run.
    assert_eq!(sent(&mut pair), [(one, 1), (other, 1), (third, 1), (one, 3), (other, 3)]);
}

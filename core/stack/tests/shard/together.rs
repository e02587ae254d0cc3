//! Many connections that open, talk and close at one moment send what each sends when it alone is asked for, and send
//! it again when it was lost.

use crate::pair::{SERVER_PORT, TestShard, address, config, pattern, plain, read_all, to};
use proptest::prelude::*;
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Span};
use usertcp_device::{RxBatch, TxBatch};
use usertcp_frame::{Chain, FramePool, Packet, PoolConfig};
use usertcp_stack::{Listen, Profile, Shard};

/// What is done with a connection at one end, in this order.
#[derive(Clone, Copy, Debug)]
struct Step {
    reads: bool,
    writes_octets: usize,
    closes: bool,
}

/// What is done with one connection in each round: at the client's end, and at the server's.
type Life = Vec<(Step, Step)>;

/// Two shards whose packets are handed over.
struct World {
    client: TestShard,
    server: TestShard,
    listener: ListenerId,
    pool: FramePool,
    now: Instant,
    /// Packets that are asked for at once.
    batch: usize,
    /// Which packets are lost, over and over; and how many there were.
    losses: Vec<bool>,
    count: usize,
    clients: Vec<ConnId>,
    servers: Vec<ConnId>,
}

fn step() -> impl Strategy<Value = Step> {
    let octets = prop_oneof![3 => Just(0), 4 => 1..150_usize, 1 => 150..4000_usize];
    (any::<bool>(), octets, prop::bool::weighted(0.3))
        .prop_map(|(reads, writes_octets, closes)| Step { reads, writes_octets, closes })
}

fn life() -> impl Strategy<Value = Life> {
    prop::collection::vec((step(), step()), 1..6)
}

/// What leaves now, packet by packet.
fn sent(shard: &mut TestShard, now: Instant, batch: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut batch = TxBatch::new(batch);
    loop {
        shard.poll_transmit(now, &mut batch);
        if batch.is_empty() {
            return all;
        }
        while let Some(packet) = batch.pop() {
            let mut octets = vec![0; packet.octets.len()];
            packet.octets.copy_to(0, &mut octets);
            all.push(octets);
        }
    }
}

fn act(shard: &mut TestShard, now: Instant, id: ConnId, step: Step) {
    // What is over is not read or written any more; both worlds are asked.
    if step.reads {
        let _ = read_all(shard, now, id);
    }
    let _ = shard.write(now, id, &pattern(step.writes_octets));
    if step.closes {
        let _ = shard.close(now, id);
    }
}

impl World {
    fn new(batch: usize, losses: &[bool]) -> World {
        let shard = |host| {
            let config = config(host, plain(), Limits::default());
            Shard::new(config, (), Instant::ZERO).unwrap()
        };
        let (client, mut server): (TestShard, TestShard) = (shard(1), shard(2));
        let profile = Profile::default();
        let listen = Listen { local: None, port: Some(SERVER_PORT), backlog: 64, profile };
        let listener = server.listen(&listen).unwrap();
        let pool = FramePool::new(&PoolConfig::default());
        let (clients, servers, now) = (Vec::new(), Vec::new(), Instant::from_millis(200_000));
        let (losses, count) = (losses.to_vec(), 0);
        World { client, server, listener, pool, now, batch, losses, count, clients, servers }
    }

    /// What arrives of these packets.
    fn arriving(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut arriving = packets.to_vec();
        arriving.retain(|_| {
            self.count += 1;
            !self.losses[self.count % self.losses.len()]
        });
        arriving
    }

    /// A round trip of what there is to send: all of it. The next one is so much later.
    fn exchange(&mut self, pause: Span, steps: impl Fn(usize) -> Option<Step>) -> Vec<Vec<u8>> {
        let mut all = sent(&mut self.client, self.now, self.batch);
        let arriving = self.arriving(&all);
        deliver(&self.pool, &mut self.server, self.now, &arriving);
        while let Some(id) = self.server.accept(self.listener) {
            self.servers.push(id);
        }
        for (at, id) in self.servers.iter().enumerate() {
            if let Some(step) = steps(at) {
                act(&mut self.server, self.now, *id, step);
            }
        }
        let answers = sent(&mut self.server, self.now, self.batch);
        let arriving = self.arriving(&answers);
        deliver(&self.pool, &mut self.client, self.now, &arriving);
        all.extend(answers);
        self.now = self.now + pause;
        for shard in [&mut self.client, &mut self.server] {
            while shard.poll_event().is_some() {}
            assert!(shard.handle_deadlines(self.now, 1_000_000));
        }
        all
    }

    /// Every packet there is of these lives.
    fn live(&mut self, lives: &[Life]) -> Vec<Vec<u8>> {
        let to = to(address(2), SERVER_PORT);
        self.clients = lives.iter().map(|_| self.client.connect(self.now, &to).unwrap()).collect();
        let soon = Span::from_millis(1);
        let mut all = self.exchange(soon, |_| None);
        for round in 0..8 {
            for (id, life) in self.clients.iter().zip(lives) {
                if let Some((step, _)) = life.get(round) {
                    act(&mut self.client, self.now, *id, *step);
                }
            }
            let step = |at: usize| Some(lives.get(at)?.get(round)?.1);
            all.extend(self.exchange(soon, step));
        }
        for _ in 0..100 {
            all.extend(self.exchange(soon, |_| None));
        }
        // Long enough for what was lost to be sent again.
        for _ in 0..100 {
            all.extend(self.exchange(Span::from_millis(40), |_| None));
        }
        all
    }
}

fn deliver(pool: &FramePool, shard: &mut TestShard, now: Instant, packets: &[Vec<u8>]) {
    let mut batch = RxBatch::new(packets.len().max(1));
    for octets in packets {
        batch.push(Packet::plain(Chain::from(pool.copy_of(octets, 0).unwrap()))).unwrap();
    }
    shard.handle_frames(now, &mut batch);
}

proptest! {
    #[test]
    fn many_at_once_send_what_each_alone_sends(
        lives in prop::collection::vec(life(), 1..24),
        losses in prop_oneof![
            Just(vec![false]),
            prop::collection::vec(prop::bool::weighted(0.1), 1..200),
        ],
    ) {
        let together = World::new(64, &losses).live(&lives);
        let alone = World::new(1, &losses).live(&lives);
        prop_assert!(!together.is_empty());
        prop_assert_eq!(together, alone);
    }
}

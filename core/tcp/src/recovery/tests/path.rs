//! A whole transfer over a path that drops and reorders, against a receiver that follows RFC 2018
//! and 2883. No deadlock, nothing lost for good, few needless retransmissions.

use super::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What the path does.
#[derive(Clone, Copy)]
struct Path {
    drop_data_per_mille: u64,
    drop_acks_per_mille: u64,
    /// Extra delay of some segments, in milliseconds.
    reorder_ms: u64,
    /// From this segment to that one, every first transmission is dropped.
    burst: (u32, u32),
}

struct Receiver {
    next: u32,
    held: BTreeSet<u32>,
    /// Most recently changed first.
    recent: Vec<u32>,
}

impl Receiver {
    /// Segment `number` arrived: the acknowledgement it causes.
    fn take(&mut self, number: u32) -> (u32, Vec<(u32, u32)>) {
        let mut blocks = Vec::new();
        if number < self.next || self.held.contains(&number) {
            blocks.push((number, number));
        }
        if number >= self.next {
            self.held.insert(number);
            self.recent.retain(|known| *known != number);
            self.recent.insert(0, number);
        }
        while self.held.remove(&self.next) {
            self.next += 1;
        }
        for number in &self.recent {
            if self.held.contains(number) && blocks.len() < 4 {
                let mut range = (*number, *number);
                while self.held.contains(&(range.0 - 1)) {
                    range.0 -= 1;
                }
                while self.held.contains(&(range.1 + 1)) {
                    range.1 += 1;
                }
                if blocks.iter().skip(1).all(|block| *block != range)
                    && blocks.first() != Some(&range)
                {
                    blocks.push(range);
                }
            }
        }
        (self.next, blocks)
    }
}

enum Arrival {
    Data(u32, Instant),
    Ack(u32, Vec<(u32, u32)>, Instant),
}

struct Transfer {
    sender: Sender,
    path: Path,
    prng: Prng,
    queue: BTreeMap<(Instant, u32), Arrival>,
    ticket: u32,
    dropped: u32,
    sack: bool,
}

impl Transfer {
    fn deliver(&mut self, after: Span, arrival: Arrival) {
        self.ticket += 1;
        self.queue.insert((self.sender.now + after, self.ticket), arrival);
    }
    fn launch(&mut self, number: u32, first: bool) {
        let in_burst = first && (self.path.burst.0..=self.path.burst.1).contains(&number);
        if in_burst || self.prng.below(1000) < self.path.drop_data_per_mille {
            self.dropped += 1;
            return;
        }
        let late = if self.prng.below(20) == 0 { self.path.reorder_ms } else { 0 };
        let now = self.sender.now;
        self.deliver(ms(20 + late), Arrival::Data(number, now));
    }
    /// Sends all that may be sent.
    fn send(&mut self, total: u32) {
        loop {
            let edge = self.sender.recovery.una() + (1 << 22);
            let allowance = self.sender.allowance();
            if allowance < MSS {
                return;
            }
            if let Some((from, _)) = self.sender.recovery.next_retransmission(edge) {
                let _ = self.sender.recovery.on_retransmitted(self.sender.now, from, MSS);
                self.launch(from.since(START) / MSS + 1, false);
                continue;
            }
            let number = self.sender.recovery.nxt().since(START) / MSS + 1;
            if number > total {
                return;
            }
            self.sender.new_data_ready = number < total;
            self.sender.send(1);
            self.launch(number, true);
        }
    }
    fn arrive(&mut self, receiver: &mut Receiver, arrival: Arrival) {
        match arrival {
            Arrival::Data(number, sent_at) => {
                let (next, blocks) = receiver.take(number);
                if self.prng.below(1000) >= self.path.drop_acks_per_mille {
                    self.deliver(ms(20), Arrival::Ack(next, blocks, sent_at));
                }
            }
            Arrival::Ack(next, blocks, sent_at) => {
                self.sender.echoed_at = Some(Instant::from_millis(sent_at.as_millis()));
                let blocks = if self.sack { blocks } else { Vec::new() };
                let outcome = self.sender.sack(next, &blocks);
                if self.sender.recovery.state() == RecoveryState::Open
                    || self.sender.recovery.state() == RecoveryState::TimeoutRecovery
                {
                    let growth = outcome.newly_acked_octets / 4;
                    self.sender.cc.window = (self.sender.cc.window + growth).min(64 * MSS);
                }
            }
        }
    }
    /// Runs to the end; returns how long it took.
    fn run(&mut self, total: u32) -> Span {
        let mut receiver = Receiver { next: 1, held: BTreeSet::new(), recent: Vec::new() };
        let begun = self.sender.now;
        for _ in 0..1_000_000 {
            self.send(total);
            if self.sender.recovery.una() == seq(total + 1) {
                return self.sender.now.since(begun);
            }
            let timer = self.sender.recovery.deadline();
            let arrival = self.queue.keys().next().copied();
            match (arrival, timer) {
                (Some(key), timer) if timer.is_none_or(|at| key.0 <= at) => {
                    self.sender.now = self.sender.now.max(key.0);
                    let arrival = self.queue.remove(&key).unwrap();
                    self.arrive(&mut receiver, arrival);
                }
                (_, Some(at)) => {
                    self.sender.now = self.sender.now.max(at);
                    let _ = self.sender.fire();
                }
                _ => panic!("deadlock: nothing under way, no timer"),
            }
        }
        panic!("it never ends");
    }
}

fn transfer(path: Path, seed: u64, sack: bool, timestamps: bool) -> Transfer {
    let mut sender = Sender::with(|_, start| {
        start.rtt = Some(ms(40));
        (start.sack, start.timestamps) = (sack, timestamps);
    });
    sender.cc.window = 32 * MSS;
    let queue = BTreeMap::new();
    Transfer { sender, path, prng: Prng::from_seed(seed), queue, ticket: 0, dropped: 0, sack }
}
const CLEAN: Path =
    Path { drop_data_per_mille: 0, drop_acks_per_mille: 0, reorder_ms: 0, burst: (0, 0) };

#[test]
fn every_transfer_ends() {
    for seed in 0..60 {
        for mode in 0..4 {
            let (sack, timestamps) = (mode & 1 != 0, mode & 2 != 0);
            let path = Path {
                drop_data_per_mille: [0, 10, 50, 200, 400][seed as usize % 5],
                drop_acks_per_mille: [0, 30, 300][seed as usize % 3],
                reorder_ms: [0, 3, 30][seed as usize / 5 % 3],
                burst: (50, 50 + seed as u32 % 40),
            };
            let mut run = transfer(path, seed, sack, timestamps);
            let _ = run.run(400);
            assert_eq!(run.sender.recovery.state(), RecoveryState::Open);
            assert!(run.sender.recovery.delivered() >= 400 * u64::from(MSS) * 9 / 10);
        }
    }
}

#[test]
fn a_clean_path_sees_no_retransmission() {
    for sack in [false, true] {
        let mut run = transfer(CLEAN, 1, sack, true);
        let _ = run.run(1000);
        assert_eq!(run.sender.recovery.counters(), RecoveryCounters::default());
    }
}

#[test]
fn one_percent_of_loss_costs_no_timeout_and_no_needless_retransmission() {
    let mut run = transfer(Path { drop_data_per_mille: 10, ..CLEAN }, 3, true, true);
    let _ = run.run(3000);
    let counters = run.sender.recovery.counters();
    assert!(run.dropped >= 20);
    assert_eq!(counters.timeouts, 0);
    assert!(counters.resent_octets / MSS <= run.dropped + 2, "{counters:?} {}", run.dropped);
}

// proves 8985-5: reordering alone soon causes no retransmission.
#[test]
fn steady_reordering_is_learnt() {
    let mut run = transfer(Path { reorder_ms: 8, ..CLEAN }, 5, true, true);
    let _ = run.run(5000);
    let counters = run.sender.recovery.counters();
    assert!(counters.resent_octets / MSS <= 10, "{counters:?}");
    assert_eq!(counters.timeouts, 0);
}

#[test]
fn a_lost_burst_is_repaired_without_a_timeout() {
    let mut run = transfer(Path { burst: (100, 115), ..CLEAN }, 9, true, false);
    let _ = run.run(300);
    let counters = run.sender.recovery.counters();
    assert_eq!((counters.timeouts, counters.resent_octets), (0, 16 * MSS));
    assert_eq!(run.sender.congestions().len(), 1);
}

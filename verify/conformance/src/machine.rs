//! A shard in virtual time. Owns: the clock, the device made of memory, what left and when, which
//! connections ended. Must not know: scripts.

use std::collections::{HashMap, VecDeque};
use usertcp_base::{CloseReason, ConnId, Instant, Span};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, Class, FramePool, Packet};
use usertcp_sim::view::on_the_wire;
use usertcp_stack::{Shard, ShardConfig, ShardEvent};

/// Turns at one moment: more is a loop.
const MOST_TURNS: usize = 100_000;

struct Memory {
    facts: DeviceFacts,
    arrived: VecDeque<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
}

impl Queue for Memory {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        while !into.is_full() {
            let Some(octets) = self.arrived.pop_front() else { break };
            let Some(chain) = in_frames(pool, &octets) else { continue };
            if into.push(Packet::plain(chain)).is_err() {
                break;
            }
            count += 1;
        }
        count
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while let Some(packet) = from.pop() {
            self.leaving.extend(on_the_wire(&packet));
            count += 1;
        }
        count
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

fn in_frames(pool: &FramePool, octets: &[u8]) -> Option<Chain> {
    let mut chain = Chain::new();
    let mut at = 0;
    while at < octets.len() {
        let mut frame = pool.take(Class::Full, 0)?;
        at += frame.extend(&octets[at..]);
        chain.push_back(frame.into_slice());
    }
    Some(chain)
}

/// The stack under test and its time.
pub struct Machine {
    /// The stack.
    pub shard: Shard<AnyController, ()>,
    /// The time.
    pub now: Instant,
    /// When the script began.
    pub start: Instant,
    /// What the stack sent, and when, oldest first.
    pub sent: VecDeque<(Instant, Vec<u8>)>,
    /// Connections that are over.
    pub over: HashMap<ConnId, CloseReason>,
    queue: Memory,
}

impl Machine {
    /// A stack at `start`.
    pub fn new(config: ShardConfig, start: Instant) -> Result<Machine, String> {
        let facts = config.device;
        let shard = Shard::new(config, (), start).map_err(|error| format!("start: {error:?}"))?;
        let queue = Memory { facts, arrived: VecDeque::new(), leaving: VecDeque::new() };
        let (sent, over) = (VecDeque::new(), HashMap::new());
        Ok(Machine { shard, now: start, start, sent, over, queue })
    }

    /// Script time, microseconds.
    pub fn script_now(&self) -> u64 {
        self.now.since(self.start).as_micros()
    }

    /// The moment of a script time.
    pub fn moment(&self, micros: u64) -> Instant {
        self.start + Span::from_micros(micros)
    }

    /// A packet arrives now.
    pub fn deliver(&mut self, octets: Vec<u8>) {
        self.queue.arrived.push_back(octets);
        self.settle();
    }

    /// Runs the shard until nothing more happens at this moment.
    pub fn settle(&mut self) {
        for _ in 0..MOST_TURNS {
            let turn = self.shard.turn(self.now, &mut self.queue);
            while let Some(octets) = self.queue.leaving.pop_front() {
                self.sent.push_back((self.now, octets));
            }
            let mut acted = false;
            while let Some(event) = self.shard.poll_event() {
                acted = true;
                if let ShardEvent::Closed { conn, reason } = event {
                    self.over.insert(conn, reason);
                }
            }
            if !turn.more && !acted && self.queue.arrived.is_empty() {
                return;
            }
        }
        panic!("the shard does not come to rest at {:?}", self.now);
    }

    /// One step towards `limit`: to the stack's next deadline, or to the limit itself. False when
    /// the limit is reached and everything due then was done.
    pub fn step(&mut self, limit: Instant) -> bool {
        match self.shard.next_deadline() {
            Some(next) if next <= limit => {
                self.now = next.max(self.now);
                self.settle();
                true
            }
            _ => {
                self.now = limit.max(self.now);
                false
            }
        }
    }
}

//! A shard in virtual time. Owns: the clock, the device made of memory, what left and when, which
//! connections ended, how often each was roused. Must not know: descriptors, scripts.

use std::collections::{HashMap, HashSet, VecDeque};
use usertcp_base::{CloseReason, ConnId, Instant, Span};
use usertcp_cc::AnyController;
use usertcp_sim::host::MemoryQueue;
use usertcp_stack::{Shard, ShardConfig, ShardEvent};

/// Turns at one moment: more is a loop.
const MOST_TURNS: usize = 100_000;

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
    /// All of it, since the start.
    pub wire: Vec<(Instant, Vec<u8>)>,
    /// Connections that are over.
    pub over: HashMap<ConnId, CloseReason>,
    /// Connections whose peer had closed its side when they ended.
    pub half_closed: HashSet<ConnId>,
    /// How often something happened to a connection that wakes those who wait for it.
    pub roused: HashMap<ConnId, u64>,
    queue: MemoryQueue,
}

impl Machine {
    /// A stack at `start`.
    pub fn new(config: ShardConfig, start: Instant) -> Result<Machine, String> {
        let facts = config.device;
        let shard = Shard::new(config, (), start).map_err(|error| format!("start: {error:?}"))?;
        let queue = MemoryQueue::new(facts);
        let (sent, over, roused) = (VecDeque::new(), HashMap::new(), HashMap::new());
        Ok(Machine {
            shard,
            now: start,
            start,
            sent,
            wire: Vec::new(),
            over,
            half_closed: HashSet::new(),
            roused,
            queue,
        })
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
        self.queue.deliver(octets);
        self.settle();
    }

    /// The same for a packet that the device merged from segments of so many payload octets.
    pub fn deliver_merged(&mut self, octets: Vec<u8>, segment_octets: u16) {
        self.queue.deliver_merged(octets, segment_octets);
        self.settle();
    }

    /// Runs the shard until nothing more happens at this moment.
    pub fn settle(&mut self) {
        for _ in 0..MOST_TURNS {
            let turn = self.shard.turn(self.now, &mut self.queue);
            while let Some(octets) = self.queue.leaving.pop_front() {
                self.wire.push((self.now, octets.clone()));
                self.sent.push_back((self.now, octets));
            }
            let mut acted = false;
            while let Some(event) = self.shard.poll_event() {
                acted = true;
                self.note(event);
            }
            if !turn.more && !acted && self.queue.has_none_arrived() {
                return;
            }
        }
        panic!("the shard does not come to rest at {:?}", self.now);
    }

    fn note(&mut self, event: ShardEvent) {
        let conn = match event {
            ShardEvent::Closed { conn, reason } => {
                self.over.insert(conn, reason);
                conn
            }
            ShardEvent::Connected(conn)
            | ShardEvent::Readable(conn)
            | ShardEvent::Writable(conn)
            | ShardEvent::Urgent(conn) => conn,
            ShardEvent::PeerClosed(conn) => {
                self.half_closed.insert(conn);
                conn
            }
            _ => return,
        };
        *self.roused.entry(conn).or_default() += 1;
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

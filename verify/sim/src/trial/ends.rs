//! The two hosts of a trial. Owns: an application that always has more to send, and one that reads
//! at once. Must not know: the links, time's course.

use crate::host::MemoryQueue;
use std::collections::HashMap;
use usertcp_base::{ConnId, Instant};
use usertcp_cc::AnyController;
use usertcp_stack::{Read, Shard, ShardConfig, ShardEvent};

/// What a sender writes; nobody looks at it (the seeds do: `scenario`).
static CONTENT: [u8; 64 << 10] = [0x5A; 64 << 10];

/// A host of a trial.
pub struct End {
    /// Its stack.
    pub shard: Shard<AnyController, ()>,
    /// Its device.
    pub queue: MemoryQueue,
    /// The flow of each connection. Only ever looked up by key.
    pub flows: HashMap<ConnId, usize>,
    /// Octets read, by flow.
    pub read: Vec<u64>,
    /// The first local or remote port: flow 0.
    pub first_port: u16,
    /// Why it cannot go on.
    pub problem: Option<String>,
}

impl End {
    /// A host for `flows` flows.
    pub fn new(config: ShardConfig, flows: usize, first_port: u16, now: Instant) -> End {
        let facts = config.device;
        let shard = match Shard::new(config, (), now) {
            Ok(shard) => shard,
            Err(error) => panic!("the shard does not start: {error:?}"),
        };
        let queue = MemoryQueue::new(facts);
        let read = vec![0; flows];
        End { shard, queue, flows: HashMap::new(), read, first_port, problem: None }
    }

    /// Whether there is something to do at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        !self.queue.has_none_arrived() || self.shard.next_deadline().is_some_and(|at| at <= now)
    }

    /// Does what is to be done at `now`, until nothing is left.
    pub fn run(&mut self, now: Instant) {
        for _ in 0..10_000 {
            let arrival = self.shard.receive(now, &mut self.queue);
            while let Some(event) = self.shard.poll_event() {
                self.on_event(now, event);
            }
            let flushed = self.shard.flush(now, &mut self.queue);
            if !arrival.more && !flushed.more && self.queue.has_none_arrived() {
                return;
            }
        }
        self.problem = Some(format!("a host does not come to rest at {now:?}"));
    }

    fn on_event(&mut self, now: Instant, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) | ShardEvent::Writable(conn) => self.write(now, conn),
            ShardEvent::Readable(conn) => self.drain(now, conn),
            ShardEvent::Accepted { listener, .. } => {
                while let Some(conn) = self.shard.accept(listener) {
                    let port = self.shard.info(now, conn).map_or(0, |info| info.remote.port());
                    self.flows.insert(conn, usize::from(port.wrapping_sub(self.first_port)));
                    self.drain(now, conn);
                }
            }
            ShardEvent::Closed { conn, reason } => {
                let flow = self.flows.get(&conn);
                self.problem.get_or_insert(format!("flow {flow:?} ended: {reason:?}"));
            }
            _ => {}
        }
    }

    fn write(&mut self, now: Instant, conn: ConnId) {
        // The accepting side has nothing to say.
        if self.shard.info(now, conn).is_ok_and(|info| info.local.port() < self.first_port) {
            return;
        }
        while self.shard.write(now, conn, &CONTENT).is_ok_and(|count| count > 0) {}
    }

    fn drain(&mut self, now: Instant, conn: ConnId) {
        let Some(flow) = self.flows.get(&conn) else { return };
        while let Ok(Read::Data(slice)) = self.shard.read_slice(now, conn) {
            if let Some(read) = self.read.get_mut(*flow) {
                *read += slice.len() as u64;
            }
        }
    }
}

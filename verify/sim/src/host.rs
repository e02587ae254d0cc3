//! One host of the simulator: a shard, its device made of memory, its applications.
//! Owns: the packets between shard and link. Must not know: the link.

use crate::stream::{Plan, Stream};
use crate::view::on_the_wire;
use std::collections::{HashMap, VecDeque};
use usertcp_base::{CloseReason, ConnId, Instant, ListenerId, Prng, Span};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, Class, FramePool, Gso, GsoKind, Packet};
use usertcp_stack::{Connect, ConnectError, FirstData, Read, Shard, ShardConfig, ShardEvent};

/// A device queue made of memory: octets in, octets out.
pub struct MemoryQueue {
    facts: DeviceFacts,
    /// With the payload octets of each segment that was merged into it.
    arrived: VecDeque<(Vec<u8>, Option<u16>)>,
    /// Wire packets to be sent, already cut and completed.
    pub leaving: VecDeque<Vec<u8>>,
}

impl MemoryQueue {
    /// A queue with nothing in it.
    pub fn new(facts: DeviceFacts) -> MemoryQueue {
        MemoryQueue { facts, arrived: VecDeque::new(), leaving: VecDeque::new() }
    }
    /// A packet arrives.
    pub fn deliver(&mut self, octets: Vec<u8>) {
        self.arrived.push_back((octets, None));
    }
    /// A packet arrives that the device merged from segments of so many payload octets.
    pub fn deliver_merged(&mut self, octets: Vec<u8>, segment_octets: u16) {
        self.arrived.push_back((octets, Some(segment_octets)));
    }
    /// Whether the stack has taken everything that arrived.
    pub fn has_none_arrived(&self) -> bool {
        self.arrived.is_empty()
    }
}

impl Queue for MemoryQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        while !into.is_full() {
            let Some((octets, merged)) = self.arrived.pop_front() else { break };
            let Some(chain) = in_frames(pool, &octets) else {
                // As a device does when memory is short: the packet is lost.
                continue;
            };
            let mut packet = Packet::plain(chain);
            packet.offload.gso = merged.map(|segment_octets| Gso {
                kind: if octets.first().is_some_and(|first| first >> 4 == 4) {
                    GsoKind::Tcp4
                } else {
                    GsoKind::Tcp6
                },
                segment_octets,
            });
            if into.push(packet).is_err() {
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

/// What a host has seen of one connection's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// The handle.
    pub conn: ConnId,
    /// Why.
    pub reason: CloseReason,
}

/// A host.
pub struct Host {
    /// Its stack.
    pub shard: Shard<AnyController, ()>,
    /// Its device.
    pub queue: MemoryQueue,
    /// Applications by connection.
    pub streams: HashMap<ConnId, Stream>,
    /// What accepted connections do, and the seeds they use, by the peer's port.
    pub accept_seeds: HashMap<u16, (Plan, u64, u64)>,
    /// Connections that ended.
    pub over: Vec<Over>,
    /// Streams that were done, in the order in which they were let go.
    pub finished: Vec<Stream>,
    /// It does nothing before.
    pub sleeps_until: Instant,
    prng: Prng,
}

impl Host {
    /// A host with no listeners.
    pub fn new(config: ShardConfig, now: Instant, seed: u64) -> Host {
        let facts = config.device;
        let shard = match Shard::new(config, (), now) {
            Ok(shard) => shard,
            Err(error) => panic!("the shard does not start: {error:?}"),
        };
        Host {
            shard,
            queue: MemoryQueue::new(facts),
            streams: HashMap::new(),
            accept_seeds: HashMap::new(),
            over: Vec::new(),
            finished: Vec::new(),
            sleeps_until: Instant::ZERO,
            prng: Prng::from_seed(seed),
        }
    }

    /// A packet arrives.
    pub fn deliver(&mut self, octets: Vec<u8>) {
        self.queue.deliver(octets);
    }

    /// Opens a connection for `stream`, `fast` with its first piece (RFC 7413).
    pub fn connect(
        &mut self,
        now: Instant,
        to: &Connect<AnyController>,
        mut stream: Stream,
        fast: bool,
    ) -> Result<(), ConnectError> {
        let conn = if fast {
            let octets = stream.next_write(&mut self.prng);
            let first = FirstData { octets: &octets, without_cookie: false };
            let (conn, taken) = self.shard.connect_with(now, to, first)?;
            stream.written += taken as u64;
            conn
        } else {
            self.shard.connect(now, to)?
        };
        self.streams.insert(conn, stream);
        Ok(())
    }

    /// Runs the shard and its applications until nothing more happens at this moment.
    pub fn run(&mut self, now: Instant) {
        if now < self.sleeps_until {
            return;
        }
        self.sleeps_until = Instant::ZERO;
        for _ in 0..10_000 {
            let turn = self.shard.turn(now, &mut self.queue);
            self.note_ecn(now);
            let acted = self.run_applications(now);
            if !turn.more && !acted && self.queue.has_none_arrived() {
                return;
            }
        }
        panic!("the host does not come to rest at {now:?}");
    }

    /// Keeps the figures of accurate ECN: once a connection is over there are none.
    fn note_ecn(&mut self, now: Instant) {
        for (conn, stream) in &mut self.streams {
            let figures = self.shard.info(now, *conn).ok().and_then(|info| info.figures);
            stream.ecn = figures.map_or(stream.ecn, |figures| figures.accurate_ecn);
        }
    }

    fn run_applications(&mut self, now: Instant) -> bool {
        let mut acted = false;
        while let Some(event) = self.shard.poll_event() {
            acted = true;
            self.on_event(now, event);
        }
        let waking: Vec<ConnId> = self
            .streams
            .iter()
            .filter(|(_, stream)| {
                let due = |at: Instant| at != Instant::ZERO && at <= now;
                due(stream.paused_until) || due(stream.silent_until)
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in waking {
            acted = true;
            self.advance(now, conn);
        }
        acted
    }

    fn on_event(&mut self, now: Instant, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => self.accept_all(now, listener),
            ShardEvent::Connected(conn)
            | ShardEvent::Readable(conn)
            | ShardEvent::Writable(conn)
            | ShardEvent::PeerClosed(conn) => self.advance(now, conn),
            ShardEvent::Closed { conn, reason } => {
                self.advance(now, conn);
                self.over.push(Over { conn, reason });
                if reason != CloseReason::Normal
                    && let Some(stream) = self.streams.remove(&conn)
                {
                    self.finished.push(stream);
                    let _ = self.shard.close(now, conn);
                }
            }
            _ => {}
        }
    }

    fn accept_all(&mut self, now: Instant, listener: ListenerId) {
        while let Some(conn) = self.shard.accept(listener) {
            let port = self.shard.info(now, conn).map_or(0, |info| info.remote.port());
            let Some((plan, own, peer)) = self.accept_seeds.remove(&port) else {
                self.shard.abort(now, conn);
                continue;
            };
            self.streams.insert(conn, Stream::new(plan, own, peer));
            self.advance(now, conn);
        }
    }

    /// Writes and reads as far as both go.
    pub fn advance(&mut self, now: Instant, conn: ConnId) {
        let Some(mut stream) = self.streams.remove(&conn) else { return };
        self.write_on(now, conn, &mut stream);
        self.read_on(now, conn, &mut stream);
        if stream.is_done() {
            let _ = self.shard.close(now, conn);
            self.finished.push(stream);
        } else {
            self.streams.insert(conn, stream);
        }
    }

    fn write_on(&mut self, now: Instant, conn: ConnId, stream: &mut Stream) {
        if stream.silent_until > now {
            return;
        }
        stream.silent_until = Instant::ZERO;
        while stream.written < stream.plan.octets {
            if stream.plan.silence > 0 && self.prng.chance_per_million(stream.plan.silence) {
                let longest = stream.plan.silence_most.as_micros();
                stream.silent_until = now + Span::from_micros(self.prng.below(longest) + 1);
                return;
            }
            let piece = stream.next_write(&mut self.prng);
            match self.shard.write(now, conn, &piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => stream.written += count as u64,
            }
        }
        if !stream.shut && self.shard.shutdown_write(now, conn).is_ok() {
            stream.shut = true;
        }
    }

    fn read_on(&mut self, now: Instant, conn: ConnId, stream: &mut Stream) {
        let mut buffer = vec![0; stream.plan.read_most];
        stream.paused_until = Instant::ZERO;
        while !stream.ended {
            if self.prng.chance_per_million(stream.plan.pause) {
                let longest = stream.plan.pause_most.as_micros();
                let pause = self.prng.below(longest) + 1;
                stream.paused_until = now + Span::from_micros(pause);
                return;
            }
            let most = self.prng.below(buffer.len() as u64) as usize + 1;
            match self.shard.read(now, conn, &mut buffer[..most]) {
                Ok(Read::Data(count)) => stream.on_read(&buffer[..count]),
                Ok(Read::End) => stream.ended = true,
                Ok(Read::Nothing) | Err(_) => return,
            }
        }
    }

    /// When this host has something to do without a packet.
    pub fn next_wake(&self) -> Option<Instant> {
        let both = |stream: &Stream| [stream.paused_until, stream.silent_until];
        let pauses = self.streams.values().flat_map(both);
        let pause = pauses.filter(|at| *at != Instant::ZERO).min();
        let next = match (self.shard.next_deadline(), pause) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match self.sleeps_until {
            Instant::ZERO => next,
            until => Some(next.map_or(until, |next| next.max(until))),
        }
    }
}

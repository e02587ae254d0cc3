//! Senders without end on one shard, readers on another, and who watches the wire between them.

use crate::pair::{SERVER_PORT, address, config, plain, to};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Span};
use usertcp_cc::Reno;
use usertcp_device::{DeviceFacts, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{FramePool, Packet, PoolConfig};
use usertcp_stack::{Connect, Listen, Profile, Read, Shard, ShardEvent};

/// A packet with data, as it left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub at: Instant,
    pub octets: u32,
}

/// What lies between: packets in each direction, each with the time it arrives.
type Way = Rc<RefCell<VecDeque<(Instant, Packet)>>>;

/// One end of the wire. Data that leaves here is noted by its source port.
pub struct WatchedQueue {
    facts: DeviceFacts,
    now: Rc<Cell<Instant>>,
    delay: Span,
    out: Way,
    inward: Way,
    pub left: HashMap<u16, Vec<Left>>,
    pub octets: u64,
}

impl Queue for WatchedQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }
    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        let mut inward = self.inward.borrow_mut();
        while !into.is_full() && inward.front().is_some_and(|(at, _)| *at <= self.now.get()) {
            if let Some((_, packet)) = inward.pop_front() {
                into.push(packet).unwrap();
                count += 1;
            }
        }
        count
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while let Some(packet) = from.pop() {
            let octets = packet.octets.len() as u32;
            let header = packet.octets.slices().next().unwrap();
            let tcp = u32::from(header[32] >> 4) * 4;
            if octets > 20 + tcp || header[33] & 1 != 0 {
                let port = u16::from_be_bytes([header[20], header[21]]);
                self.left.entry(port).or_default().push(Left { at: self.now.get(), octets });
                self.octets += u64::from(octets);
            }
            self.out.borrow_mut().push_back((self.now.get() + self.delay, packet));
            count += 1;
        }
        count
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

pub struct End {
    pub shard: Shard<Reno, ()>,
    pub queue: WatchedQueue,
}

/// One stream.
pub struct Stream {
    pub conn: ConnId,
    pub peer: ConnId,
    pub port: u16,
    /// Payload octets that it still writes.
    pub wants: u64,
    pub written: u64,
}

pub struct Lab {
    pub near: End,
    pub far: End,
    pub clock: Rc<Cell<Instant>>,
    pub listener: ListenerId,
    pub streams: Vec<Stream>,
    by_conn: HashMap<ConnId, usize>,
    pub received: u64,
    /// Turns of the sending shard.
    pub turns: u64,
}

const BLOCK: [u8; 4096] = [0x5A; 4096];

impl Lab {
    /// `delay` each way.
    pub fn new(connections: u32, delay: Span) -> Lab {
        let clock = Rc::new(Cell::new(Instant::ZERO));
        let (out, back) = (Way::default(), Way::default());
        let end = |host: u8, out: &Way, inward: &Way| {
            let limits = Limits {
                connections: connections + 64,
                hot_connections: connections + 64,
                ..Limits::default()
            };
            let mut config = config(host, plain(), limits);
            config.pool = PoolConfig { octets: 2 << 30, ..PoolConfig::default() };
            let queue = WatchedQueue {
                facts: plain(),
                now: Rc::clone(&clock),
                delay,
                out: Rc::clone(out),
                inward: Rc::clone(inward),
                left: HashMap::new(),
                octets: 0,
            };
            End { shard: Shard::new(config, (), Instant::ZERO).unwrap(), queue }
        };
        let near = end(1, &out, &back);
        let mut far = end(2, &back, &out);
        let listen = Listen {
            local: None,
            port: Some(SERVER_PORT),
            backlog: connections,
            profile: Profile::default(),
        };
        let listener = far.shard.listen(&listen).unwrap();
        let (streams, by_conn) = (Vec::new(), HashMap::new());
        Lab { near, far, clock, listener, streams, by_conn, received: 0, turns: 0 }
    }

    pub fn now(&self) -> Instant {
        self.clock.get()
    }

    /// Opens `count` more streams, which write nothing yet.
    pub fn open(&mut self, count: usize) {
        self.open_with(count, |_| ());
    }

    pub fn open_with(&mut self, count: usize, set: impl Fn(&mut Connect<Reno>)) {
        for _ in 0..count {
            let mut connect = to(address(2), SERVER_PORT);
            connect.profile.settings.send_buffer_octets = 32 << 10;
            set(&mut connect);
            let conn = self.near.shard.connect(self.now(), &connect).unwrap();
            self.by_conn.insert(conn, self.streams.len());
            let port = self.near.shard.info(self.now(), conn).unwrap().local.port();
            self.streams.push(Stream { conn, peer: conn, port, wants: 0, written: 0 });
            if self.streams.len().is_multiple_of(64) {
                self.settle();
            }
        }
        self.run(Span::from_millis(200));
        let now = self.now();
        let mut by_port = HashMap::new();
        while let Some(peer) = self.far.shard.accept(self.listener) {
            by_port.insert(self.far.shard.info(now, peer).unwrap().remote.port(), peer);
        }
        for stream in &mut self.streams {
            stream.peer = by_port.get(&stream.port).copied().unwrap_or(stream.peer);
        }
    }

    /// Stream `at` writes so many octets more.
    pub fn want(&mut self, at: usize, octets: u64) {
        self.streams[at].wants += octets;
        self.write(at);
    }

    fn write(&mut self, at: usize) {
        let now = self.now();
        let stream = &mut self.streams[at];
        while stream.wants > 0 {
            let most = usize::try_from(stream.wants).unwrap().min(BLOCK.len());
            let taken = self.near.shard.write(now, stream.conn, &BLOCK[..most]).unwrap();
            stream.wants -= taken as u64;
            stream.written += taken as u64;
            if taken < most {
                break;
            }
        }
    }

    /// Turns until nothing moves at this moment.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let now = self.now();
            let near = self.near.shard.turn(now, &mut self.near.queue);
            self.turns += 1;
            let mut moved = near.received + near.sent > 0 || near.more;
            while let Some(event) = self.near.shard.poll_event() {
                match event {
                    ShardEvent::Writable(conn) => self.write(self.by_conn[&conn]),
                    ShardEvent::Readable(conn) => drop(read(&mut self.near.shard, now, conn)),
                    _ => continue,
                }
                moved = true;
            }
            let far = self.far.shard.turn(now, &mut self.far.queue);
            moved |= far.received + far.sent > 0 || far.more;
            while let Some(event) = self.far.shard.poll_event() {
                if let ShardEvent::Readable(conn) = event {
                    self.received += read(&mut self.far.shard, now, conn);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    /// Lets time pass from one moment at which something happens to the next.
    pub fn run(&mut self, span: Span) {
        let end = self.now() + span;
        self.settle();
        loop {
            let arrival = |end: &End| end.queue.inward.borrow().front().map(|(at, _)| *at);
            let moments = [
                self.near.shard.next_deadline(),
                self.far.shard.next_deadline(),
                arrival(&self.near),
                arrival(&self.far),
            ];
            match moments.into_iter().flatten().min() {
                Some(next) if next <= end => self.clock.set(next.max(self.now())),
                _ => break,
            }
            self.settle();
        }
        self.clock.set(end);
        self.settle();
    }

    /// Octets of packets with data that stream `at` sent since `since`.
    pub fn sent_since(&self, at: usize, since: Instant) -> u64 {
        let left = self.near.queue.left.get(&self.streams[at].port);
        left.into_iter().flatten().filter(|l| l.at >= since).map(|l| u64::from(l.octets)).sum()
    }
}

/// Reads all there is; its octets.
fn read(shard: &mut Shard<Reno, ()>, now: Instant, conn: ConnId) -> u64 {
    let (mut buffer, mut all) = ([0; 16 << 10], 0);
    while let Ok(Read::Data(octets)) = shard.read(now, conn, &mut buffer) {
        all += octets as u64;
    }
    all
}

/// What an observer of the wire finds about one sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Found {
    /// Octets ahead of the rate at most, in any window.
    pub ahead: i64,
    /// The largest difference from the rate in windows of 500 packets and more, in thousandths of a
    /// per cent.
    pub off: i64,
    /// Windows of 500 packets and more.
    pub windows: u64,
}

/// Looks at every window of `left`.
pub fn judge(left: &[Left], octets_per_second: u64) -> Found {
    let mut found = Found::default();
    // Octets times a million less the rate times microseconds.
    let line = |at: Instant, octets: i64| {
        octets * 1_000_000 - octets_per_second as i64 * at.as_micros() as i64
    };
    let (mut before, mut octets, mut least) = (Vec::new(), 0, i64::MAX);
    for one in left {
        least = least.min(line(one.at, octets));
        octets += i64::from(one.octets);
        before.push(line(one.at, octets));
        found.ahead = found.ahead.max((line(one.at, octets) - least) / 1_000_000);
    }
    for (from, start) in before.iter().enumerate() {
        for (to, end) in before.iter().enumerate().skip(from + 500) {
            let span = left[to].at.since(left[from].at).as_micros() as i64;
            let difference =
                (end - start).abs() / (octets_per_second as i64 * span / 100_000).max(1);
            found.off = found.off.max(difference);
            found.windows += 1;
        }
    }
    found
}

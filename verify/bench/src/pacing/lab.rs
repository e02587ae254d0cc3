//! One shard that sends on many streams, in virtual time, and a peer that remembers nothing.
//!
//! Owns: the wire between the two, the writing application, whose time is measured.
//! Must not know: limits, what is made of the figures.
//!
//! The peer answers from what a packet says: a SYN with a SYN-ACK, every second data packet of a flow with
//! an acknowledgement of it. It needs an octet for a connection, so what grows with their number is the
//! shard's. Its work, and the wire's, is done between measured stretches of a millisecond.

use crate::machine;
use std::net::{IpAddr, Ipv4Addr};
use usertcp_base::{ConnId, Instant, Limits, Span};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Medium, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, ChecksumState, Class, FramePool, Packet, PoolConfig};
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Profile, Shard, ShardConfig, ShardEvent};

/// A round trip: two measured stretches.
const ROUND_TRIP: Span = Span::from_millis(2);
/// What arrives comes at multiples of this.
const BURST_MICROS: u64 = 64;
const STRETCH: Span = Span::from_millis(1);
/// Connections to one address of the peer.
const PER_ADDRESS: usize = 20_000;
const HEADERS: usize = 52;
const ISS: u32 = 1000;

/// A packet with data that left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// When.
    pub at: Instant,
    /// Its octets, from the IP header on.
    pub octets: u32,
}

/// What the peer looks at.
#[derive(Clone, Copy)]
struct Header {
    at: Instant,
    octets: [u8; HEADERS],
    length: u32,
}

struct Wire {
    now: Instant,
    out: Vec<Header>,
    arriving: std::collections::VecDeque<(Instant, Packet)>,
}

impl Queue for Wire {
    fn facts(&self) -> DeviceFacts {
        facts()
    }
    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        while !into.is_full() && self.arriving.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, packet)) = self.arriving.pop_front()
                && into.push(packet).is_ok()
            {
                count += 1;
            }
        }
        count
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while let Some(packet) = from.pop() {
            let mut octets = [0; HEADERS];
            if let Some(front) = packet.octets.slices().next() {
                let seen = front.len().min(HEADERS);
                octets[..seen].copy_from_slice(&front[..seen]);
            }
            self.out.push(Header { at: self.now, octets, length: packet.octets.len() as u32 });
            count += 1;
        }
        count
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

fn facts() -> DeviceFacts {
    DeviceFacts { checksum_offload: true, ..DeviceFacts::plain(Medium::Ip, 1500) }
}

/// Who lets a stream send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drive {
    /// Limits: the application writes whenever there is room.
    Limits,
    /// The application: two packets for each stream in turn, so many packets a second in all. Nothing is paced.
    Application(u64),
}

/// The shard and its wire.
pub struct Lab {
    pub shard: Shard<AnyController, ()>,
    wire: Wire,
    pub streams: Vec<ConnId>,
    ports: std::collections::HashMap<(u32, u16), usize>,
    by_slot: Vec<u32>,
    drive: Drive,
    /// Of each flow the peer has one packet to acknowledge.
    odd: Vec<bool>,
    /// Whose turn it is when the application drives, and what it owes in millionths of a packet.
    turn: usize,
    owed: u64,
    /// Nanoseconds of this thread's CPU in the shard and the application.
    pub nanos: u64,
    /// Packets with data that left.
    pub packets: u64,
    /// When a log is kept: what left, by stream.
    pub log: Option<Vec<Vec<Left>>>,
    /// Octets that each stream may still write; without it they write without end.
    pub left_to_write: Option<Vec<u32>>,
}

/// What an application has at hand.
static BLOCK: [u8; 64 * 1448] = [0x5A; 64 * 1448];
/// What it writes when it alone drives.
const TWO_PACKETS: usize = 2 * 1448;

impl Lab {
    /// `count` open streams that send nothing yet, each with so much room for what is not acknowledged.
    pub fn open(
        count: usize,
        drive: Drive,
        buffer_octets: u32,
        when_due: bool,
    ) -> Result<Lab, String> {
        let address = Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 8);
        let mut config =
            ShardConfig::new(vec![address.map_err(|e| e.to_string())?], [7; 32], facts());
        let room = u32::try_from(count).unwrap_or(u32::MAX / 2) + 64;
        config.limits = Limits { connections: room, hot_connections: room, ..Limits::default() };
        config.pool = PoolConfig {
            octets: (64 << 20) + count * (buffer_octets as usize * 2 + 4096),
            ..PoolConfig::default()
        };
        let now = Instant::from_millis(1);
        let shard = Shard::new(config, (), now).map_err(|error| format!("{error:?}"))?;
        let wire = Wire { now, out: Vec::new(), arriving: std::collections::VecDeque::new() };
        let mut lab = Lab {
            shard,
            wire,
            streams: Vec::new(),
            ports: std::collections::HashMap::new(),
            by_slot: Vec::new(),
            drive,
            odd: vec![true; (count / PER_ADDRESS + 2) << 16],
            turn: 0,
            owed: 0,
            nanos: 0,
            packets: 0,
            log: None,
            left_to_write: None,
        };
        lab.dial(count, buffer_octets, when_due)?;
        Ok(lab)
    }

    fn dial(&mut self, count: usize, buffer_octets: u32, when_due: bool) -> Result<(), String> {
        let mut profile = Profile::default();
        profile.settings.send_buffer_octets = buffer_octets;
        profile.settings.no_delay = true;
        profile.settings.write_when_due = when_due;
        for index in 0..count {
            let host = (index / PER_ADDRESS) as u8 + 1;
            let connect = Connect {
                remote: IpAddr::V4(Ipv4Addr::new(10, 0, 1, host)),
                remote_port: 80,
                local: None,
                local_port: None,
                profile,
            };
            let conn = self.shard.connect(self.wire.now, &connect).map_err(|e| format!("{e:?}"))?;
            let info = self.shard.info(self.wire.now, conn).map_err(|e| format!("{e:?}"))?;
            self.ports.insert((u32::from(host), info.local.port()), index);
            let slot = conn.slot as usize;
            if self.by_slot.len() <= slot {
                self.by_slot.resize(slot + 1, u32::MAX);
            }
            self.by_slot[slot] = index as u32;
            self.streams.push(conn);
            if index % 512 == 511 || index + 1 == count {
                (0..4).for_each(|_| self.stretch(false, STRETCH));
            }
        }
        let open = |lab: &Lab| lab.shard.usage().tcbs as usize;
        (0..8).for_each(|_| self.stretch(false, STRETCH));
        if open(self) != count {
            Err(format!("{} of {count} are open", open(self)))
        } else {
            Ok(())
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.wire.now
    }

    /// Lets the streams write. Limits must be set.
    pub fn begin(&mut self) {
        if self.drive == Drive::Limits {
            (0..self.streams.len()).for_each(|stream| self.write(stream));
        }
    }

    /// The same, one stream after the other over `span`: limits of the same rate keep the order in which they
    /// began, and those that began at one moment would send at one moment for ever.
    pub fn begin_over(&mut self, span: Span) {
        let streams = self.streams.len();
        let steps = (span.as_micros() / BURST_MICROS).max(1) as usize;
        for step in 0..steps {
            if self.drive == Drive::Limits {
                // Those beside each other in memory do not begin together either.
                (step..streams).step_by(steps).for_each(|stream| self.write(stream));
            }
            self.stretch(true, Span::from_micros(BURST_MICROS));
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Span) {
        for _ in 0..span.as_millis() {
            self.stretch(true, STRETCH);
        }
    }

    /// A stretch of the shard's and the application's work, and then the peer's.
    fn stretch(&mut self, writes: bool, span: Span) {
        let end = self.wire.now + span;
        let began = machine::thread_cpu();
        match self.drive {
            Drive::Application(rate) if writes => {
                // As finely as limits let streams send, and packets arrive.
                while self.wire.now < end {
                    let until = end.min(self.wire.now + Span::from_micros(BURST_MICROS));
                    self.application(rate, until.since(self.wire.now));
                    self.work_until(until);
                }
            }
            _ => self.work_until(end),
        }
        self.nanos += (machine::thread_cpu() - began).as_nanos() as u64;
        self.answer();
    }

    fn work_until(&mut self, end: Instant) {
        self.work();
        loop {
            let arrival = self.wire.arriving.front().map(|(at, _)| *at);
            let next = [self.shard.next_deadline(), arrival].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next < end) else { break };
            self.wire.now = next.max(self.wire.now);
            self.work();
        }
        self.wire.now = end;
    }

    fn application(&mut self, rate: u64, span: Span) {
        self.owed += rate * span.as_micros();
        while self.owed >= 2_000_000 {
            self.owed -= 2_000_000;
            let conn = self.streams[self.turn];
            // As far from the last one as can be, so that no cache helps by accident.
            self.turn = (self.turn + 7919) % self.streams.len();
            let _ = self.shard.write(self.wire.now, conn, &BLOCK[..TWO_PACKETS]);
        }
    }

    /// There is room again.
    fn write_more(&mut self, conn: ConnId) {
        if self.left_to_write.is_none() {
            // It is told again when less than all was taken.
            while self.shard.write(self.wire.now, conn, &BLOCK) == Ok(BLOCK.len()) {}
        } else if let Some(stream) = self.by_slot.get(conn.slot as usize) {
            self.write(*stream as usize);
        }
    }

    fn write(&mut self, stream: usize) {
        let conn = self.streams[stream];
        loop {
            let mut left = self.left_to_write.as_mut().and_then(|all| all.get_mut(stream));
            let most = left.as_ref().map_or(BLOCK.len(), |left| BLOCK.len().min(**left as usize));
            if most == 0 {
                return;
            }
            let taken = self.shard.write(self.wire.now, conn, &BLOCK[..most]).unwrap_or(0);
            if let Some(left) = &mut left {
                **left -= taken as u32;
            }
            if taken < most {
                return;
            }
        }
    }

    fn work(&mut self) {
        loop {
            let arrival = self.shard.receive(self.wire.now, &mut self.wire);
            while let Some(event) = self.shard.poll_event() {
                if let ShardEvent::Writable(conn) = event
                    && self.drive == Drive::Limits
                {
                    self.write_more(conn);
                }
            }
            let turn = self.shard.flush(self.wire.now, &mut self.wire);
            if !turn.more && !arrival.more {
                return;
            }
        }
    }

    /// The peer answers what left.
    fn answer(&mut self) {
        let out = std::mem::take(&mut self.wire.out);
        for header in &out {
            let octets = &header.octets;
            let tcp = usize::from(octets[32] >> 4) * 4;
            let payload = header.length.saturating_sub(20 + tcp as u32);
            let syn = octets[33] & 2 != 0;
            if payload > 0 {
                self.packets += 1;
                self.note(header);
            } else if !syn {
                continue;
            }
            // Every second packet of a flow is acknowledged.
            let port = usize::from(u16::from_be_bytes([octets[20], octets[21]]));
            let place = usize::from(octets[19]) << 16 | port;
            let odd = self.odd.get_mut(place).is_none_or(|odd| {
                *odd = !*odd;
                *odd
            });
            if odd && !syn {
                continue;
            }
            let pool = self.shard.pool();
            let Some(mut frame) = pool.take(Class::Small, 0) else { continue };
            frame.extend(&reply(octets, payload, syn, header.at));
            let mut packet = Packet::plain(Chain::from(frame.into_slice()));
            packet.offload.checksum = ChecksumState::Verified;
            // In bursts, as a device's interrupts would have it.
            let at = (header.at + ROUND_TRIP).as_micros().next_multiple_of(BURST_MICROS);
            self.wire.arriving.push_back((Instant::from_micros(at), packet));
        }
        self.wire.out = out;
        self.wire.out.clear();
    }

    fn note(&mut self, header: &Header) {
        let Some(log) = &mut self.log else { return };
        let port = u16::from_be_bytes([header.octets[20], header.octets[21]]);
        if let Some(stream) = self.ports.get(&(u32::from(header.octets[19]), port)) {
            log[*stream].push(Left { at: header.at, octets: header.length });
        }
    }
}

/// The peer's packet: SYN-ACK or acknowledgement, with timestamps.
fn reply(to: &[u8; HEADERS], payload: u32, syn: bool, at: Instant) -> Vec<u8> {
    let word =
        |from: usize| u32::from_be_bytes([to[from], to[from + 1], to[from + 2], to[from + 3]]);
    let seq = if syn { ISS } else { ISS + 1 };
    let ack = word(24).wrapping_add(if syn { 1 } else { payload });
    let value = (at.as_millis() as u32).max(1);
    let mut options: Vec<u8> = Vec::with_capacity(24);
    let theirs = if syn { syn_timestamp(to) } else { word(44) };
    if syn {
        options.extend([2, 4, 5, 180, 4, 2]);
    } else {
        options.extend([1, 1]);
    }
    options.extend([8, 10]);
    options.extend(value.to_be_bytes());
    options.extend(theirs.to_be_bytes());
    if syn {
        options.extend([1, 3, 3, 7]);
    }
    while !options.len().is_multiple_of(4) {
        options.push(0);
    }
    let tcp = 20 + options.len();
    let total = (20 + tcp) as u16;
    let mut out = Vec::with_capacity(80);
    out.extend([0x45, 0]);
    out.extend(total.to_be_bytes());
    out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    out.extend(&to[16..20]);
    out.extend(&to[12..16]);
    let sum = usertcp_wire::checksum::finish(usertcp_wire::checksum::sum(&out));
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(&to[22..24]);
    out.extend(&to[20..22]);
    out.extend(seq.to_be_bytes());
    out.extend(ack.to_be_bytes());
    out.extend([(tcp as u8 / 4) << 4, if syn { 0x12 } else { 0x10 }, 0xFF, 0xFF, 0, 0, 0, 0]);
    out.extend(options);
    out
}

/// The value of the timestamps option of a SYN.
fn syn_timestamp(to: &[u8; HEADERS]) -> u32 {
    let mut at = 40;
    while at + 6 <= HEADERS {
        match to[at] {
            0 => break,
            1 => at += 1,
            8 => {
                return u32::from_be_bytes([to[at + 2], to[at + 3], to[at + 4], to[at + 5]]);
            }
            _ => at += usize::from(to[at + 1].max(2)),
        }
    }
    0
}

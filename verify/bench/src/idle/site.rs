//! The server under measurement. Owns: a shard with its application, a device made of memory, virtual
//! time, and what the shard's calls took.
//! Must not know: which phase it is in.
//!
//! What is timed is [`Shard::receive`], the application and [`Shard::flush`]; the peers' part, between
//! these, is not.

use super::packet::LARGEST;
use super::peers::{MESSAGE, Peers, reply};
use super::quantile::Quantiles;
use super::tuple::{self, Family, SERVER_PORT};
use std::collections::VecDeque;
use std::time;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Span};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Medium, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{FramePool, Packet};
use usertcp_ip::Cidr;
use usertcp_stack::{ConnError, Listen, Profile, Read, Shard, ShardConfig, ShardEvent};
use usertcp_tcp::{KeepAlive, Settings};

/// Deadlines are looked at this often at most, as a thread that sleeps would.
const STEP: Span = Span::from_millis(1);

/// A device whose packets the peers put in and take out.
struct Wire {
    facts: DeviceFacts,
    incoming: VecDeque<Packet>,
    outgoing: VecDeque<Packet>,
}

impl Queue for Wire {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        while !into.is_full()
            && let Some(packet) = self.incoming.pop_front()
        {
            count += usize::from(into.push(packet).is_ok());
        }
        count
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let count = from.len();
        self.outgoing.extend(std::iter::from_fn(|| from.pop()));
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

/// How long turns took, in nanoseconds, and what they did.
pub struct Turns {
    /// By the thread's CPU time.
    pub cpu: Quantiles,
    /// By the clock, so with whatever else the machine did.
    pub wall: Quantiles,
    /// Packets that came and left in the turn that took most CPU, and in the one that moved most: where the first is less than
    /// the second, it was not the packets that took the time.
    pub longest_packets: usize,
    pub most_packets: usize,
    /// Each of them, if that is wanted.
    each: Option<Vec<Turn>>,
}

/// One turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Nanoseconds of CPU.
    pub cpu_nanos: u32,
    /// Packets that came and left.
    pub packets: u32,
}

impl Turns {
    /// None yet.
    pub fn new() -> Turns {
        let (cpu, wall) = (Quantiles::new(), Quantiles::new());
        Turns { cpu, wall, longest_packets: 0, most_packets: 0, each: None }
    }

    /// The same, and each of them is kept.
    pub fn of_each() -> Turns {
        Turns { each: Some(Vec::new()), ..Turns::new() }
    }

    /// Each of them, where they were kept.
    pub fn into_each(self) -> Vec<Turn> {
        self.each.unwrap_or_default()
    }

    fn add(&mut self, cpu_nanos: u64, wall: time::Duration, packets: usize) {
        if cpu_nanos > self.cpu.max() {
            self.longest_packets = packets;
        }
        self.most_packets = self.most_packets.max(packets);
        if let Some(each) = &mut self.each {
            let cpu_nanos = u32::try_from(cpu_nanos).unwrap_or(u32::MAX);
            each.push(Turn { cpu_nanos, packets: packets as u32 });
        }
        self.cpu.add(cpu_nanos);
        self.wall.add(wall.as_nanos() as u64);
    }
}

/// Of two runs that did the same the quicker of each turn: what else the machine did to one of them is not in it.
pub fn quicker(one: &[Turn], other: &[Turn]) -> Result<Vec<Turn>, String> {
    let both = || one.iter().zip(other);
    if one.len() != other.len() || both().any(|(one, other)| one.packets != other.packets) {
        return Err("two runs that are to do the same did not".into());
    }
    let quicker = |(one, other): (&Turn, &Turn)| Turn {
        cpu_nanos: one.cpu_nanos.min(other.cpu_nanos),
        ..*one
    };
    Ok(both().map(quicker).collect())
}

/// The server and its peers.
pub struct Site {
    /// The shard.
    pub shard: Shard<AnyController, ()>,
    /// The peers.
    pub peers: Peers,
    /// Virtual time.
    pub now: Instant,
    /// CPU time of the shard and the application.
    pub cpu_nanos: u64,
    /// The turns, while they are wanted.
    pub turns: Option<Turns>,
    /// Connections accepted.
    pub accepted: u32,
    /// Dead peers that were reported.
    pub dead_reported: u32,
    listener: ListenerId,
    wire: Wire,
}

impl Site {
    /// A server for `connections` connections.
    pub fn new(
        family: Family,
        connections: u32,
        keep_alive: Option<KeepAlive>,
        peers: Peers,
    ) -> Result<Site, String> {
        let facts = DeviceFacts::plain(Medium::Ip, 1500);
        let limits = Limits {
            // An eighth of the records is not for half-open connections.
            connections: connections + connections / 7 + 64,
            hot_connections: connections,
            embryos_per_listener: connections,
            embryo_source_share: 1, // all of them
            ..Limits::default()
        };
        let width = if family == Family::V4 { 24 } else { 64 };
        let cidr = Cidr::new(family.server(), width).map_err(|error| format!("{error:?}"))?;
        let config = ShardConfig { limits, ..ShardConfig::new(vec![cidr], [7; 32], facts) };
        let mut shard = Shard::<AnyController, ()>::new(config, (), Instant::ZERO)
            .map_err(|error| format!("{error:?}"))?;
        let keep_alive = keep_alive.unwrap_or_default();
        let settings = Settings { keep_alive, ..Settings::default() };
        let profile = Profile { settings, ..Profile::default() };
        let listen = Listen {
            local: None,
            port: Some(SERVER_PORT),
            backlog: connections.min(4096),
            profile,
        };
        let listener = shard.listen(&listen).map_err(|error| format!("{error:?}"))?;
        let wire = Wire { facts, incoming: VecDeque::new(), outgoing: VecDeque::new() };
        Ok(Site {
            shard,
            peers,
            now: Instant::ZERO,
            cpu_nanos: 0,
            turns: None,
            accepted: 0,
            dead_reported: 0,
            listener,
            wire,
        })
    }

    /// A packet of a peer's, from the octets that `write` puts into a buffer.
    pub fn put(
        &mut self,
        write: impl FnOnce(&Peers, Instant, &mut [u8; LARGEST]) -> usize,
    ) -> Result<(), String> {
        let mut octets = [0; LARGEST];
        let count = write(&self.peers, self.now, &mut octets);
        self.deliver(&octets[..count])
    }

    fn deliver(&mut self, octets: &[u8]) -> Result<(), String> {
        let slice = self.shard.pool().copy_of(octets, 0).ok_or("no frame for a peer's packet")?;
        self.wire.incoming.push_back(Packet::plain(slice.into()));
        Ok(())
    }

    /// Lets the shard and the peers answer each other until nothing moves at this moment.
    pub fn settle(&mut self) -> Result<(), String> {
        loop {
            let more = self.turn()?;
            let mut octets = [0; LARGEST];
            let mut packet = [0; 2048];
            while let Some(sent) = self.wire.outgoing.pop_front() {
                let count = sent.octets.copy_to(0, &mut packet);
                if let Some(count) = self.peers.answer(self.now, &packet[..count], &mut octets) {
                    self.deliver(&octets[..count])?;
                }
            }
            if let Some(problem) = self.peers.problem.take() {
                return Err(problem);
            }
            if !more && self.wire.incoming.is_empty() {
                return Ok(());
            }
        }
    }

    /// One turn. Whether a budget was used up.
    fn turn(&mut self) -> Result<bool, String> {
        let wall = self.turns.is_some().then(time::Instant::now);
        let began = cpu_nanos();
        let arrival = self.shard.receive(self.now, &mut self.wire);
        self.serve()?;
        let flushed = self.shard.flush(self.now, &mut self.wire);
        let taken = cpu_nanos() - began;
        self.cpu_nanos += taken;
        if let (Some(turns), Some(wall)) = (&mut self.turns, wall) {
            turns.add(taken, wall.elapsed(), arrival.received + flushed.sent);
        }
        Ok(arrival.more || flushed.more)
    }

    /// The application.
    fn serve(&mut self) -> Result<(), String> {
        while let Some(event) = self.shard.poll_event() {
            match event {
                ShardEvent::Accepted { .. } => {
                    self.accepted += u32::from(self.shard.accept(self.listener).is_some());
                }
                ShardEvent::Readable(conn) => self.reply(conn)?,
                ShardEvent::Closed { conn, reason } => self.ended(conn, reason)?,
                ShardEvent::PeerClosed(_) | ShardEvent::Writable(_) => {}
                other => return Err(format!("an event that has no cause: {other:?}")),
            }
        }
        Ok(())
    }

    fn reply(&mut self, conn: ConnId) -> Result<(), String> {
        let mut request = [0; MESSAGE];
        match self.shard.read(self.now, conn, &mut request) {
            Ok(Read::Data(MESSAGE)) => {}
            // What there is to read is an error; the event of its end follows.
            Err(ConnError::Ended(_)) => return Ok(()),
            other => return Err(format!("a request was read as {other:?}")),
        }
        match self.shard.write(self.now, conn, &reply(request)) {
            Ok(MESSAGE) => Ok(()),
            other => Err(format!("a reply was written as {other:?}")),
        }
    }

    fn ended(&mut self, conn: ConnId, reason: CloseReason) -> Result<(), String> {
        let info = self.shard.info(self.now, conn).map_err(|error| format!("{error:?}"))?;
        let number = tuple::number(info.remote.ip(), info.remote.port());
        let dead = number.is_some_and(|number| self.peers.is_dead(number));
        if !dead || reason != CloseReason::KeepAlive {
            return Err(format!("the connection of {} ended: {reason:?}", info.remote));
        }
        self.dead_reported += 1;
        self.shard.close(self.now, conn).map_err(|error| format!("{error:?}"))
    }

    /// The application lets go of those that it holds.
    pub fn close(&mut self, some: &[ConnId]) -> Result<(), String> {
        let began = cpu_nanos();
        for conn in some {
            match self.shard.close(self.now, *conn) {
                // In TIME-WAIT nobody holds it.
                Ok(()) | Err(ConnError::Stale) => {}
                Err(error) => return Err(format!("closing: {error:?}")),
            }
        }
        self.cpu_nanos += cpu_nanos() - began;
        Ok(())
    }

    /// Lets time pass, from deadline to deadline; `still` may end it before.
    pub fn pass(&mut self, span: Span, mut still: impl FnMut(&Site) -> bool) -> Result<(), String> {
        let end = self.now + span;
        self.settle()?;
        while self.now < end && still(self) {
            let next = self.shard.next_deadline().unwrap_or(end);
            self.now = after_step(next).max(self.now + STEP).min(end);
            self.settle()?;
        }
        Ok(())
    }
}

/// The end of the step that a moment lies in.
fn after_step(moment: Instant) -> Instant {
    let steps = moment.as_micros().div_ceil(STEP.as_micros());
    Instant::from_micros(steps.saturating_mul(STEP.as_micros()))
}

/// CPU time of this thread.
#[allow(unsafe_code)]
pub fn cpu_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time`, which lives; it has no other effect.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_in_one_run_only_is_not_long() {
        let turns = |each: [(u32, u32); 3]| {
            each.map(|(cpu_nanos, packets)| Turn { cpu_nanos, packets }).to_vec()
        };
        let one = turns([(5, 1), (900, 2), (70, 0)]);
        let other = turns([(6, 1), (20, 2), (80, 0)]);
        assert_eq!(quicker(&one, &other), Ok(turns([(5, 1), (20, 2), (70, 0)])));
        assert!(quicker(&one, &other[..2]).is_err());
        assert!(quicker(&one, &turns([(5, 1), (900, 3), (70, 0)])).is_err());
    }
}

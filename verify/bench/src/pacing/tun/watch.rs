//! A queue whose packets are looked at as they leave.
//!
//! Owns: the moment of every packet with data, as many as the limits let leave, how long the stack's thread was at work between two
//! looks at the device, and what it did in the longest of these rounds. Must not know: streams, limits.
//!
//! A packet's moment is read just before its own call of the device.

use crate::idle::Quantiles;
use crate::machine;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant as Clock};
use usertcp::{DeviceFacts, FramePool, Queue};
use usertcp_device::{BindError, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::Packet;

/// A packet with data: when, and so many octets of packets on the wire.
pub struct Seen {
    pub port: u16,
    pub at_micros: u32,
    pub octets: u32,
}

/// A round, from the first look at the device to the last packet.
#[derive(Clone, Copy, Default)]
pub struct Round {
    pub micros: u32,
    /// Of them in the calls that receive, and in the one that sends; the rest are the stack's and the application's.
    pub receiving_micros: u32,
    pub sending_micros: u32,
    /// Packets that came, and that left.
    pub came: u32,
    pub left: u32,
}

/// All that was seen.
pub struct Log {
    /// As many as there is room for.
    pub seen: Vec<Seen>,
    /// Those for which there was none.
    pub unseen: u64,
    /// The longest round of those that are judged, and of all others.
    pub longest: Round,
    pub ends: Round,
    /// Nanoseconds of each round that is judged.
    pub rounds: Quantiles,
    /// Of them, those in which the thread had no processor.
    pub taken: Quantiles,
    /// Calls of the device that took long, while it was judged: from when to when.
    pub long_calls: Vec<Range<u32>>,
    /// Nanoseconds of the thread's CPU, and since when.
    pub busy: Duration,
    pub since: Duration,
}

/// A call of the device takes some microseconds. One that takes longer than this was kept waiting.
const LONG_CALL_MICROS: u32 = 200;

impl Log {
    fn note_call(&mut self, from_micros: u32, to_micros: u32) {
        if to_micros - from_micros > LONG_CALL_MICROS {
            self.long_calls.push(from_micros..to_micros);
        }
    }
    fn note(&mut self, seen: Seen, most: usize) {
        if self.seen.len() < most {
            self.seen.push(seen);
        } else {
            self.unseen += 1;
        }
    }
}

/// What a queue is watched with.
pub struct Watch {
    pub begun: Clock,
    /// Whether rounds and packets are judged at present.
    pub judged: Arc<AtomicBool>,
    /// Packets that are noted at most: memory is taken once, and what has no limit does not fill it.
    pub most_packets: usize,
    pub to: Sender<Log>,
}

/// A queue, and what is noted of it.
pub struct Watched<Q> {
    inner: Q,
    watch: Watch,
    /// A packet at a time. One that the device did not take is tried again first.
    one: TxBatch,
    log: Option<Log>,
    /// When the round began, by the clock and by the thread's CPU.
    began: Option<(Clock, Duration)>,
    round: Round,
}

impl<Q> Watched<Q> {
    pub fn new(inner: Q, watch: Watch) -> Watched<Q> {
        let log = Log {
            seen: Vec::with_capacity(watch.most_packets),
            unseen: 0,
            longest: Round::default(),
            ends: Round::default(),
            rounds: Quantiles::new(),
            taken: Quantiles::new(),
            long_calls: Vec::new(),
            busy: machine::thread_cpu(),
            since: watch.begun.elapsed(),
        };
        Watched {
            inner,
            watch,
            one: TxBatch::new(1),
            log: Some(log),
            began: None,
            round: Round::default(),
        }
    }
}

impl<Q: Queue> Queue for Watched<Q> {
    fn facts(&self) -> DeviceFacts {
        self.inner.facts()
    }
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        self.inner.bind(pool)
    }
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let began = Clock::now();
        self.began.get_or_insert_with(|| (began, machine::thread_cpu()));
        let count = self.inner.receive(pool, into);
        let micros = began.elapsed().as_micros() as u32;
        if let Some(log) = &mut self.log
            && self.watch.judged.load(Ordering::Relaxed)
        {
            let from = began.saturating_duration_since(self.watch.begun).as_micros() as u32;
            log.note_call(from, from + micros);
        }
        self.round.receiving_micros += micros;
        self.round.came += count as u32;
        count
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let (mut taken, began) = (0, Clock::now());
        let Some(log) = &mut self.log else { return 0 };
        let judged = self.watch.judged.load(Ordering::Relaxed);
        while !self.one.is_empty() && self.inner.transmit(&mut self.one) > 0 {}
        while self.one.is_empty()
            && let Some(packet) = from.pop()
        {
            let at_micros = self.watch.begun.elapsed().as_micros() as u32;
            if judged && let Some(seen) = look(&packet, at_micros) {
                log.note(seen, self.watch.most_packets);
            }
            drop(self.one.push(packet));
            self.inner.transmit(&mut self.one);
            taken += 1;
            if judged {
                log.note_call(at_micros, self.watch.begun.elapsed().as_micros() as u32);
            }
        }
        if let Some((clock, cpu)) = self.began.take() {
            let (clock, cpu) = (clock.elapsed(), machine::thread_cpu().saturating_sub(cpu));
            let (micros, sending) = (clock.as_micros() as u32, began.elapsed().as_micros() as u32);
            let round = std::mem::take(&mut self.round);
            let round = Round { micros, sending_micros: sending, left: taken as u32, ..round };
            if !judged {
                log.ends = longer(log.ends, round);
            } else {
                log.longest = longer(log.longest, round);
                log.rounds.add(clock.as_nanos() as u64);
                log.taken.add(clock.saturating_sub(cpu).as_nanos() as u64);
            }
        }
        taken
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        self.inner.wait_handle()
    }
    fn has_waiting(&self) -> bool {
        self.inner.has_waiting()
    }
}

impl<Q> Drop for Watched<Q> {
    fn drop(&mut self) {
        if let Some(mut log) = self.log.take() {
            log.busy = machine::thread_cpu().saturating_sub(log.busy);
            log.since = self.watch.begun.elapsed().saturating_sub(log.since);
            let _ = self.watch.to.send(log);
        }
    }
}

fn longer(one: Round, other: Round) -> Round {
    if other.micros > one.micros { other } else { one }
}

/// What is noted of a packet of IPv4; nothing where it carries no data.
fn look(packet: &Packet, at_micros: u32) -> Option<Seen> {
    let front = packet.octets.slices().next()?;
    let octets: &[u8; 33] = front.first_chunk()?;
    if octets[0] != 0x45 || octets[9] != 6 {
        return None;
    }
    let headers = 20 + u32::from(octets[32] >> 4) * 4;
    let payload = (packet.octets.len() as u32).checked_sub(headers).filter(|octets| *octets > 0)?;
    let each = packet.offload.gso.map_or(payload, |gso| u32::from(gso.segment_octets));
    let port = u16::from_be_bytes([octets[22], octets[23]]);
    Some(Seen { port, at_micros, octets: payload + headers * payload.div_ceil(each.max(1)) })
}

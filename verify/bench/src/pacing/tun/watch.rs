//! A queue whose packets are looked at as they leave.
//!
//! Owns: the moment of every packet with data, and how long the stack's thread was at work between two
//! sleeps. Must not know: streams, limits.
//!
//! A packet's moment is read just before its own call of the device.

use crate::idle::Quantiles;
use crate::machine;
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

/// All that was seen.
pub struct Log {
    pub seen: Vec<Seen>,
    /// Nanoseconds from the first look at the device to the last packet of a round.
    pub rounds: Quantiles,
    /// Of them, those in which the thread had no processor.
    pub taken: Quantiles,
    /// Nanoseconds of the thread's CPU, and since when.
    pub busy: Duration,
    pub since: Duration,
}

/// A queue, and what is noted of it.
pub struct Watched<Q> {
    inner: Q,
    begun: Clock,
    /// A packet at a time. One that the device did not take is tried again first.
    one: TxBatch,
    log: Option<Log>,
    /// When the round began, by the clock and by the thread's CPU.
    round: Option<(Clock, Duration)>,
    to: Sender<Log>,
}

impl<Q> Watched<Q> {
    pub fn new(inner: Q, begun: Clock, to: Sender<Log>) -> Watched<Q> {
        let log = Log {
            seen: Vec::new(),
            rounds: Quantiles::new(),
            taken: Quantiles::new(),
            busy: machine::thread_cpu(),
            since: begun.elapsed(),
        };
        Watched { inner, begun, one: TxBatch::new(1), log: Some(log), round: None, to }
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
        self.round.get_or_insert_with(|| (Clock::now(), machine::thread_cpu()));
        self.inner.receive(pool, into)
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut taken = 0;
        let Some(log) = &mut self.log else { return 0 };
        while !self.one.is_empty() && self.inner.transmit(&mut self.one) > 0 {}
        while self.one.is_empty()
            && let Some(packet) = from.pop()
        {
            let at_micros = self.begun.elapsed().as_micros() as u32;
            log.seen.extend(look(&packet, at_micros));
            drop(self.one.push(packet));
            self.inner.transmit(&mut self.one);
            taken += 1;
        }
        if let Some((clock, cpu)) = self.round.take() {
            let (clock, cpu) = (clock.elapsed(), machine::thread_cpu().saturating_sub(cpu));
            log.rounds.add(clock.as_nanos() as u64);
            log.taken.add(clock.saturating_sub(cpu).as_nanos() as u64);
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
            log.since = self.begun.elapsed().saturating_sub(log.since);
            let _ = self.to.send(log);
        }
    }
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

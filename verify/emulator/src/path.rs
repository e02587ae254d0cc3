//! One direction of a path: rate, drop-tail queue, delay, and what happens to packets on it.
//! Owns: the packets on their way, and when each arrives. Must not know: clocks, devices, TCP.
//!
//! Unlike the simulator's link, what happens to the *n*-th packet is a function of the seed and of
//! *n* alone (`fate`), so that two contenders meet the same losses at the same packets. Times are
//! nanoseconds.

mod fate;
mod line;

pub use fate::{Fate, Fates};
use line::Line;
use std::collections::VecDeque;
use usertcp_base::Rate;
use usertcp_sim::mark;

/// Nanoseconds since the caller's origin.
pub type Nanos = u64;

/// A millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// Parts in a million.
pub type PerMillion = u32;

/// How a chosen packet leaves the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reordering {
    /// It takes up to this much longer, and others overtake it.
    LateBy(Nanos),
    /// It waits until one to so many others have passed, and no longer than the time.
    Behind(u32, Nanos),
    /// It does not wait for the delay at all and overtakes others: what Linux's netem does.
    Early,
}

/// What a direction does to packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathConfig {
    /// Octets of IP packets that pass in a time.
    pub rate: Rate,
    /// Propagation.
    pub delay: Nanos,
    /// Uniform extra delay; it does not reorder.
    pub jitter: Nanos,
    /// Packets that may wait for the rate; beyond it they are lost.
    pub queue_packets: usize,
    /// Octets that may.
    pub queue_octets: u64,
    /// Lost by chance.
    pub loss: PerMillion,
    /// Moved out of order by chance.
    pub reorder: PerMillion,
    /// How.
    pub reordering: Reordering,
    /// Delivered twice by chance.
    pub duplicate: PerMillion,
    /// Marked by chance, if ECN-capable.
    pub mark: PerMillion,
    /// Packets that may wait before an ECN-capable packet is marked.
    pub mark_beyond_packets: usize,
    /// Larger packets do not pass.
    pub mtu: usize,
    /// ICMP and ICMPv6 do not pass, and nobody is told of packets that are too big.
    pub drop_icmp: bool,
}

impl PathConfig {
    /// Nothing but `delay`.
    pub const fn clean(delay: Nanos) -> PathConfig {
        PathConfig {
            rate: Rate::UNLIMITED,
            delay,
            jitter: 0,
            queue_packets: usize::MAX,
            queue_octets: u64::MAX,
            loss: 0,
            reorder: 0,
            reordering: Reordering::LateBy(0),
            duplicate: 0,
            mark: 0,
            mark_beyond_packets: usize::MAX,
            mtu: 65_535,
            drop_icmp: false,
        }
    }
}

/// What a direction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathCounts {
    /// Packets that came.
    pub offered: u64,
    /// Packets handed over, duplicates too.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because the queue was full.
    pub overflowed: u64,
    /// Too big.
    pub too_big: u64,
    /// ICMP that was kept back.
    pub icmp_dropped: u64,
    /// Moved out of order.
    pub reordered: u64,
    /// Marked.
    pub marked: u64,
    /// Most packets that waited.
    pub longest_queue_packets: usize,
}

/// What became of a packet.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It is on its way.
    Taken,
    /// It will not arrive, and nobody is told.
    Lost,
    /// It is larger than the path's MTU, and its sender should be told.
    TooBig,
}

/// One direction.
#[derive(Debug)]
pub struct Path {
    config: PathConfig,
    fates: Fates,
    /// When each packet that waits leaves the transmitter, and its octets.
    waiting: VecDeque<(Nanos, u64)>,
    waiting_octets: u64,
    transmitter_free: Nanos,
    line: Line,
    counts: PathCounts,
}

impl Path {
    /// An empty path. `seed` decides what happens to which packet.
    pub fn new(config: PathConfig, seed: u64) -> Path {
        Path {
            config,
            fates: Fates::new(seed),
            waiting: VecDeque::new(),
            waiting_octets: 0,
            transmitter_free: 0,
            line: Line::default(),
            counts: PathCounts::default(),
        }
    }

    /// What it does.
    pub fn config(&self) -> &PathConfig {
        &self.config
    }

    /// What it did.
    pub fn counts(&self) -> PathCounts {
        self.counts
    }

    /// A packet enters. Its fate is that of its number among those that fit the path, whatever the
    /// queue makes of it.
    pub fn offer(&mut self, now: Nanos, mut packet: Vec<u8>) -> Offered {
        self.counts.offered += 1;
        if self.config.drop_icmp && is_icmp(&packet) {
            self.counts.icmp_dropped += 1;
            return Offered::Lost;
        }
        if packet.len() > self.config.mtu {
            self.counts.too_big += 1;
            return if self.config.drop_icmp { Offered::Lost } else { Offered::TooBig };
        }
        let fate = self.fates.next(&self.config);
        if fate.lost {
            self.counts.lost += 1;
            return Offered::Lost;
        }
        self.drain_queue(now);
        let Some(left) = self.transmit(now, packet.len() as u64) else {
            self.counts.overflowed += 1;
            return Offered::Lost;
        };
        let long = self.waiting.len() > self.config.mark_beyond_packets;
        if (long || fate.marked) && mark::experience_congestion(&mut packet) {
            self.counts.marked += 1;
        }
        if fate.duplicated {
            self.line.enter(left, &self.config, &fate.in_order(), packet.clone());
        }
        self.counts.reordered += u64::from(fate.reordered.is_some());
        self.line.enter(left, &self.config, &fate, packet);
        Offered::Taken
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Nanos> {
        self.line.next_arrival()
    }

    /// The next packet that has arrived by `now`, and when it did.
    pub fn poll(&mut self, now: Nanos) -> Option<(Nanos, Vec<u8>)> {
        let arrived = self.line.poll(now)?;
        self.counts.delivered += 1;
        Some(arrived)
    }

    fn drain_queue(&mut self, now: Nanos) {
        while let Some(&(leaves, octets)) = self.waiting.front()
            && leaves <= now
        {
            self.waiting_octets -= octets;
            self.waiting.pop_front();
        }
    }

    /// When the last octet has left the transmitter; `None` when the queue is full.
    fn transmit(&mut self, now: Nanos, octets: u64) -> Option<Nanos> {
        if self.config.rate.is_unlimited() {
            return Some(now);
        }
        let full = self.waiting.len() >= self.config.queue_packets
            || self.waiting_octets + octets > self.config.queue_octets;
        // The one in the transmitter does not wait: an empty queue always takes a packet.
        if full && !self.waiting.is_empty() {
            return None;
        }
        self.transmitter_free = self.transmitter_free.max(now) + self.config.rate.nanos_for(octets);
        self.waiting.push_back((self.transmitter_free, octets));
        self.waiting_octets += octets;
        let longest = &mut self.counts.longest_queue_packets;
        *longest = (*longest).max(self.waiting.len());
        Some(self.transmitter_free)
    }
}

/// Extension headers in front of ICMPv6 are not looked through: hosts' errors have none.
fn is_icmp(packet: &[u8]) -> bool {
    const ICMP: u8 = 1;
    const ICMP_V6: u8 = 58;
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9) == Some(&ICMP),
        Some(6) => packet.get(6) == Some(&ICMP_V6),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

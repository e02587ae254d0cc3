//! A link in virtual time: delay, rate, queue, marks, loss, reordering, duplication, corruption, MTU.
//! Owns: packets on their way in one direction. Must not know: what is in them, the ECN field of the
//! IP header excepted (`mark`).

use crate::mark;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use usertcp_base::{Instant, Prng, Rate, Span};

/// What a link does to packets. Chances are in parts per million.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Propagation delay.
    pub delay: Span,
    /// Uniform extra delay, which does not reorder.
    pub jitter: Span,
    /// Rate; unlimited for none.
    pub rate: Rate,
    /// Octets that may wait for the rate; beyond it packets are lost.
    pub queue_octets: u64,
    /// Lost.
    pub loss: u32,
    /// Delayed by up to `reorder_by` more, overtaken by others.
    pub reorder: u32,
    /// How far.
    pub reorder_by: Span,
    /// Held back until 1 to `overtaken_by` later packets have passed, `reorder_by` at most.
    pub overtaken: u32,
    /// By how many at most.
    pub overtaken_by: u8,
    /// Delivered twice.
    pub duplicate: u32,
    /// One bit flipped.
    pub corrupt: u32,
    /// Marked, of the packets that are ECN-capable (RFC 3168).
    pub mark: u32,
    /// Octets that may wait before an ECN-capable packet is marked.
    pub mark_beyond_octets: u64,
    /// Larger packets do not pass.
    pub mtu: u16,
}

impl LinkConfig {
    /// A link that does nothing but take `delay`.
    pub const fn clean(delay: Span) -> LinkConfig {
        LinkConfig {
            delay,
            jitter: Span::ZERO,
            rate: Rate::UNLIMITED,
            queue_octets: u64::MAX,
            loss: 0,
            reorder: 0,
            reorder_by: Span::ZERO,
            overtaken: 0,
            overtaken_by: 0,
            duplicate: 0,
            corrupt: 0,
            mark: 0,
            mark_beyond_octets: u64::MAX,
            mtu: u16::MAX,
        }
    }
}

/// What became of a packet offered to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// On its way (or quietly lost, as links do).
    Taken,
    /// Larger than the MTU: whoever owns the link may tell the sender.
    TooBig,
}

/// What a link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets offered.
    pub offered: u64,
    /// Delivered, duplicates included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because the queue was full.
    pub overflowed: u64,
    /// Too big.
    pub too_big: u64,
    /// Marked (ECN).
    pub marked: u64,
    /// Most octets that waited at a time.
    pub longest_queue_octets: u64,
    /// The largest packet taken, octets.
    pub largest_octets: u64,
    /// Longest time between two packets delivered.
    pub longest_gap: Span,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    /// What it does.
    pub config: LinkConfig,
    prng: Prng,
    under_way: BinaryHeap<UnderWay>,
    /// One at a time: so nothing is overtaken by more than was asked.
    held: Option<Held>,
    serial: u64,
    /// When the transmitter is free again, in nanoseconds.
    free_nanos: u64,
    last_due: Instant,
    last_delivery: Option<Instant>,
    counts: LinkCounts,
}

#[derive(Debug)]
struct UnderWay {
    due: Instant,
    serial: u64,
    octets: Vec<u8>,
}

/// A packet that waits to be overtaken.
#[derive(Debug)]
struct Held {
    /// By so many more.
    left: u64,
    /// Or until then.
    latest: Instant,
    octets: Vec<u8>,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}
impl Eq for UnderWay {}
impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.serial).cmp(&(self.due, self.serial))
    }
}

impl Link {
    /// A link with its own faults, drawn from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Link {
        Link {
            config,
            prng: Prng::from_seed(seed),
            under_way: BinaryHeap::new(),
            held: None,
            serial: 0,
            free_nanos: 0,
            last_due: Instant::ZERO,
            last_delivery: None,
            counts: LinkCounts::default(),
        }
    }

    /// A packet enters at `now`.
    pub fn offer(&mut self, now: Instant, mut octets: Vec<u8>) -> Offered {
        self.counts.offered += 1;
        if octets.len() > usize::from(self.config.mtu) {
            self.counts.too_big += 1;
            return Offered::TooBig;
        }
        self.counts.largest_octets = self.counts.largest_octets.max(octets.len() as u64);
        if self.prng.chance_per_million(self.config.loss) {
            self.counts.lost += 1;
            return Offered::Taken;
        }
        let waiting = self.waiting(now);
        let Some(sent) = self.transmit(now, octets.len() as u64) else {
            self.counts.overflowed += 1;
            return Offered::Taken;
        };
        let longest = &mut self.counts.longest_queue_octets;
        *longest = (*longest).max(waiting);
        self.mark(waiting, &mut octets);
        if self.prng.chance_per_million(self.config.corrupt) && !octets.is_empty() {
            let bit = self.prng.below(octets.len() as u64 * 8) as usize;
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        let jitter = self.prng.below(self.config.jitter.as_micros() + 1);
        let mut due = sent + self.config.delay + Span::from_micros(jitter);
        if self.is_held_back() {
            let left = self.prng.below(u64::from(self.config.overtaken_by)) + 1;
            let latest = due.max(self.last_due) + self.config.reorder_by;
            self.held = Some(Held { left, latest, octets });
            return Offered::Taken;
        }
        if self.prng.chance_per_million(self.config.reorder) {
            let extra = self.prng.below(self.config.reorder_by.as_micros() + 1);
            due = due + Span::from_micros(extra);
        } else {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        if self.prng.chance_per_million(self.config.duplicate) {
            let extra = self.prng.below(self.config.delay.as_micros() + 1);
            self.push(due + Span::from_micros(extra), octets.clone());
        }
        self.push(due, octets);
        self.let_go(due);
        Offered::Taken
    }

    fn is_held_back(&mut self) -> bool {
        let chance = self.config.overtaken;
        chance > 0 && self.held.is_none() && self.prng.chance_per_million(chance)
    }

    /// One more packet passes the one that is held back, which follows when it has waited enough.
    fn let_go(&mut self, due: Instant) {
        let Some(held) = &mut self.held else { return };
        held.left -= 1;
        if (held.left == 0 || held.latest <= due)
            && let Some(held) = self.held.take()
        {
            self.push(due.min(held.latest), held.octets);
        }
    }

    /// Octets that wait for the transmitter.
    pub fn waiting(&self, now: Instant) -> u64 {
        if self.config.rate.is_unlimited() {
            return 0;
        }
        let now_nanos = now.as_micros().saturating_mul(1000);
        let wait = Span::from_micros(self.free_nanos.saturating_sub(now_nanos) / 1000);
        self.config.rate.octets_in(wait)
    }

    /// Marks an ECN-capable packet by chance, or because the queue is long.
    fn mark(&mut self, waiting: u64, octets: &mut [u8]) {
        let long = waiting > self.config.mark_beyond_octets;
        let chosen =
            long || (self.config.mark > 0 && self.prng.chance_per_million(self.config.mark));
        if chosen && mark::experience_congestion(octets) {
            self.counts.marked += 1;
        }
    }

    /// When the last octet has left the transmitter; `None` when the queue is full.
    fn transmit(&mut self, now: Instant, octets: u64) -> Option<Instant> {
        if self.config.rate.is_unlimited() {
            return Some(now);
        }
        let now_nanos = now.as_micros().saturating_mul(1000);
        if self.waiting(now).saturating_add(octets) > self.config.queue_octets {
            return None;
        }
        self.free_nanos =
            self.free_nanos.max(now_nanos).saturating_add(self.config.rate.nanos_for(octets));
        Some(Instant::from_micros(self.free_nanos.div_ceil(1000)))
    }

    fn push(&mut self, due: Instant, octets: Vec<u8>) {
        self.serial += 1;
        self.under_way.push(UnderWay { due, serial: self.serial, octets });
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        let held = self.held.as_ref().map(|held| held.latest);
        let first = self.under_way.peek().map(|packet| packet.due);
        first.into_iter().chain(held).min()
    }

    /// The next packet that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.next_arrival()?;
        if next > now {
            return None;
        }
        self.counts.delivered += 1;
        let gap = self.last_delivery.map_or(Span::ZERO, |last| now.since(last));
        self.last_delivery = Some(now);
        self.counts.longest_gap = self.counts.longest_gap.max(gap);
        if let Some(held) = self.held.take_if(|held| held.latest == next) {
            return Some(held.octets);
        }
        self.under_way.pop().map(|packet| packet.octets)
    }

    /// From now on only packets of `mtu` octets pass; what is too big and what is largest counts anew.
    pub fn change_mtu(&mut self, mtu: u16) {
        self.config.mtu = mtu;
        self.counts.largest_octets = 0;
        self.counts.too_big = 0;
    }

    /// What happened so far.
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_link_keeps_order_and_time() {
        let mut link = Link::new(LinkConfig::clean(Span::from_millis(5)), 1);
        for n in 0..10u8 {
            let _ = link.offer(Instant::from_millis(u64::from(n)), vec![n]);
        }
        for n in 0..10u8 {
            assert_eq!(link.next_arrival(), Some(Instant::from_millis(u64::from(n) + 5)));
            assert_eq!(link.poll(Instant::from_millis(100)), Some(vec![n]));
        }
    }

    #[test]
    fn a_rate_spaces_packets_and_a_full_queue_loses_them() {
        let config = LinkConfig {
            rate: Rate::from_bits_per_second(8_000_000),
            queue_octets: 3000,
            ..LinkConfig::clean(Span::ZERO)
        };
        let mut link = Link::new(config, 1);
        for _ in 0..5 {
            let _ = link.offer(Instant::ZERO, vec![0; 1000]);
        }
        let mut times = vec![];
        while let Some(at) = link.next_arrival() {
            times.push(at.as_micros());
            let _ = link.poll(at);
        }
        assert_eq!(times, [1000, 2000, 3000]);
        assert_eq!(link.counts().overflowed, 2);
    }

    #[test]
    fn a_packet_is_overtaken_by_as_many_as_asked_or_waits_as_long() {
        let config = LinkConfig {
            overtaken: 100_000,
            overtaken_by: 3,
            reorder_by: Span::from_millis(20),
            ..LinkConfig::clean(Span::from_millis(1))
        };
        let mut link = Link::new(config, 3);
        for n in 0..10_000u32 {
            let _ = link.offer(Instant::from_millis(u64::from(n)), n.to_be_bytes().to_vec());
        }
        let mut order = vec![];
        while let Some(at) = link.next_arrival() {
            let octets = link.poll(at).unwrap();
            order.push(u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]));
        }
        assert_eq!(order.len(), 10_000);
        let mut overtaken = [0; 5];
        for (place, n) in order.iter().enumerate() {
            let later = order[..place].iter().rev().take(20).filter(|before| *before > n).count();
            overtaken[later] += 1;
        }
        // A tenth in all, a third of them by each number.
        assert!(overtaken[1..=3].iter().all(|count| (250..450).contains(count)), "{overtaken:?}");
        assert_eq!(overtaken[4], 0);
        // Nothing follows: it waits for the time.
        let mut link = Link::new(LinkConfig { overtaken: 1_000_000, ..config }, 3);
        let _ = link.offer(Instant::ZERO, vec![1]);
        assert_eq!(link.next_arrival(), Some(Instant::from_millis(21)));
        assert_eq!(link.poll(Instant::from_millis(21)), Some(vec![1]));
        assert_eq!(link.next_arrival(), None);
    }

    #[test]
    fn faults_come_about_as_often_as_asked() {
        let config = LinkConfig {
            loss: 100_000,
            duplicate: 50_000,
            ..LinkConfig::clean(Span::from_millis(1))
        };
        let mut link = Link::new(config, 7);
        for _ in 0..10_000 {
            let _ = link.offer(Instant::ZERO, vec![0; 10]);
        }
        while link.poll(Instant::from_millis(10)).is_some() {}
        let counts = link.counts();
        assert!((800..1200).contains(&counts.lost), "{counts:?}");
        assert!((9000..9900).contains(&counts.delivered), "{counts:?}");
    }
}

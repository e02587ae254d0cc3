//! A queue around a queue that harms packets, for tests.
//! Owns: what happens to which packet, by a generator that repeats itself for the same seed.
//! Must not know: time; delay is the simulator's.

use crate::api::{BindError, DeviceFacts, Queue, WaitHandle};
use crate::batch::{RxBatch, TxBatch};
use usertcp_base::Prng;
use usertcp_frame::{ChecksumState, Class, FramePool, Packet};

/// Calls of `receive` after which a packet held back goes on although none has passed it.
pub const PATIENCE_CALLS: u32 = 8;

/// How often packets of one direction are harmed, in parts per million.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub loss_per_million: u32,
    /// Delivered twice.
    pub duplicate_per_million: u32,
    /// Held until the next packet has passed, or the queue was asked [`PATIENCE_CALLS`] times to
    /// receive. One packet at a time.
    pub reorder_per_million: u32,
    /// One bit of it flipped; the device then vouches for nothing.
    pub corrupt_per_million: u32,
}

/// What to do in each direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultConfig {
    /// To packets received.
    pub receive: Faults,
    /// To packets sent.
    pub transmit: Faults,
}

/// What was done, in packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultStats {
    /// Lost.
    pub lost: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Passed by another.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Meant to be damaged, but lost: there was no frame for the damaged copy.
    pub not_copied: u64,
}

/// A queue that harms packets on their way. A receive batch needs room for three.
#[derive(Debug)]
pub struct Fault<Q> {
    inner: Q,
    /// Damaged copies are made of it.
    pool: FramePool,
    config: FaultConfig,
    prng: Prng,
    stats: FaultStats,
    /// Held back in each direction, and the calls it has waited.
    held: [Option<(Packet, u32)>; 2],
    scratch_receive: RxBatch,
    scratch_transmit: TxBatch,
}

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// One packet may become three: itself, its double, and the one held before.
const MOST_FROM_ONE: usize = 3;

impl<Q: Queue> Fault<Q> {
    /// `inner`, harmed as `config` says and `prng` falls.
    pub fn new(inner: Q, pool: &FramePool, config: FaultConfig, prng: Prng) -> Fault<Q> {
        Fault {
            inner,
            pool: pool.clone(),
            config,
            prng,
            stats: FaultStats::default(),
            held: [None, None],
            scratch_receive: RxBatch::new(64),
            scratch_transmit: TxBatch::new(MOST_FROM_ONE),
        }
    }
    /// Other faults from now on.
    pub fn set_config(&mut self, config: FaultConfig) {
        self.config = config;
    }
    /// What was done so far.
    pub fn stats(&self) -> FaultStats {
        self.stats
    }
    /// The queue inside.
    pub fn inner(&self) -> &Q {
        &self.inner
    }
    /// The queue inside, to use it past the faults.
    pub fn inner_mut(&mut self) -> &mut Q {
        &mut self.inner
    }

    /// Passes one packet to `deliver`: never, once or twice, and the one held before after it.
    fn pass(&mut self, direction: usize, mut packet: Packet, mut deliver: impl FnMut(Packet)) {
        let faults = if direction == RECEIVE { self.config.receive } else { self.config.transmit };
        if self.prng.chance_per_million(faults.loss_per_million) {
            self.stats.lost += 1;
            return;
        }
        if !packet.is_empty() && self.prng.chance_per_million(faults.corrupt_per_million) {
            match self.corrupted(&packet) {
                Some(damaged) => packet = damaged,
                None => {
                    self.stats.not_copied += 1;
                    return;
                }
            }
        }
        if self.prng.chance_per_million(faults.duplicate_per_million) {
            self.stats.duplicated += 1;
            deliver(packet.clone());
        }
        let Some(held) = self.held.get_mut(direction) else { return };
        if held.is_none() && self.prng.chance_per_million(faults.reorder_per_million) {
            self.stats.reordered += 1;
            *held = Some((packet, 0));
            return;
        }
        deliver(packet);
        if let Some((late, _)) = held.take() {
            deliver(late);
        }
    }

    /// The packet held back, when it has waited long enough.
    fn overdue(&mut self, direction: usize) -> Option<Packet> {
        let held = self.held.get_mut(direction)?;
        let (_, calls) = held.as_mut()?;
        *calls += 1;
        if *calls < PATIENCE_CALLS {
            return None;
        }
        held.take().map(|(packet, _)| packet)
    }

    /// A copy of the packet in one frame, with one bit flipped; frames may be shared, so never in
    /// place. The checksum is completed before, so that the damage shows, and nothing is vouched
    /// for any more.
    fn corrupted(&mut self, packet: &Packet) -> Option<Packet> {
        let classes = [Class::Small, Class::Full, Class::Large];
        let class = classes.into_iter().find(|c| packet.len() <= FramePool::data_octets(*c))?;
        let mut frame = self.pool.take(class, 0)?;
        let count = packet.octets.copy_to(0, frame.spare_mut().get_mut(..packet.len())?);
        frame.advance_len(count);
        let mut offload = packet.offload;
        if let ChecksumState::Partial { start, offset } = offload.checksum {
            complete_checksum(frame.bytes_mut(), usize::from(start), usize::from(offset));
        }
        offload.checksum = ChecksumState::Unverified;
        let bit = self.prng.below(count as u64 * 8) as usize;
        *frame.bytes_mut().get_mut(bit / 8)? ^= 1 << (bit % 8);
        self.stats.corrupted += 1;
        Some(Packet { offload, octets: frame.into_slice().into() })
    }

    /// Hands over what earlier packets left behind. Whether all of it went.
    fn flush(&mut self) -> bool {
        self.inner.transmit(&mut self.scratch_transmit);
        self.scratch_transmit.is_empty()
    }
}

impl<Q: Queue> Queue for Fault<Q> {
    fn facts(&self) -> DeviceFacts {
        self.inner.facts()
    }

    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        self.inner.bind(pool)
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        if self.flush()
            && let Some(late) = self.overdue(TRANSMIT)
        {
            drop(self.scratch_transmit.push(late));
            self.flush();
        }
        let before = into.len();
        // Room for three, as one packet may become three.
        while into.room() >= MOST_FROM_ONE {
            if self.scratch_receive.is_empty()
                && self.inner.receive(pool, &mut self.scratch_receive) == 0
            {
                break;
            }
            let Some(packet) = self.scratch_receive.pop() else { break };
            self.pass(RECEIVE, packet, |packet| drop(into.push(packet)));
        }
        if !into.is_full()
            && let Some(late) = self.overdue(RECEIVE)
        {
            drop(into.push(late));
        }
        into.len() - before
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while self.flush()
            && let Some(packet) = from.pop()
        {
            count += 1;
            let mut out = core::mem::replace(&mut self.scratch_transmit, TxBatch::new(0));
            self.pass(TRANSMIT, packet, |packet| drop(out.push(packet)));
            self.scratch_transmit = out;
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        self.inner.wait_handle()
    }

    fn has_waiting(&self) -> bool {
        self.inner.has_waiting()
    }

    fn is_gone(&self) -> bool {
        self.inner.is_gone()
    }
}

/// Puts the ones' complement sum of everything from `start` on at `start + offset`, where the
/// pseudo header's sum is (RFC 1071). No effect when the packet does not reach there.
fn complete_checksum(packet: &mut [u8], start: usize, offset: usize) {
    let Some(summed) = packet.get_mut(start..) else { return };
    let mut sum = 0u32;
    for pair in summed.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair.first().copied().unwrap_or(0), low]));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    if let Some(field) = summed.get_mut(offset..offset + 2) {
        field.copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
}

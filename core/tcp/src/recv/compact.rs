//! The one rule against waste: small payloads leave large frames when memory is short.
//!
//! Owns: when a held slice is copied, and where to.
//! Must not know: sequence numbers, order, who holds the chain.
//! Implements: DESIGN §6.1 step 8, AT-7 (tiny segments are charged real memory).

use usertcp_frame::{Chain, Class, FramePool, FrameSlice};

/// When the pool is tight, a slice that uses less than a quarter of its frame is copied.
const PARTS_TIGHT: u32 = 4;
/// When a connection is at its own limit, one that uses less than half: what then still exceeds
/// [`super::advertise::CHARGE_PER_OCTET`] is not the frames' fault.
const PARTS_THOROUGH: u32 = 2;

/// Where copies come from, and where they are counted.
pub struct Compactor<'a> {
    pool: &'a FramePool,
    copied: &'a mut u64,
    parts: u32,
}

impl<'a> Compactor<'a> {
    /// For a shortage of the whole pool. `copied`: `Counters.octets_copied`.
    pub fn tight(pool: &'a FramePool, copied: &'a mut u64) -> Compactor<'a> {
        Compactor { pool, copied, parts: PARTS_TIGHT }
    }

    /// For a connection at its own limit.
    pub fn thorough(pool: &'a FramePool, copied: &'a mut u64) -> Compactor<'a> {
        Compactor { pool, copied, parts: PARTS_THOROUGH }
    }

    /// Whether `octets` use too little of the `charge` real octets they are held in.
    pub fn finds_wasteful(&self, octets: usize, charge: u32) -> bool {
        (octets as u64).saturating_mul(u64::from(self.parts)) < u64::from(charge)
    }

    /// Appends `chain` to `queue`; wasteful slices go into the room behind the last slice, and into
    /// frames that fit them. Without a free frame they stay as they are. Returns the real octets
    /// that `queue` occupies in addition.
    pub fn append(&mut self, queue: &mut Chain, mut chain: Chain) -> u32 {
        let mut added = 0u32;
        while let Some(mut slice) = chain.pop_front() {
            if self.finds_wasteful(slice.len(), slice.charge()) {
                if let Some(mut last) = queue.back_mut() {
                    let taken = last.try_extend(&slice);
                    self.count(taken);
                    slice.advance(taken);
                }
                added = added.saturating_add(self.copy(queue, &mut slice));
            }
            if !slice.is_empty() {
                added = added.saturating_add(charge_behind(queue, &slice));
                queue.push_back(slice);
            }
        }
        added
    }

    /// The same octets in no more memory than they need.
    pub fn compacted(&mut self, chain: Chain) -> Chain {
        let mut out = Chain::new();
        self.append(&mut out, chain);
        out
    }

    /// Copies what it can of `slice` behind `queue`, in frames that together take less than the
    /// slice's own. Returns what they take.
    fn copy(&mut self, queue: &mut Chain, slice: &mut FrameSlice) -> u32 {
        let mut added = 0u32;
        while !slice.is_empty() {
            let small = slice.len() <= FramePool::data_octets(Class::Small);
            let class = if small { Class::Small } else { Class::Full };
            let Some(mut frame) = self.pool.take(class, 0) else { break };
            // It may be in a frame of that class already.
            if added.saturating_add(frame.charge()) >= slice.charge() {
                break;
            }
            let copied = frame.extend(slice);
            if copied == 0 {
                break;
            }
            self.count(copied);
            slice.advance(copied);
            added = added.saturating_add(frame.charge());
            queue.push_back(frame.into_slice());
        }
        added
    }

    fn count(&mut self, octets: usize) {
        *self.copied = self.copied.wrapping_add(octets as u64);
    }
}

/// Appends `chain` to `queue` as it is. Returns the real octets that `queue` occupies in addition.
pub fn append_counted(queue: &mut Chain, chain: Chain) -> u32 {
    let Some(front) = chain.front() else { return 0 };
    let shared = front.charge().saturating_sub(charge_behind(queue, front));
    let added = chain.charge().saturating_sub(shared);
    queue.append(chain);
    added
}

/// Real octets that `slice` adds to `queue` when it goes behind it: none when the last slice is of
/// the same frame.
fn charge_behind(queue: &Chain, slice: &FrameSlice) -> u32 {
    if queue.back().is_some_and(|last| last.shares_frame(slice)) { 0 } else { slice.charge() }
}

//! The one rule against waste: small payloads leave large frames when memory is short.
//!
//! Owns: when a held slice is copied, and where to.
//! Must not know: sequence numbers, order, who holds the chain.
//! Implements: DESIGN §6.1 step 8, AT-7 (tiny segments are charged real memory).

use usertcp_frame::{Chain, Class, FramePool, FrameSlice};

/// A slice is wasteful when it uses less than one part in so many of its frame.
const PARTS: u32 = 4;

/// Where copies come from, and where they are counted.
pub struct Compactor<'a> {
    /// Frames for the copies.
    pub pool: &'a FramePool,
    /// `Counters.octets_copied`.
    pub copied: &'a mut u64,
}

impl Compactor<'_> {
    /// Appends `chain` to `queue`; wasteful slices go into the room behind the last slice, or
    /// share a frame of their own. Without a free frame they stay as they are. Returns the real
    /// octets that `queue` occupies in addition.
    pub fn append(&mut self, queue: &mut Chain, mut chain: Chain) -> u32 {
        let mut added = 0u32;
        while let Some(mut slice) = chain.pop_front() {
            if is_wasteful_at(slice.len(), slice.charge()) {
                if let Some(mut last) = queue.back_mut() {
                    let taken = last.try_extend(&slice);
                    self.count(taken);
                    slice.advance(taken);
                }
                if slice.is_empty() {
                    continue;
                }
                slice = self.copy(slice);
            }
            added = added.saturating_add(charge_behind(queue, &slice));
            queue.push_back(slice);
        }
        added
    }

    /// The same octets in no more memory than they need.
    pub fn compacted(&mut self, chain: Chain) -> Chain {
        let mut out = Chain::new();
        self.append(&mut out, chain);
        out
    }

    fn copy(&mut self, slice: FrameSlice) -> FrameSlice {
        let small = slice.len() <= FramePool::data_octets(Class::Small);
        let class = if small { Class::Small } else { Class::Full };
        let Some(mut frame) = self.pool.take(class, 0) else { return slice };
        // It may be in a frame of that class already, and is never cut.
        if frame.charge() >= slice.charge() || frame.tailroom() < slice.len() {
            return slice;
        }
        let copied = frame.extend(&slice);
        self.count(copied);
        frame.into_slice()
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

/// Whether `octets` use less than a quarter of the `charge` real octets they are held in.
pub fn is_wasteful_at(octets: usize, charge: u32) -> bool {
    (octets as u64).saturating_mul(u64::from(PARTS)) < u64::from(charge)
}

/// Real octets that `slice` adds to `queue` when it goes behind it: none when the last slice is of
/// the same frame.
fn charge_behind(queue: &Chain, slice: &FrameSlice) -> u32 {
    if queue.back().is_some_and(|last| last.shares_frame(slice)) { 0 } else { slice.charge() }
}

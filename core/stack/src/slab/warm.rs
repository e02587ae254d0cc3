//! Slots freed last, which the caches still hold.
//!
//! Owns: some of them, the last one first, and from how many records on that is worth it.
//! Must not know: chunks.

use alloc::vec::Vec;

/// Slots that are kept: what was looked at for all of them stays in the second cache.
const MOST: usize = if cfg!(test) { 5 } else { 256 };
/// With fewer records than this all of them stay there anyway.
const LEAST_RECORDS: u32 = if cfg!(test) { 20 } else { 1024 };

/// The slots.
#[derive(Debug)]
pub(super) struct Warm {
    slots: Vec<u32>,
}

impl Warm {
    /// None yet.
    pub(super) const fn new() -> Warm {
        Warm { slots: Vec::new() }
    }

    /// Whether slots should be kept with so many records in use.
    #[inline]
    pub(super) fn is_worth_it(&self, used: u32) -> bool {
        used >= LEAST_RECORDS
    }

    /// Keeps a slot; false: there are enough.
    #[inline]
    pub(super) fn push(&mut self, slot: u32) -> bool {
        if self.slots.len() >= MOST {
            return false;
        }
        self.slots.push(slot);
        true
    }

    /// The one freed last.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.slots.pop()
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.slots)
    }
}

//! A slot that was found, and not looked at.
//!
//! Owns: looking at it. Must not know: how slots are found.
//!
//! Where several records come from memory, all that is known without them is done before: so little is left to do between the
//! first look at one and at the next that the processor, which waits for the oldest, is at all of them meanwhile.

use super::{Entry, Generation, Slot};

/// A slot, and its annex if it has one.
#[derive(Debug)]
pub struct Unseen<'a, T, W, G> {
    pub(super) entry: &'a Entry<T, G>,
    pub(super) annex: Option<&'a W>,
}

impl<'a, T, W, G: Generation> Unseen<'a, T, W, G> {
    /// Looks whether there is a record, and no further. The sum of such looks means nothing.
    #[inline]
    pub fn touch(&self) -> u32 {
        u32::from(matches!(self.entry.slot, Slot::Used(_)))
    }

    /// Reads a little of each line of it, and of its annex, so that all of them are on their way from memory.
    #[inline]
    pub fn touch_all(&self, of: impl Fn(&T) -> u32, beside: impl Fn(&W) -> u32) -> u32 {
        let record = self.record().map_or(0, of);
        self.entry.generation.number() ^ record ^ self.annex.map_or(0, beside)
    }

    /// The record.
    #[inline]
    pub fn record(&self) -> Option<&'a T> {
        self.entry.record()
    }
}

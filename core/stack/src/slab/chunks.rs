//! Sets of chunk numbers, of which the lowest is asked for.
//!
//! Owns: one bit per chunk, and where the lowest may be.
//! Must not know: what a chunk is.

use alloc::vec::Vec;

/// A set of small numbers.
#[derive(Debug)]
pub(super) struct ChunkSet {
    words: Vec<u64>,
    /// No word before this one has a bit set.
    from: usize,
}

impl ChunkSet {
    pub(super) const fn new() -> ChunkSet {
        ChunkSet { words: Vec::new(), from: 0 }
    }

    /// The lowest number of the set. Of a hundred million records the search passes two hundred words.
    #[inline]
    pub(super) fn first(&mut self) -> Option<u32> {
        while let Some(word) = self.words.get(self.from) {
            if *word != 0 {
                return Some(self.from as u32 * 64 + word.trailing_zeros());
            }
            self.from += 1;
        }
        None
    }

    #[inline]
    pub(super) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
        self.from = self.from.min(word);
    }

    pub(super) fn remove(&mut self, number: u32) {
        if let Some(bits) = self.words.get_mut(number as usize / 64) {
            *bits &= !(1 << (number % 64));
        }
    }
}

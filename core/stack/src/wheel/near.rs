//! The lowest level of the wheel, a circle.
//!
//! Owns: the heads of its lists, and which is the next one.
//! Must not know: records.

use super::NONE;
use alloc::boxed::Box;

/// Bits of the last digit.
pub(super) const BITS: u32 = 12;
pub(super) const SLOTS: usize = 1 << BITS;
const WORD_BITS: usize = 64;

/// The level.
#[derive(Debug)]
pub(super) struct Near {
    heads: Box<[u32; SLOTS]>,
    occupied: [u64; SLOTS / WORD_BITS],
    /// Which words of `occupied` are not zero.
    words: u64,
}

impl Near {
    pub(super) fn new() -> Near {
        Near { heads: Box::new([NONE; SLOTS]), occupied: [0; SLOTS / WORD_BITS], words: 0 }
    }

    pub(super) fn head(&self, slot: usize) -> u32 {
        self.heads[slot % SLOTS]
    }

    /// Makes `index` the first of a slot: the one that was.
    #[inline]
    pub(super) fn push(&mut self, slot: usize, index: u32) -> u32 {
        let word = slot / WORD_BITS % (SLOTS / WORD_BITS);
        self.occupied[word] |= 1 << (slot % WORD_BITS);
        self.words |= 1 << word;
        core::mem::replace(&mut self.heads[slot % SLOTS], index)
    }

    /// Makes `index` the first of a slot; `NONE` empties it.
    pub(super) fn set_head(&mut self, slot: usize, index: u32) {
        self.heads[slot % SLOTS] = index;
        let (word, bit) = (slot / WORD_BITS, 1 << (slot % WORD_BITS));
        let occupied = &mut self.occupied[word % (SLOTS / WORD_BITS)];
        *occupied &= !bit;
        if index != NONE {
            *occupied |= bit;
        }
        self.words &= !(1 << word);
        if *occupied != 0 {
            self.words |= 1 << word;
        }
    }

    /// The first slot in use from `slot` on, around the circle, and how many slots behind that one it is.
    #[inline]
    pub(super) fn first_from(&self, slot: usize) -> Option<(usize, usize)> {
        let first = self.first_behind(slot).or_else(|| self.first_behind(0))?;
        Some((first, first.wrapping_sub(slot) % SLOTS))
    }

    /// The same up to the last one.
    #[inline]
    fn first_behind(&self, slot: usize) -> Option<usize> {
        let word = slot / WORD_BITS % (SLOTS / WORD_BITS);
        let here = self.occupied[word] & u64::MAX << (slot % WORD_BITS);
        if here != 0 {
            return Some(word * WORD_BITS + here.trailing_zeros() as usize);
        }
        // Shifted twice: there may be no word behind this one.
        let behind = self.words & u64::MAX << word << 1;
        if behind == 0 {
            return None;
        }
        let word = behind.trailing_zeros() as usize;
        let first = self.occupied.get(word)?.trailing_zeros() as usize;
        Some(word * WORD_BITS + first)
    }
}

/// The last digit of a tick.
pub(super) const fn digit(tick: u64) -> usize {
    tick as usize % SLOTS
}

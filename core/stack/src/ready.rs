//! Lists of connections whose records do not say that they are members: who found no frame, who goes on, who
//! presses.
//!
//! Owns: whose turn it is. First in, first out; each member at most once, so a busy connection
//! that asks again goes behind the others.
//! Must not know: what is to be done.
//!
//! Two bits for each record, in pieces that are made when one of theirs is first added: whether it is a
//! member, and whether the queue has it. What was removed stays in the queue until its turn; if it comes
//! back before, it has its old place. So the queue is never longer than there are records.
//!
//! Often there is one member at a time, added and taken out again: the one that finds the list empty is
//! kept beside the queue, and has no bits.

use crate::fifo::Fifo;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Records of a piece, as a power of two.
const PIECE_SHIFT: u32 = 12;
const WORDS: usize = (1 << PIECE_SHIFT) / PER_WORD;
const PER_WORD: usize = 32;
/// The bits of a record.
const MEMBER: u64 = 1;
const QUEUED: u64 = 2;
/// No record.
const NONE: u32 = u32::MAX;

/// A queue of record indices without duplicates.
#[derive(Debug)]
pub struct ReadyList {
    /// A member before all in the queue, which is not in the queue.
    first: u32,
    members: u32,
    queue: Fifo<u32>,
    marks: Vec<Option<Box<[u64; WORDS]>>>,
}

impl Default for ReadyList {
    fn default() -> ReadyList {
        ReadyList::new()
    }
}

impl ReadyList {
    /// An empty list.
    pub const fn new() -> ReadyList {
        ReadyList { first: NONE, members: 0, queue: Fifo::new(), marks: Vec::new() }
    }

    /// Members.
    pub fn len(&self) -> u32 {
        self.members
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Whether `index` is a member.
    #[inline]
    pub fn contains(&self, index: u32) -> bool {
        self.members != 0 && (self.first == index || self.has_marked(index))
    }

    /// Adds `index` at the end; nothing when it is a member already.
    #[inline]
    pub fn push(&mut self, index: u32) {
        if self.members == 0 {
            (self.first, self.members) = (index, 1);
        } else if self.first != index {
            self.push_behind(index);
        }
    }

    /// Takes the first member out.
    #[inline]
    pub fn pop(&mut self) -> Option<u32> {
        if self.first == NONE {
            return if self.members == 0 { None } else { self.pop_queued() };
        }
        self.members -= 1;
        Some(core::mem::replace(&mut self.first, NONE))
    }

    /// Takes `index` out, wherever it stands; nothing when it is no member.
    pub fn remove(&mut self, index: u32) {
        if self.members == 0 {
            return;
        }
        if self.first == index {
            (self.first, self.members) = (NONE, self.members - 1);
        } else if let Some(marks) = self.word(index)
            && *marks & MEMBER << shift(index) != 0
        {
            *marks &= !(MEMBER << shift(index));
            self.members -= 1;
        }
    }

    fn has_marked(&self, index: u32) -> bool {
        let piece = self.marks.get(index as usize >> PIECE_SHIFT).and_then(Option::as_deref);
        piece.is_some_and(|words| words[word(index)] & MEMBER << shift(index) != 0)
    }

    fn push_behind(&mut self, index: u32) {
        let Some(marks) = self.word(index) else { return self.push_first(index) };
        let bits = *marks >> shift(index) & (MEMBER | QUEUED);
        if bits & MEMBER != 0 {
            return;
        }
        *marks |= (MEMBER | QUEUED) << shift(index);
        self.members += 1;
        if bits == 0 {
            self.queue.push(index);
        }
    }

    fn pop_queued(&mut self) -> Option<u32> {
        while let Some(index) = self.queue.pop() {
            let Some(marks) = self.word(index) else { continue };
            let bits = *marks >> shift(index);
            *marks &= !((MEMBER | QUEUED) << shift(index));
            if bits & MEMBER != 0 {
                self.members -= 1;
                return Some(index);
            }
        }
        None
    }

    /// The first of its piece.
    #[cold]
    fn push_first(&mut self, index: u32) {
        let number = index as usize >> PIECE_SHIFT;
        if number >= self.marks.len() {
            self.marks.resize_with(number + 1, || None);
        }
        if let Some(piece) = self.marks.get_mut(number) {
            *piece = Some(Box::new([0; WORDS]));
            self.push_behind(index);
        }
    }

    #[inline]
    fn word(&mut self, index: u32) -> Option<&mut u64> {
        let piece = self.marks.get_mut(index as usize >> PIECE_SHIFT)?.as_deref_mut()?;
        Some(&mut piece[word(index)])
    }
}

const fn word(index: u32) -> usize {
    index as usize / PER_WORD % WORDS
}

const fn shift(index: u32) -> u32 {
    index % PER_WORD as u32 * 2
}

#[cfg(test)]
mod tests;

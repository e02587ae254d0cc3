//! What will be due in the next ticks.
//!
//! Owns: how far the lists of the next slots were looked through. Must not know: records, what looking at one is for.
//!
//! The records of a slot are found one through the other. When nobody has looked at them for long, each is waited for by
//! itself. So the lists of several slots are walked through at once before their time, a record of each at a time: what
//! the processor waits for then, it waits for together. Lists that change meanwhile lead elsewhere, or end: nothing
//! depends on it.

use super::NONE;
use super::near::{self, Near};
use alloc::boxed::Box;
use arrayvec::ArrayVec;

/// Slots looked at together, up to as many ticks ahead, less one.
pub(crate) const SCOUTS: usize = 16;
/// Records of a slot that are remembered when it is due.
const REMEMBERED: usize = 32;

/// Where looking through each of the next slots has come to.
#[derive(Debug)]
pub(super) struct Scouts {
    /// The last tick whose slot was begun with.
    last: u64,
    /// Of each of the ticks up to that one, at its number's remainder: the next record.
    next: [u32; SCOUTS],
    /// And those before it, in the order in which they will be due: by then they are not in the nearest caches any more.
    seen: Box<[ArrayVec<u32, REMEMBERED>; SCOUTS]>,
}

impl Scouts {
    pub(super) fn new() -> Scouts {
        Scouts {
            last: 0,
            next: [NONE; SCOUTS],
            seen: Box::new([const { ArrayVec::new_const() }; SCOUTS]),
        }
    }

    /// Begins with the slots of those ticks behind `current` that were not begun with yet.
    pub(super) fn begin(&mut self, current: u64, near: &Near) {
        if self.last < current {
            // Of the one that is due nothing is known.
            self.begin_with(current, NONE);
        }
        let end = current + SCOUTS as u64;
        for tick in (self.last + 1).max(current + 1)..end {
            self.begin_with(tick, near.head(near::digit(tick)));
        }
        self.last = self.last.max(end - 1);
    }

    fn begin_with(&mut self, tick: u64, head: u32) {
        let place = tick as usize % SCOUTS;
        self.next[place] = head;
        self.seen[place].clear();
    }

    /// Records that were seen in the slot that is due at `current`, the next that have not been told yet.
    #[inline]
    pub(super) fn due(&mut self, current: u64) -> [Option<u32>; SCOUTS] {
        let seen = &mut self.seen[current as usize % SCOUTS];
        let mut due = [None; SCOUTS];
        let count = seen.len().min(SCOUTS);
        due.iter_mut().zip(seen.drain(..count)).for_each(|(due, index)| *due = Some(index));
        due
    }

    /// Looks at one record of each slot, by `next_of`: which record is behind it. The records that were looked at.
    #[inline]
    pub(super) fn step(&mut self, next_of: impl Fn(u32) -> Option<u32>) -> [Option<u32>; SCOUTS] {
        let mut found = [None; SCOUTS];
        for (found, next) in found.iter_mut().zip(&mut self.next) {
            if *next != NONE {
                *found = Some(*next);
                *next = next_of(*next).unwrap_or(NONE);
            }
        }
        for (seen, found) in self.seen.iter_mut().zip(&found) {
            if let Some(index) = found {
                let _ = seen.try_push(*index);
            }
        }
        found
    }
}

//! The long form of a chain: slices in a ring on the heap, findable by offset.
//! Owns: the position of each slice in the stream of octets, the cursor.
//! Must not know: the short form (`chain`).

use crate::slice::FrameSlice;
use alloc::collections::VecDeque;
use core::cell::Cell;

/// A slice and where it starts. Positions only ever count differences, so they may wrap.
struct Entry {
    position: u64,
    slice: FrameSlice,
}

/// At least one slice.
pub(crate) struct Spill {
    entries: VecDeque<Entry>,
    /// Index last found: the next search mostly ends there or one further.
    cursor: Cell<usize>,
}

impl Drop for Spill {
    /// Nothing: it tells the compiler that a chain dropped is seldom a long one.
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {}
}

impl Spill {
    pub(crate) fn new() -> Spill {
        Spill { entries: VecDeque::with_capacity(8), cursor: Cell::new(0) }
    }
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
    pub(crate) fn get(&self, index: usize) -> Option<&FrameSlice> {
        self.entries.get(index).map(|entry| &entry.slice)
    }
    pub(crate) fn front_mut(&mut self) -> Option<&mut FrameSlice> {
        self.entries.front_mut().map(|entry| &mut entry.slice)
    }
    pub(crate) fn back_mut(&mut self) -> Option<&mut FrameSlice> {
        self.entries.back_mut().map(|entry| &mut entry.slice)
    }

    pub(crate) fn push_back(&mut self, slice: FrameSlice) {
        let position = match self.entries.back() {
            Some(last) => last.position.wrapping_add(last.slice.len() as u64),
            None => 0,
        };
        self.entries.push_back(Entry { position, slice });
    }
    pub(crate) fn push_front(&mut self, slice: FrameSlice) {
        let position = self.front_position().wrapping_sub(slice.len() as u64);
        self.entries.push_front(Entry { position, slice });
    }
    pub(crate) fn pop_front(&mut self) -> Option<FrameSlice> {
        self.cursor.set(self.cursor.get().saturating_sub(1));
        self.entries.pop_front().map(|entry| entry.slice)
    }
    pub(crate) fn pop_back(&mut self) -> Option<FrameSlice> {
        self.entries.pop_back().map(|entry| entry.slice)
    }
    /// The front slice grew by this many octets in front (or, wrapping, shrank).
    pub(crate) fn front_moved(&mut self, octets: u64) {
        if let Some(entry) = self.entries.front_mut() {
            entry.position = entry.position.wrapping_sub(octets);
        }
    }

    /// Index of the slice that holds octet `offset`, and the octet's place in it. `None`: beyond
    /// the end. Constant time when offsets follow each other, logarithmic else.
    pub(crate) fn find(&self, offset: usize) -> Option<(usize, usize)> {
        let wanted = offset as u64;
        let front = self.front_position();
        let mut index = self.cursor.get();
        if !self.holds(index, front, wanted) {
            index = index.saturating_add(1);
        }
        if !self.holds(index, front, wanted) {
            let starts_before = |entry: &Entry| entry.position.wrapping_sub(front) <= wanted;
            index = self.entries.partition_point(starts_before).checked_sub(1)?;
        }
        let entry = self.entries.get(index)?;
        let inside = wanted.wrapping_sub(entry.position.wrapping_sub(front)) as usize;
        (inside < entry.slice.len()).then(|| {
            self.cursor.set(index);
            (index, inside)
        })
    }
    /// Where the next search starts.
    pub(crate) fn set_cursor(&self, index: usize) {
        self.cursor.set(index);
    }

    fn holds(&self, index: usize, front: u64, wanted: u64) -> bool {
        self.entries.get(index).is_some_and(|entry| {
            let start = entry.position.wrapping_sub(front);
            wanted.wrapping_sub(start) < entry.slice.len() as u64
        })
    }
    fn front_position(&self) -> u64 {
        self.entries.front().map_or(0, |entry| entry.position)
    }
}

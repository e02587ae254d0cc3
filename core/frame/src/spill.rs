//! The long form of a chain: slices in a ring on the heap, findable by offset.
//! Owns: the position of each slice in the stream of octets, the cursor, the sum of charges.
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
    /// Octets of memory the frames take; slices of one frame behind each other count once.
    charge: u64,
}

impl Drop for Spill {
    /// Nothing: it tells the compiler that a chain dropped is seldom a long one.
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {}
}

impl Spill {
    /// None yet, with room for so many.
    pub(crate) fn with_room(slices: usize) -> Spill {
        Spill { entries: VecDeque::with_capacity(slices), cursor: Cell::new(0), charge: 0 }
    }
    pub(crate) fn reserve(&mut self, slices: usize) {
        self.entries.reserve(slices);
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

    /// Puts a slice behind the others, or makes the last one longer when it goes on there.
    #[inline]
    pub(crate) fn push_back(&mut self, slice: FrameSlice) {
        let (mut position, mut charge) = (0, slice.charge());
        if let Some(last) = self.entries.back_mut() {
            if last.slice.shares_frame(&slice) {
                if last.slice.join(&slice) {
                    return;
                }
                charge = 0;
            }
            position = last.position.wrapping_add(last.slice.len() as u64);
        }
        self.charge += u64::from(charge);
        self.entries.push_back(Entry { position, slice });
    }
    /// Drops the first `n` octets, which are fewer than all.
    pub(crate) fn advance(&mut self, n: usize) {
        self.take_to(n, |_, _| {});
    }
    /// The same, and shows each slice before, and how many of its octets go.
    #[inline]
    pub(crate) fn take_to(&mut self, n: usize, mut each: impl FnMut(&FrameSlice, usize)) {
        let (mut left, mut gone, mut freed) = (n, 0, 0);
        let mut entries = self.entries.iter_mut().peekable();
        while left > 0
            && let Some(entry) = entries.next()
        {
            if left < entry.slice.len() {
                each(&entry.slice, left);
                entry.slice.advance(left);
                entry.position = entry.position.wrapping_add(left as u64);
                break;
            }
            each(&entry.slice, entry.slice.len());
            left -= entry.slice.len();
            freed += beside(&entry.slice, entries.peek().map(|next| &next.slice));
            gone += 1;
        }
        self.charge -= freed;
        self.cursor.set(self.cursor.get().saturating_sub(gone));
        self.entries.drain(..gone);
    }
    /// Puts all slices of `other` behind.
    pub(crate) fn append(&mut self, other: &mut Spill) {
        // The first may go on where the last one ends; the others are beside each other as they were.
        let Some(first) = other.entries.pop_front() else { return };
        other.charge -= beside(&first.slice, other.get(0));
        self.push_back(first.slice);
        if let (Some(last), Some(next)) = (self.entries.back(), other.entries.front()) {
            let position = last.position.wrapping_add(last.slice.len() as u64);
            let shift = position.wrapping_sub(next.position);
            if last.slice.shares_frame(&next.slice) {
                other.charge -= u64::from(next.slice.charge());
            }
            for entry in &mut other.entries {
                entry.position = entry.position.wrapping_add(shift);
            }
        }
        self.charge += other.charge;
        self.entries.append(&mut other.entries);
    }
    pub(crate) fn push_front(&mut self, slice: FrameSlice) {
        let position = self.front_position().wrapping_sub(slice.len() as u64);
        self.charge += beside(&slice, self.get(0));
        self.entries.push_front(Entry { position, slice });
    }
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<FrameSlice> {
        self.cursor.set(self.cursor.get().saturating_sub(1));
        let slice = self.entries.pop_front()?.slice;
        self.charge -= beside(&slice, self.get(0));
        Some(slice)
    }
    pub(crate) fn pop_back(&mut self) -> Option<FrameSlice> {
        let slice = self.entries.pop_back()?.slice;
        self.charge -= beside(&slice, self.entries.back().map(|entry| &entry.slice));
        Some(slice)
    }
    /// Octets of memory the frames take.
    pub(crate) fn charge(&self) -> u64 {
        self.charge
    }
    /// What the first slice adds to the charge.
    pub(crate) fn front_charge(&self) -> u64 {
        self.get(0).map_or(0, |front| beside(front, self.get(1)))
    }
    /// What the last slice adds to the charge.
    pub(crate) fn back_charge(&self) -> u64 {
        let last = self.len().wrapping_sub(1);
        self.get(last).map_or(0, |back| beside(back, self.get(last.wrapping_sub(1))))
    }
    /// A slice at an end became another frame's: what it added before, and what it adds now.
    pub(crate) fn recharge(&mut self, before: u64, now: u64) {
        self.charge = self.charge + now - before;
    }
    /// The front slice grew by this many octets in front (or, wrapping, shrank).
    pub(crate) fn front_moved(&mut self, octets: u64) {
        if let Some(entry) = self.entries.front_mut() {
            entry.position = entry.position.wrapping_sub(octets);
        }
    }

    /// The octets from `offset` on, `len` of them or as many as there are, when they lie in one slice
    /// that is at the cursor or one further.
    #[inline]
    pub(crate) fn part(&self, offset: usize, len: usize) -> Option<FrameSlice> {
        let (wanted, front) = (offset as u64, self.front_position());
        let mut index = self.cursor.get();
        let mut entry = self.entries.get(index)?;
        let mut inside = wanted.wrapping_sub(entry.position.wrapping_sub(front));
        if inside >= entry.slice.len() as u64 {
            index += 1;
            entry = self.entries.get(index)?;
            inside = wanted.wrapping_sub(entry.position.wrapping_sub(front));
        }
        let there = (entry.slice.len() as u64).checked_sub(inside)?;
        if there == 0 || there < len as u64 && index + 1 < self.entries.len() {
            return None;
        }
        self.cursor.set(index);
        let from = inside as usize;
        Some(entry.slice.slice(from..from.saturating_add(len)))
    }

    /// Calls `visit` with the slices from that which starts at `offset` on, which must stay as long as they are,
    /// until it says false.
    #[inline]
    pub(crate) fn visit_from(
        &mut self,
        offset: usize,
        mut visit: impl FnMut(&mut FrameSlice) -> bool,
    ) {
        let wanted = self.front_position().wrapping_add(offset as u64);
        let next = self.cursor.get().wrapping_add(1);
        let begin = match self.entries.get(next) {
            Some(entry) if entry.position == wanted => next,
            _ => match self.find(offset) {
                Some((index, 0)) => index,
                _ => return,
            },
        };
        let mut index = begin;
        for entry in self.entries.range_mut(begin..) {
            if !visit(&mut entry.slice) {
                break;
            }
            index += 1;
        }
        self.cursor.set(index.saturating_sub(1).max(begin));
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
    /// Reads a little of what is noted of the first slices, and of those behind what was found last.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        self.ahead().fold(0, |all, slice| all ^ slice.len() as u32)
    }
    /// As [`FrameSlice::touch`] of the same.
    #[inline]
    pub(crate) fn touch_frames(&self) -> u8 {
        self.ahead().fold(0, |all, slice| all ^ slice.touch())
    }
    #[inline]
    fn ahead(&self) -> impl Iterator<Item = &FrameSlice> {
        let next = self.cursor.get().saturating_add(1);
        [0, 1, next, next.saturating_add(1)].into_iter().filter_map(|index| self.get(index))
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

/// What a slice adds to the charge of a chain where `neighbour` is the next one.
#[inline]
fn beside(slice: &FrameSlice, neighbour: Option<&FrameSlice>) -> u64 {
    match neighbour {
        Some(neighbour) if neighbour.shares_frame(slice) => 0,
        _ => u64::from(slice.charge()),
    }
}

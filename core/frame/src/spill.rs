//! The long form of a chain: slices in one piece on the heap, findable by offset.
//! Owns: the position of each slice in the stream of octets, the cursor; what emptied ones leave for the next.
//! Must not know: the short form (`chain`).
//!
//! What is taken off the front leaves its place empty. Empty places are closed when the others need room.

use crate::slice::FrameSlice;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::slice;

/// A slice and where it starts. Positions only ever count differences, so they may wrap.
struct Entry {
    position: u64,
    /// `None` in front of all that are there.
    slice: Option<FrameSlice>,
}

/// At least one slice.
pub(crate) struct Spill {
    entries: Vec<Entry>,
    /// Index of the first that is there.
    head: usize,
    /// The position behind the last one.
    end: u64,
    /// Index last found: the next search mostly ends there or one further.
    cursor: Cell<usize>,
    /// On a shelf: the one below.
    below: Option<Box<Spill>>,
}

/// Emptied ones with their memory, last on top: where data comes and goes in bursts there is one for each burst.
#[derive(Default)]
pub(crate) struct SpillShelf {
    top: Cell<Option<Box<Spill>>>,
    count: Cell<u32>,
}

impl SpillShelf {
    /// Most that are kept: a few connections have bursts at the same time.
    const MOST: u32 = 16;
    /// Places of one at most: some windows of full segments. With larger ones goes memory worth giving back.
    const MOST_PLACES: usize = 256;

    /// One without slices that has room for so many.
    pub(crate) fn take(&self, slices: usize) -> Box<Spill> {
        let Some(mut spill) = self.top.take() else {
            return Box::new(Spill::with_room(slices));
        };
        self.top.set(spill.below.take());
        self.count.set(self.count.get() - 1);
        spill.entries.reserve(slices);
        spill
    }

    /// Keeps one that has no slices any more, or gives its memory back.
    fn give(&self, mut spill: Box<Spill>) {
        spill.entries.clear();
        if self.count.get() < SpillShelf::MOST
            && spill.entries.capacity() <= SpillShelf::MOST_PLACES
        {
            (spill.head, spill.end) = (0, 0);
            spill.cursor.set(0);
            spill.below = self.top.take();
            self.top.set(Some(spill));
            self.count.set(self.count.get() + 1);
        }
    }
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
        let (entries, cursor) = (Vec::with_capacity(slices), Cell::new(0));
        Spill { entries, head: 0, end: 0, cursor, below: None }
    }
    pub(crate) fn reserve(&mut self, slices: usize) {
        if self.entries.capacity() - self.entries.len() < slices {
            self.make_room(slices);
        }
    }
    /// Closes empty places, when they are half of all, or asks for memory.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, slices: usize) {
        if self.head > self.entries.len() / 2 {
            self.entries.drain(..self.head);
            self.cursor.set(self.cursor.get().saturating_sub(self.head));
            self.head = 0;
        }
        self.entries.reserve(slices);
    }
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.head
    }
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&FrameSlice> {
        self.entries.get(self.head + index)?.slice.as_ref()
    }
    /// Octets of memory the frames take; slices of one frame behind each other count once.
    pub(crate) fn charge(&self) -> u32 {
        charge_of(self.there())
    }
    /// The part of the charge that goes with the first `n` octets, which are fewer than all.
    pub(crate) fn charge_of_first(&self, n: usize) -> u32 {
        let Some((index, _)) = self.find(n) else { return 0 };
        let (gone, kept) = self.there().split_at_checked(index).unwrap_or_default();
        let shared = match (gone.last(), kept.first()) {
            (Some(Entry { slice: Some(last), .. }), Some(Entry { slice: Some(next), .. }))
                if last.shares_frame(next) =>
            {
                last.charge()
            }
            _ => 0,
        };
        charge_of(gone).saturating_sub(shared)
    }
    #[inline]
    fn there(&self) -> &[Entry] {
        self.entries.get(self.head..).unwrap_or_default()
    }
    #[inline]
    fn there_mut(&mut self) -> &mut [Entry] {
        self.entries.get_mut(self.head..).unwrap_or_default()
    }
    pub(crate) fn front_mut(&mut self) -> Option<&mut FrameSlice> {
        self.there_mut().first_mut()?.slice.as_mut()
    }
    pub(crate) fn back_mut(&mut self) -> Option<&mut FrameSlice> {
        self.entries.last_mut()?.slice.as_mut()
    }

    /// The position behind the last octet.
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Puts a slice behind the others, or makes the last one longer when it goes on there.
    #[inline(always)] // in loops over many
    pub(crate) fn push_back(&mut self, slice: FrameSlice) {
        let position = self.end;
        self.end = position.wrapping_add(slice.len() as u64);
        if let Some(Entry { slice: Some(last), .. }) = self.entries.last_mut()
            && last.join(&slice)
        {
            return drop_joined(slice);
        }
        self.push(position, slice);
    }
    /// The same of a slice of a frame that nobody else has.
    #[inline(always)] // as above
    pub(crate) fn push_back_apart(&mut self, slice: FrameSlice) {
        let position = self.end;
        self.end = position.wrapping_add(slice.len() as u64);
        self.push(position, slice);
    }
    #[inline(always)] // as above
    fn push(&mut self, position: u64, slice: FrameSlice) {
        let entry = Entry { position, slice: Some(slice) };
        if self.entries.len() == self.entries.capacity() {
            return self.push_with_room(entry);
        }
        self.entries.push(entry);
    }
    /// Apart, so that otherwise the slice stays in registers.
    #[cold]
    #[inline(never)]
    fn push_with_room(&mut self, entry: Entry) {
        self.make_room(1);
        self.entries.push(entry);
    }
    /// Drops the first `n` octets, which are fewer than all.
    pub(crate) fn advance(&mut self, n: usize) {
        self.take_to(n, |_, _| {});
    }
    /// The same, and shows each slice before, and how many of its octets go.
    #[inline]
    pub(crate) fn take_to(&mut self, n: usize, mut each: impl FnMut(&FrameSlice, usize)) {
        let (mut left, mut gone) = (n, 0);
        for entry in self.there_mut() {
            let Some(slice) = &mut entry.slice else { break };
            let octets = slice.len();
            if left < octets {
                if left > 0 {
                    each(slice, left);
                    slice.advance(left);
                    entry.position = entry.position.wrapping_add(left as u64);
                }
                break;
            }
            each(slice, octets);
            left -= octets;
            entry.slice = None;
            gone += 1;
        }
        self.head += gone;
    }
    /// Drops all slices, and shows each before.
    pub(crate) fn take_all(mut self: Box<Spill>, mut each: impl FnMut(&FrameSlice)) {
        let Some(Entry { slice: Some(last), .. }) = self.entries.pop() else { return };
        for slice in self.entries.drain(..).filter_map(|entry| entry.slice) {
            each(&slice);
        }
        each(&last);
        last.spills().give(self);
    }
    /// Puts all slices of `other` behind.
    pub(crate) fn append(&mut self, mut other: Box<Spill>) {
        // The first may go on where the last one ends; the others are beside each other as they were.
        let Some(first) = other.pop_front() else { return };
        self.push_back(first);
        let shift = self.end.wrapping_sub(other.front_position());
        self.end = other.end.wrapping_add(shift);
        let others = other.entries.drain(other.head..);
        self.entries.extend(others.map(|Entry { position, slice }| {
            let position = position.wrapping_add(shift);
            Entry { position, slice }
        }));
        if let Some(last) = self.back_mut() {
            last.spills().give(other);
        }
    }
    pub(crate) fn push_front(&mut self, slice: FrameSlice) {
        let position = self.front_position().wrapping_sub(slice.len() as u64);
        let entry = Entry { position, slice: Some(slice) };
        match self.head.checked_sub(1).and_then(|head| Some((head, self.entries.get_mut(head)?))) {
            Some((head, place)) => {
                *place = entry;
                self.head = head;
            }
            None => {
                self.entries.insert(0, entry);
                self.cursor.set(self.cursor.get() + 1);
            }
        }
    }
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<FrameSlice> {
        let slice = self.there_mut().first_mut()?.slice.take()?;
        self.head += 1;
        Some(slice)
    }
    pub(crate) fn pop_back(&mut self) -> Option<FrameSlice> {
        let Entry { position, slice } = self.entries.pop_if(|entry| entry.slice.is_some())?;
        self.end = position;
        slice
    }
    /// The front slice grew by this many octets in front (or, wrapping, shrank).
    pub(crate) fn front_moved(&mut self, octets: u64) {
        if let Some(entry) = self.there_mut().first_mut() {
            entry.position = entry.position.wrapping_sub(octets);
        }
    }
    /// The last slice grew by this many octets at its end (or, wrapping, shrank).
    pub(crate) fn back_moved(&mut self, octets: u64) {
        self.end = self.end.wrapping_add(octets);
    }

    /// The octets from `offset` on, `len` of them or as many as there are, when they lie in one slice
    /// that is at the cursor or one further.
    #[inline]
    pub(crate) fn part(&self, offset: usize, len: usize) -> Option<FrameSlice> {
        let wanted = self.front_position().wrapping_add(offset as u64);
        let mut index = self.cursor.get().max(self.head);
        let mut entry = self.entries.get(index)?;
        let mut slice = entry.slice.as_ref()?;
        let mut inside = wanted.wrapping_sub(entry.position);
        if inside >= slice.len() as u64 {
            index += 1;
            entry = self.entries.get(index)?;
            slice = entry.slice.as_ref()?;
            inside = wanted.wrapping_sub(entry.position);
        }
        let there = (slice.len() as u64).checked_sub(inside)?;
        if there == 0 || there < len as u64 && index + 1 < self.entries.len() {
            return None;
        }
        self.cursor.set(index);
        let from = inside as usize;
        Some(slice.slice(from..from.saturating_add(len)))
    }

    /// The slices from that which starts at `offset` on; none if none does. About so `many` are looked at, and the next
    /// search is probably for what is behind them.
    #[inline]
    pub(crate) fn starting_at(&mut self, offset: usize, many: usize) -> EntriesMut<'_> {
        let wanted = self.front_position().wrapping_add(offset as u64);
        let next = self.cursor.get().max(self.head).wrapping_add(1);
        let begin = match self.entries.get(next) {
            Some(entry) if entry.position == wanted => next,
            _ => match self.find(offset) {
                Some((index, 0)) => self.head + index,
                _ => self.entries.len(),
            },
        };
        self.cursor.set((begin + many).saturating_sub(1));
        EntriesMut(self.entries.get_mut(begin..).unwrap_or_default().iter_mut())
    }

    /// Index of the slice that holds octet `offset`, and the octet's place in it. `None`: beyond
    /// the end. Constant time when offsets follow each other, logarithmic else.
    pub(crate) fn find(&self, offset: usize) -> Option<(usize, usize)> {
        let front = self.front_position();
        let wanted = front.wrapping_add(offset as u64);
        let mut index = self.cursor.get().max(self.head);
        if !self.holds(index, wanted) {
            index = index.saturating_add(1);
        }
        if !self.holds(index, wanted) {
            let starts_before = |entry: &Entry| entry.position.wrapping_sub(front) <= offset as u64;
            let before = self.there().partition_point(starts_before);
            index = self.head + before.checked_sub(1)?;
        }
        let entry = self.entries.get(index)?;
        let inside = wanted.wrapping_sub(entry.position);
        (inside < entry.slice.as_ref()?.len() as u64).then(|| {
            self.cursor.set(index);
            (index - self.head, inside as usize)
        })
    }
    /// Reads a little of what is noted of the first slices, and of those behind what was found last.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        self.next_slices().into_iter().flatten().fold(0, |all, slice| all ^ slice.len() as u32)
    }
    /// Those slices.
    #[inline]
    pub(crate) fn next_slices(&self) -> [Option<&FrameSlice>; 4] {
        let next = self.cursor.get().saturating_add(1);
        let indices = [self.head, self.head + 1, next, next.saturating_add(1)];
        indices.map(|index| self.entries.get(index)?.slice.as_ref())
    }
    /// Where the next search starts.
    pub(crate) fn set_cursor(&self, index: usize) {
        self.cursor.set(self.head + index);
    }

    fn holds(&self, index: usize, wanted: u64) -> bool {
        self.entries.get(index).is_some_and(|Entry { position, slice }| {
            let octets = slice.as_ref().map_or(0, FrameSlice::len);
            wanted.wrapping_sub(*position) < octets as u64
        })
    }
    #[inline]
    fn front_position(&self) -> u64 {
        self.there().first().map_or(self.end, |entry| entry.position)
    }
}

/// One that another grew over: apart, as above.
#[inline(never)]
fn drop_joined(slice: FrameSlice) {
    drop(slice);
}

/// Octets of memory that the frames of slices behind each other take.
#[inline(never)]
fn charge_of(entries: &[Entry]) -> u32 {
    let mut slices = entries.iter().map_while(|entry| entry.slice.as_ref());
    let Some(mut last) = slices.next() else { return 0 };
    let mut charge = u64::from(last.charge());
    for slice in slices {
        if !slice.shares_frame(last) {
            charge += u64::from(slice.charge());
        }
        last = slice;
    }
    u32::try_from(charge).unwrap_or(u32::MAX)
}

/// Slices to be changed so that they are as long as they were.
#[derive(Default)]
pub(crate) struct EntriesMut<'a>(slice::IterMut<'a, Entry>);

impl<'a> Iterator for EntriesMut<'a> {
    type Item = &'a mut FrameSlice;
    #[inline(always)] // a few steps
    fn next(&mut self) -> Option<&'a mut FrameSlice> {
        self.0.next()?.slice.as_mut()
    }
}

//! A queue of slices: the one type for packets, receive queues, send queues.
//! Owns: the order of slices and the count of octets; what is done with its ends. Many at once go behind it in `append`,
//! ranges of it are in `range`, a chain that is one slice in `one`.
//! Must not know: what the octets mean.

mod append;
mod guard;
mod one;
mod range;

pub use guard::SliceMut;
pub use range::{Entries, Pieces, Slots, Uncut, Whole};

use crate::raw::Handle;
use crate::slice::FrameSlice;
use crate::spill::Spill;
use alloc::boxed::Box;
use core::mem::ManuallyDrop;

/// A first-in first-out queue of slices, read as one run of octets.
///
/// Two slices lie in the value itself; from the third on they move to the heap, which is given
/// back when the chain is empty, or kept by the pool for the next one. It never holds an empty slice,
/// and slices that lie behind each other in one frame become one.
pub struct Chain {
    octets: usize,
    store: Store,
}

enum Store {
    /// The second only with the first.
    Inline([Option<FrameSlice>; 2]),
    /// At least one slice.
    Spilled(Box<Spill>),
}

const EMPTY: Store = Store::Inline([None, None]);

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Chain>() <= 48);

impl Chain {
    /// An empty chain.
    pub const fn new() -> Chain {
        Chain { octets: 0, store: EMPTY }
    }

    /// A slice that is not empty.
    #[inline(always)] // as a few words of memory
    pub(crate) fn of_one(slice: FrameSlice) -> Chain {
        debug_assert!(!slice.is_empty());
        Chain { octets: slice.len(), store: Store::Inline([Some(slice), None]) }
    }

    /// Two slices of different frames, neither of which is empty.
    #[inline(always)] // as a few words of memory
    pub(crate) fn of_two(first: FrameSlice, second: FrameSlice) -> Chain {
        debug_assert!(!first.is_empty() && !second.is_empty() && !first.shares_frame(&second));
        let octets = first.len() + second.len();
        Chain { octets, store: Store::Inline([Some(first), Some(second)]) }
    }

    /// Octets in all.
    #[inline]
    pub fn len(&self) -> usize {
        self.octets
    }
    /// Whether there are no octets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }
    /// Slices in all.
    #[inline]
    pub fn slice_count(&self) -> usize {
        match &self.store {
            Store::Inline([None, _]) => 0,
            Store::Inline([Some(_), None]) => 1,
            Store::Inline([Some(_), Some(_)]) => 2,
            Store::Spilled(spill) => spill.len(),
        }
    }
    /// Octets of memory the frames take. A frame counts again when another lies between two
    /// slices of it. All slices of a long chain are looked at.
    #[inline]
    pub fn charge(&self) -> u32 {
        match &self.store {
            Store::Inline([None, _]) => 0,
            Store::Inline([Some(only), None]) => only.charge(),
            Store::Inline([Some(first), Some(second)]) if first.shares_frame(second) => {
                first.charge()
            }
            Store::Inline([Some(first), Some(second)]) => first.charge() + second.charge(),
            Store::Spilled(spill) => spill.charge(),
        }
    }

    /// Puts a slice behind all others. An empty one is dropped.
    #[inline(always)] // the first one is most often the only one
    pub fn push_back(&mut self, slice: FrameSlice) {
        match &mut self.store {
            Store::Inline([first @ None, _]) if !slice.is_empty() => {
                self.octets = slice.len();
                *first = Some(slice);
            }
            _ => self.push_behind(slice),
        }
    }

    /// The same, whatever is there already.
    #[inline(always)] // a call
    fn push_behind(&mut self, slice: FrameSlice) {
        let FrameSlice { handle, offset, len } = slice;
        self.push_parts(handle, offset, len);
    }

    /// The same by its parts, which are in registers: to read a slice as a whole that was written by parts is to wait until
    /// all that was stored before it, the octets of its frame too, has found its way into the cache.
    #[inline(never)]
    fn push_parts(&mut self, handle: Handle, offset: u32, len: u32) {
        if len == 0 {
            return;
        }
        self.octets += len as usize;
        match &mut self.store {
            Store::Inline([first @ None, _]) => *first = Some(FrameSlice { handle, offset, len }),
            Store::Inline([Some(first), second @ None]) => {
                if !first.join_parts(&handle, offset, len) {
                    *second = Some(FrameSlice { handle, offset, len });
                }
            }
            Store::Inline([_, Some(second)]) => {
                if !second.join_parts(&handle, offset, len) {
                    self.spill().push_back(FrameSlice { handle, offset, len });
                }
            }
            Store::Spilled(spill) => spill.push_back(FrameSlice { handle, offset, len }),
        }
    }

    /// Puts a slice in front of all others. An empty one is dropped.
    pub fn push_front_slice(&mut self, slice: FrameSlice) {
        if slice.is_empty() {
            return;
        }
        self.octets += slice.len();
        match &mut self.store {
            Store::Inline([first @ None, _]) => *first = Some(slice),
            Store::Inline([first, second @ None]) => *second = first.replace(slice),
            Store::Inline(_) => self.spill().push_front(slice),
            Store::Spilled(spill) => spill.push_front(slice),
        }
    }

    /// Takes the first slice off.
    #[inline]
    pub fn pop_front(&mut self) -> Option<FrameSlice> {
        match &mut self.store {
            Store::Inline([first, second]) => {
                let slice = core::mem::replace(first, second.take())?;
                self.octets -= slice.len();
                Some(slice)
            }
            Store::Spilled(_) => self.pop_spilled(),
        }
    }

    /// The same of a long chain.
    #[inline(never)]
    fn pop_spilled(&mut self) -> Option<FrameSlice> {
        let Store::Spilled(spill) = &mut self.store else { return None };
        let slice = spill.pop_front()?;
        self.took(slice.len());
        Some(slice)
    }

    /// Takes the last slice off.
    pub fn pop_back(&mut self) -> Option<FrameSlice> {
        let slice = match &mut self.store {
            Store::Inline([first, second]) => second.take().or_else(|| first.take())?,
            Store::Spilled(spill) => spill.pop_back()?,
        };
        self.took(slice.len());
        Some(slice)
    }

    /// The first slice.
    #[inline]
    pub fn front(&self) -> Option<&FrameSlice> {
        self.get(0)
    }
    /// Reads a little of what a long chain notes of the slices that are dropped next, and of those that are looked
    /// for next, so that it is on its way from memory.
    #[inline]
    pub fn touch(&self) -> u32 {
        match &self.store {
            Store::Inline(_) => 0,
            Store::Spilled(spill) => spill.touch(),
        }
    }
    /// Those slices, when what the chain notes of them is at hand.
    #[inline(always)] // in one place
    pub fn next_slices(&self) -> impl Iterator<Item = &FrameSlice> {
        let next = match &self.store {
            Store::Inline([first, second]) => [first.as_ref(), second.as_ref(), None, None],
            Store::Spilled(spill) => spill.next_slices(),
        };
        next.into_iter().flatten()
    }
    /// The first slice and the second, when there is a first and no third.
    #[inline(always)] // as a few words of memory
    pub fn one_or_two(&self) -> Option<(&FrameSlice, Option<&FrameSlice>)> {
        let Store::Inline([Some(first), second]) = &self.store else { return None };
        Some((first, second.as_ref()))
    }
    /// The last slice.
    #[inline]
    pub fn back(&self) -> Option<&FrameSlice> {
        self.get(self.slice_count().checked_sub(1)?)
    }
    /// The slice of that number, from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&FrameSlice> {
        match &self.store {
            Store::Inline(slots) => slots.get(index)?.as_ref(),
            Store::Spilled(spill) => spill.get(index),
        }
    }
    /// The first slice, to change it; the chain's count follows when the guard is dropped.
    #[inline]
    pub fn front_mut(&mut self) -> Option<SliceMut<'_>> {
        SliceMut::front(self)
    }
    /// The last slice, to change it; the chain's count follows when the guard is dropped.
    #[inline]
    pub fn back_mut(&mut self) -> Option<SliceMut<'_>> {
        SliceMut::back(self)
    }
    /// Appends what fits of `octets` in place behind the last slice, and tells how many fitted.
    #[inline]
    pub fn extend_back(&mut self, octets: &[u8]) -> usize {
        let back = match &mut self.store {
            Store::Inline([None, _]) => None,
            Store::Inline([Some(only), None]) | Store::Inline([_, Some(only)]) => Some(only),
            Store::Spilled(spill) => spill.back_mut(),
        };
        let extended = back.map_or(0, |back| back.try_extend(octets));
        if let Store::Spilled(spill) = &mut self.store {
            spill.back_moved(extended as u64);
        }
        self.octets += extended;
        extended
    }

    /// Drops the first `n` octets; at most all.
    #[inline(always)] // most often it is a part of the first slice
    pub fn advance(&mut self, n: usize) {
        match &mut self.store {
            Store::Inline([Some(first), _]) if n < first.len() => {
                first.advance(n);
                self.octets -= n;
            }
            _ => self.advance_further(n),
        }
    }

    /// The same when it may be more than a part of the first slice.
    #[inline(never)]
    fn advance_further(&mut self, n: usize) {
        if n >= self.octets { self.clear() } else { self.advance_over(n) }
    }

    /// The only slice; `None` when there are more or none.
    #[inline(always)] // as a few words of memory
    pub fn only(&self) -> Option<&FrameSlice> {
        let Store::Inline([only, None]) = &self.store else { return None };
        only.as_ref()
    }

    /// Takes the only slice; `None`, and nothing changes, when there are more or none.
    #[inline(always)] // as a few words of memory
    pub fn take_only(&mut self) -> Option<FrameSlice> {
        let Store::Inline([only, None]) = &mut self.store else { return None };
        let only = only.take()?;
        self.octets = 0;
        Some(only)
    }

    /// Drops all octets.
    #[inline(always)] // of what most often is one slice, a few words of memory
    pub fn clear(&mut self) {
        match &mut self.store {
            Store::Inline([only, None]) => {
                self.octets = 0;
                *only = None;
            }
            _ => self.clear_several(),
        }
    }

    /// The same where they are in several slices.
    #[inline(never)]
    fn clear_several(&mut self) {
        self.octets = 0;
        match &mut self.store {
            Store::Inline(slots) => *slots = [None, None],
            Store::Spilled(_) => self.take_long(|_| {}),
        }
    }

    /// Drops all slices of a long chain whose octets are counted no more, and shows each before.
    fn take_long(&mut self, each: impl FnMut(&FrameSlice)) {
        if let Store::Spilled(spill) = core::mem::replace(&mut self.store, EMPTY) {
            spill.take_all(each);
        }
    }

    /// Drops fewer than all octets, but more than the first slice, or part of a long chain's.
    fn advance_over(&mut self, n: usize) {
        self.octets -= n;
        match &mut self.store {
            Store::Inline([first, second]) => {
                let rest = n - first.as_ref().map_or(0, FrameSlice::len);
                *first = second.take();
                if let Some(first) = first {
                    first.advance(rest);
                }
            }
            Store::Spilled(spill) => spill.advance(n),
        }
    }

    /// Keeps the first `n` octets; no effect when there are fewer.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        if n < self.octets {
            self.cut(n);
        }
    }

    /// The same when there are more.
    #[inline(never)]
    fn cut(&mut self, n: usize) {
        while self.octets > n {
            let excess = self.octets - n;
            match self.back_mut() {
                Some(mut back) if back.len() > excess => {
                    let keep = back.len() - excess;
                    back.truncate(keep);
                    return;
                }
                Some(_) => {}
                None => return,
            }
            self.pop_back();
        }
    }

    /// Takes the first `n` octets off into a chain of their own; at most all.
    pub fn split_to(&mut self, n: usize) -> Chain {
        if n >= self.octets {
            return core::mem::take(self);
        }
        let mut front = Chain::new();
        while front.octets < n {
            let wanted = n - front.octets;
            match self.front_mut() {
                Some(mut first) if first.len() > wanted => front.push_back(first.split_to(wanted)),
                Some(_) => {}
                None => break,
            }
            if front.octets < n
                && let Some(whole) = self.pop_front()
            {
                front.push_back(whole);
            }
        }
        front
    }

    /// The slices from first to last.
    #[inline]
    pub fn slices(&self) -> Slices<'_> {
        Slices { chain: self, next: 0 }
    }

    /// Ends the chain: what drop does, without a call where there is nothing.
    #[inline(always)]
    pub fn end(self) {
        if self.is_empty() {
            debug_assert!(matches!(self.store, Store::Inline([None, None])), "no slice is empty");
            core::mem::forget(self);
        }
    }

    /// Becomes what `of` makes, where it has no octets.
    #[inline(always)] // as above
    pub(crate) fn begin(&mut self, of: impl FnOnce() -> Chain) {
        // So what it is made of stays in registers: nobody would have to drop it if there was a panic on the way.
        let of = ManuallyDrop::new(of);
        if !self.is_empty() {
            self.leave();
        }
        debug_assert!(matches!(self.store, Store::Inline([None, None])), "no slice is empty");
        // There is nothing to be dropped.
        core::mem::forget(core::mem::replace(self, ManuallyDrop::into_inner(of)()));
    }

    /// Drops all octets, where there should be none.
    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
        self.clear();
    }

    /// Turns to the long form.
    #[cold]
    fn spill(&mut self) -> &mut Spill {
        self.spill_with(6)
    }

    /// The same, with room for so many more slices.
    fn spill_with(&mut self, slices: usize) -> &mut Spill {
        if let Store::Inline(slots) = &mut self.store {
            let mut spill = match slots {
                [Some(first), _] => first.spills().take(2 + slices),
                [None, _] => Box::new(Spill::with_room(2 + slices)),
            };
            slots.iter_mut().filter_map(Option::take).for_each(|slice| spill.push_back(slice));
            self.store = Store::Spilled(spill);
        }
        match &mut self.store {
            Store::Spilled(spill) => spill,
            Store::Inline(_) => unreachable!("made so just above"),
        }
    }

    /// A slice of `octets` left; the last one takes the heap with it.
    fn took(&mut self, octets: usize) {
        self.octets -= octets;
        if self.octets == 0 {
            self.store = EMPTY;
        }
    }
}

/// The slices of a chain, first to last.
#[derive(Clone)]
pub struct Slices<'a> {
    chain: &'a Chain,
    next: usize,
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a FrameSlice;
    #[inline]
    fn next(&mut self) -> Option<&'a FrameSlice> {
        let slice = self.chain.get(self.next)?;
        self.next += 1;
        Some(slice)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.chain.slice_count() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Slices<'_> {}

impl Default for Chain {
    fn default() -> Chain {
        Chain::new()
    }
}

impl Clone for Chain {
    /// Shares the frames.
    #[inline]
    fn clone(&self) -> Chain {
        match &self.store {
            Store::Inline(slots) => {
                Chain { octets: self.octets, store: Store::Inline(slots.clone()) }
            }
            Store::Spilled(_) => self.slices().cloned().collect(),
        }
    }
}

impl From<FrameSlice> for Chain {
    #[inline]
    fn from(slice: FrameSlice) -> Chain {
        if slice.is_empty() { Chain::new() } else { Chain::of_one(slice) }
    }
}

impl Extend<FrameSlice> for Chain {
    fn extend<T: IntoIterator<Item = FrameSlice>>(&mut self, slices: T) {
        slices.into_iter().for_each(|slice| self.push_back(slice));
    }
}

impl FromIterator<FrameSlice> for Chain {
    fn from_iter<T: IntoIterator<Item = FrameSlice>>(slices: T) -> Chain {
        let mut chain = Chain::new();
        chain.extend(slices);
        chain
    }
}

impl core::fmt::Debug for Chain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Chain({} octets in {} slices)", self.octets, self.slice_count())
    }
}

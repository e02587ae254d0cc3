//! Octets of a chain by where they are.
//!
//! Owns: how a range is shared, cut where it lies, or copied. Must not know: what the octets mean.

use super::{Chain, Slices, Store};
use crate::copy::copy;
use crate::slice::{Behind, FrameSlice};
use crate::spill::EntriesMut;
use alloc::vec::Vec;
use core::slice;

/// Slices of a chain, to write in front of what they hold. They stay as they are.
pub enum Whole<'a> {
    /// Those of a long chain.
    Long(Entries<'a>),
    /// Those of any other.
    Short(Slots<'a>),
}

/// Slices of a long chain that stay as they are.
#[derive(Default)]
pub struct Entries<'a>(EntriesMut<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = Uncut<'a>;
    #[inline(always)] // for each packet
    fn next(&mut self) -> Option<Uncut<'a>> {
        self.0.next().map(Uncut)
    }
}

/// Slices of a short chain that stay as they are.
#[derive(Default)]
pub struct Slots<'a>(slice::IterMut<'a, Option<FrameSlice>>);

impl<'a> Iterator for Slots<'a> {
    type Item = Uncut<'a>;
    #[inline(always)] // as above
    fn next(&mut self) -> Option<Uncut<'a>> {
        self.0.next()?.as_mut().map(Uncut)
    }
}

/// A slice that stays as it is.
pub struct Uncut<'a>(&'a mut FrameSlice);

impl<'a> Uncut<'a> {
    /// Its octets.
    #[inline]
    pub fn octets(&self) -> usize {
        self.0.len()
    }
    /// As [`FrameSlice::behind`].
    #[inline(always)] // as above
    pub fn behind(self, front: usize, len: usize) -> Option<Behind<'a>> {
        self.0.behind(front, len)
    }
}

/// See [`Chain::pieces`].
pub struct Pieces<'a> {
    slice: Option<&'a FrameSlice>,
    /// Where the next one begins in it.
    inside: usize,
    each: usize,
    /// Those behind it.
    slices: Slices<'a>,
}

impl Iterator for Pieces<'_> {
    type Item = FrameSlice;
    #[inline(always)] // for each packet
    fn next(&mut self) -> Option<FrameSlice> {
        let slice = self.slice?;
        let piece = slice.piece(self.inside, self.each)?;
        self.inside += self.each;
        if self.inside == slice.len() {
            (self.slice, self.inside) = (self.slices.next(), 0);
        }
        Some(piece)
    }
}

impl Chain {
    /// The octets from `offset` on, `len` of them or as many as there are, sharing the frames.
    /// Constant time per slice when offsets follow each other, logarithmic to begin elsewhere.
    #[inline]
    pub fn slice(&self, offset: usize, len: usize) -> Chain {
        match self.within_first(offset, len) {
            Some((first, from, to)) => Chain::from(first.slice(from..to)),
            None => self.slice_across(offset, len),
        }
    }

    /// The octets from `offset` on in pieces of `each`, sharing the frames, as long as each lies in one slice.
    #[inline]
    pub fn pieces(&self, offset: usize, each: usize) -> Pieces<'_> {
        let (next, inside) = self.find(offset).unwrap_or((usize::MAX, 0));
        let mut slices = Slices { chain: self, next };
        Pieces { slice: slices.next(), slices, inside, each }
    }

    /// The slices from that which starts at `offset` on; none if none does. About so `many` of them are wanted.
    #[inline]
    pub fn starting_at(&mut self, offset: usize, many: usize) -> Whole<'_> {
        match &mut self.store {
            Store::Spilled(spill) => Whole::Long(Entries(spill.starting_at(offset, many))),
            Store::Inline(slots) => {
                let first_octets = slots[0].as_ref().map_or(0, FrameSlice::len);
                let begin = match offset {
                    0 => 0,
                    _ if offset == first_octets => 1,
                    _ => slots.len(),
                };
                let short = slots.get_mut(begin..).unwrap_or_default();
                Whole::Short(Slots(short.iter_mut()))
            }
        }
    }

    /// As [`FrameSlice::behind`] of the first `len` octets, where they lie in the first slice.
    #[inline(always)] // for each packet
    pub fn behind(&mut self, front: usize, len: usize) -> Option<Behind<'_>> {
        match &mut self.store {
            Store::Inline([Some(first), _]) if first.len() >= len => first.behind(front, len),
            _ => None,
        }
    }

    #[inline(never)]
    fn slice_across(&self, offset: usize, len: usize) -> Chain {
        if let Store::Spilled(spill) = &self.store
            && let Some(part) = spill.part(offset, len)
        {
            return Chain::from(part);
        }
        let mut part = Chain::new();
        self.for_each_part(offset, len, |slice, from, to| part.push_back(slice.slice(from..to)));
        part
    }

    /// Copies the first octets into `out` and drops them, and tells how many there were.
    pub fn take_to(&mut self, out: &mut [u8]) -> usize {
        let taken = out.len().min(self.octets);
        let mut rest = out;
        let mut put = |slice: &FrameSlice, octets: usize| {
            if let Some((target, behind)) = core::mem::take(&mut rest).split_at_mut_checked(octets)
                && let Some(part) = slice.get(..octets)
            {
                copy(target, part);
                slice.count_copied(octets);
                rest = behind;
            }
        };
        match &mut self.store {
            Store::Spilled(_) if taken == self.octets => {
                self.octets = 0;
                self.take_long(|slice| put(slice, slice.len()));
            }
            Store::Spilled(spill) => {
                self.octets -= taken;
                spill.take_to(taken, put);
            }
            Store::Inline(_) => {
                self.copy_to(0, rest);
                self.advance(taken);
            }
        }
        taken
    }

    /// How much smaller the [charge](Chain::charge) is without the first `n` octets.
    pub fn charge_of_first(&self, n: usize) -> u32 {
        match &self.store {
            _ if n >= self.octets => self.charge(),
            Store::Spilled(spill) => spill.charge_of_first(n),
            Store::Inline([Some(first), Some(second)])
                if n >= first.len() && !first.shares_frame(second) =>
            {
                first.charge()
            }
            Store::Inline(_) => 0,
        }
    }

    /// The same, if all octets lie in one slice and `out` has room for them; else nothing happens.
    #[inline(always)] // for each message
    pub fn take_only_to(&mut self, out: &mut [u8]) -> Option<usize> {
        let Store::Inline([only, None]) = &mut self.store else { return None };
        let slice = only.as_ref()?;
        let taken = slice.len();
        copy(out.get_mut(..taken)?, slice);
        slice.count_copied(taken);
        *only = None;
        self.octets = 0;
        Some(taken)
    }

    /// Copies octets from `offset` on into `out`, and tells how many there were.
    #[inline]
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        if let Some((first, from, to)) = self.within_first(offset, out.len())
            && let Some(part) = first.get(from..to)
            && let Some(target) = out.get_mut(..part.len())
        {
            copy(target, part);
            first.count_copied(part.len());
            return part.len();
        }
        if offset < self.octets { self.copy_across(offset, out) } else { 0 }
    }

    #[inline(never)]
    fn copy_across(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut done = 0;
        self.for_each_part(offset, out.len(), |slice, from, to| {
            copy_part(slice, from, to, out, &mut done);
        });
        done
    }

    /// A copy of all octets, for tests and traces.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.octets);
        self.slices().for_each(|slice| out.extend_from_slice(slice));
        out
    }

    /// Where the `len` octets from `offset` on begin and end, or as many as there are, when all of
    /// them lie in the first slice of a short chain.
    #[inline]
    fn within_first(&self, offset: usize, len: usize) -> Option<(&FrameSlice, usize, usize)> {
        let Store::Inline([Some(first), second]) = &self.store else { return None };
        let there = first.len().checked_sub(offset)?;
        let taken = len.min(there);
        (taken == len || second.is_none()).then_some((first, offset, offset + taken))
    }

    /// Calls `each` with every slice that holds part of the range, and which part.
    fn for_each_part(
        &self,
        offset: usize,
        len: usize,
        mut each: impl FnMut(&FrameSlice, usize, usize),
    ) {
        let Some((mut index, mut from)) = self.find(offset) else { return };
        let mut left = len;
        while left > 0
            && let Some(slice) = self.get(index)
        {
            let to = slice.len().min(from.saturating_add(left));
            each(slice, from, to);
            left -= to - from;
            from = 0;
            index += 1;
        }
        if let Store::Spilled(spill) = &self.store {
            spill.set_cursor(index.saturating_sub(1));
        }
    }

    fn find(&self, offset: usize) -> Option<(usize, usize)> {
        match &self.store {
            Store::Spilled(spill) => spill.find(offset),
            Store::Inline(slots) => {
                let first = slots[0].as_ref()?.len();
                if offset < first { Some((0, offset)) } else { Some((1, offset - first)) }
                    .filter(|_| offset < self.octets)
            }
        }
    }
}

/// Copies octets `from..to` of a slice to where `done` octets are already, and counts them.
#[inline]
fn copy_part(slice: &FrameSlice, from: usize, to: usize, out: &mut [u8], done: &mut usize) {
    let part = slice.get(from..to).unwrap_or_default();
    if let Some(target) = out.get_mut(*done..*done + part.len()) {
        copy(target, part);
        slice.count_copied(part.len());
        *done += part.len();
    }
}

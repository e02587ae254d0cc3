//! Octets of a chain by where they are.
//!
//! Owns: how a range is shared, cut where it lies, or copied. Must not know: what the octets mean.

use super::{Chain, Store};
use crate::slice::{Behind, FrameSlice};
use alloc::vec::Vec;

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

    /// Calls `cut` for the `len` octets from `offset` on in pieces of `each` octets, the last of what is left, as long as
    /// a slice begins where a piece does, has its octets, and no other piece's before its last one. `cut`
    /// is given that slice, which must stay as it is, and the octets of the piece; it ends this by saying false, of
    /// a piece it did not take. How many octets were taken.
    #[inline]
    pub fn cut_pieces(
        &mut self,
        offset: usize,
        len: usize,
        each: usize,
        mut cut: impl FnMut(&mut FrameSlice, usize) -> bool,
    ) -> usize {
        let mut left = len;
        let mut take = |slice: &mut FrameSlice| {
            let piece = left.min(each);
            if piece == 0 || slice.len() < piece || !cut(slice, piece) {
                return false;
            }
            left -= piece;
            slice.len() == piece
        };
        match &mut self.store {
            Store::Inline([Some(first), second]) => {
                let first_octets = first.len();
                if (offset != 0 || take(first))
                    && (offset == 0 || offset == first_octets)
                    && let Some(second) = second
                {
                    take(second);
                }
            }
            Store::Inline(_) => {}
            Store::Spilled(spill) => spill.visit_from(offset, take),
        }
        len - left
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
        if let Store::Spilled(spill) = &mut self.store {
            let mut done = 0;
            spill.take_to(taken, |slice, octets| {
                copy_part(slice, 0, octets, out, &mut done);
            });
            self.took(taken);
            return taken;
        }
        self.copy_to(0, out);
        self.advance(taken);
        taken
    }

    /// The same, if all octets lie in one slice and `out` has room for them; else nothing happens.
    #[inline(always)] // for each message
    pub fn take_only_to(&mut self, out: &mut [u8]) -> Option<usize> {
        let Store::Inline([only, None]) = &mut self.store else { return None };
        let slice = only.as_ref()?;
        let taken = slice.len();
        out.get_mut(..taken)?.copy_from_slice(slice);
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
            target.copy_from_slice(part);
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
        target.copy_from_slice(part);
        slice.count_copied(part.len());
        *done += part.len();
    }
}

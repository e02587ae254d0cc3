//! The first or last slice of a chain, changed in place.
//!
//! Owns: that the chain's count and positions follow what a slice becomes.
//! Must not know: what is changed.

use super::{Chain, Store};
use crate::slice::FrameSlice;
use core::ops::{Deref, DerefMut};

#[derive(Clone, Copy, PartialEq)]
enum End {
    Front,
    Back,
}

/// The first or last slice of a chain, to change it: whatever it becomes, the chain's count and
/// positions follow.
pub struct SliceMut<'a> {
    chain: &'a mut Chain,
    end: End,
    len_before: usize,
}

impl<'a> SliceMut<'a> {
    #[inline]
    pub(super) fn front(chain: &'a mut Chain) -> Option<SliceMut<'a>> {
        SliceMut::new(chain, End::Front)
    }

    #[inline]
    pub(super) fn back(chain: &'a mut Chain) -> Option<SliceMut<'a>> {
        SliceMut::new(chain, End::Back)
    }

    #[inline]
    fn new(chain: &'a mut Chain, end: End) -> Option<SliceMut<'a>> {
        let slice = if end == End::Front { chain.front() } else { chain.back() };
        let len_before = slice?.len();
        Some(SliceMut { chain, end, len_before })
    }
}

impl Deref for SliceMut<'_> {
    type Target = FrameSlice;
    fn deref(&self) -> &FrameSlice {
        let slice = if self.end == End::Front { self.chain.front() } else { self.chain.back() };
        // The chain was not empty when the guard was made, and is borrowed by it.
        slice.unwrap_or_else(|| unreachable!("the chain lost its slice"))
    }
}

impl DerefMut for SliceMut<'_> {
    fn deref_mut(&mut self) -> &mut FrameSlice {
        let slice = match (&mut self.chain.store, self.end) {
            (Store::Inline([Some(first), None]), _) => Some(first),
            (Store::Inline([first, _]), End::Front) => first.as_mut(),
            (Store::Inline([_, second]), End::Back) => second.as_mut(),
            (Store::Spilled(spill), End::Front) => spill.front_mut(),
            (Store::Spilled(spill), End::Back) => spill.back_mut(),
        };
        slice.unwrap_or_else(|| unreachable!("the chain lost its slice"))
    }
}

impl Drop for SliceMut<'_> {
    fn drop(&mut self) {
        let len = self.len();
        let (before, chain) = (self.len_before, &mut *self.chain);
        chain.octets = chain.octets.wrapping_add(len).wrapping_sub(before);
        if let Store::Spilled(spill) = &mut chain.store {
            let grown = (len as u64).wrapping_sub(before as u64);
            match self.end {
                End::Front => spill.front_moved(grown),
                End::Back => spill.back_moved(grown),
            }
        }
        if len == 0 {
            // Emptied: it must not stay. Its octets are off the count already.
            match self.end {
                End::Front => chain.pop_front(),
                End::Back => chain.pop_back(),
            };
        }
    }
}

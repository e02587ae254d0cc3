//! A chain that most often is one slice.
//!
//! Owns: what is done with that in place: a slice that is passed on by value is taken apart and put together again.
//! Must not know: what the octets mean.

use super::{Chain, Store};
use crate::slice::FrameSlice;

impl Chain {
    /// As [`Chain::push_back`] where there are none, as is known.
    #[inline(always)] // a few words of memory
    pub fn begin_with(&mut self, slice: FrameSlice) {
        debug_assert!(self.is_empty() && !slice.is_empty());
        let FrameSlice { handle, offset, len } = slice;
        if !self.is_empty() {
            return self.push_parts(handle, offset, len);
        }
        // There is nothing to be dropped.
        let only = Chain::of_one(FrameSlice { handle, offset, len });
        core::mem::forget(core::mem::replace(self, only));
    }

    /// Becomes what the only slice of `other` has behind its first `n` octets, where there are none here, as is known;
    /// `other` has none then. False, and nothing has changed: `other` has more slices or none, or nothing behind those.
    #[inline(always)] // as above
    #[must_use]
    pub fn begin_behind(&mut self, other: &mut Chain, n: usize) -> bool {
        debug_assert!(self.is_empty(), "there are none");
        let Store::Inline([place, None]) = &mut other.store else { return false };
        let Some(only) = place.as_ref().filter(|only| only.len() > n) else { return false };
        let (offset, len) = (only.offset.wrapping_add(n as u32), only.len.wrapping_sub(n as u32));
        let Some(FrameSlice { handle, .. }) = place.take() else { return false };
        other.octets = 0;
        let store = Store::Inline([Some(FrameSlice { handle, offset, len }), None]);
        self.begin(|| Chain { octets: len as usize, store });
        true
    }
}

//! Many slices are put behind a chain at once.
//!
//! Owns: that room is made for all of them together, and that those of a burst of packets are taken where they lie.
//! Must not know: what the octets mean; how a long chain keeps its slices (`spill`).

use super::{Chain, EMPTY, Store};
use crate::pool::{Class, FramePool};
use crate::slice::FrameSlice;

impl Chain {
    /// Puts all of `other` behind.
    #[inline]
    pub fn append(&mut self, other: Chain) {
        if self.is_empty() {
            *self = other;
        } else if let Store::Inline([Some(only), None]) = other.store {
            self.push_behind(only);
        } else {
            self.append_to_some(other);
        }
    }

    /// The same where there are slices here, and `other` is not one slice.
    #[inline(never)]
    fn append_to_some(&mut self, mut other: Chain) {
        match (&mut self.store, core::mem::replace(&mut other.store, EMPTY)) {
            (Store::Spilled(spill), Store::Spilled(others)) => {
                spill.append(others);
                self.octets += other.octets;
            }
            (_, store) => {
                other.store = store;
                while let Some(slice) = other.pop_front() {
                    self.push_back(slice);
                }
            }
        }
    }

    /// Makes room for `slices` more at once, where there is one already. A few need none.
    pub fn reserve(&mut self, slices: usize) {
        if slices > 2 && !self.is_empty() {
            self.spill_with(slices).reserve(slices);
        }
    }

    /// Takes all of `others` but the first `skipped` octets of each, and puts it behind.
    #[inline]
    pub fn append_behind<'a>(
        &mut self,
        skipped: usize,
        mut others: impl ExactSizeIterator<Item = &'a mut Chain>,
    ) {
        self.reserve(others.len());
        loop {
            let other = match &mut self.store {
                Store::Spilled(spill) => {
                    let before = spill.end();
                    let other = others.find_map(|other| match other.take_behind(skipped) {
                        Some(slice) => {
                            spill.push_back(slice);
                            None
                        }
                        None => Some(other),
                    });
                    self.octets += spill.end().wrapping_sub(before) as usize;
                    other
                }
                Store::Inline(_) => others.next(),
            };
            let Some(other) = other else { return };
            let mut other = core::mem::take(other);
            other.advance(skipped);
            self.append(other);
        }
    }

    /// Takes the only slice without its first `skipped` octets, or the second behind a first one of so many. `None`, and
    /// nothing changed: it is not like that.
    #[inline(always)] // for each packet
    fn take_behind(&mut self, skipped: usize) -> Option<FrameSlice> {
        let Store::Inline([first, second]) = &mut self.store else { return None };
        let octets = first.as_ref()?.len();
        let slice = match second {
            None if octets > skipped => first.take().map(|slice| slice.behind_first(skipped)),
            Some(_) if octets == skipped => {
                *first = None;
                second.take()
            }
            _ => return None,
        };
        self.octets = 0;
        slice
    }

    /// Copies whole pieces of `each` octets from the front of `octets` behind all others: each into a frame of `class`
    /// with `headroom` octets in front, as long as there are frames. How many octets that are.
    pub fn copy_back(
        &mut self,
        pool: &FramePool,
        (class, headroom): (Class, usize),
        octets: &[u8],
        each: usize,
    ) -> usize {
        let before = self.octets;
        let mut pieces = octets.chunks_exact(each.max(1));
        let copy = |piece: &[u8]| pool.copy_in(class, headroom, piece);
        let Some(slice) = pieces.next().and_then(copy) else { return 0 };
        self.push_behind(slice);
        self.reserve(pieces.len());
        let slices = pieces.map_while(copy);
        if let Store::Spilled(spill) = &mut self.store {
            let behind = spill.end();
            slices.for_each(|slice| spill.push_back_apart(slice));
            self.octets += spill.end().wrapping_sub(behind) as usize;
        } else {
            slices.for_each(|slice| self.push_behind(slice));
        }
        self.octets - before
    }
}

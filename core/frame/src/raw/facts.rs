//! What a pool and a handle tell of themselves.
//!
//! Owns: figures, and what is counted for them. Must not know: how memory is taken, shared or given back; nothing here
//! touches what the rules of the module above rest on.
#![forbid(unsafe_code)]

use super::{Handle, Pool};
use crate::blocks::{Blocks, HEADER_OCTETS, Kind};
use crate::spill::SpillShelf;

impl Pool {
    /// The block table, for its figures.
    #[inline]
    pub(crate) fn blocks(&self) -> &Blocks {
        &self.core().blocks
    }
    /// References on other threads, as far as is known here.
    pub(crate) fn lent(&self) -> usize {
        self.core().lent.get()
    }
    /// Octets copied so far.
    pub(crate) fn copied(&self) -> u64 {
        self.core().copied.get()
    }
    /// Requests refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.core().refused.get()
    }
    /// Counts a request refused.
    pub(crate) fn count_refused(&self) {
        let core = self.core();
        core.refused.set(core.refused.get().wrapping_add(1));
    }
    /// Whether both are the same pool.
    pub(crate) fn is(&self, other: &Pool) -> bool {
        self.0 == other.0
    }
}

impl Handle {
    /// What kind of frame it is.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.header().place.kind()
    }
    /// Data octets the frame has.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.header().place.capacity()
    }
    /// What chains left whose frames were of this pool.
    #[inline]
    pub(crate) fn spills(&self) -> &SpillShelf {
        &self.home().spills
    }
    /// Octets of memory the frame takes.
    #[inline]
    pub(crate) fn octets(&self) -> u32 {
        self.header().place.octets()
    }
    /// Whether no other reference exists, on any thread.
    #[inline]
    pub(crate) fn is_unique(&self) -> bool {
        self.header().refs.get() == 1
    }
    /// Whether both refer to one frame.
    #[inline]
    pub(crate) fn is(&self, other: &Handle) -> bool {
        self.0 == other.0
    }
    /// Whether the frame is one of `pool`.
    #[inline]
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        self.header().home == pool.0
    }
    /// Octets from the start of the region to the first data octet.
    #[inline]
    pub(crate) fn region_offset(&self) -> usize {
        self.header().place.octet_offset() + HEADER_OCTETS
    }
    /// The pool's count of octets copied, made larger.
    #[inline]
    pub(crate) fn count_copied(&self, octets: usize) {
        let home = self.home();
        home.copied.set(home.copied.get().wrapping_add(octets as u64));
    }
}

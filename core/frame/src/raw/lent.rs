//! References between threads: how they leave home, and how they come back.
//!
//! Owns: that a reference is lent or is local, never both, and that one that is dropped elsewhere is given back. Must not
//! know: how references are counted from several threads at once (`give_back`, `absorb` and `close` in the module above,
//! whose rules 1, 3 and 4 what is here has to keep).
#![forbid(unsafe_code)]

use super::{Handle, Header, LentHandle, LentUnique, Pool, give_back, home_of};
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire};

impl Pool {
    /// Counts home the references given up on other threads. Frames that came home.
    #[inline]
    pub(crate) fn reclaim(&self) -> usize {
        let core = self.core();
        if core.shared.arrivals.load(Acquire).is_null() {
            return 0;
        }
        core.absorb(core.shared.arrivals.swap(ptr::null_mut(), AcqRel))
    }
}

impl Handle {
    /// Gives the reference to whichever thread wants it, for octets `from..to` only.
    pub(crate) fn lend(self, from: u32, to: u32) -> LentHandle {
        assert!(from <= to && to <= self.header().filled.get());
        LentHandle { frame: self.leave(), from, len: to - from }
    }

    /// Gives the only reference to another thread. Panics when it is not the only one, which is
    /// a mistake of this crate.
    pub(crate) fn lend_unique(self) -> LentUnique {
        assert!(self.is_unique());
        LentUnique(ManuallyDrop::new(Handle(self.leave())))
    }

    /// From the lent count to the local one, at home: `pool` proves the thread.
    fn arrive(frame: NonNull<Header>, pool: &Pool) -> Handle {
        let core = pool.core();
        core.lent.set(core.lent.get() - 1);
        core.local.set(core.local.get() + 1);
        Handle(frame)
    }
}

impl LentHandle {
    /// Back into a handle and its range; `Err` when `pool` is not where it came from.
    pub(crate) fn arrive(self, pool: &Pool) -> Result<(Handle, u32, u32), LentHandle> {
        if home_of(self.frame) != pool.0 {
            return Err(self);
        }
        let lent = ManuallyDrop::new(self);
        Ok((Handle::arrive(lent.frame, pool), lent.from, lent.len))
    }
}

impl Drop for LentHandle {
    fn drop(&mut self) {
        give_back(self.frame);
    }
}

impl LentUnique {
    /// Data octets the frame has.
    pub(crate) fn capacity(&self) -> u32 {
        self.0.capacity()
    }
    /// As [`Handle::bytes`].
    pub(crate) fn bytes(&self, from: u32, to: u32) -> &[u8] {
        self.0.bytes(from, to)
    }
    /// As [`Handle::bytes_mut`].
    pub(crate) fn bytes_mut(&mut self, from: u32, to: u32) -> Option<&mut [u8]> {
        self.0.bytes_mut(from, to)
    }
    /// As [`Handle::set_filled`].
    pub(crate) fn set_filled(&mut self, to: u32) -> bool {
        self.0.set_filled(to)
    }
    /// Back into a handle; `Err` when `pool` is not where it came from.
    pub(crate) fn arrive(self, pool: &Pool) -> Result<Handle, LentUnique> {
        if home_of(self.0.0) != pool.0 {
            return Err(self);
        }
        let lent = ManuallyDrop::new(self);
        Ok(Handle::arrive(lent.0.0, pool))
    }
}

impl Drop for LentUnique {
    fn drop(&mut self) {
        give_back(self.0.0);
    }
}

//! Frames on other threads.
//! Owns: what another thread may do with a frame, and how it comes back.
//! Must not know: which thread, or how values travel there.

use crate::frame::Frame;
use crate::pool::FramePool;
use crate::raw::{LentHandle, LentUnique};
use crate::slice::FrameSlice;
use core::ops::Deref;

/// Octets of a frame, readable on any thread. Dropping it sends the reference home without a
/// lock or an allocation; [`FramePool::reclaim`] counts it there.
pub struct Lent {
    handle: LentHandle,
}

impl Lent {
    pub(crate) fn new(handle: LentHandle) -> Lent {
        Lent { handle }
    }

    /// Back into a slice, on the thread of the pool it came from. `Err`: `pool` is another one.
    pub fn into_slice(self, pool: &FramePool) -> Result<FrameSlice, Lent> {
        match self.handle.arrive(pool.raw()) {
            Ok((handle, offset, len)) => Ok(FrameSlice::from_parts(handle, offset, len)),
            Err(handle) => Err(Lent { handle }),
        }
    }
}

impl Deref for Lent {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.handle.bytes()
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl core::fmt::Debug for Lent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Lent({})", self.len())
    }
}

/// A frame another thread fills. Dropping it there sends it home.
pub struct LentFrame {
    handle: LentUnique,
    start: u32,
    end: u32,
}

impl LentFrame {
    pub(crate) fn new(handle: LentUnique, start: u32, end: u32) -> LentFrame {
        LentFrame { handle, start, end }
    }

    /// Octets written.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
    /// Octets free behind.
    pub fn tailroom(&self) -> usize {
        (self.handle.capacity() - self.end) as usize
    }
    /// What is written.
    pub fn bytes(&self) -> &[u8] {
        self.handle.bytes(self.start, self.end)
    }
    /// The tailroom, to be written and then made part by [`LentFrame::advance_len`].
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.handle.bytes_mut(self.end, self.handle.capacity()).unwrap_or_default()
    }
    /// Makes the next `n` octets of tailroom part of the frame; at most all of them.
    pub fn advance_len(&mut self, n: usize) {
        self.end += n.min(self.tailroom()) as u32;
        self.handle.set_filled(self.end);
    }
    /// Back into a frame, on the thread of its pool.
    ///
    /// # Panics
    /// When `pool` is not the one it came from.
    pub fn into_frame(self, pool: &FramePool) -> Frame {
        match self.handle.arrive(pool.raw()) {
            Ok(handle) => Frame::from_parts(handle, self.start, self.end),
            Err(_) => panic!("a lent frame was brought to a pool it did not come from"),
        }
    }
}

impl core::fmt::Debug for LentFrame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LentFrame({})", self.len())
    }
}

const _: () = {
    const fn travels<T: Send + 'static>() {}
    travels::<Lent>();
    travels::<LentFrame>();
};

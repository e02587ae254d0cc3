//! A frame being filled.
//! Owns: the one writable reference to a frame, its headroom and tailroom.
//! Must not know: what is written.

use crate::lent::LentFrame;
use crate::raw::Handle;
use crate::slice::FrameSlice;

/// A frame with one owner, who may write. Dropping it gives it back.
pub struct Frame {
    handle: Handle,
    start: u32,
    end: u32,
}

impl Frame {
    /// The filled mark of a frame is its end, always: here the pool has put it at `start`.
    #[inline]
    pub(crate) const fn fresh(handle: Handle, start: u32) -> Frame {
        Frame { handle, start, end: start }
    }
    #[inline]
    pub(crate) fn from_parts(mut handle: Handle, start: u32, end: u32) -> Frame {
        handle.set_filled(end);
        Frame { handle, start, end }
    }

    /// Octets written.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
    /// Whether nothing is written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
    /// Octets free in front.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start as usize
    }
    /// Octets free behind.
    #[inline]
    pub fn tailroom(&self) -> usize {
        (self.handle.capacity() - self.end) as usize
    }
    /// What is written.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.handle.bytes(self.start, self.end)
    }
    /// What is written, to change it.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.handle.bytes_mut(self.start, self.end).unwrap_or_default()
    }
    /// The tailroom, to be written and then made part by [`Frame::advance_len`]. It holds
    /// whatever was there before.
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.handle.bytes_mut(self.end, self.handle.capacity()).unwrap_or_default()
    }
    /// Makes the next `n` octets of tailroom part of the frame; at most all of them.
    #[inline]
    pub fn advance_len(&mut self, n: usize) {
        self.end += n.min(self.tailroom()) as u32;
        self.handle.set_filled(self.end);
    }
    /// Keeps the first `n` octets; no effect when there are fewer.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        self.end = self.start + n.min(self.len()) as u32;
        self.handle.set_filled(self.end);
    }
    /// Makes `n` octets of headroom part of the frame, to be written by the caller. `None`: there
    /// are not so many, and nothing changed.
    #[inline]
    pub fn push_front(&mut self, n: usize) -> Option<&mut [u8]> {
        let start = self.start.checked_sub(u32::try_from(n).ok()?)?;
        let old = core::mem::replace(&mut self.start, start);
        self.handle.bytes_mut(start, old)
    }
    /// Makes `front` octets of headroom and `back` octets of tailroom part of the frame, and gives all
    /// of it to be written. `None`: there are not so many, and nothing changed.
    #[inline(always)] // for each packet
    pub fn widen(&mut self, front: usize, back: usize) -> Option<&mut [u8]> {
        let start = self.start.checked_sub(u32::try_from(front).ok()?)?;
        let end = self.end.checked_add(u32::try_from(back).ok()?)?;
        let octets = self.handle.open(start, end)?;
        (self.start, self.end) = (start, end);
        Some(octets)
    }
    /// Appends what fits of `octets`, and tells how many fitted. They are copied, and counted.
    #[inline]
    pub fn extend(&mut self, octets: &[u8]) -> usize {
        let count = self.handle.append(self.end, octets);
        self.end += count as u32;
        count
    }
    /// Octets from the start of [`FramePool::region`](crate::FramePool::region) to the frame's
    /// first data octet, headroom included.
    #[inline]
    pub fn region_offset(&self) -> usize {
        self.handle.region_offset()
    }
    /// Octets of memory the frame takes, header included.
    pub fn charge(&self) -> u32 {
        self.handle.kind().octets() as u32
    }
    /// The frame as a slice that can be shared.
    #[inline]
    pub fn into_slice(self) -> FrameSlice {
        FrameSlice::from_parts(self.handle, self.start, self.end - self.start)
    }
    /// The frame for another thread to fill.
    pub fn lend_mut(self) -> LentFrame {
        LentFrame::new(self.handle.lend_unique(), self.start, self.end)
    }
}

impl core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Frame({:?}, {}..{})", self.handle.kind(), self.start, self.end)
    }
}

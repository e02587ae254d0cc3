//! A part of a frame, shared.
//! Owns: counted references to octets of a frame, and what may still be changed in them.
//! Must not know: queues (`chain`), other threads (`lent`).

use crate::lent::Lent;
use crate::pool::{Class, FramePool};
use crate::raw::Handle;
use crate::spill::SpillShelf;
use core::ops::{Bound, Deref, RangeBounds};

/// Octets of a frame. Cloning shares them; the last one to go gives the frame back.
#[derive(Clone)]
pub struct FrameSlice {
    pub(crate) handle: Handle,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

const _: () = assert!(size_of::<FrameSlice>() <= 16 && size_of::<Option<FrameSlice>>() <= 16);

impl FrameSlice {
    #[inline]
    pub(crate) fn from_parts(handle: Handle, offset: u32, len: u32) -> FrameSlice {
        FrameSlice { handle, offset, len }
    }

    /// Octets of the slice.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }
    /// Whether the slice has no octets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Drops the first `n` octets; at most all.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        let n = n.min(self.len()) as u32;
        self.offset += n;
        self.len -= n;
    }
    /// What is behind the first `n` octets, of which there are more.
    #[inline(always)] // in registers
    pub(crate) fn behind_first(self, n: usize) -> FrameSlice {
        debug_assert!(n <= self.len());
        let FrameSlice { handle, offset, len } = self;
        let left = len.wrapping_sub(n as u32);
        FrameSlice { handle, offset: offset.wrapping_add(n as u32), len: left }
    }
    /// Keeps the first `n` octets; no effect when there are fewer.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        self.len = n.min(self.len()) as u32;
    }
    /// A slice of this slice. A range that reaches further is cut to what there is.
    #[inline]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> FrameSlice {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => self.len(),
        };
        let mut part = self.clone();
        part.truncate(to);
        part.advance(from);
        part
    }
    /// The `len` octets from `from` on; `None`: there are not so many.
    #[inline(always)] // for each packet
    pub(crate) fn piece(&self, from: usize, len: usize) -> Option<FrameSlice> {
        let is_there = from <= self.len() && len <= self.len() - from;
        is_there.then(|| FrameSlice {
            handle: self.handle.clone(),
            offset: self.offset + from as u32,
            len: len as u32,
        })
    }
    /// Takes the first `n` octets off into a slice of their own; at most all.
    #[inline]
    pub fn split_to(&mut self, n: usize) -> FrameSlice {
        let mut front = self.clone();
        front.truncate(n);
        self.advance(n);
        front
    }
    /// Whether this is the only reference to its frame, on any thread.
    #[inline]
    pub fn is_unique(&self) -> bool {
        self.handle.is_unique()
    }
    /// Reads a little of what its frame keeps of itself, so that it is on its way from memory: of a frame that is given
    /// back that is all.
    #[inline]
    pub fn touch_frame(&self) -> u8 {
        u8::from(self.is_unique())
    }
    /// The same, and of where its headers are written. A short one's first octet is near.
    #[inline]
    pub fn touch(&self) -> u8 {
        let in_front = self.handle.bytes(self.offset.saturating_sub(1), self.offset);
        self.touch_frame() ^ in_front.first().copied().unwrap_or_default()
    }
    /// Octets in front of the slice that [`FrameSlice::push_front`] can take; 0 when shared.
    #[inline]
    pub fn headroom(&self) -> usize {
        if self.is_unique() { self.offset as usize } else { 0 }
    }
    /// Grows the slice over the `n` octets in front of it, to be written by the caller. `None`:
    /// the frame is shared or has not so many, and nothing changed.
    #[inline]
    pub fn push_front(&mut self, n: usize) -> Option<&mut [u8]> {
        let n = u32::try_from(n).ok()?;
        let start = self.offset.checked_sub(n)?;
        if !self.is_unique() {
            return None;
        }
        let old = core::mem::replace(&mut self.offset, start);
        self.len += n;
        self.handle.bytes_mut(start, old)
    }
    /// The first `len` octets of this slice and `front` more before them, which are to be written: then all of them
    /// are a slice that shares the frame. This slice stays as it is. `None`: the frame is shared already or has no
    /// such room in front.
    #[inline(always)] // for each packet
    pub fn behind(&mut self, front: usize, len: usize) -> Option<Behind<'_>> {
        let end = self.offset + len.min(self.len()) as u32;
        let start = self.offset.checked_sub(u32::try_from(front).ok()?)?;
        self.handle.is_unique().then_some(Behind { handle: &mut self.handle, start, end, front })
    }
    /// The octets, to change them; `None` when the frame is shared.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.handle.bytes_mut(self.offset, self.offset + self.len)
    }
    /// Appends what fits of `octets` in place, and tells how many fitted: none when the slice
    /// does not reach to where its frame is filled, or the frame is full. Other slices of the
    /// frame do not see it. They are copied, and counted.
    #[inline]
    pub fn try_extend(&mut self, octets: &[u8]) -> usize {
        let end = self.offset + self.len;
        // Alone, what was cut off behind can be written again.
        self.handle.set_filled(end);
        let count = self.handle.append(end, octets);
        self.len += count as u32;
        count
    }
    /// Octets of memory its frame takes, header included, however few this slice is of them.
    #[inline]
    pub fn charge(&self) -> u32 {
        self.handle.octets()
    }
    /// Moves the octets into a small frame when they fit one with `headroom` in front and are not
    /// in one: a copy for the memory. False: nothing changed.
    pub fn compact(&mut self, pool: &FramePool, headroom: usize) -> bool {
        let small = FramePool::data_octets(Class::Small);
        let fits = self.len().saturating_add(headroom) <= small;
        if !fits || self.handle.capacity() as usize <= small {
            return false;
        }
        let Some(mut frame) = pool.take(Class::Small, headroom) else { return false };
        frame.extend(self);
        *self = frame.into_slice();
        true
    }
    /// The slice for any thread.
    pub fn lend(self) -> Lent {
        let end = self.offset + self.len;
        Lent::new(self.handle.lend(self.offset, end))
    }

    /// Whether its frame is one of `pool`.
    #[inline]
    pub fn is_of(&self, pool: &FramePool) -> bool {
        self.handle.is_of(pool.raw())
    }
    /// Octets from the start of the [`region`](FramePool::region) of the frame's pool to the
    /// first octet of the slice.
    #[inline]
    pub fn region_offset(&self) -> usize {
        self.handle.region_offset() + self.offset as usize
    }
    /// What chains left whose frames were of the same pool.
    #[inline]
    pub(crate) fn spills(&self) -> &SpillShelf {
        self.handle.spills()
    }
    /// Whether both are of one frame.
    #[inline]
    pub fn shares_frame(&self, other: &FrameSlice) -> bool {
        self.handle.is(&other.handle)
    }
    /// Grows over `next` when it is the octets right behind this slice.
    #[inline]
    pub(crate) fn join(&mut self, next: &FrameSlice) -> bool {
        self.join_parts(&next.handle, next.offset, next.len)
    }
    /// The same of a slice with these parts.
    #[inline]
    pub(crate) fn join_parts(&mut self, handle: &Handle, offset: u32, len: u32) -> bool {
        let adjacent = self.handle.is(handle) && self.offset + self.len == offset;
        if adjacent {
            self.len += len;
        }
        adjacent
    }
    #[inline]
    /// Counts octets that were copied out of here by someone else.
    pub fn count_copied(&self, octets: usize) {
        self.handle.count_copied(octets);
    }
}

/// Octets with others in front of them that are to be written, in a frame that nobody else holds. See
/// [`FrameSlice::behind`].
pub struct Behind<'a> {
    handle: &'a mut Handle,
    start: u32,
    end: u32,
    front: usize,
}

impl Behind<'_> {
    /// What is to be written, and what is behind it. There always is.
    #[inline(always)] // for each packet
    pub fn parts(&mut self) -> Option<(&mut [u8], &[u8])> {
        let octets = self.handle.filled_mut(self.start, self.end)?;
        let (front, rest) = octets.split_at_mut_checked(self.front)?;
        Some((front, rest))
    }
    /// The same where it is as long as `FRONT`.
    #[inline(always)] // as above
    pub fn parts_of<const FRONT: usize>(&mut self) -> Option<(&mut [u8; FRONT], &[u8])> {
        let octets = self.handle.filled_mut(self.start, self.end)?;
        let (front, rest) = octets.split_first_chunk_mut()?;
        Some((front, rest))
    }
    /// All of it.
    #[inline(always)] // as above
    pub fn into_slice(self) -> FrameSlice {
        FrameSlice { handle: self.handle.share(), offset: self.start, len: self.end - self.start }
    }
}

impl Deref for FrameSlice {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.handle.bytes(self.offset, self.offset + self.len)
    }
}

impl AsRef<[u8]> for FrameSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl core::fmt::Debug for FrameSlice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FrameSlice({:?}, {} + {})", self.handle.kind(), self.offset, self.len)
    }
}

//! The frame pool as everyone sees it.
//! Owns: classes, the budget, the reserve for control segments, the figures.
//! Must not know: memory (`raw`), the order of free lists (`blocks`).

use crate::blocks::{BLOCK_OCTETS, Kind};
use crate::frame::Frame;
use crate::raw::{Handle, Pool};
use crate::slice::FrameSlice;

/// How much memory a pool may use.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The whole budget in octets, headers and reserve included. Rounded down to blocks of about
    /// 66 KiB, up to the reserve and one block. Memory is touched only when it is first used.
    pub octets: usize,
    /// Small frames kept for [`FramePool::take_control`], rounded up to a block of 264.
    pub reserve_small: u32,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig { octets: 64 << 20, reserve_small: 264 }
    }
}

/// Sizes of frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// 256 octets in all: acknowledgements, handshakes, short writes, compacted leftovers.
    Small,
    /// 2112 octets in all: a packet of an Ethernet MTU with room for headers.
    Full,
    /// 67,584 octets in all: the largest IP packet with room for headers.
    Large,
}

impl Class {
    const fn kind(self) -> Kind {
        match self {
            Class::Small => Kind::Small,
            Class::Full => Kind::Full,
            Class::Large => Kind::Large,
        }
    }
}

/// Figures of a pool at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolStats {
    /// Octets the pool may use in all.
    pub budget_octets: usize,
    /// Octets of the frames that are out, headers included. Frames that other threads have given
    /// up count until [`FramePool::reclaim`].
    pub used_octets: usize,
    /// The most octets of blocks that were cut into frames at one time, the reserve included:
    /// about what the pool costs in memory.
    pub peak_octets: usize,
    /// Small frames out, those of the reserve included.
    pub small_out: u32,
    /// Frames of the reserve in all.
    pub reserve: u32,
    /// Of `small_out`, frames of the reserve.
    pub reserve_out: u32,
    /// Full frames out.
    pub full_out: u32,
    /// Large frames out.
    pub large_out: u32,
    /// References lent to other threads and not yet counted home.
    pub lent: usize,
    /// Octets copied in and out of frames by this crate's own methods, since the start.
    pub octets_copied: u64,
    /// Requests for a frame refused, since the start.
    pub refused: u64,
}

/// Memory for packets and queues, cut once, for one thread. Cloning gives another handle to the
/// same pool; frames may outlive every handle.
#[derive(Clone)]
pub struct FramePool {
    raw: Pool,
}

impl FramePool {
    /// A pool within `config`. Aborts when the system refuses the address space.
    pub fn new(config: &PoolConfig) -> FramePool {
        let reserved = (config.reserve_small as usize).div_ceil(usize::from(Kind::Reserve.slots()));
        FramePool { raw: Pool::new(config.octets / BLOCK_OCTETS, reserved) }
    }

    /// An empty frame of `class`, its first octet `headroom` octets in (at most all of them).
    /// `None`: the budget is used up.
    #[inline(always)] // for each write
    pub fn take(&self, class: Class, headroom: usize) -> Option<Frame> {
        let kind = class.kind();
        let start = start(kind, headroom);
        let handle = self.raw.take(kind, start).or_else(|| self.take_again(kind, start))?;
        Some(Frame::fresh(handle, start))
    }

    /// An empty small frame for a segment that must not fail for want of memory: an
    /// acknowledgement, a reset. Takes from the reserve when all else is used up.
    #[inline]
    pub fn take_control(&self, headroom: usize) -> Option<Frame> {
        let start = start(Kind::Small, headroom);
        let handle = match self.raw.take(Kind::Small, start) {
            Some(handle) => handle,
            None => self.take_reserved(start)?,
        };
        Some(Frame::fresh(handle, start))
    }

    /// Whether [`FramePool::take_control`] finds a frame.
    #[inline]
    pub fn has_control(&self) -> bool {
        self.raw.has_shelved(Kind::Small) || self.finds_control()
    }

    #[cold]
    fn finds_control(&self) -> bool {
        self.take_control(0).is_some()
    }

    /// A copy of a few `octets`, at most [`FramePool::data_octets`] of a small frame with `headroom` octets in
    /// front. `None`: the budget is used up, or there are more of them.
    #[inline(always)] // for each write
    pub fn copy_of_few(&self, octets: &[u8], headroom: usize) -> Option<FrameSlice> {
        self.copy_in(Class::Small, headroom, octets)
    }

    /// A copy of `octets` with `headroom` octets in front, in a frame of `class`. `None`: the budget is used up, or there are
    /// more of them.
    #[inline(always)] // for each short write and each piece of a long one
    pub(crate) fn copy_in(
        &self,
        class: Class,
        headroom: usize,
        octets: &[u8],
    ) -> Option<FrameSlice> {
        let kind = class.kind();
        let start = start(kind, headroom);
        let handle = match self.raw.take_copy(kind, start, octets) {
            Some(handle) => handle,
            None => self.take_other_copy(kind, start, octets)?,
        };
        Some(FrameSlice::from_parts(handle, start, octets.len() as u32))
    }

    /// A copy of `octets` with `headroom` octets in front, in the smallest frame that holds both.
    /// `None`: the budget is used up, or they are longer than a large frame.
    pub fn copy_of(&self, octets: &[u8], headroom: usize) -> Option<FrameSlice> {
        let total = octets.len().saturating_add(headroom);
        let classes = [Class::Small, Class::Full, Class::Large];
        let class = classes.into_iter().find(|class| total <= FramePool::data_octets(*class))?;
        let mut frame = self.take(class, headroom)?;
        frame.extend(octets);
        Some(frame.into_slice())
    }

    /// Octets of a fresh frame of `class`, headroom included.
    pub const fn data_octets(class: Class) -> usize {
        class.kind().capacity() as usize
    }

    /// Octets of memory a frame of `class` takes. Frames of a class never overlap and lie at
    /// multiples of this in their block, and blocks are a multiple of it: so
    /// [`Frame::region_offset`] divided by it tells frames of one class apart.
    pub const fn frame_octets(class: Class) -> usize {
        class.kind().octets()
    }

    /// The memory all frames lie in, page-aligned, for a device that hands frames to a kernel or
    /// to hardware: it can be registered once, and frames named by their
    /// [`Frame::region_offset`].
    ///
    /// Reading or writing through it is unsafe code, whoever does it, and sound only so: a handle
    /// of this pool is kept as long; written is what is held as a [`Frame`], and nobody looks at
    /// its octets meanwhile; read is what is held as a [`FrameSlice`].
    pub fn region(&self) -> core::ptr::NonNull<[u8]> {
        self.raw.region()
    }

    /// The figures now.
    pub fn stats(&self) -> PoolStats {
        let blocks = self.raw.blocks();
        let reserve_out = blocks.out(Kind::Reserve);
        PoolStats {
            budget_octets: blocks.budget_octets(),
            used_octets: blocks.used_octets(),
            peak_octets: blocks.peak_octets(),
            small_out: blocks.out(Kind::Small) + reserve_out,
            reserve: blocks.total(Kind::Reserve),
            reserve_out,
            full_out: blocks.out(Kind::Full),
            large_out: blocks.out(Kind::Large),
            lent: self.raw.lent(),
            octets_copied: self.raw.copied(),
            refused: self.raw.refused(),
        }
    }

    /// Takes home the frames that other threads have given up, and tells how many. Cheap when
    /// there are none: call it every turn.
    #[inline]
    pub fn reclaim(&self) -> usize {
        self.raw.reclaim()
    }

    /// Whether more than seven eighths of the budget are used: less than one eighth is left that
    /// data could be put in.
    #[inline]
    pub fn is_tight(&self) -> bool {
        !self.raw.blocks().has_an_eighth_unopened() && self.lacks_an_eighth()
    }

    #[cold]
    fn lacks_an_eighth(&self) -> bool {
        let blocks = self.raw.blocks();
        let tight = || blocks.available_octets() < blocks.budget_octets() / 8;
        // A block all of whose frames are on shelves counts only when they are back in it.
        tight() && {
            self.raw.clear_shelves();
            tight()
        }
    }

    /// Whether both handles are of one pool.
    pub fn is(&self, other: &FramePool) -> bool {
        self.raw.is(&other.raw)
    }

    pub(crate) fn raw(&self) -> &Pool {
        &self.raw
    }

    #[cold]
    fn take_again(&self, kind: Kind, start: u32) -> Option<Handle> {
        self.gather();
        let handle = self.raw.take(kind, start);
        if handle.is_none() {
            self.raw.count_refused();
        }
        handle
    }

    /// A copy of `octets` that was not to be had at once.
    #[cold]
    fn take_other_copy(&self, kind: Kind, start: u32, octets: &[u8]) -> Option<Handle> {
        // A frame that comes back lies on its shelf, if it may: else they were too many, or there is none.
        drop(self.raw.take(kind, start).or_else(|| self.take_again(kind, start))?);
        self.raw.take_copy(kind, start, octets)
    }

    #[cold]
    fn take_reserved(&self, start: u32) -> Option<Handle> {
        self.gather();
        let small = self.raw.take(Kind::Small, start);
        let handle = small.or_else(|| self.raw.take(Kind::Reserve, start));
        if handle.is_none() {
            self.raw.count_refused();
        }
        handle
    }

    /// Makes all that is at home available to every class.
    fn gather(&self) {
        self.reclaim();
        self.raw.clear_shelves();
    }
}

/// Where a frame begins that is asked for with `headroom`.
#[inline]
fn start(kind: Kind, headroom: usize) -> u32 {
    headroom.min(kind.capacity() as usize) as u32
}

impl core::fmt::Debug for FramePool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.stats().fmt(f)
    }
}

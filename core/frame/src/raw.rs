//! The pool's memory. The one file of the core with unsafe code; everything it offers the rest
//! of the crate is sound whatever the caller does.
//! Owns: the region, frame headers, reference counts, the way home from other threads. Beside it, without unsafe code: what
//! can be told of them (`raw/facts`), and which references are lent (`raw/lent`).
//! Must not know: what the octets mean, or which frame is best taken (`blocks`).
//!
//! The rules everything below rests on:
//! 1. A frame is *out* from `Pool::take` until its count falls to zero at home. Its header is
//!    written as a whole when a block gives it; while it is out, its home thread alone touches
//!    `refs` and `filled`, and when it is at home nobody else touches any of it.
//! 2. Octets below `filled` are never written while two references exist; octets from `filled`
//!    on are never read through a shared reference. So appending never meets a reader.
//! 3. Another thread touches only `returned` (atomic), `next` (by whoever moved `returned` off
//!    zero), `home`, which never changes, and the octets its own reference covers.
//!    At home, on a shelf or in a block, `returned` is zero: nobody has a reference to give up.
//! 4. The pool is freed by whoever takes away its last reference: see `close`.
//! 5. `Pool::region` tells where the region is, for a device whose kernel or hardware reads and
//!    writes frames by itself. Whoever makes that happen does so by unsafe code of their own, and
//!    answers for it: written are frames held as `Frame` and not looked at meanwhile, read are
//!    octets held as a slice, and a handle of the pool is kept for as long.
#![allow(unsafe_code)]

mod facts;
mod lent;

use crate::blocks::{BLOCK_OCTETS, Blocks, HEADER_OCTETS, Kind, MOST_BLOCKS, Place};
use crate::copy::STEP;
use crate::spill::SpillShelf;
use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use alloc::boxed::Box;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::Ordering::{AcqRel, Acquire};
use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32};

/// Where frames start: a page boundary.
const REGION_ALIGN: usize = 4096;

/// In front of every frame.
#[repr(C, align(32))]
struct Header {
    home: NonNull<Core>,
    /// Link of the list of frames on their way home, or on a shelf.
    next: Cell<*mut Header>,
    /// References, lent ones included until they are counted at home.
    refs: Cell<u32>,
    /// Data octets that may hold something; in a frame of a block, the link of the free list.
    filled: Cell<u32>,
    /// References given up on other threads and not yet counted.
    returned: AtomicU32,
    place: Place,
}

const _: () = assert!(size_of::<Header>() <= HEADER_OCTETS);

/// What other threads touch, on a cache line of its own.
#[repr(align(64))]
struct Shared {
    /// Frames with `returned` above zero, last first; [`CLOSED`] when home is no more.
    arrivals: AtomicPtr<Header>,
    /// After closing: references still lent out. Below zero while home has not yet told how many.
    remaining: AtomicIsize,
}

struct Core {
    /// Frames at home that are taken first, the last to come in front: one list per kind.
    shelves: [Cell<*mut Header>; 4],
    blocks: Blocks,
    /// What emptied chains leave. They have no slices, so whoever frees the pool may drop them.
    spills: SpillShelf,
    /// References on the home thread: pools and handles.
    local: Cell<usize>,
    /// References on other threads, as far as is known at home.
    lent: Cell<usize>,
    copied: Cell<u64>,
    refused: Cell<u64>,
    base: NonNull<u8>,
    allocation: NonNull<u8>,
    layout: Layout,
    shared: Shared,
}

/// The mark of a pool whose home thread has let go. No header has this address.
const CLOSED: *mut Header = ptr::dangling_mut();

/// A counted reference to a pool, for its home thread.
pub(crate) struct Pool(NonNull<Core>);

impl Pool {
    /// A pool of `blocks` blocks, `reserved` of them for the reserve. Memory is not touched yet.
    pub(crate) fn new(blocks: usize, reserved: usize) -> Pool {
        let blocks = blocks.clamp(reserved + 1, MOST_BLOCKS);
        // Asked for with a small alignment: the allocator takes zeroed pages as they come only
        // then, and would write (touch) all of them for a larger one.
        let Ok(layout) = Layout::from_size_align(blocks * BLOCK_OCTETS + REGION_ALIGN, 16) else {
            panic!("a frame pool of {blocks} blocks is beyond the address space");
        };
        // Not safely: a Vec<u8> would have to be written through, and cannot be shared in parts.
        // SAFETY: the layout is not of size zero.
        let Some(allocation) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            handle_alloc_error(layout);
        };
        let skip = allocation.as_ptr().align_offset(REGION_ALIGN);
        // Not safely: address arithmetic.
        // SAFETY: `skip` is below REGION_ALIGN, which the allocation has in excess.
        let base = unsafe { allocation.add(skip) };
        let core = Core {
            shelves: [const { Cell::new(ptr::null_mut()) }; 4],
            blocks: Blocks::new(blocks, reserved),
            spills: SpillShelf::default(),
            local: Cell::new(1),
            lent: Cell::new(0),
            copied: Cell::new(0),
            refused: Cell::new(0),
            base,
            allocation,
            layout,
            shared: Shared {
                arrivals: AtomicPtr::new(ptr::null_mut()),
                remaining: AtomicIsize::new(0),
            },
        };
        Pool(NonNull::from(Box::leak(Box::new(core))))
    }

    #[inline]
    fn core(&self) -> &Core {
        // Not safely: the last owner may be on another thread, and no Rc or Arc counts both ways.
        // SAFETY: `self` is one of the references `local` counts; the core lives while any exist.
        unsafe { self.0.as_ref() }
    }

    /// A frame of `kind` whose filled mark is at `start`, or its end if that is nearer; `None` when
    /// the budget is used up.
    #[inline(always)] // for each packet
    pub(crate) fn take(&self, kind: Kind, start: u32) -> Option<Handle> {
        let core = self.core();
        let frame = match core.off_shelf(kind) {
            Some(frame) => frame,
            None => core.off_block(self.0, kind)?,
        };
        Some(core.let_out(frame, start.min(kind.capacity())))
    }

    /// The frame of `kind` that came home last, with `octets` from `start` on. `None`: none did, or they do not fit.
    #[inline(always)] // for each short write
    pub(crate) fn take_copy(&self, kind: Kind, start: u32, octets: &[u8]) -> Option<Handle> {
        let room = kind.capacity().checked_sub(start)?;
        if octets.len() > room as usize {
            return None;
        }
        let core = self.core();
        let handle = core.let_out(core.off_shelf(kind)?, start + octets.len() as u32);
        // Not safely: what is written would be looked up in the header again.
        // SAFETY: so many octets from `start` on lie inside the frame, which has just left home: nobody else refers to
        // it.
        unsafe {
            let target = handle.data().add(start as usize).as_ptr();
            copy_out(octets, target);
        }
        core.copied.set(core.copied.get().wrapping_add(octets.len() as u64));
        Some(handle)
    }

    /// Whether a frame of `kind` lies on its shelf.
    #[inline]
    pub(crate) fn has_shelved(&self, kind: Kind) -> bool {
        !self.core().shelves[kind as usize].get().is_null()
    }

    /// Puts the frames of all shelves back into their blocks, which may then serve other kinds.
    pub(crate) fn clear_shelves(&self) {
        let core = self.core();
        for kind in Kind::ALL {
            while let Some(frame) = core.off_shelf(kind) {
                // Not safely: the header lies in raw memory.
                // SAFETY: written when the frame's block gave it; no one else refers to it.
                core.to_block(unsafe { frame.as_ref() });
            }
        }
    }

    /// Where all frames lie (rule 5).
    pub(crate) fn region(&self) -> NonNull<[u8]> {
        let core = self.core();
        NonNull::slice_from_raw_parts(core.base, core.blocks.budget_octets())
    }
}

impl Clone for Pool {
    fn clone(&self) -> Pool {
        let core = self.core();
        core.local.set(core.local.get() + 1);
        Pool(self.0)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        release_local(self.0);
    }
}

impl Core {
    #[inline]
    fn header_at(&self, place: Place) -> NonNull<Header> {
        let offset = place.octet_offset();
        // Not safely: address arithmetic.
        // SAFETY: places are made by the block table only, for blocks the region has.
        unsafe { self.base.add(offset) }.cast()
    }

    #[inline]
    fn link_of(&self, place: Place) -> u16 {
        // Not safely: the header lies in raw memory.
        // SAFETY: asked only for frames on a free list, whose headers were written by `take`.
        unsafe { self.header_at(place).as_ref() }.filled.get() as u16
    }

    /// The frame of `kind` that came home last.
    #[inline]
    fn off_shelf(&self, kind: Kind) -> Option<NonNull<Header>> {
        let shelf = &self.shelves[kind as usize];
        let frame = NonNull::new(shelf.get())?;
        // Not safely: the header lies in raw memory.
        // SAFETY: frames on a shelf are at home, their headers written (`off_block`).
        shelf.set(unsafe { frame.as_ref() }.next.get());
        self.blocks.unshelve(kind);
        Some(frame)
    }

    /// A frame that has just left its shelf or its block, its filled mark at `filled`, which it reaches to.
    #[inline(always)] // for each packet
    fn let_out(&self, frame: NonNull<Header>, filled: u32) -> Handle {
        // Not safely: the header lies in raw memory.
        // SAFETY: it was written when the frame's block gave it, and the frame has just left home:
        // no one else refers to it (rule 1).
        let header = unsafe { frame.as_ref() };
        header.refs.set(1);
        header.filled.set(filled);
        self.local.set(self.local.get() + 1);
        Handle(frame)
    }

    /// A frame of a block, its header new. `home` is this core.
    #[inline(never)]
    fn off_block(&self, home: NonNull<Core>, kind: Kind) -> Option<NonNull<Header>> {
        let place = self.blocks.take(kind, |place| self.link_of(place))?;
        let header = self.header_at(place);
        let fresh = Header {
            home,
            next: Cell::new(ptr::null_mut()),
            refs: Cell::new(0),
            filled: Cell::new(0),
            returned: AtomicU32::new(0),
            place,
        };
        // Not safely: the header lies in raw memory.
        // SAFETY: `place` came from the block table, so it lies in the region, aligned, and no
        // one else refers to it (rule 1).
        unsafe { header.write(fresh) };
        Some(header)
    }

    /// Takes a frame home whose last reference is gone.
    #[inline]
    fn give(&self, header: &Header) {
        let line = header.place.line();
        if self.blocks.shelve(line) {
            let shelf = &self.shelves[line];
            header.next.set(shelf.replace(ptr::from_ref(header).cast_mut()));
        } else {
            self.to_block(header);
        }
    }

    #[cold]
    fn to_block(&self, header: &Header) {
        header.filled.set(u32::from(self.blocks.give(header.place)));
    }

    /// Counts the references of a list of arrivals. Frames that came home.
    fn absorb(&self, mut list: *mut Header) -> usize {
        let mut home = 0;
        while let Some(pointer) = NonNull::new(list) {
            // Not safely: the list is made of pointers by other threads.
            // SAFETY: whoever pushed the frame held a reference that is counted only below.
            let header = unsafe { pointer.as_ref() };
            // Read first: once `returned` is zero, the next one to come back writes it.
            list = header.next.get();
            let returned = header.returned.swap(0, AcqRel);
            let refs = header.refs.get() - returned;
            header.refs.set(refs);
            self.lent.set(self.lent.get() - returned as usize);
            if refs == 0 {
                self.give(header);
                home += 1;
            }
        }
        home
    }
}

/// A counted reference to a frame, for its home thread. Offsets count from the first data octet.
pub(crate) struct Handle(NonNull<Header>);

impl Handle {
    #[inline]
    fn header(&self) -> &Header {
        // Not safely: the header lies in raw memory.
        // SAFETY: `self` is one of the references that keep the frame out and its header written.
        unsafe { self.0.as_ref() }
    }
    #[inline]
    fn home(&self) -> &Core {
        // Not safely: see `Pool::core`.
        // SAFETY: `self` is one of the references that `local` counts, so the core lives.
        unsafe { self.header().home.as_ref() }
    }
    #[inline]
    fn data(&self) -> NonNull<u8> {
        // Not safely: address arithmetic.
        // SAFETY: every frame is longer than its header.
        unsafe { self.0.cast::<u8>().add(HEADER_OCTETS) }
    }

    /// As [`Clone`], of what most often is the only reference.
    #[inline(always)] // for each packet
    pub(crate) fn share(&mut self) -> Handle {
        if !self.is_unique() {
            return self.clone();
        }
        self.header().refs.set(2);
        let local = &self.home().local;
        local.set(local.get() + 1);
        Handle(self.0)
    }
    /// Octets `from..to`. Panics beyond the filled mark, which is a mistake of this crate.
    #[inline]
    pub(crate) fn bytes(&self, from: u32, to: u32) -> &[u8] {
        assert!(from <= to && to <= self.header().filled.get());
        // Not safely: frames share a region, and references of several handles overlap.
        // SAFETY: below the filled mark, so inside the frame; never written while another
        // reference exists (rule 2), nor through this one while `self` is borrowed. The region
        // began zeroed, so all of it is initialised.
        unsafe {
            slice::from_raw_parts(self.data().add(from as usize).as_ptr(), (to - from) as usize)
        }
    }

    /// Octets `from..to` to write, when no other reference exists and the frame has them.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, from: u32, to: u32) -> Option<&mut [u8]> {
        self.bytes_mut_up_to(self.capacity(), from, to)
    }

    /// The same below the filled mark.
    #[inline(always)] // for each packet
    pub(crate) fn filled_mut(&mut self, from: u32, to: u32) -> Option<&mut [u8]> {
        self.bytes_mut_up_to(self.header().filled.get(), from, to)
    }

    /// The same below `end`, which is not beyond the capacity.
    #[inline(always)] // for both
    fn bytes_mut_up_to(&mut self, end: u32, from: u32, to: u32) -> Option<&mut [u8]> {
        if !self.is_unique() || from > to || to > end {
            return None;
        }
        let (start, len) = (from as usize, (to - from) as usize);
        // Not safely: frames share a region.
        // SAFETY: inside the frame, and this is its only reference, borrowed mutably; the region
        // began zeroed, so all of it is initialised.
        Some(unsafe { slice::from_raw_parts_mut(self.data().add(start).as_ptr(), len) })
    }

    /// Puts the filled mark at `to` and gives octets `from..to` to write; `None` as in `bytes_mut`.
    #[inline]
    pub(crate) fn open(&mut self, from: u32, to: u32) -> Option<&mut [u8]> {
        if self.set_filled(to) { self.bytes_mut(from, to) } else { None }
    }

    /// Puts the filled mark at `to`, when no other reference exists and the frame reaches so far.
    #[inline]
    pub(crate) fn set_filled(&mut self, to: u32) -> bool {
        let possible = self.is_unique() && to <= self.capacity();
        if possible {
            self.header().filled.set(to);
        }
        possible
    }

    /// Appends what fits of `octets`, when the filled mark is at `at`. Octets appended.
    #[inline]
    pub(crate) fn append(&mut self, at: u32, octets: &[u8]) -> usize {
        if self.header().filled.get() != at {
            return 0;
        }
        let octets = octets.get(..(self.capacity() - at) as usize).unwrap_or(octets);
        let count = octets.len();
        // Not safely: other references to the frame may exist, so there is no `&mut` to it.
        // SAFETY: the target lies inside the frame from the filled mark on, where nobody reads
        // (rule 2), so it cannot overlap `octets` either.
        unsafe {
            let target = self.data().add(at as usize).as_ptr();
            copy_out(octets, target);
        }
        self.header().filled.set(at + count as u32);
        self.count_copied(count);
        count
    }

    /// From the local count to the lent one.
    fn leave(self) -> NonNull<Header> {
        let frame = ManuallyDrop::new(self).0;
        // Not safely: the header lies in raw memory.
        // SAFETY: the reference just taken out of `self` still counts.
        let home = unsafe { frame.as_ref() }.home;
        // SAFETY: likewise; and `local` is above zero still. (Not safely: see `Pool::core`.)
        let core = unsafe { home.as_ref() };
        core.lent.set(core.lent.get() + 1);
        release_local(home);
        frame
    }
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Handle {
        let (header, home) = (self.header(), self.home());
        let refs = header.refs.get();
        // Reached only by forgetting clones; wrapping would free a frame in use.
        assert!(refs < u32::MAX / 2);
        header.refs.set(refs + 1);
        home.local.set(home.local.get() + 1);
        Handle(self.0)
    }
}

impl Drop for Handle {
    #[inline(never)] // a few steps; what ends a chain is so small then that it is no call where there is nothing
    fn drop(&mut self) {
        let header = self.header();
        let home = header.home;
        let refs = header.refs.get() - 1;
        header.refs.set(refs);
        if refs == 0 {
            self.home().give(header);
        }
        release_local(home);
    }
}

/// One local reference less; the last one closes the pool.
#[inline]
fn release_local(home: NonNull<Core>) {
    // Not safely: see `Pool::core`.
    // SAFETY: the caller's reference still counts. The borrow ends before `close` may free it.
    let left = unsafe {
        let core = home.as_ref();
        let left = core.local.get() - 1;
        core.local.set(left);
        left
    };
    if left == 0 {
        close(home);
    }
}

/// The home thread lets go: nobody at home can refer to the pool any more. Frees it, or leaves
/// that to the thread that gives up the last lent reference.
#[cold]
fn close(home: NonNull<Core>) {
    // Not safely: see `Pool::core`.
    // SAFETY: nobody frees the core before `remaining` has been told below.
    let core = unsafe { home.as_ref() };
    if core.lent.get() != 0 {
        core.absorb(core.shared.arrivals.swap(CLOSED, AcqRel));
    }
    // From here on whoever gives up a reference takes it off `remaining`, below zero if need be:
    // the one that brings the sum to zero, here or there, is the last.
    let lent = core.lent.get() as isize;
    if lent == 0 || core.shared.remaining.fetch_add(lent, AcqRel) + lent == 0 {
        free(home);
    }
}

/// Frees the pool. Called once, by the owner of the last reference.
fn free(home: NonNull<Core>) {
    // Not safely: memory obtained by hand is freed by hand.
    // SAFETY: the core came from a leaked box, the region from this allocator and layout; no
    // reference to either is left, on any thread (`close`).
    unsafe {
        let core = Box::from_raw(home.as_ptr());
        dealloc(core.allocation.as_ptr(), core.layout);
    }
}

/// Gives up a lent reference, on any thread. Never blocks, never allocates.
fn give_back(frame: NonNull<Header>) {
    // Not safely: the header lies in raw memory.
    // SAFETY: the caller's reference keeps frame and core until it is counted, which happens
    // after the last use of either below.
    let (header, home) = unsafe { (frame.as_ref(), frame.as_ref().home) };
    if header.returned.fetch_add(1, AcqRel) != 0 {
        return; // on the list already; ours is counted with it
    }
    // SAFETY: as above; only this thread can have the frame counted now. (Not safely: as above.)
    let shared = unsafe { &(*home.as_ptr()).shared };
    let mut head = shared.arrivals.load(Acquire);
    while head != CLOSED {
        header.next.set(head);
        match shared.arrivals.compare_exchange_weak(head, frame.as_ptr(), AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
    let returned = header.returned.swap(0, AcqRel) as isize;
    if shared.remaining.fetch_sub(returned, AcqRel) == returned {
        free(home);
    }
}

/// A reference to some octets of a frame, for any thread.
pub(crate) struct LentHandle {
    frame: NonNull<Header>,
    from: u32,
    len: u32,
}

// Not safely: a type with a pointer is not Send by itself.
// SAFETY: it reads octets that nobody writes while it exists (rule 2), and drops by `give_back` (`lent`).
unsafe impl Send for LentHandle {}
// Not safely: as above.
// SAFETY: a shared one can only be read.
unsafe impl Sync for LentHandle {}

impl LentHandle {
    /// The octets.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // Not safely: frames share a region.
        // SAFETY: `Handle::lend` saw the range below the filled mark, and octets there are not
        // written while this reference exists (rule 2).
        unsafe {
            let start = self.frame.cast::<u8>().add(HEADER_OCTETS + self.from as usize);
            slice::from_raw_parts(start.as_ptr(), self.len as usize)
        }
    }
}

/// The only reference to a frame, for any thread.
pub(crate) struct LentUnique(ManuallyDrop<Handle>);

// Not safely: a type with a pointer is not Send by itself.
// SAFETY: being the only reference, it may touch all of the frame's header and octets; it is
// never cloned or dropped as a handle (`lent`), so the pool's own cells stay untouched.
unsafe impl Send for LentUnique {}

fn home_of(frame: NonNull<Header>) -> NonNull<Core> {
    // Not safely: the header lies in raw memory.
    // SAFETY: called with a lent reference in hand; `home` never changes while the frame is out.
    unsafe { frame.as_ref() }.home
}

/// Copies `octets` to a place, in steps as [`copy`](crate::copy::copy) does.
///
/// # Safety
/// There is room for all of them at `target`, where nobody reads meanwhile, and they are elsewhere.
#[inline(always)] // most are few
unsafe fn copy_out(octets: &[u8], target: *mut u8) {
    if octets.len() > STEP {
        // SAFETY: as for this function.
        return unsafe { copy_out_long(octets, target) };
    }
    // SAFETY: as for this function.
    unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), target, octets.len()) }
}

/// The same of more than a step.
///
/// # Safety
/// The same.
#[inline(never)]
unsafe fn copy_out_long(octets: &[u8], target: *mut u8) {
    let mut target = target;
    for step in octets.chunks(STEP) {
        // SAFETY: what was copied before and this step together are no longer than all, for which there is room.
        unsafe {
            ptr::copy_nonoverlapping(step.as_ptr(), target, step.len());
            target = target.add(step.len());
        }
    }
}

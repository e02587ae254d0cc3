//! The global allocator, counted. Owns: live octets and blocks of this process's heap.
//! Must not know: who asks for memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static OCTETS: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the heap holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heap {
    /// Octets as they were asked for.
    pub octets: usize,
    /// Allocations.
    pub blocks: usize,
}

/// What the heap holds now.
pub fn heap() -> Heap {
    Heap { octets: OCTETS.load(Relaxed), blocks: BLOCKS.load(Relaxed) }
}

fn add(octets: usize) {
    OCTETS.fetch_add(octets, Relaxed);
    BLOCKS.fetch_add(1, Relaxed);
}

fn subtract(octets: usize) {
    OCTETS.fetch_sub(octets, Relaxed);
    BLOCKS.fetch_sub(1, Relaxed);
}

// SAFETY: every call goes to the system's allocator with the caller's arguments unchanged, and its
// answer comes back unchanged; counting touches no memory but two atomics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            add(layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above. Passed on as itself so that large blocks stay untouched.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            add(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from the system's allocator with this layout.
        unsafe { System.dealloc(block, layout) };
        subtract(layout.size());
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, octets: usize) -> *mut u8 {
        // SAFETY: `block` came from the system's allocator with this layout; the caller vouches for
        // `octets`.
        let moved = unsafe { System.realloc(block, layout, octets) };
        if !moved.is_null() {
            subtract(layout.size());
            add(octets);
        }
        moved
    }
}

//! The global allocator, counted. Owns: live octets and blocks that each thread has asked for.
//! Must not know: who asks for memory.
//!
//! Each thread counts for itself, so that tests beside each other do not see each other's; what is
//! freed on another thread than it came from is the other's loss, and may make its count negative.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy)]
struct Counts {
    octets: usize,
    blocks: usize,
    allocations: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { octets: 0, blocks: 0, allocations: 0 }) };
}

/// What this thread's heap holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heap {
    /// Octets as they were asked for.
    pub octets: usize,
    /// Allocations.
    pub blocks: usize,
}

/// What this thread's heap holds now.
pub fn heap() -> Heap {
    let counts = COUNTS.get();
    Heap { octets: counts.octets, blocks: counts.blocks }
}

/// How often this thread has asked for memory, growing included.
pub fn allocations() -> usize {
    COUNTS.get().allocations
}

fn add(octets: usize) {
    let counts = COUNTS.get();
    COUNTS.set(Counts {
        octets: counts.octets.wrapping_add(octets),
        blocks: counts.blocks.wrapping_add(1),
        allocations: counts.allocations.wrapping_add(1),
    });
}

fn subtract(octets: usize) {
    let counts = COUNTS.get();
    COUNTS.set(Counts {
        octets: counts.octets.wrapping_sub(octets),
        blocks: counts.blocks.wrapping_sub(1),
        ..counts
    });
}

// SAFETY: every call goes to the system's allocator with the caller's arguments unchanged, and its
// answer comes back unchanged; counting touches no memory but a cell of this thread that needs neither
// an allocation nor a destructor.
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

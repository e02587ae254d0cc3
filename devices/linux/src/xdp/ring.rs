//! The four rings between us and the kernel.
//! Owns: the arithmetic of free-running indexes, and when the other side is told or asked.
//! Must not know: what an entry is about, system calls.
//!
//! Of each ring one side writes entries and moves `producer`, the other reads them and moves
//! `consumer`. Both indexes count on without end and wrap at 2³²; an entry's place is the index
//! modulo the ring's size, a power of two. Ours is kept here and told in one store per batch; the
//! other side's is looked up only when what was known of it is used up.

use super::sys::Mapping;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Memory a ring lies in.
pub(super) trait Memory {
    fn producer(&self) -> &AtomicU32;
    fn consumer(&self) -> &AtomicU32;
    fn flags(&self) -> &AtomicU32;
    fn words(&self) -> &[AtomicU64];
}

impl Memory for Mapping {
    fn producer(&self) -> &AtomicU32 {
        Mapping::producer(self)
    }
    fn consumer(&self) -> &AtomicU32 {
        Mapping::consumer(self)
    }
    fn flags(&self) -> &AtomicU32 {
        Mapping::flags(self)
    }
    fn words(&self) -> &[AtomicU64] {
        Mapping::words(self)
    }
}

/// What a ring's entries are, in words of 64 bits.
pub(super) trait Entry: Copy {
    const WORDS: usize;
    fn write(self, to: &[AtomicU64]);
    fn read(from: &[AtomicU64]) -> Self;
}

/// An address in fill and completion rings.
impl Entry for u64 {
    const WORDS: usize = 1;
    fn write(self, to: &[AtomicU64]) {
        if let [word] = to {
            word.store(self, Relaxed);
        }
    }
    fn read(from: &[AtomicU64]) -> u64 {
        from.first().map_or(0, |word| word.load(Relaxed))
    }
}

/// A buffer in receive and transmit rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Descriptor {
    pub(super) address: u64,
    pub(super) octets: u32,
    /// The packet goes on in the next buffer.
    pub(super) more: bool,
}

impl Entry for Descriptor {
    const WORDS: usize = 2;
    fn write(self, to: &[AtomicU64]) {
        let options = if self.more { libc::XDP_PKT_CONTD } else { 0 };
        let [l0, l1, l2, l3] = self.octets.to_ne_bytes();
        let [o0, o1, o2, o3] = options.to_ne_bytes();
        if let [address, rest] = to {
            address.store(self.address, Relaxed);
            rest.store(u64::from_ne_bytes([l0, l1, l2, l3, o0, o1, o2, o3]), Relaxed);
        }
    }
    fn read(from: &[AtomicU64]) -> Descriptor {
        let word = |at: usize| from.get(at).map_or(0, |word| word.load(Relaxed));
        let [l0, l1, l2, l3, o0, o1, o2, o3] = word(1).to_ne_bytes();
        let options = u32::from_ne_bytes([o0, o1, o2, o3]);
        Descriptor {
            address: word(0),
            octets: u32::from_ne_bytes([l0, l1, l2, l3]),
            more: options & libc::XDP_PKT_CONTD != 0,
        }
    }
}

/// The words of the entry with that index.
fn entry<E: Entry>(memory: &impl Memory, index: u32) -> &[AtomicU64] {
    let words = memory.words();
    let mask = (words.len() / E::WORDS).wrapping_sub(1);
    let at = (index as usize & mask) * E::WORDS;
    words.get(at..at + E::WORDS).unwrap_or_default()
}

fn entries<E: Entry>(memory: &impl Memory) -> u32 {
    (memory.words().len() / E::WORDS) as u32
}

/// Our side of a ring we write.
pub(super) struct Producer<M> {
    memory: M,
    size: u32,
    /// Index of the next entry to write.
    next: u32,
    /// What the kernel is known to have read.
    taken: u32,
}

impl<M: Memory> Producer<M> {
    pub(super) fn new<E: Entry>(memory: M) -> Producer<M> {
        let size = entries::<E>(&memory);
        let next = memory.producer().load(Relaxed);
        let taken = memory.consumer().load(Acquire);
        Producer { memory, size, next, taken }
    }

    /// Whether `count` more entries fit.
    pub(super) fn has_room(&mut self, count: u32) -> bool {
        let free = |taken: u32, next: u32| self.size.saturating_sub(next.wrapping_sub(taken));
        if free(self.taken, self.next) >= count {
            return true;
        }
        self.taken = self.memory.consumer().load(Acquire);
        self.size.saturating_sub(self.next.wrapping_sub(self.taken)) >= count
    }

    /// Writes an entry; there must be room. The kernel sees it when it is published.
    pub(super) fn push<E: Entry>(&mut self, value: E) {
        value.write(entry::<E>(&self.memory, self.next));
        self.next = self.next.wrapping_add(1);
    }

    /// Shows the kernel what was written.
    pub(super) fn publish(&mut self) {
        self.memory.producer().store(self.next, Release);
    }

    /// Published entries the kernel has not read.
    pub(super) fn waiting(&mut self) -> u32 {
        self.taken = self.memory.consumer().load(Acquire);
        self.next.wrapping_sub(self.taken)
    }

    /// Whether the kernel reads on only after a system call.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.memory.flags().load(Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// Our side of a ring the kernel writes.
pub(super) struct Consumer<M> {
    memory: M,
    size: u32,
    /// Index of the next entry to read.
    next: u32,
    /// What the kernel is known to have written.
    written: u32,
}

impl<M: Memory> Consumer<M> {
    pub(super) fn new<E: Entry>(memory: M) -> Consumer<M> {
        let size = entries::<E>(&memory);
        let next = memory.consumer().load(Relaxed);
        Consumer { memory, size, next, written: next }
    }

    /// Whether there is an entry to take.
    pub(super) fn has_entries(&self) -> bool {
        self.next != self.written || self.memory.producer().load(Acquire) != self.next
    }

    /// Takes the next entry. The kernel may use its place when it is released.
    pub(super) fn pop<E: Entry>(&mut self) -> Option<E> {
        if self.next == self.written {
            self.written = self.memory.producer().load(Acquire);
            let there = self.written.wrapping_sub(self.next);
            if there == 0 || there > self.size {
                self.written = self.next;
                return None;
            }
        }
        let value = E::read(entry::<E>(&self.memory, self.next));
        self.next = self.next.wrapping_add(1);
        Some(value)
    }

    /// Gives the places of what was taken back to the kernel.
    pub(super) fn release(&mut self) {
        self.memory.consumer().store(self.next, Release);
    }
}

//! Records by stable index (DESIGN §5.1: a connection's handle never changes).
//!
//! Owns: the memory of the records, which slots are free, and the generation that tells a stale
//! handle from a live one.
//! Must not know: what a record is.
//!
//! The capacity is a promise made at the start; memory follows in chunks, when first needed, so an
//! idle stack is small. A chunk never moves. The slot freed last is used first: it is still cached.

use alloc::vec::Vec;
use core::mem;
use usertcp_base::ConnId;

/// Records in one chunk.
const CHUNK: usize = 1024;
/// The end of the free list.
const NONE: u32 = u32::MAX;

/// A slab of records with generations.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Vec<Entry<T>>>,
    capacity: u32,
    used: u32,
    free: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    slot: Slot<T>,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: u32 },
    Used(T),
}

impl<T> Slab<T> {
    /// A slab for at most `capacity` records. Nothing but the table of chunks is allocated yet.
    pub fn new(capacity: u32) -> Slab<T> {
        // The top bit of an index belongs to the wheel.
        let capacity = capacity.min(1 << 31);
        let chunks = Vec::with_capacity((capacity as usize).div_ceil(CHUNK));
        Slab { chunks, capacity, used: 0, free: NONE }
    }

    /// Records in use.
    pub fn len(&self) -> u32 {
        self.used
    }

    /// Whether no record is in use.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The most records there can be.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Records that memory was committed for.
    pub fn committed(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.capacity() as u32).sum()
    }

    /// Adds the record that `make` builds for its handle; `None` when the promise is used up.
    pub fn insert_with(&mut self, make: impl FnOnce(ConnId) -> T) -> Option<ConnId> {
        if self.free == NONE {
            return self.append(make);
        }
        let slot = self.free;
        let entry = self.entry_mut(slot)?;
        let id = ConnId { slot, generation: entry.generation };
        let Slot::Free { next } = entry.slot else {
            debug_assert!(false, "the free list holds free slots");
            return None;
        };
        entry.slot = Slot::Used(make(id));
        self.free = next;
        self.used += 1;
        Some(id)
    }

    /// Adds a record.
    pub fn insert(&mut self, record: T) -> Option<ConnId> {
        self.insert_with(|_| record)
    }

    /// Takes the record of `id` out; from now on `id` is stale.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let free = self.free;
        let entry = self.entry_mut(id.slot)?;
        if entry.generation != id.generation || matches!(entry.slot, Slot::Free { .. }) {
            return None;
        }
        entry.generation = entry.generation.wrapping_add(1);
        let slot = mem::replace(&mut entry.slot, Slot::Free { next: free });
        self.free = id.slot;
        self.used -= 1;
        match slot {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// Ends the record at `index` where it is; false when there is none. Its handle is stale from now
    /// on.
    pub fn discard(&mut self, index: u32) -> bool {
        let free = self.free;
        match self.entry_mut(index) {
            Some(entry) if matches!(entry.slot, Slot::Used(_)) => {
                entry.generation = entry.generation.wrapping_add(1);
                entry.slot = Slot::Free { next: free };
            }
            _ => return false,
        }
        self.free = index;
        self.used -= 1;
        true
    }

    /// The record of `id`, unless `id` is stale.
    pub fn get(&self, id: ConnId) -> Option<&T> {
        match self.entry(id.slot)? {
            Entry { generation, slot: Slot::Used(record) } if *generation == id.generation => {
                Some(record)
            }
            _ => None,
        }
    }

    /// The same, to change.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.entry_mut(id.slot)? {
            Entry { generation, slot: Slot::Used(record) } if *generation == id.generation => {
                Some(record)
            }
            _ => None,
        }
    }

    /// The record at `index`, whatever its generation.
    pub fn at(&self, index: u32) -> Option<&T> {
        match &self.entry(index)?.slot {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// The same, to change.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.entry_mut(index)?.slot {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// The handle of the record at `index`.
    pub fn id_at(&self, index: u32) -> Option<ConnId> {
        match self.entry(index)? {
            Entry { generation, slot: Slot::Used(_) } => {
                Some(ConnId { slot: index, generation: *generation })
            }
            _ => None,
        }
    }

    /// The handle of the first record in use at `index` or behind it.
    pub fn id_from(&self, index: u32) -> Option<ConnId> {
        let end = u32::try_from(self.chunks.len() * CHUNK).unwrap_or(u32::MAX);
        (index..end).find_map(|index| self.id_at(index))
    }

    /// All records in use, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.chunks.iter().flatten().zip(0..).filter_map(|(entry, slot)| match &entry.slot {
            Slot::Used(record) => Some((ConnId { slot, generation: entry.generation }, record)),
            Slot::Free { .. } => None,
        })
    }

    /// A slot never used before, in a new chunk where the last one is full.
    fn append(&mut self, make: impl FnOnce(ConnId) -> T) -> Option<ConnId> {
        let slot = self.used;
        if slot >= self.capacity {
            return None;
        }
        if slot as usize == self.chunks.len() * CHUNK {
            let left = (self.capacity - slot) as usize;
            self.chunks.push(Vec::with_capacity(left.min(CHUNK)));
        }
        let id = ConnId { slot, generation: 0 };
        let entry = Entry { generation: 0, slot: Slot::Used(make(id)) };
        self.chunks.last_mut()?.push(entry);
        self.used += 1;
        Some(id)
    }

    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }
}

#[cfg(test)]
mod tests;

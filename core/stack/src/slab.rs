//! Records by stable index (DESIGN §5.1: a connection's handle never changes).
//!
//! Owns: the memory of the records, which slots are free, and the generation that tells a stale
//! handle from a live one.
//! Must not know: what a record is.
//!
//! The capacity is a promise and costs nothing; memory follows in chunks, when first needed. A chunk
//! never moves, and the table of chunks is small (at a hundred million anchors its largest growth
//! copies less than a megaoctet). A chunk has records of one width: wide ones have an annex each, in
//! an array beside the chunk's own, so that narrow ones do not pay for it.
//!
//! Of the free slots one in the lowest chunk that has any is taken, there the one freed last: it is
//! still cached. So after a peak the upper chunks run empty as their records end, and none begin
//! there: where the lowest ran empty first, and went, they come back for new records. What ran empty
//! goes back to the allocator, but for one chunk of each width, so that a number of records around a
//! whole chunk does not ask for memory again and again. A chunk that comes back
//! begins with generations beyond all it ever had: handles from before stay stale.

mod chunks;
mod unseen;

use alloc::vec::Vec;
use chunks::ChunkSet;
use core::mem;
pub use unseen::Unseen;
use usertcp_base::ConnId;

/// A chunk has no more octets than this, where there may be millions of records,
const CHUNK_OCTETS: usize = 384 << 10;
/// and than this, where there are few at a time.
pub(crate) const FEW: usize = 32 << 10;
/// It has no more records than this, as a power of two. Our tests have small ones, so that many come and
/// go.
const CHUNK_SHIFT: u32 = if cfg!(test) { 3 } else { 12 };
/// The end of the free list.
const NONE: u32 = u32::MAX;
/// The top bit of an index belongs to the wheel.
const INDICES: u64 = 1 << 31;

/// A slab of records, in chunks of at most `OCTETS`. `W` is what a wide record has more than a narrow one; `G` is the
/// generation of a slot.
#[derive(Debug)]
pub struct Slab<T, W = (), G = u32, const OCTETS: usize = CHUNK_OCTETS> {
    /// Those that were given back are empty.
    chunks: Vec<Chunk<T, W, G>>,
    /// Chunks with a free slot, narrow and wide ones.
    open: [ChunkSet; 2],
    /// A chunk without records that is kept, of each width.
    spare: [Option<u32>; 2],
    /// Chunks that were given back.
    absent: ChunkSet,
    capacity: u32,
    used: u32,
}

/// Some records. As many octets as a cache line has: it is found by a shift.
#[derive(Debug)]
struct Chunk<T, W, G> {
    entries: Vec<Entry<T, G>>,
    /// One for each entry, or none at all.
    annexes: Vec<W>,
    /// The first of the free slots that were used before.
    free: u32,
    used: u32,
    /// No slot of the chunk has had a higher generation.
    newest: u32,
    width: Width,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Chunk<u64, u32, u32>>() == 64);

/// Whether the records of a chunk have an annex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    Narrow,
    Wide,
}

/// In this order: the generation lies beside what a record has first.
#[derive(Debug)]
#[repr(C)]
struct Entry<T, G> {
    generation: G,
    slot: Slot<T>,
}

/// What tells a stale handle from a live one: a number, or nothing where nobody keeps handles, only indices.
pub trait Generation {
    /// Of that number.
    fn of(number: u32) -> Self;
    /// The number.
    fn number(&self) -> u32;
}

impl Generation for u32 {
    #[inline(always)]
    fn of(number: u32) -> u32 {
        number
    }
    #[inline(always)]
    fn number(&self) -> u32 {
        *self
    }
}

/// All handles are alike.
impl Generation for () {
    #[inline(always)]
    fn of(_number: u32) {}
    #[inline(always)]
    fn number(&self) -> u32 {
        0
    }
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: u32 },
    Used(T),
}

impl<T, G: Generation> Entry<T, G> {
    /// The record, if the slot is in use.
    #[inline(always)] // for each packet, as the next three
    fn record(&self) -> Option<&T> {
        match &self.slot {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// The same, to change.
    #[inline(always)]
    fn record_mut(&mut self) -> Option<&mut T> {
        match &mut self.slot {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// The record of the slot at `index`, which is this one, and its handle.
    #[inline(always)]
    fn with_id(&self, index: u32) -> Option<(ConnId, &T)> {
        let id = ConnId { slot: index, generation: self.generation.number() };
        Some((id, self.record()?))
    }

    /// The same, to change.
    #[inline(always)]
    fn with_id_mut(&mut self, index: u32) -> Option<(ConnId, &mut T)> {
        let id = ConnId { slot: index, generation: self.generation.number() };
        Some((id, self.record_mut()?))
    }

    /// The handle of its record is stale from now on: the generation of the next one. `None`: there is no record.
    #[inline(always)] // where a record is taken out, and where it gets another handle
    fn outdate(&mut self, newest: &mut u32) -> Option<u32> {
        if let Slot::Free { .. } = self.slot {
            return None;
        }
        let generation = self.generation.number().wrapping_add(1);
        self.generation = G::of(generation);
        *newest = (*newest).max(generation);
        Some(generation)
    }
}

impl<T, W, G: Generation> Chunk<T, W, G> {
    /// One more slot, which is free.
    #[inline(never)] // the others were used before
    fn lengthen(&mut self, annex: Option<W>) {
        let generation = G::of(self.newest);
        self.entries.push(Entry { generation, slot: Slot::Free { next: NONE } });
        self.annexes.extend(annex);
    }
}

impl<T, W, G: Generation, const OCTETS: usize> Slab<T, W, G, OCTETS> {
    /// Records of a chunk, as a power of two.
    const SHIFT: u32 = chunk_shift(size_of::<Entry<T, G>>(), OCTETS);
    const PLACES: usize = 1 << Self::SHIFT;
    /// One fewer, where there are many: with the allocator's own note a chunk of a power of two would
    /// begin another page.
    const CHUNK: usize = if Self::PLACES < 64 { Self::PLACES } else { Self::PLACES - 1 };

    /// A slab for at most `capacity` records. Nothing is allocated yet.
    pub fn new(capacity: u32) -> Self {
        Slab {
            chunks: Vec::new(),
            open: [ChunkSet::new(), ChunkSet::new()],
            spare: [None; 2],
            absent: ChunkSet::new(),
            capacity: capacity.min(INDICES as u32),
            used: 0,
        }
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

    /// Records that memory is committed for.
    pub fn committed(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.entries.capacity() as u32).sum()
    }

    /// No record's index is as high.
    pub fn end(&self) -> u32 {
        let Some(last) = self.chunks.last() else { return 0 };
        (((self.chunks.len() - 1) << Self::SHIFT) + last.entries.len()) as u32
    }

    /// Adds the record that `make` builds for its handle; `None` when the promise is used up.
    pub fn insert_with(&mut self, make: impl FnOnce(ConnId) -> T) -> Option<ConnId> {
        let (id, slot) = self.reserve(Width::Narrow, None)?;
        *slot = Slot::Used(make(id));
        Some(id)
    }

    /// Adds a record.
    pub fn insert(&mut self, record: T) -> Option<ConnId> {
        self.insert_with(|_| record)
    }

    /// Adds a wide record.
    pub fn insert_wide(&mut self, record: T, annex: W) -> Option<ConnId> {
        self.insert_wide_with(annex, || record)
    }

    /// Adds a record, which is wide if it has an annex.
    #[inline(always)] // in one place
    pub fn insert_of_either(&mut self, record: T, annex: Option<W>) -> Option<ConnId> {
        let width = if annex.is_some() { Width::Wide } else { Width::Narrow };
        let (id, slot) = self.reserve(width, annex)?;
        *slot = Slot::Used(record);
        Some(id)
    }

    /// Adds a wide record that `make` builds.
    #[inline]
    pub fn insert_wide_with(&mut self, annex: W, make: impl FnOnce() -> T) -> Option<ConnId> {
        let (id, slot) = self.reserve(Width::Wide, Some(annex))?;
        *slot = Slot::Used(make());
        Some(id)
    }

    /// Takes the record of `id` out; from now on `id` is stale.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get(id)?;
        match self.vacate(id.slot, mem::replace)? {
            Slot::Used(record) => Some(record),
            Slot::Free { .. } => None,
        }
    }

    /// Ends the record at `index` where it is; false when there is none. Its handle is stale from now
    /// on.
    pub fn discard(&mut self, index: u32) -> bool {
        self.vacate(index, |slot, free| *slot = free).is_some()
    }

    /// Gives the record at `index` a new handle: the old one is stale from now on, as if another record had come to
    /// the slot. `None` when there is none.
    pub fn renew(&mut self, index: u32) -> Option<ConnId> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get_mut(chunk)?;
        let entry = chunk.entries.get_mut(place)?;
        let generation = entry.outdate(&mut chunk.newest)?;
        Some(ConnId { slot: index, generation })
    }

    /// The record of `id`, unless `id` is stale.
    #[inline]
    pub fn get(&self, id: ConnId) -> Option<&T> {
        // A slot that was freed has another generation.
        self.entry(id.slot).filter(|entry| entry.generation.number() == id.generation)?.record()
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let entry = self.entry_mut(id.slot)?;
        if entry.generation.number() == id.generation { entry.record_mut() } else { None }
    }

    /// The record at `index`, whatever its generation.
    #[inline]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.entry(index)?.record()
    }

    /// The same, to change.
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entry_mut(index)?.record_mut()
    }

    /// The handle of the record at `index`.
    #[inline]
    pub fn id_at(&self, index: u32) -> Option<ConnId> {
        self.entry(index)?.with_id(index).map(|(id, _)| id)
    }

    /// The handle of the first record in use at `index` or behind it.
    pub fn id_from(&self, index: u32) -> Option<ConnId> {
        let end = u32::try_from(self.chunks.len() << Self::SHIFT).unwrap_or(u32::MAX);
        (index..end).find_map(|index| self.id_at(index))
    }

    /// The record at `index`, to change, and its handle.
    #[inline]
    pub fn with_id_mut(&mut self, index: u32) -> Option<(ConnId, &mut T)> {
        self.entry_mut(index)?.with_id_mut(index)
    }

    /// The record at `index`, its handle, and what a wide record has beside.
    #[inline]
    pub fn look_at(&self, index: u32) -> Option<(ConnId, &T, Option<&W>)> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get(chunk)?;
        let (id, record) = chunk.entries.get(place)?.with_id(index)?;
        Some((id, record, chunk.annexes.get(place)))
    }

    /// The same, to change.
    #[inline(always)] // for each packet
    pub fn look_at_mut(&mut self, index: u32) -> Option<(ConnId, &mut T, Option<&W>)> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get_mut(chunk)?;
        let (id, record) = chunk.entries.get_mut(place)?.with_id_mut(index)?;
        Some((id, record, chunk.annexes.get(place)))
    }

    /// The record at `index`, to change, and its handle, if it is a narrow one.
    #[inline(always)] // as above
    pub fn narrow_mut(&mut self, index: u32) -> Option<(ConnId, &mut T)> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get_mut(chunk)?;
        let found = chunk.entries.get_mut(place)?.with_id_mut(index);
        if chunk.annexes.is_empty() { found } else { None }
    }

    /// What the slot at `index` has beside its record, used or not; `None` where records are narrow.
    #[inline]
    pub fn annex(&self, index: u32) -> Option<&W> {
        let (chunk, place) = Self::place(index);
        self.chunks.get(chunk)?.annexes.get(place)
    }

    /// The record at `index`, and what is beside it in a wide one, both to change.
    #[inline]
    pub fn wide_mut(&mut self, index: u32) -> Option<(&mut T, &mut W)> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get_mut(chunk)?;
        let record = chunk.entries.get_mut(place)?.record_mut()?;
        Some((record, chunk.annexes.get_mut(place)?))
    }

    /// Whether a record at `index` would not be where they are when all are together in the lowest chunks, nor
    /// in as many chunks above these.
    #[inline]
    pub fn is_far_up(&self, index: u32) -> bool {
        self.is_chunk_far_up(index >> Self::SHIFT)
    }

    /// The same of all records of a chunk.
    #[inline]
    fn is_chunk_far_up(&self, chunk: u32) -> bool {
        chunk > (self.used >> Self::SHIFT) * 2 + 1
    }

    /// The slot at `index`, at which nobody has looked yet.
    #[inline]
    pub fn unseen(&self, index: u32) -> Option<Unseen<'_, T, W, G>> {
        let (chunk, place) = Self::place(index);
        let chunk = self.chunks.get(chunk)?;
        Some(Unseen { entry: chunk.entries.get(place)?, annex: chunk.annexes.get(place) })
    }

    /// All records in use, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.chunks.iter().enumerate().flat_map(|(chunk, Chunk { entries, .. })| {
            let first = (chunk << Self::SHIFT) as u32;
            entries.iter().zip(first..).filter_map(|(entry, slot)| entry.with_id(slot))
        })
    }

    #[inline]
    fn place(index: u32) -> (usize, usize) {
        ((index >> Self::SHIFT) as usize, index as usize & (Self::PLACES - 1))
    }

    #[inline]
    fn entry(&self, index: u32) -> Option<&Entry<T, G>> {
        let (chunk, place) = Self::place(index);
        self.chunks.get(chunk)?.entries.get(place)
    }

    #[inline]
    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T, G>> {
        let (chunk, place) = Self::place(index);
        self.chunks.get_mut(chunk)?.entries.get_mut(place)
    }

    /// A free slot, which counts as used from now on, and the handle of what is put there.
    #[inline(always)] // for the records of all connections
    fn reserve(&mut self, width: Width, mut annex: Option<W>) -> Option<(ConnId, &mut Slot<T>)> {
        if self.used >= self.capacity {
            return None;
        }
        let lowest = self.open[width as usize].first();
        let index = match lowest.filter(|chunk| !self.is_above_absent(*chunk)) {
            Some(chunk) => chunk,
            None => self.open_chunk(width)?,
        };
        let chunk = self.chunks.get_mut(index as usize)?;
        if chunk.free == NONE {
            chunk.free = (index << Self::SHIFT) + chunk.entries.len() as u32;
            chunk.lengthen(annex.take());
        }
        let slot = chunk.free;
        let place = slot as usize & (Self::PLACES - 1);
        if let Some((annex, kept)) = annex.zip(chunk.annexes.get_mut(place)) {
            *kept = annex;
        }
        let entry = chunk.entries.get_mut(place)?;
        let Slot::Free { next } = entry.slot else {
            debug_assert!(false, "the free list holds free slots");
            return None;
        };
        chunk.free = next;
        chunk.used += 1;
        if chunk.used as usize == Self::CHUNK {
            self.open[width as usize].remove(index);
        }
        if chunk.used == 1 && self.spare[width as usize] == Some(index) {
            self.spare[width as usize] = None;
        }
        self.used += 1;
        Some((ConnId { slot, generation: entry.generation.number() }, &mut entry.slot))
    }

    /// Whether a chunk is far up, and one below it was given back: after a peak those who came first may have gone first.
    #[inline]
    fn is_above_absent(&mut self, chunk: u32) -> bool {
        self.is_chunk_far_up(chunk) && self.absent.first().is_some_and(|absent| absent < chunk)
    }

    /// Frees the slot at `index`, if there is a record: `end` puts the second in the place of the first.
    #[inline(always)] // where a record is taken out, and where it is dropped
    fn vacate<R>(&mut self, index: u32, end: impl FnOnce(&mut Slot<T>, Slot<T>) -> R) -> Option<R> {
        let (number, place) = Self::place(index);
        let chunk = self.chunks.get_mut(number)?;
        let entry = chunk.entries.get_mut(place)?;
        entry.outdate(&mut chunk.newest)?;
        let ended = end(&mut entry.slot, Slot::Free { next: chunk.free });
        chunk.free = index;
        let was_full = chunk.used as usize == Self::CHUNK;
        chunk.used -= 1;
        self.used -= 1;
        let (width, empty) = (chunk.width, chunk.used == 0);
        if was_full {
            self.open[width as usize].insert(number as u32);
        }
        if empty {
            self.keep_or_give_back(number as u32, width);
        }
        Some(ended)
    }

    /// Memory for another chunk, in the place of one that was given back if there is one.
    #[cold]
    fn open_chunk(&mut self, width: Width) -> Option<u32> {
        let index = self.absent.first().unwrap_or(self.chunks.len() as u32);
        if u64::from(index) + 1 > INDICES >> Self::SHIFT {
            return None;
        }
        let records = Self::CHUNK.min(self.capacity as usize);
        let annexes = if width == Width::Wide { records } else { 0 };
        let (entries, annexes) = (Vec::with_capacity(records), Vec::with_capacity(annexes));
        match self.chunks.get_mut(index as usize) {
            Some(chunk) => {
                *chunk = Chunk { entries, annexes, width, ..*chunk };
                self.absent.remove(index);
            }
            None => {
                self.chunks.push(Chunk { entries, annexes, free: NONE, used: 0, newest: 0, width });
            }
        }
        self.open[width as usize].insert(index);
        Some(index)
    }

    /// A chunk ran empty: the lower one of two such is kept.
    #[cold]
    fn keep_or_give_back(&mut self, index: u32, width: Width) {
        let spare = &mut self.spare[width as usize];
        let Some(other) = spare.replace(index) else { return };
        *spare = Some(index.min(other));
        let given = index.max(other);
        self.open[width as usize].remove(given);
        self.absent.insert(given);
        if let Some(chunk) = self.chunks.get_mut(given as usize) {
            *chunk = Chunk { entries: Vec::new(), annexes: Vec::new(), free: NONE, ..*chunk };
        }
    }
}

/// As many records of `octets` as a chunk of at most `most` holds, as a power of two.
const fn chunk_shift(octets: usize, most: usize) -> u32 {
    let mut shift = CHUNK_SHIFT;
    while shift > 0 && octets << shift > most {
        shift -= 1;
    }
    shift
}

#[cfg(test)]
mod tests;

//! Small tables without a stall: what is held of connections, and a mark for each slot.
//!
//! Owns: [`Places`], records by an index that a connection's token keeps; [`Marks`], one octet for each
//! slot of a shard. Must not know: what records and marks say.

/// Records that are used at once by few of all connections, by index. The index freed last is used first.
#[derive(Debug)]
pub(crate) struct Places<T> {
    records: Vec<Option<T>>,
    free: Vec<u32>,
}

/// So many places are kept when all are free; a burst's are given back.
const KEPT: usize = 1024;

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places { records: Vec::new(), free: Vec::new() }
    }
}

impl<T> Places<T> {
    /// Adds the record that `make` builds for its index.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let place = self.free.pop().unwrap_or(self.records.len() as u32);
        let record = Some(make(place));
        match self.records.get_mut(place as usize) {
            Some(free) => *free = record,
            None => self.records.push(record),
        }
        place
    }

    /// The record at `place`.
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.records.get_mut(place as usize)?.as_mut()
    }

    /// Takes it out.
    pub(crate) fn take(&mut self, place: u32) -> Option<T> {
        let record = self.records.get_mut(place as usize)?.take()?;
        self.free.push(place);
        if self.free.len() == self.records.len() && self.records.len() > KEPT {
            *self = Places::default();
        }
        Some(record)
    }

    /// All records with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.records.iter().zip(0..).filter_map(|(record, place)| Some((place, record.as_ref()?)))
    }
}

/// One octet for each slot, zero at first. Memory follows in chunks, which never move.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    chunks: Vec<Option<Box<[u8; CHUNK]>>>,
}

const CHUNK: usize = 4096;

impl Marks {
    /// The mark of `slot`.
    pub(crate) fn get(&self, slot: u32) -> u8 {
        let chunk = self.chunks.get(slot as usize / CHUNK).and_then(Option::as_ref);
        chunk.and_then(|chunk| chunk.get(slot as usize % CHUNK)).copied().unwrap_or(0)
    }

    /// Changes it.
    pub(crate) fn set(&mut self, slot: u32, mark: u8) {
        let index = slot as usize / CHUNK;
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, || None);
        }
        if let Some(chunk) = self.chunks.get_mut(index) {
            let chunk = chunk.get_or_insert_with(|| Box::new([0; CHUNK]));
            if let Some(place) = chunk.get_mut(slot as usize % CHUNK) {
                *place = mark;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_a_burst_is_given_back() {
        let mut places = Places::default();
        let all: Vec<_> = (0..3000).map(|n| places.insert_with(|place| (n, place))).collect();
        assert_eq!(all, (0..3000).collect::<Vec<_>>());
        assert_eq!(places.take(7), Some((7, 7)));
        assert_eq!(places.take(7), None);
        assert_eq!(places.get_mut(7), None);
        assert_eq!(places.insert_with(|place| (0, place)), 7);
        assert_eq!(places.iter().count(), 3000);
        for place in all {
            assert!(places.take(place).is_some());
        }
        assert_eq!(places.records.capacity(), 0);
        assert_eq!(places.iter().count(), 0);
    }

    #[test]
    fn a_mark_is_an_octet_wherever_its_slot() {
        let mut marks = Marks::default();
        assert_eq!(marks.get(u32::MAX), 0);
        for slot in [0, 4095, 4096, 10_000_000] {
            marks.set(slot, slot as u8 | 1);
        }
        assert_eq!((marks.get(4095), marks.get(4096), marks.get(4097)), (255, 1, 0));
        assert_eq!(marks.chunks.iter().flatten().count(), 3);
        marks.set(4095, 0);
        assert_eq!(marks.get(4095), 0);
    }
}

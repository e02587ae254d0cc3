//! Which connection a segment belongs to (DESIGN §6.1, step 4).
//!
//! Owns: a table from flow key to record index: four octets of index and one of fingerprint.
//! Must not know: what a record is; the key lives there and is asked for through a closure.
//! Implements: AT-23: the hash is keyed with a secret, so nobody outside can aim at one chain.
//!
//! The table is many small ones, *parts* of some hundred entries; the low half of a hash says which.
//! Their number grows one at a time (linear hashing): when there are too many entries for it, the
//! part whose turn it is splits into two; when too few, the last one joins the one it came from. The room
//! of a part follows its own entries (`part`). So no operation ever moves more than two parts' entries,
//! memory goes as it came, and the table costs about seven octets for each entry at any size.

mod hash;
mod part;

use crate::pieces::Pieces;
use crate::usual::AHEAD;
use arrayvec::ArrayVec;
use core::hint::black_box;
use hash::FlowHash;
use part::Part;
use usertcp_base::{FlowKey, LocalIndex, Secrets};

/// Entries for which there is one part. As turns go round, a part has between half and twice as many.
const ENTRIES: u32 = 320;

/// With fewer parts than this all of them are small anyway: they get room for many at once, and are built anew the
/// less often.
const FEW_PARTS: u32 = 32;

/// So many parts there are from the first entry on: with some thousand connections nothing is split.
const FIRST_PARTS: u32 = 8;

/// The table. Fingerprints are compared first, then the key in the record.
#[derive(Debug)]
pub struct Demux {
    parts: Pieces<Part>,
    count: u32,
    /// Low bits of a hash that may count: one less than the power of two that is not below the number
    /// of parts, and below twice that number.
    mask: u32,
    entries: u32,
    /// With more entries than the first there is one more part, with fewer than the second one less.
    most: u32,
    least: u32,
    hash: FlowHash,
    /// Entries the last call moved, beside its own.
    #[cfg(test)]
    moved: u32,
}

impl Demux {
    /// An empty table.
    pub fn new(secrets: &Secrets) -> Demux {
        Demux {
            parts: Pieces::new(),
            count: 0,
            mask: 0,
            entries: 0,
            most: 0,
            least: 0,
            hash: FlowHash::new(secrets),
            #[cfg(test)]
            moved: 0,
        }
    }

    /// Connections in the table.
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The record of `key`, as `look` has it: `None` when the record at an index is another's.
    #[inline]
    pub fn find<R>(&self, key: &FlowKey, look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        self.find_hashed(self.hash.of(key), look)
    }

    /// The same by the hash of the key.
    #[inline]
    pub fn find_hashed<R>(&self, hash: u64, look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        self.parts.get(self.number(hash))?.find(place(hash), look)
    }

    /// The hash of `key`.
    #[inline]
    pub fn hash_of(&self, key: &FlowKey) -> u64 {
        self.hash.of(key)
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(always)] // as a part of what is done with it
    pub fn hash_of_v4(&self, peer: [u8; 4], local: LocalIndex, ports: u32) -> u64 {
        self.hash.of_v4(peer, local, ports)
    }

    /// Reads a little of where keys with these hashes are looked for, [`AHEAD`] at most, so that all of it comes from memory
    /// at once.
    #[inline(always)] // of a few
    pub(crate) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let home = |hash| self.parts.get(self.number(hash))?.home_of(place(hash));
        let homes: ArrayVec<_, AHEAD> = hashes.take(AHEAD).filter_map(home).collect();
        black_box(homes.iter().fold(0, |all, home| all ^ home.touch()));
    }

    /// The first record whose key may have this hash, by the fingerprint alone.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.parts.get(self.number(hash))?.find(place(hash), Some)
    }

    /// The same where that can be seen at once; else what follows is touched.
    #[inline]
    pub fn guess_at_home(&self, hash: u64) -> Result<u32, u32> {
        self.parts.get(self.number(hash)).map_or(Err(0), |part| part.guess_at_home(place(hash)))
    }

    /// Enters `index` under `key`; false when another record has that key already.
    #[must_use]
    pub fn insert(&mut self, key: &FlowKey, index: u32, key_of: impl Fn(u32) -> FlowKey) -> bool {
        let hash = self.hash.of(key);
        let look = |other| (key_of(other) == *key).then_some(());
        let is_known = self.find_hashed(hash, look).is_some();
        if !is_known {
            self.insert_fresh(hash, key, index, key_of);
        }
        !is_known
    }

    /// The same for a key, with its hash, that is known to be in no record.
    #[inline(always)] // twice, for handshakes and for all others
    pub fn insert_fresh(
        &mut self,
        hash: u64,
        key: &FlowKey,
        index: u32,
        key_of: impl Fn(u32) -> FlowKey,
    ) {
        self.count_no_moves();
        let number = self.number(hash);
        match self.parts.get_mut(number) {
            Some(part) if !part.is_full() => {
                part.insert(place(hash), index);
                self.entries += 1;
                if self.entries > self.most {
                    // The record itself may not be there yet to be asked for its key.
                    self.split(|other| if other == index { *key } else { key_of(other) });
                }
            }
            // One thing at a time: the next call comes soon.
            _ => self.insert_into_full(hash, index, &key_of),
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_into_full(&mut self, hash: u64, index: u32, key_of: &impl Fn(u32) -> FlowKey) {
        self.make_room(hash, key_of);
        let number = self.number(hash);
        if let Some(part) = self.parts.get_mut(number) {
            part.insert(place(hash), index);
            self.entries += 1;
        }
    }

    /// Room for one more in the part of a hash; the first parts, where there are none.
    fn make_room(&mut self, hash: u64, key_of: &impl Fn(u32) -> FlowKey) {
        if self.count == 0 {
            (0..FIRST_PARTS).for_each(|_| self.add_part(Part::default()));
        }
        let number = self.number(hash);
        let roomy = self.count < FEW_PARTS;
        if let Some(buckets) = self.parts.get(number).and_then(|part| part.wants_more(roomy)) {
            self.resize(number, buckets, key_of);
        }
    }

    /// Removes `index`, which was entered under `key`; false when it was not there.
    #[inline]
    pub fn remove(&mut self, key: &FlowKey, index: u32, key_of: impl Fn(u32) -> FlowKey) -> bool {
        self.remove_hashed(self.hash.of(key), index, key_of)
    }

    /// The same by the hash of the key.
    #[inline]
    pub fn remove_hashed(
        &mut self,
        hash: u64,
        index: u32,
        key_of: impl Fn(u32) -> FlowKey,
    ) -> bool {
        self.count_no_moves();
        let number = self.number(hash);
        let Some(part) = self.parts.get_mut(number) else { return false };
        if !part.remove(place(hash), index) {
            return false;
        }
        self.entries -= 1;
        if let Some(buckets) = part.wants_less(self.count < FEW_PARTS) {
            self.resize(number, buckets, &key_of);
            return true;
        }
        if self.entries < self.least {
            self.join(&key_of);
        }
        true
    }

    /// The part of a hash. With a number that is too high its part was not split off yet.
    #[inline]
    fn number(&self, hash: u64) -> usize {
        let number = hash as u32 & self.mask;
        let split = number < self.count;
        (if split { number } else { number & (self.mask >> 1) }) as usize
    }

    #[cold]
    #[inline(never)]
    fn resize(&mut self, number: usize, buckets: usize, key_of: &impl Fn(u32) -> FlowKey) {
        self.count_moves(number);
        let hash = &self.hash;
        if let Some(part) = self.parts.get_mut(number) {
            part.resize(buckets, |index| place(hash.of(&key_of(index))));
        }
    }

    /// Of the part whose turn it is, those whose hashes have one bit more than its own become the last part.
    #[cold]
    #[inline(never)]
    fn split(&mut self, key_of: impl Fn(u32) -> FlowKey) {
        let last = self.count;
        let bits = (last + 1).next_power_of_two() - 1;
        let turn = (last & (bits >> 1)) as usize;
        self.count_moves(turn);
        let Some(whole) = self.parts.get_mut(turn).map(core::mem::take) else { return };
        // Where room does not matter, for as many as there may be before the next split.
        let room = if self.count < FEW_PARTS { whole.len() } else { whole.len() / 2 };
        let (mut stay, mut go) =
            (Part::for_entries(room), Part::for_entries(room.max(whole.len() - room)));
        for index in whole.indices() {
            let hash = self.hash.of(&key_of(index));
            let part = if hash as u32 & bits == last { &mut go } else { &mut stay };
            if let Some(buckets) = part.wants_more(false) {
                part.resize(buckets, |index| place(self.hash.of(&key_of(index))));
            }
            part.insert(place(hash), index);
        }
        if let Some(place) = self.parts.get_mut(turn) {
            *place = stay;
        }
        self.add_part(go);
    }

    /// The last part joins the one it was split from.
    #[cold]
    #[inline(never)]
    fn join(&mut self, key_of: &impl Fn(u32) -> FlowKey) {
        let number = self.count - 1;
        let turn = (number & (self.mask >> 1)) as usize;
        self.count_moves(turn);
        self.count_moves(number as usize);
        let Some(last) = self.parts.pop() else { return };
        self.note_parts(number);
        let hash = &self.hash;
        let Some(part) = self.parts.get_mut(turn) else { return };
        let together = part.len() + last.len();
        part.make_room(together, |index| place(hash.of(&key_of(index))));
        for index in last.indices() {
            part.insert(place(hash.of(&key_of(index))), index);
        }
    }

    fn add_part(&mut self, part: Part) {
        self.parts.push(part);
        self.note_parts(self.count + 1);
    }

    /// There are so many parts.
    fn note_parts(&mut self, count: u32) {
        self.count = count;
        self.mask = count.next_power_of_two() - 1;
        self.most = count.saturating_mul(ENTRIES);
        // Well below what made the last part: where the number of connections only goes up and down a
        // little nothing splits or joins.
        let made = (count - 1).saturating_mul(ENTRIES);
        self.least = if count > FIRST_PARTS { made - made / 8 } else { 0 };
    }

    /// Octets of the parts.
    #[cfg(test)]
    fn octets(&self) -> usize {
        let parts = (0..self.parts.len()).filter_map(|number| self.parts.get(number));
        parts.map(|part| part.octets() + size_of::<Part>()).sum()
    }

    #[cfg(test)]
    fn count_no_moves(&mut self) {
        self.moved = 0;
    }
    #[cfg(test)]
    fn count_moves(&mut self, number: usize) {
        self.moved += self.parts.get(number).map_or(0, Part::len);
    }
    #[cfg(not(test))]
    fn count_no_moves(&mut self) {}
    #[cfg(not(test))]
    fn count_moves(&mut self, _number: usize) {}
}

/// The half of a hash that says where in its part an entry is.
#[inline]
fn place(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;

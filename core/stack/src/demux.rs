//! Which connection a segment belongs to (DESIGN §6.1, step 4).
//!
//! Owns: a table from flow key to record index: four octets of index and one of fingerprint.
//! Must not know: what a record is; the key lives there and is asked for through a closure.
//! Implements: AT-23: the hash is keyed with a secret, so nobody outside can aim at one chain.

mod hash;

use hash::FlowHash;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use usertcp_base::{FlowKey, Secrets};

/// The table. Fingerprints are compared first, then the key in the record.
#[derive(Debug)]
pub struct Demux {
    table: HashTable<u32>,
    hash: FlowHash,
}

impl Demux {
    /// A table with room for `capacity` connections, so that no insertion ever rebuilds it whole.
    pub fn new(secrets: Secrets, capacity: u32) -> Demux {
        let hash = FlowHash::new(&secrets);
        Demux { table: HashTable::with_capacity(capacity as usize), hash }
    }

    /// Connections in the table.
    pub fn len(&self) -> u32 {
        self.table.len() as u32
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The record of `key`, as `look` has it: `None` when the record at an index is another's.
    #[inline]
    pub fn find<R>(&self, key: &FlowKey, look: impl Fn(u32) -> Option<R>) -> Option<R> {
        let mut found = None;
        self.table.find(self.hash.of(key), |index| {
            found = look(*index);
            found.is_some()
        });
        found
    }

    /// The hash of `key`.
    #[inline]
    pub fn hash_of(&self, key: &FlowKey) -> u64 {
        self.hash.of(key)
    }

    /// The first record whose key may have this hash, by the fingerprint alone.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.table.find(hash, |_| true).copied()
    }

    /// Enters `index` under `key`; false when another record has that key already.
    #[must_use]
    pub fn insert(&mut self, key: &FlowKey, index: u32, key_of: impl Fn(u32) -> FlowKey) -> bool {
        let hash = &self.hash;
        let entry = self.table.entry(
            hash.of(key),
            |other| key_of(*other) == *key,
            |other| hash.of(&key_of(*other)),
        );
        match entry {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(index);
                true
            }
        }
    }

    /// The same for a key that is known to be in no record.
    pub fn insert_fresh(&mut self, key: &FlowKey, index: u32, key_of: impl Fn(u32) -> FlowKey) {
        let hash = &self.hash;
        self.table.insert_unique(hash.of(key), index, |other| hash.of(&key_of(*other)));
    }

    /// Removes `index`, which was entered under `key`; false when it was not there.
    pub fn remove(&mut self, key: &FlowKey, index: u32) -> bool {
        match self.table.find_entry(self.hash.of(key), |other| *other == index) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;

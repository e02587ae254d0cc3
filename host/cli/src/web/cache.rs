//! Small answers kept in memory. Owns: which, how many, for how long.
//! Must not know: how they are made. An entry is used only while one look at the file system says
//! that nothing changed, so that the kernel's page cache is all that big files need, and small
//! ones cost one system call.

use super::answer::{Entity, Version};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Files up to this length are kept.
pub const LARGEST_OCTETS: u64 = 64 << 10;
/// Octets kept in all.
const MOST_OCTETS: usize = 32 << 20;
/// Entries kept in all.
const MOST_ENTRIES: usize = 4096;

/// Small answers kept in memory, by the path in the URL.
#[derive(Default)]
pub struct Cache {
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    entries: HashMap<Box<str>, Arc<Entry>>,
    octets: usize,
}

/// An answer.
pub struct Entry {
    /// What to look at to see whether it is still right, relative to the root.
    pub place: PathBuf,
    /// What was there.
    pub version: Version,
    /// The answer.
    pub answer: Answer,
}

/// An answer that can be given again.
pub enum Answer {
    /// A file.
    File(Entity),
    /// A directory's listing. A directory's version does not show that a file in it grew, so the
    /// listing has an end besides.
    Listing(Bytes, Instant),
}

impl Cache {
    /// The entry for a path.
    pub fn get(&self, path: &str) -> Option<Arc<Entry>> {
        self.lock().entries.get(path).cloned()
    }

    /// Keeps an entry, if there is room for one of its size.
    pub fn keep(&self, path: &str, entry: Arc<Entry>) {
        let octets = entry.octets();
        let mut store = self.lock();
        if store.octets + octets > MOST_OCTETS || store.entries.len() >= MOST_ENTRIES {
            // Rare, and refilling is cheap: no need to know which entry is the oldest.
            *store = Store::default();
        }
        store.octets += octets;
        if let Some(old) = store.entries.insert(path.into(), entry) {
            store.octets -= old.octets();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // Nothing in here can panic half way.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn octets(&self) -> usize {
        match &self.answer {
            Answer::Listing(page, _) => page.len(),
            Answer::File(entity) => usize::try_from(entity.version.length).unwrap_or(usize::MAX),
        }
    }
}

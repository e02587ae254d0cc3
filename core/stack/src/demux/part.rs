//! One part of the demultiplexer: a table of some hundred entries.
//!
//! Owns: buckets of twelve entries, each a cache line: a search costs one wait for memory, nearly always.
//! Must not know: keys. An entry is an index and a *place*, 32 bits of its key's hash.
//!
//! A bucket is sixteen words: twelve indices, twelve octets of fingerprints, and a note. What its home
//! bucket has no room for is *displaced* to the next one that has, and every bucket passed on the way
//! counts it in its note: a search ends at the first bucket that nothing has passed. A place times the
//! number of buckets is home bucket and fingerprint, so while that number stays between two powers of two
//! an entry's place can be told from where it is, and a part gets more or fewer buckets without a look at
//! its records. Growing by an eighth, it is nearly always full to between seventy-four and eighty-three
//! hundredths: of fourteen entries one is displaced. (With an octet less for each entry it would be three.)

use alloc::boxed::Box;
use alloc::vec;

/// Entries of a bucket.
const SLOTS: usize = 12;
/// Words of a bucket.
const WORDS: usize = 16;
/// The first word of fingerprints, and the note: how many entries have passed, from bit [`USED`] on how
/// many slots are used, which are the first ones, from bit [`DISPLACED`] on which of them are displaced.
const TAGS: usize = 12;
const NOTE: usize = 15;
const PASSED: u32 = 0xFFF;
const USED: u32 = 12;
const DISPLACED: u32 = 16;
/// Words that let the first bucket begin with a cache line.
const SLACK: usize = 12;
/// No entry.
const NONE: u32 = u32::MAX;
/// Entries for which there is one bucket: at most, and what it is when there were too few.
const MOST: u32 = 10;
const FEWEST: u32 = 8;
const FEWER: u32 = 9;
/// Buckets of a part where room does not matter: a few, then as many as it needs before it is split, at once.
const FEW_BUCKETS: usize = 4;
const ROOMY_BUCKETS: usize = 48;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Part {
    words: Box<[u32]>,
    entries: u32,
    /// The first word that begins a cache line.
    start: u8,
    /// The power of two that the number of buckets is not below, 24 at most.
    scale: u8,
}

type Bucket = [u32; WORDS];

/// A bucket that was found, and not looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnseenBucket<'a>(&'a Bucket);

impl UnseenBucket<'_> {
    /// Reads a little of it, so that it is on its way from memory. The sum of such looks means nothing.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        self.0[NOTE]
    }
}

/// Where a place is at home.
struct Home {
    bucket: usize,
    tag: u8,
}

impl Part {
    /// A part with room for so many entries, and a few more.
    pub(super) fn for_entries(entries: u32) -> Part {
        Part::of(entries.div_ceil(FEWER).max(1) as usize)
    }

    fn of(buckets: usize) -> Part {
        let words = vec![NONE; buckets * WORDS + SLACK].into_boxed_slice();
        let line = (words.as_ptr() as usize / size_of::<u32>()).wrapping_neg() % WORDS;
        let mut part =
            Part { words, entries: 0, start: line.min(SLACK) as u8, scale: scale(buckets) as u8 };
        for bucket in 0..buckets {
            if let Some([.., first, second, third, note]) = part.bucket_mut(bucket) {
                (*first, *second, *third, *note) = (0, 0, 0, 0);
            }
        }
        part
    }

    /// Entries.
    pub(super) fn len(&self) -> u32 {
        self.entries
    }

    /// All indices.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let buckets = (0..self.buckets()).filter_map(|bucket| self.bucket(bucket));
        buckets.flat_map(|bucket| bucket.iter().take(used(bucket))).copied()
    }

    /// Whether there must be more buckets before another entry comes.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.entries >= self.buckets() as u32 * MOST
    }

    /// How many buckets there must be before another entry comes: a little more than now, or many more
    /// where room does not matter.
    #[inline]
    pub(super) fn wants_more(&self, roomy: bool) -> Option<usize> {
        let buckets = self.buckets();
        self.is_full().then(|| match buckets {
            0 => 1,
            1 if roomy => FEW_BUCKETS,
            2..ROOMY_BUCKETS if roomy => ROOMY_BUCKETS,
            _ => buckets + (buckets / 8).max(1),
        })
    }

    /// How many buckets are enough, if that is fewer; much fewer where room does not matter.
    #[inline]
    pub(super) fn wants_less(&self, roomy: bool) -> Option<usize> {
        let buckets = self.buckets();
        let many = if roomy {
            self.entries * 2 >= buckets as u32
        } else {
            self.entries >= buckets as u32 * FEWEST
        };
        if many {
            return None;
        }
        let enough = (self.entries.div_ceil(FEWER) as usize).max(1);
        (enough < buckets).then_some(enough)
    }

    /// The bucket where a place is at home, at which nobody has looked yet.
    #[inline]
    pub(super) fn home_of(&self, place: u32) -> Option<UnseenBucket<'_>> {
        self.bucket(self.home(place).bucket).map(UnseenBucket)
    }

    /// The first entry that may have this place and is at home; else the next bucket is on its way.
    #[inline]
    pub(super) fn guess_at_home(&self, place: u32) -> Result<u32, u32> {
        let home = self.home(place);
        let Some(bucket) = self.bucket(home.bucket) else { return Err(0) };
        match next_match(&mut matches(bucket, home.tag)) {
            Some(slot) => Ok(bucket[slot % WORDS]),
            None if bucket[NOTE] & PASSED == 0 => Err(0),
            None => {
                let next = self.bucket(after(home.bucket, self.buckets()));
                Err(next.map_or(0, |bucket| bucket[NOTE]))
            }
        }
    }

    /// What `look` says first of entries that may have this place; `None` when it says nothing of any.
    #[inline]
    pub(super) fn find<R>(&self, place: u32, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let home = self.home(place);
        let bucket = self.bucket(home.bucket)?;
        // Nearly always it is the first that may be it, or there is none.
        match next_match(&mut matches(bucket, home.tag)) {
            Some(slot) => {
                if let Some(found) = look(bucket[slot % WORDS]) {
                    return Some(found);
                }
            }
            None if bucket[NOTE] & PASSED == 0 => return None,
            None => {}
        }
        self.find_in_all(&home, look)
    }

    /// The same, one after the other.
    #[cold]
    fn find_in_all<R>(&self, home: &Home, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let bucket = self.bucket(home.bucket)?;
        if let Some(found) = look_through(bucket, home.tag, &mut look) {
            return Some(found);
        }
        if bucket[NOTE] & PASSED == 0 { None } else { self.find_further(home, look) }
    }

    /// What there is in the buckets after the first.
    #[cold]
    fn find_further<R>(&self, home: &Home, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let buckets = self.buckets();
        let mut at = home.bucket;
        for _ in 1..buckets {
            at = after(at, buckets);
            let bucket = self.bucket(at)?;
            if let Some(found) = look_through(bucket, home.tag, &mut look) {
                return Some(found);
            }
            if bucket[NOTE] & PASSED == 0 {
                return None;
            }
        }
        None
    }

    /// Adds an entry. There is room.
    #[inline]
    pub(super) fn insert(&mut self, place: u32, index: u32) {
        let Home { bucket: home, tag } = self.home(place);
        self.entries += 1;
        if !self.bucket_mut(home).is_some_and(|bucket| fill(bucket, index, tag)) {
            self.displace(home, index, tag);
        }
    }

    /// Adds an entry behind its home, which is full.
    #[cold]
    fn displace(&mut self, home: usize, index: u32, tag: u8) {
        let buckets = self.buckets();
        let mut at = home;
        for _ in 1..buckets {
            let Some(bucket) = self.bucket_mut(at) else { return };
            // So many that the count ends are counted for ever; that costs searches time.
            if bucket[NOTE] & PASSED != PASSED {
                bucket[NOTE] += 1;
            }
            at = after(at, buckets);
            let Some(bucket) = self.bucket_mut(at) else { return };
            let slot = used(bucket);
            if fill(bucket, index, tag) {
                bucket[NOTE] |= 1 << (DISPLACED + slot as u32);
                return;
            }
        }
        debug_assert!(false, "there was room");
    }

    /// Buckets for so many entries, if there are too few.
    pub(super) fn make_room(&mut self, entries: u32, place_of: impl Fn(u32) -> u32) {
        let buckets = entries.div_ceil(FEWER).max(1) as usize;
        if buckets > self.buckets() {
            self.resize(buckets, place_of);
        }
    }

    /// Takes an entry out; false when there is none.
    #[inline]
    pub(super) fn remove(&mut self, place: u32, index: u32) -> bool {
        let home = self.home(place);
        let Some(bucket) = self.bucket_mut(home.bucket) else { return false };
        if take_out(bucket, home.tag, index) {
            self.entries -= 1;
            return true;
        }
        bucket[NOTE] & PASSED != 0 && self.remove_displaced(&home, index)
    }

    /// The same of one that is not at home.
    #[cold]
    fn remove_displaced(&mut self, home: &Home, index: u32) -> bool {
        let buckets = self.buckets();
        let mut at = home.bucket;
        for _ in 1..buckets {
            at = after(at, buckets);
            let Some(bucket) = self.bucket_mut(at) else { return false };
            if take_out(bucket, home.tag, index) {
                self.entries -= 1;
                self.forget_passing(home.bucket, at);
                return true;
            }
            if bucket[NOTE] & PASSED == 0 {
                return false;
            }
        }
        false
    }

    /// An entry that had been displaced from one bucket to another is gone.
    fn forget_passing(&mut self, from: usize, to: usize) {
        let buckets = self.buckets();
        let mut at = from;
        while at != to {
            let Some(bucket) = self.bucket_mut(at) else { return };
            let passed = bucket[NOTE] & PASSED;
            if passed != 0 && passed != PASSED {
                bucket[NOTE] -= 1;
            }
            at = after(at, buckets);
        }
    }

    /// Another number of buckets, enough for its entries. `place_of` tells the place of an entry where it
    /// cannot be told from here.
    pub(super) fn resize(&mut self, buckets: usize, place_of: impl Fn(u32) -> u32) {
        let old = self.buckets();
        let mut new = Part::of(buckets);
        let told = scale(old) == scale(buckets);
        for at in 0..old {
            let Some(bucket) = self.bucket(at) else { return };
            for (slot, index) in bucket.iter().take(used(bucket)).enumerate() {
                let place = match told && !is_displaced(bucket, slot) {
                    true => Home { bucket: at, tag: tag(bucket, slot) }.place(old),
                    false => place_of(*index),
                };
                new.insert(place, *index);
            }
        }
        *self = new;
    }

    /// Of the table.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        size_of_val(&*self.words)
    }

    #[inline]
    fn buckets(&self) -> usize {
        self.words.len() / WORDS
    }

    #[inline]
    fn home(&self, place: u32) -> Home {
        Home::of(place, self.buckets(), u32::from(self.scale))
    }

    #[inline]
    fn bucket(&self, bucket: usize) -> Option<&Bucket> {
        self.words.get(usize::from(self.start) + bucket * WORDS..)?.first_chunk()
    }

    #[inline]
    fn bucket_mut(&mut self, bucket: usize) -> Option<&mut Bucket> {
        self.words.get_mut(usize::from(self.start) + bucket * WORDS..)?.first_chunk_mut()
    }
}

impl Home {
    /// Of `buckets`, which are between two powers of two: the upper one is that of the bits of a place
    /// that count, less the eight of the fingerprint.
    #[inline]
    fn of(place: u32, buckets: usize, scale: u32) -> Home {
        let product = u64::from(place >> (24 - scale)) * buckets as u64;
        Home { bucket: (product >> (8 + scale)) as usize, tag: (product >> scale) as u8 }
    }

    /// The bits of a place that count. Products of two different places are further apart than the bits
    /// that the fingerprint leaves out.
    fn place(&self, buckets: usize) -> u32 {
        let scale = scale(buckets);
        let product = (self.bucket as u64) << (8 + scale) | u64::from(self.tag) << scale;
        (product.div_ceil(buckets as u64) << (24 - scale)) as u32
    }
}

/// Slots that are used.
#[inline]
fn used(bucket: &Bucket) -> usize {
    (bucket[NOTE] >> USED) as usize % WORDS
}

fn is_displaced(bucket: &Bucket, slot: usize) -> bool {
    bucket[NOTE] >> (DISPLACED + slot as u32) & 1 == 1
}

/// Puts an entry behind the last one of a bucket; false: it is full.
#[inline]
fn fill(bucket: &mut Bucket, index: u32, tag: u8) -> bool {
    let slot = used(bucket);
    if slot >= SLOTS {
        return false;
    }
    bucket[slot] = index;
    set_tag(bucket, slot, tag);
    bucket[NOTE] += 1 << USED;
    true
}

/// Takes an entry out of a bucket; false when it is not there.
#[inline]
fn take_out(bucket: &mut Bucket, tag: u8, index: u32) -> bool {
    let mut matches = matches(bucket, tag);
    while let Some(slot) = next_match(&mut matches) {
        if bucket[slot % WORDS] == index {
            fill_gap(bucket, slot);
            return true;
        }
    }
    false
}

/// The last entry of a bucket comes into the place of one that is gone, unless it is that itself; which of them it is
/// cannot be foreseen, so there is no branch for it.
#[inline]
fn fill_gap(bucket: &mut Bucket, gap: usize) {
    let (last, gap) = (used(bucket).saturating_sub(1), gap % WORDS);
    bucket[gap] = bucket[last];
    bucket[last] = NONE;
    set_tag(bucket, gap, tag(bucket, last));
    set_tag(bucket, last, 0);
    let note = bucket[NOTE];
    let displaced = u32::from(is_displaced(bucket, last));
    let (at_gap, at_last) = (DISPLACED + gap as u32, DISPLACED + last as u32);
    let moved = note & !(1 << at_gap) | displaced << at_gap;
    bucket[NOTE] = (moved & !(1 << at_last)) - (1 << USED);
}

fn scale(buckets: usize) -> u32 {
    buckets.checked_ilog2().unwrap_or(0).min(24)
}

/// What `look` says first of the entries of a bucket that have this fingerprint.
#[inline(always)]
fn look_through<R>(bucket: &Bucket, tag: u8, look: &mut impl FnMut(u32) -> Option<R>) -> Option<R> {
    let mut matches = matches(bucket, tag);
    while let Some(slot) = next_match(&mut matches) {
        let index = bucket[slot % WORDS];
        if index != NONE
            && let Some(found) = look(index)
        {
            return Some(found);
        }
    }
    None
}

#[inline]
fn after(bucket: usize, buckets: usize) -> usize {
    if bucket + 1 < buckets { bucket + 1 } else { 0 }
}

/// Slots that may have this fingerprint: bit `8 n` for the first eight, `8 n + 4` for the other four. All
/// that have it, and sometimes one above such a one.
#[inline]
fn matches(bucket: &Bucket, tag: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let all = u64::from(tag) * ONES;
    let front = (u64::from(bucket[TAGS]) | u64::from(bucket[TAGS + 1]) << 32) ^ all;
    let back = u64::from(bucket[TAGS + 2]) ^ all;
    // The top bit of octets that are zero.
    let front = front.wrapping_sub(ONES) & !front & (ONES << 7);
    let back = back.wrapping_sub(ONES) & !back & 0x8080_8080;
    front >> 7 | back >> 3
}

#[inline]
fn next_match(matches: &mut u64) -> Option<usize> {
    if *matches == 0 {
        return None;
    }
    let bit = matches.trailing_zeros() as usize;
    *matches &= *matches - 1;
    Some(bit / 8 + (bit & 4) * 2)
}

fn tag(bucket: &Bucket, slot: usize) -> u8 {
    (bucket[(TAGS + slot / 4) % WORDS] >> (slot % 4 * 8)) as u8
}

fn set_tag(bucket: &mut Bucket, slot: usize, tag: u8) {
    let word = &mut bucket[(TAGS + slot / 4) % WORDS];
    let shift = slot % 4 * 8;
    *word = *word & !(0xFF << shift) | u32::from(tag) << shift;
}

#[cfg(test)]
mod tests;

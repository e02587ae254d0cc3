//! What parked connections have in common, kept once.
//!
//! Owns: the moulds, by number; how many use each; finding an equal one.
//! Must not know: records but by the number in them.
//!
//! A mould that nobody uses goes. Looking for an equal one compares few: connections that a peer made
//! different on purpose have moulds of their own, which costs what a TCB costs, and no time.

use super::record::{MOST_MOULDS, Parked};
use crate::info::Stopwatches;
use crate::settings::Settings;
use crate::tcb::Tcb;
use alloc::boxed::Box;
use alloc::vec::Vec;
use hashbrown::HashTable;
use usertcp_base::{Instant, Span, Stamp};
use usertcp_cc::{CongestionController, PathStart, Residue};

/// Moulds with one hash that are compared.
const MOST_COMPARED: usize = 4;

/// One mould.
pub(super) struct Mould<C> {
    /// A TCB without what is one's own.
    pub(super) tcb: Tcb<C>,
    /// What its controller begins with again: of a TCB that rests.
    residue: Option<Residue>,
    hash: u64,
    users: u32,
}

/// All moulds of a shard.
pub struct Moulds<C> {
    places: Vec<Option<Box<Mould<C>>>>,
    free: Vec<u32>,
    tables: Vec<HashTable<Known>>,
    count: u32,
}

/// A mould as it is looked for.
#[derive(Clone, Copy)]
struct Known {
    hash: u64,
    index: u32,
}

/// So many tables share the search, so that none is ever built anew with very many entries in it.
const TABLES: usize = 256;

fn table_of(hash: u64) -> usize {
    // Not by the highest bits, by which a table tells its entries apart at a glance.
    (hash >> 32) as usize % TABLES
}

impl<C> Default for Moulds<C> {
    fn default() -> Self {
        Moulds { places: Vec::new(), free: Vec::new(), tables: Vec::new(), count: 0 }
    }
}

impl<C: CongestionController> Moulds<C> {
    /// No moulds.
    pub fn new() -> Moulds<C> {
        Moulds::default()
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes a record of a quiet TCB. `None`: it is not quiet, or does not fit into one; nothing
    /// changed that can be seen.
    #[must_use]
    pub fn park(&mut self, now: Instant, tcb: &mut Tcb<C>) -> Option<Parked> {
        if !tcb.is_parkable() || self.places.len() > MOST_MOULDS as usize {
            return None;
        }
        tcb.forget_flight(now);
        let before = cfg!(debug_assertions).then(|| (tcb.of_quiet(), tcb.timestamp_offset));
        let parked = tcb.take_own(now)?;
        let residue = tcb.acks.is_rested().then(|| tcb.controller.park());
        if let Some(residue) = residue {
            // Begins with the path again when the connection comes back.
            tcb.controller = C::resume(residue, &nowhere(tcb), Span::ZERO);
        }
        let mould = self.file(tcb, residue);
        let parked = parked.with_mould(mould);
        if let Some((mut before, offset)) = before {
            let after = self.copy(now, &parked, offset);
            before.round_like(&after);
            before.prediction = after.prediction;
            if residue.is_some() {
                before.controller = after.controller.clone();
            }
            debug_assert_eq!(before.difference(&after), None, "it came back changed");
        }
        Some(parked)
    }

    /// The TCB of a record, which is the mould's user no more.
    pub fn activate(&mut self, now: Instant, parked: &Parked, timestamp_offset: u32) -> Tcb<C> {
        let tcb = self.copy(now, parked, timestamp_offset);
        self.release(parked);
        tcb
    }

    /// Rounds a quiet TCB as parking it would, for whoever compares.
    #[cfg(test)]
    pub(crate) fn round(&mut self, now: Instant, tcb: &mut Tcb<C>) {
        let mut copy = tcb.of_quiet();
        if let Some(parked) = self.park(now, &mut copy) {
            let rounded = self.activate(now, &parked, tcb.timestamp_offset);
            tcb.round_like(&rounded);
        }
    }

    /// The same to look at; the record stays.
    pub fn copy(&self, now: Instant, parked: &Parked, timestamp_offset: u32) -> Tcb<C> {
        let mould = self.of(parked);
        let mut tcb = mould.tcb.of_quiet();
        tcb.put_own(now, parked, timestamp_offset);
        if let Some(residue) = mould.residue {
            let path = tcb.path_start(now);
            tcb.controller = C::resume(residue, &path, Span::ZERO);
        }
        tcb.stopwatches = Stopwatches::resumed(tcb.established, now);
        let before = Stamp(now.stamp().0.wrapping_sub(1));
        tcb.recovery.forget_last_sent(before);
        tcb.predict();
        tcb
    }

    /// A record goes, and its connection with it.
    pub fn release(&mut self, parked: &Parked) {
        let index = parked.mould();
        let Some(place) = self.places.get_mut(index as usize) else { return };
        let Some(mould) = place else { return };
        mould.users = mould.users.saturating_sub(1);
        if mould.users > 0 {
            return;
        }
        let hash = mould.hash;
        if let Some(table) = self.tables.get_mut(table_of(hash))
            && let Ok(entry) = table.find_entry(hash, |known| known.index == index)
        {
            entry.remove();
        }
        self.count -= 1;
        *place = None;
        self.free.push(index);
    }

    /// The settings of a record's connection.
    pub fn settings(&self, parked: &Parked) -> &Settings {
        &self.of(parked).tcb.settings
    }

    /// The TCB of a record, to ask it for what time does not change.
    pub fn look(&self, parked: &Parked) -> Tcb<C> {
        self.copy(Instant::ZERO, parked, 0)
    }

    /// The mould of a record.
    pub(super) fn of(&self, parked: &Parked) -> &Mould<C> {
        match self.places.get(parked.mould() as usize) {
            Some(Some(mould)) => mould,
            _ => unknown_mould(parked.mould()),
        }
    }

    /// Finds a mould equal to `tcb`, or makes one.
    fn file(&mut self, tcb: &Tcb<C>, residue: Option<Residue>) -> u32 {
        let hash = tcb.fold();
        if self.tables.is_empty() {
            self.tables.resize_with(TABLES, HashTable::new);
        }
        let places = &mut self.places;
        let mut alike = 0;
        let table = self.tables.get(table_of(hash));
        let near = table.iter().flat_map(|table| table.iter_hash(hash));
        for known in near.filter(|known| known.hash == hash).take(MOST_COMPARED) {
            alike += 1;
            if let Some(Some(mould)) = places.get_mut(known.index as usize)
                && mould.hash == hash
                && mould.residue == residue
                && mould.users < u32::MAX
                && mould.tcb.difference(tcb).is_none()
            {
                mould.users += 1;
                return known.index;
            }
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                places.push(None);
                places.len() as u32 - 1
            }
        };
        // Where several differ that hash alike, this one is kept where nobody looks: searches stay short.
        let hash = match alike < MOST_COMPARED {
            true => hash,
            false => hash ^ u64::from(index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        };
        if let Some(place) = places.get_mut(index as usize) {
            *place = Some(Box::new(Mould { tcb: tcb.of_quiet(), residue, hash, users: 1 }));
            self.count += 1;
        }
        if let Some(table) = self.tables.get_mut(table_of(hash)) {
            table.insert_unique(hash, Known { hash, index }, |known| known.hash);
        }
        index
    }
}

/// A path of which nothing is known: a controller that begins there is the same for all.
fn nowhere<C: CongestionController>(tcb: &Tcb<C>) -> PathStart {
    PathStart { rtt: None, ..tcb.path_start(Instant::ZERO) }
}

/// Records name moulds that they use, so this is our mistake.
#[cold]
fn unknown_mould(index: u32) -> ! {
    panic!("mould {index} is used and not there")
}

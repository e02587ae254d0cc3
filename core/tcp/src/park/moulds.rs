//! What parked connections have in common, kept once.
//!
//! Owns: the moulds, by number; how many use each; finding an equal one.
//! Must not know: records but by the number in them.
//!
//! A mould that nobody uses goes. Looking for an equal one compares few: connections that a peer made
//! different on purpose have moulds of their own, which costs what a TCB costs, and no time.

use super::record::{MOST_MOULDS, Parked};
use crate::info::Stopwatches;
use crate::predicted::Prediction;
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
    /// What is known of each TCB that is made of it: what is one's own makes no difference.
    prediction: Prediction,
    hash: u64,
    users: u32,
    /// No two moulds of a shard ever have the same.
    serial: u64,
}

/// All moulds of a shard.
pub struct Moulds<C> {
    places: Vec<Option<Box<Mould<C>>>>,
    free: Vec<u32>,
    tables: Vec<HashTable<Known>>,
    count: u32,
    /// Moulds made so far.
    made: u64,
    /// The one that was found or made last: probably it is the next one too.
    last: u32,
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
        Moulds {
            places: Vec::new(),
            free: Vec::new(),
            tables: Vec::new(),
            count: 0,
            made: 0,
            last: 0,
        }
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

    /// Makes a record of a quiet TCB where it is wanted, of which nothing is left but what its mould has too: see
    /// [`Moulds::revive`]. False: it is not quiet, or does not fit into one; nothing changed that can be
    /// seen.
    #[must_use]
    pub fn park(&mut self, now: Instant, tcb: &mut Tcb<C>, parked: &mut Parked) -> bool {
        tcb.is_parkable() && self.park_quiet(now, tcb, parked)
    }

    /// The same of one that is known to be quiet, and like others.
    #[inline(never)] // of both ways
    fn park_quiet(&mut self, now: Instant, tcb: &mut Tcb<C>, parked: &mut Parked) -> bool {
        debug_assert!(tcb.is_parkable(), "it is not quiet");
        if self.places.len() > MOST_MOULDS as usize {
            return false;
        }
        tcb.forget_flight(now);
        let before = cfg!(debug_assertions).then(|| (tcb.of_quiet(), tcb.timestamp_offset));
        if !tcb.fits_record() {
            return false;
        }
        *parked = tcb.take_own(now);
        let residue = tcb.acks.is_rested().then(|| tcb.controller.park());
        let mould = self.file(tcb, residue);
        parked.set_mould(mould);
        if let Some((mut before, offset)) = before {
            let after = self.copy(now, parked, offset);
            before.round_like(&after);
            before.prediction = after.prediction;
            if residue.is_some() {
                before.controller = after.controller.clone();
            }
            debug_assert_eq!(before.difference(&after), Ok(()), "it came back changed");
        }
        true
    }

    /// The same of a quiet one that rests again at once ([`Tcb::rests_again`]). False: it does not fit into one, and
    /// rests.
    #[must_use]
    #[inline(always)] // in one place
    pub fn park_again(&mut self, now: Instant, tcb: &mut Tcb<C>, parked: &mut Parked) -> bool {
        tcb.forget_moment(now);
        let fits = !tcb.ecn.is_personal() && self.park_quiet(now, tcb, parked);
        if !fits {
            tcb.rest_again(now);
        }
        fits
    }

    /// The serial number of a record's mould.
    #[inline]
    pub fn serial(&self, parked: &Parked) -> u64 {
        self.of(parked).serial
    }

    /// Rounds a quiet TCB as parking it would, for whoever compares.
    #[cfg(test)]
    pub(crate) fn round(&mut self, now: Instant, tcb: &mut Tcb<C>) {
        let (mut copy, mut parked) = (tcb.of_quiet(), Parked::NONE);
        if self.park(now, &mut copy, &mut parked) {
            let rounded = self.copy(now, &parked, tcb.timestamp_offset);
            self.release(&parked);
            tcb.round_like(&rounded);
        }
    }

    /// The TCB of a record. When that ends, [`Moulds::release`] follows.
    pub fn copy(&self, now: Instant, parked: &Parked, timestamp_offset: u32) -> Tcb<C> {
        let mut tcb = self.of(parked).tcb.of_quiet();
        self.restore(now, parked, timestamp_offset, &mut tcb);
        tcb
    }

    /// Makes the TCB of a record of one that was parked, with a mould of that serial number, and which nobody has
    /// looked at since.
    #[inline]
    pub fn revive(
        &self,
        now: Instant,
        parked: &Parked,
        timestamp_offset: u32,
        tcb: &mut Tcb<C>,
        serial: u64,
    ) {
        let mould = self.of(parked);
        if mould.serial != serial {
            tcb.become_quiet(&mould.tcb);
        }
        self.restore(now, parked, timestamp_offset, tcb);
    }

    /// The same of one that is a copy of its mould.
    fn restore(&self, now: Instant, parked: &Parked, timestamp_offset: u32, tcb: &mut Tcb<C>) {
        let mould = self.of(parked);
        debug_assert_eq!(
            tcb.difference_of_moulds(&mould.tcb, mould.residue.is_some()),
            Ok(()),
            "it is no copy of the mould"
        );
        tcb.put_own(now, parked, timestamp_offset);
        if let Some(residue) = mould.residue {
            // It begins with the path again.
            let path = tcb.path_start(now);
            tcb.controller = C::resume(residue, &path, Span::ZERO);
        }
        tcb.stopwatches = Stopwatches::resumed(tcb.established, now);
        let before = Stamp(now.stamp().0.wrapping_sub(1));
        tcb.recovery.forget_last_sent(before);
        debug_assert_eq!(mould.prediction, tcb.predicted(), "it depends on what is one's own");
        tcb.prediction = mould.prediction;
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
    fn file(&mut self, tcb: &mut Tcb<C>, residue: Option<Residue>) -> u32 {
        if let Some(Some(mould)) = self.places.get_mut(self.last as usize)
            && mould.takes(tcb, residue)
        {
            return self.last;
        }
        self.last = self.file_by_hash(tcb, residue);
        self.last
    }

    #[inline(never)]
    fn file_by_hash(&mut self, tcb: &mut Tcb<C>, residue: Option<Residue>) -> u32 {
        if let Some(residue) = residue {
            // The same for all that begin with the path again when they come back.
            tcb.controller = C::resume(residue, &nowhere(tcb), Span::ZERO);
        }
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
                && mould.takes(tcb, residue)
            {
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
            self.made += 1;
            let serial = self.made;
            let (tcb, prediction) = (tcb.of_quiet(), tcb.predicted());
            *place = Some(Box::new(Mould { tcb, residue, prediction, hash, users: 1, serial }));
            self.count += 1;
        }
        if let Some(table) = self.tables.get_mut(table_of(hash)) {
            table.insert_unique(hash, Known { hash, index }, |known| known.hash);
        }
        index
    }
}

impl<C: CongestionController> Mould<C> {
    /// Has one more user, if `tcb` without its own is equal to it.
    #[inline]
    fn takes(&mut self, tcb: &Tcb<C>, residue: Option<Residue>) -> bool {
        let takes = self.residue == residue
            && self.users < u32::MAX
            && tcb.is_of_mould(&self.tcb, residue.is_some());
        self.users += u32::from(takes);
        takes
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

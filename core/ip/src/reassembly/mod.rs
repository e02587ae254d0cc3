//! Datagrams from fragments.
//!
//! Owns: the parts of incomplete datagrams, the memory they may take, their age.
//! Must not know: what is in a datagram, beyond the least its first fragment must hold.
//! Implements: RFC 791 §3.2, RFC 1122 §3.3.2 (I-2, I-3), RFC 8200 §4.5, RFC 5722 (I-4, both
//! versions), RFC 1858 and RFC 3128 (tiny first fragments), RFC 3168 §5.3 (ECN), AT-18.
//!
//! Memory is charged as the frames behind the octets, not the octets. One source may hold its
//! share; when the whole is full, the oldest datagrams go: under a flood of forged fragments a
//! datagram whose parts arrive together still gets through.

mod datagram;
mod first;

use alloc::collections::BTreeMap;
use usertcp_base::{DropReason, Instant, Limits, LocalIndex, RemoteAddr, Span};
use usertcp_frame::{Chain, Class, FramePool};

use crate::input::{Arrival, Fragment};
use crate::remote_address;
use datagram::{Datagram, Joined};

/// Longest payload of a datagram, octets: the length fields cannot say more.
const LONGEST_OCTETS: usize = 65_535;
/// Charged for a datagram itself, a killed one included.
const DATAGRAM_CHARGE: usize = 256;
/// A fragment in a frame this many times its size is copied into a smaller one: otherwise a few
/// fragments in large frames would use up a source's share.
const WASTE_FACTOR: usize = 4;

/// What identifies a datagram: addresses, identification, and with IPv4 the protocol (with IPv6,
/// zero).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    source: RemoteAddr,
    local: LocalIndex,
    protocol: u8,
    identification: u32,
}

/// What became of a fragment.
#[derive(Debug)]
pub(crate) enum Kept {
    /// More are missing.
    Incomplete,
    /// It was the last one. The arrival is the first fragment's, without header octets; the
    /// octets are the datagram's payload.
    Complete(Arrival, Chain),
}

#[derive(Debug)]
pub(crate) struct Reassembly {
    datagrams: BTreeMap<Key, Datagram>,
    /// Datagrams by birth: all live equally long, so the first is the next to go.
    by_age: BTreeMap<u64, (Instant, Key)>,
    by_source: BTreeMap<RemoteAddr, usize>,
    octets: usize,
    most_octets: usize,
    most_octets_per_source: usize,
    lifetime: Span,
    next_serial: u64,
    evicted: u32,
    completed: u64,
}

impl Reassembly {
    pub(crate) fn new(limits: &Limits) -> Reassembly {
        Reassembly {
            datagrams: BTreeMap::new(),
            by_age: BTreeMap::new(),
            by_source: BTreeMap::new(),
            octets: 0,
            most_octets: limits.fragment_octets as usize,
            most_octets_per_source: limits.fragment_octets_per_source as usize,
            lifetime: limits.fragment_lifetime,
            next_serial: 0,
            evicted: 0,
            completed: 0,
        }
    }

    /// Keeps a fragment whose payload is `octets`. Errors: `IpMalformed` (a length that cannot
    /// be), `FragmentTiny`, `FragmentOverlap` (the datagram is dead, and so are its later parts),
    /// `FragmentLimit`, `PoolEmpty`.
    pub(crate) fn keep(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        fragment: Fragment,
        mut octets: Chain,
        pool: &FramePool,
    ) -> Result<Kept, DropReason> {
        let end = fragment.offset + octets.len();
        let ragged = fragment.more && !octets.len().is_multiple_of(8);
        if octets.is_empty() || ragged || end > LONGEST_OCTETS {
            return Err(DropReason::IpMalformed);
        }
        let key = key(arrival, fragment);
        if self.datagrams.get(&key).is_some_and(Datagram::is_dead) {
            return Err(DropReason::FragmentOverlap);
        }
        first::check(arrival, fragment, &octets)?;
        self.lighten(&mut octets, pool)?;
        let charge = octets.charge() as usize;
        self.make_room(key, charge)?;
        let serial = self.find_or_begin(now, key);
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Err(DropReason::FragmentLimit);
        };
        match datagram.join(arrival, fragment, octets) {
            Joined::Kept => {
                datagram.charge += charge;
                self.charge(key.source, charge);
                Ok(Kept::Incomplete)
            }
            Joined::Duplicate => Ok(Kept::Incomplete),
            Joined::Whole(arrival, octets) => {
                self.forget(serial);
                self.completed = self.completed.wrapping_add(1);
                Ok(Kept::Complete(arrival, octets))
            }
            Joined::Overlap => {
                // What it held goes; a tombstone stays for the parts still to come (RFC 5722).
                let held = core::mem::replace(&mut datagram.charge, DATAGRAM_CHARGE);
                self.discharge(key.source, held.saturating_sub(DATAGRAM_CHARGE));
                Err(DropReason::FragmentOverlap)
            }
        }
    }

    /// Drops datagrams older than their lifetime; how many.
    pub(crate) fn expire(&mut self, now: Instant) -> u32 {
        let mut expired: u32 = 0;
        while let Some((&serial, &(deadline, _))) = self.by_age.first_key_value() {
            if deadline > now {
                break;
            }
            // A tombstone's parts were counted when it died.
            if self.forget(serial) {
                expired = expired.saturating_add(1);
            }
        }
        expired
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_age.first_key_value().map(|(_, (deadline, _))| *deadline)
    }
    /// Datagrams evicted since the last call.
    pub(crate) fn evicted(&mut self) -> u32 {
        core::mem::take(&mut self.evicted)
    }
    pub(crate) const fn completed(&self) -> u64 {
        self.completed
    }
    pub(crate) fn incomplete(&self) -> usize {
        self.datagrams.len()
    }
    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    /// Moves a short fragment out of a big frame.
    fn lighten(&self, octets: &mut Chain, pool: &FramePool) -> Result<(), DropReason> {
        let charge = octets.charge() as usize;
        let mut classes = [Class::Small, Class::Full].into_iter();
        let class = classes.find(|class| octets.len() <= FramePool::data_octets(*class));
        let Some(class) = class.filter(|_| charge > octets.len().max(512) * WASTE_FACTOR) else {
            return Ok(());
        };
        let mut frame = pool.take(class, 0).ok_or(DropReason::PoolEmpty)?;
        octets.slices().for_each(|slice| {
            frame.extend(slice);
        });
        *octets = Chain::from(frame.into_slice());
        Ok(())
    }

    /// The source must have room in its share; the whole makes room by letting the oldest go,
    /// the datagram in question excepted.
    fn make_room(&mut self, key: Key, charge: usize) -> Result<(), DropReason> {
        let new = !self.datagrams.contains_key(&key);
        let wanted = charge + if new { DATAGRAM_CHARGE } else { 0 };
        let held = self.by_source.get(&key.source).copied().unwrap_or(0);
        if held + wanted > self.most_octets_per_source || wanted > self.most_octets {
            return Err(DropReason::FragmentLimit);
        }
        while self.octets + wanted > self.most_octets {
            let oldest = self.by_age.iter().find(|(_, (_, other))| *other != key);
            let Some((&serial, _)) = oldest else {
                return Err(DropReason::FragmentLimit);
            };
            self.forget(serial);
            self.evicted = self.evicted.saturating_add(1);
        }
        Ok(())
    }

    fn find_or_begin(&mut self, now: Instant, key: Key) -> u64 {
        if let Some(datagram) = self.datagrams.get(&key) {
            return datagram.serial;
        }
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        self.datagrams.insert(key, Datagram::new(serial, DATAGRAM_CHARGE));
        self.by_age.insert(serial, (now + self.lifetime, key));
        self.charge(key.source, DATAGRAM_CHARGE);
        serial
    }

    /// Lets a datagram go; whether it was alive.
    fn forget(&mut self, serial: u64) -> bool {
        let Some((_, key)) = self.by_age.remove(&serial) else { return false };
        let Some(datagram) = self.datagrams.remove(&key) else { return false };
        self.discharge(key.source, datagram.charge);
        !datagram.is_dead()
    }

    fn charge(&mut self, source: RemoteAddr, octets: usize) {
        self.octets += octets;
        *self.by_source.entry(source).or_insert(0) += octets;
    }

    fn discharge(&mut self, source: RemoteAddr, octets: usize) {
        self.octets = self.octets.saturating_sub(octets);
        if let Some(held) = self.by_source.get_mut(&source) {
            *held = held.saturating_sub(octets);
            if *held == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

fn key(arrival: &Arrival, fragment: Fragment) -> Key {
    Key {
        source: remote_address(arrival.source),
        local: arrival.local,
        protocol: if arrival.source.is_ipv4() { arrival.protocol } else { 0 },
        identification: fragment.identification,
    }
}

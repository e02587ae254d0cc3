//! Data that wait for what comes before them.
//!
//! Owns: the out-of-order store, where the FIN stands.
//! Must not know: RCV.NXT between calls, the window, SACK, the in-order queue.
//! Implements: RFC 9293 §3.10.7.4 seventh and eighth step (SHLD-31, E-21); AT-7 (CVE-2018-5390).
//!
//! Ranges are sorted, do not overlap and do not touch. A lookup is a binary search; a range that
//! touches its neighbour merges with it, the one of fewer slices moving, so that a slice moves at
//! most log n times in its life. What is held stays as it is
//! when later segments overlap it.

use super::compact::Compactor;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::mem;
use usertcp_base::{DropReason, Seq};
use usertcp_frame::Chain;

/// How much may be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Ranges (`Limits.reassembly_ranges`).
    pub ranges: u32,
    /// Real octets.
    pub charge: u32,
}

/// What became of data handed to the store.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filed {
    /// Held; `duplicate` is the first part of it that was held before.
    Held {
        /// Octets that are new.
        octets: u32,
        /// Left edge and right edge.
        duplicate: Option<(Seq, Seq)>,
    },
    /// All of it was held before.
    Known,
    /// No room; nothing changed.
    Full(DropReason),
}

/// The out-of-order store. Nothing on the heap while it is empty.
#[derive(Debug, Default)]
pub struct Reassembly {
    store: Option<Box<Store>>,
    fin: Option<Seq>,
}

#[derive(Debug)]
struct Store {
    ranges: VecDeque<Range>,
    octets: u32,
    charge: u32,
}

#[derive(Debug)]
struct Range {
    start: Seq,
    /// Real octets, counted as the data came: a frame counts once for each segment in it.
    charge: u32,
    chain: Chain,
}

impl Range {
    fn new(start: Seq, mut chain: Chain, compactor: Option<&mut Compactor<'_>>) -> Range {
        if let Some(compactor) = compactor {
            chain = compactor.compacted(chain);
        }
        Range { start, charge: chain.charge(), chain }
    }
    fn end(&self) -> Seq {
        self.start + self.chain.len() as u32
    }
    fn edges(&self) -> (Seq, Seq) {
        (self.start, self.end())
    }
}

impl Reassembly {
    /// An empty store.
    pub const fn new() -> Reassembly {
        Reassembly { store: None, fin: None }
    }

    /// Holds nothing any more.
    pub(super) fn leave(&mut self) {
        self.store = None;
    }

    /// Knows of no FIN.
    #[inline]
    pub(super) fn forget_fin(&mut self) {
        self.fin = None;
    }

    /// Whether no data are held.
    pub const fn is_empty(&self) -> bool {
        self.store.is_none()
    }

    /// Octets held.
    pub fn octets(&self) -> u32 {
        self.store.as_ref().map_or(0, |store| store.octets)
    }

    /// Real octets that they occupy.
    pub fn charge(&self) -> u32 {
        self.store.as_ref().map_or(0, |store| store.charge)
    }

    /// How many ranges are held.
    pub fn range_count(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.ranges.len())
    }

    /// The ranges held, in order: left edge, right edge.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (Seq, Seq)> + '_ {
        self.store.iter().flat_map(|store| store.ranges.iter()).map(Range::edges)
    }

    /// The range that holds `seq`.
    pub fn containing(&self, seq: Seq) -> Option<(Seq, Seq)> {
        let ranges = &self.store.as_ref()?.ranges;
        let index = ranges.partition_point(|range| range.end().at_or_before(seq));
        ranges.get(index).map(Range::edges).filter(|edges| edges.0.at_or_before(seq))
    }

    /// Where the first gap ends.
    pub fn first(&self) -> Option<Seq> {
        self.store.as_ref()?.ranges.front().map(|range| range.start)
    }

    /// The right edge of the highest range.
    pub fn highest(&self) -> Option<Seq> {
        self.store.as_ref()?.ranges.back().map(Range::end)
    }

    /// The sequence number of the FIN, once it was seen.
    pub const fn fin(&self) -> Option<Seq> {
        self.fin
    }

    /// Remembers the FIN. The first one stays; one before data that are held is a lie, or they
    /// are: it is not taken.
    pub fn note_fin(&mut self, at: Seq) -> bool {
        if self.fin.is_some() || self.highest().is_some_and(|highest| highest.after(at)) {
            return self.fin == Some(at);
        }
        self.fin = Some(at);
        true
    }

    /// Files `chain`, whose first octet has the number `seq`. With a `compactor`, as memory is
    /// short, small payloads do not keep large frames.
    pub fn insert(
        &mut self,
        seq: Seq,
        mut chain: Chain,
        quota: &Quota,
        mut compactor: Option<&mut Compactor<'_>>,
    ) -> Filed {
        if chain.is_empty() {
            return Filed::Known;
        }
        let mut charge = chain.charge();
        if self.charge().saturating_add(charge) > quota.charge
            && let Some(compactor) = compactor.as_deref_mut()
        {
            chain = compactor.compacted(chain);
            charge = chain.charge();
        }
        if self.charge().saturating_add(charge) > quota.charge {
            return Filed::Full(DropReason::ReceiveMemory);
        }
        let Some(store) = self.store.as_deref_mut() else {
            if quota.ranges == 0 {
                return Filed::Full(DropReason::ReassemblyLimit);
            }
            self.store = Some(Box::new(Store::with(Range::new(seq, chain, compactor))));
            let octets = self.octets();
            return Filed::Held { octets, duplicate: None };
        };
        let end = seq + chain.len() as u32;
        let low = store.ranges.partition_point(|range| range.end().before(seq));
        let high = store.ranges.partition_point(|range| range.start.at_or_before(end));
        if low >= high {
            if store.ranges.len() >= quota.ranges as usize {
                return Filed::Full(DropReason::ReassemblyLimit);
            }
            return store.add(low, Range::new(seq, chain, compactor));
        }
        store.merge(low..high, Range { start: seq, charge, chain }, compactor)
    }

    /// Takes the data that begin at or before `nxt`, without what lies before it.
    pub fn take_ready(&mut self, nxt: Seq) -> Option<Chain> {
        loop {
            let store = self.store.as_deref_mut()?;
            if store.ranges.front().is_none_or(|range| range.start.after(nxt)) {
                return None;
            }
            let range = store.ranges.pop_front()?;
            store.forget(&range);
            if store.ranges.is_empty() {
                self.store = None;
            }
            if range.end().after(nxt) {
                let mut chain = range.chain;
                chain.advance(nxt.since(range.start) as usize);
                return Some(chain);
            }
        }
    }

    /// Gives up the highest ranges until no more than `charge` real octets are held; the peer
    /// keeps what it was told we have (RFC 2018 §8 lets a receiver renege). Returns the octets
    /// given up.
    pub fn shed(&mut self, charge: u32) -> u32 {
        let before = self.octets();
        while self.charge() > charge {
            let Some(store) = self.store.as_deref_mut() else { break };
            let Some(range) = store.ranges.pop_back() else { break };
            store.forget(&range);
            if store.ranges.is_empty() {
                self.store = None;
            }
        }
        before - self.octets()
    }

    /// Gives up everything. Returns the octets given up.
    pub fn clear(&mut self) -> u32 {
        let octets = self.octets();
        self.store = None;
        octets
    }
}

impl Store {
    fn with(range: Range) -> Store {
        let (octets, charge) = (range.chain.len() as u32, range.charge);
        let mut ranges = VecDeque::new();
        ranges.push_back(range);
        Store { ranges, octets, charge }
    }

    fn add(&mut self, index: usize, range: Range) -> Filed {
        let octets = range.chain.len() as u32;
        self.octets = self.octets.saturating_add(octets);
        self.charge = self.charge.saturating_add(range.charge);
        self.ranges.insert(index, range);
        Filed::Held { octets, duplicate: None }
    }

    fn forget(&mut self, range: &Range) {
        self.octets = self.octets.saturating_sub(range.chain.len() as u32);
        self.charge = self.charge.saturating_sub(range.charge);
    }

    /// Merges `new` with the ranges `touched`, of which there is at least one: they keep what they
    /// have, `new` fills the gaps.
    fn merge(
        &mut self,
        touched: core::ops::Range<usize>,
        mut new: Range,
        compactor: Option<&mut Compactor<'_>>,
    ) -> Filed {
        let (seq, end) = new.edges();
        let Some(first) = self.ranges.get_mut(touched.start) else { return Filed::Known };
        if first.start.at_or_before(seq) && first.end().at_or_after(end) {
            return Filed::Known;
        }
        let mut duplicate = overlap(first.edges(), (seq, end));
        let mut merged =
            mem::replace(first, Range { start: first.start, charge: 0, chain: Chain::new() });
        let (mut had, mut had_charge) = (merged.chain.len() as u32, merged.charge);
        let mut filler = Filler { whole: false, compacted: 0, compactor };
        if seq.before(merged.start) {
            let front = cut(&mut new.chain, 0, merged.start.since(seq));
            merged.chain = filler.put_before(front, merged.chain);
            merged.start = seq;
        }
        for next in self.ranges.drain(touched.start.saturating_add(1)..touched.end) {
            duplicate = duplicate.or_else(|| overlap(next.edges(), (seq, end)));
            let gap = piece(&mut new.chain, seq, merged.end(), next.start);
            merged.chain = filler.put_behind(merged.chain, gap);
            had = had.saturating_add(next.chain.len() as u32);
            had_charge = had_charge.saturating_add(next.charge);
            merged.chain = join(merged.chain, next.chain);
        }
        let tail = piece(&mut new.chain, seq, merged.end(), end);
        merged.chain = filler.put_behind(merged.chain, tail);
        let added = (merged.chain.len() as u32).saturating_sub(had);
        let charge = filler.charge(new.charge);
        merged.charge = had_charge.saturating_add(charge);
        self.octets = self.octets.saturating_add(added);
        self.charge = self.charge.saturating_add(charge);
        if let Some(slot) = self.ranges.get_mut(touched.start) {
            *slot = merged;
        }
        Filed::Held { octets: added, duplicate }
    }
}

/// Puts pieces of a new segment between ranges, and keeps account of what they cost.
struct Filler<'a, 'b> {
    /// A piece still lies in the frame it came in.
    whole: bool,
    /// Real octets of the pieces that were copied.
    compacted: u32,
    compactor: Option<&'a mut Compactor<'b>>,
}

impl Filler<'_, '_> {
    fn put_before(&mut self, mut piece: Chain, chain: Chain) -> Chain {
        if let Some(compactor) = self.compactor.as_deref_mut() {
            piece = compactor.compacted(piece);
            self.compacted = self.compacted.saturating_add(piece.charge());
        } else {
            self.whole = true;
        }
        join(piece, chain)
    }

    fn put_behind(&mut self, mut chain: Chain, piece: Chain) -> Chain {
        let few = piece.slice_count() <= chain.slice_count();
        match self.compactor.as_deref_mut().filter(|_| few) {
            Some(compactor) => {
                self.compacted = self.compacted.saturating_add(compactor.append(&mut chain, piece));
                chain
            }
            None => {
                self.whole |= !piece.is_empty();
                join(chain, piece)
            }
        }
    }

    /// What the new segment costs, whose own frames cost `whole`.
    fn charge(&self, whole: u32) -> u32 {
        self.compacted.saturating_add(if self.whole { whole } else { 0 })
    }
}

/// The part of `new` in `[from, to)`, where `new` begins at `seq`; empty when there is none.
fn piece(new: &mut Chain, seq: Seq, from: Seq, to: Seq) -> Chain {
    if from.before(to) { cut(new, from.since(seq), to.since(from)) } else { Chain::new() }
}

/// Octets `[offset, offset + len)` of `chain`; the chain itself when that is all of it.
fn cut(chain: &mut Chain, offset: u32, len: u32) -> Chain {
    if offset == 0 && len as usize == chain.len() {
        return mem::replace(chain, Chain::new());
    }
    chain.slice(offset as usize, len as usize)
}

/// `left` followed by `right`; whichever has fewer slices moves.
fn join(mut left: Chain, mut right: Chain) -> Chain {
    #[cfg(test)]
    super::tests::reassembly::count_moves(left.slice_count().min(right.slice_count()));
    if right.slice_count() <= left.slice_count() {
        left.append(right);
        return left;
    }
    while let Some(slice) = left.pop_back() {
        right.push_front_slice(slice);
    }
    right
}

/// What two ranges share.
fn overlap(a: (Seq, Seq), b: (Seq, Seq)) -> Option<(Seq, Seq)> {
    let (left, right) = (a.0.latest(b.0), a.1.earliest(b.1));
    left.before(right).then_some((left, right))
}

//! What the peer holds, what is believed lost, what was sent again.
//!
//! Owns: SND.UNA, SND.NXT, the records between them, their marks, the sums over the marks (pipe),
//! and the sets of ranges that make it cheap to ask: SACKed, lost and waiting, sent again.
//! Must not know: why anything is marked, time, windows.
//! Implements: RFC 2018 §8, RFC 6675 §2, §4 (pipe), RFC 8985 §4; AT-6, AT-8.

use super::delivery::Delivery;
use super::ranges::Ranges;
use super::records::{Marks, Record, Records, Taken};
use super::tally::Tally;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use usertcp_base::{Seq, Stamp};

/// One retransmission that left, for the time-ordered list of RFC 8985 §6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resent {
    pub(super) from: Seq,
    pub(super) to: Seq,
    pub(super) at: Stamp,
}

/// What exists only while something is SACKed, lost or sent again.
#[derive(Debug, Default)]
struct Episode {
    sacked: Ranges,
    /// Lost and not sent again since.
    pending: Ranges,
    /// Retransmissions in the order they left.
    resent: VecDeque<Resent>,
}

/// Sums over the marks, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) sacked: u32,
    pub(super) lost: u32,
    pub(super) resent: u32,
    /// SACKed segments (RACK.segs_sacked).
    pub(super) sacked_units: u32,
}

impl Sums {
    fn add(&mut self, record: &Record) {
        if record.has(Marks::SACKED) {
            self.sacked = self.sacked.wrapping_add(record.octets);
            self.sacked_units = self.sacked_units.wrapping_add(record.units());
        }
        if record.has(Marks::LOST) {
            self.lost = self.lost.wrapping_add(record.octets);
        }
        if record.has(Marks::RESENT) {
            self.resent = self.resent.wrapping_add(record.octets);
        }
    }
    fn take(&mut self, record: &Record) {
        if record.has(Marks::SACKED) {
            self.sacked = self.sacked.wrapping_sub(record.octets);
            self.sacked_units = self.sacked_units.wrapping_sub(record.units());
        }
        if record.has(Marks::LOST) {
            self.lost = self.lost.wrapping_sub(record.octets);
        }
        if record.has(Marks::RESENT) {
            self.resent = self.resent.wrapping_sub(record.octets);
        }
    }
}

/// The records of SND.UNA..SND.NXT with their marks. In the order in which it lies in memory, as [`super::Recovery`].
#[derive(Debug)]
#[repr(C)]
pub(super) struct Scoreboard {
    una: Seq,
    nxt: Seq,
    records: Records,
    sums: Sums,
    episode: Option<Box<Episode>>,
}

#[cfg(test)]
impl Scoreboard {
    /// Octets to the end of the first record.
    pub(super) const ONE_RECORD: usize =
        core::mem::offset_of!(Scoreboard, records) + 4 + size_of::<Record>();
}

impl Scoreboard {
    pub(super) fn new(una: Seq) -> Scoreboard {
        Scoreboard { una, nxt: una, sums: Sums::default(), records: Records::new(), episode: None }
    }
    /// Becomes such a one where it is: of one that is new, or was left.
    #[inline]
    pub(super) fn begin(&mut self, beginning: Seq) {
        let Scoreboard { una, nxt, records, sums, episode } = self;
        debug_assert!(episode.is_none(), "it was not left");
        (*una, *nxt) = (beginning, beginning);
        *records = Records::new();
        *sums = Sums::default();
    }
    /// Gives back what is on the heap of an episode of loss.
    pub(super) fn leave(&mut self) {
        self.episode = None;
    }
    /// The same of what is outstanding.
    #[inline]
    pub(super) fn leave_records(&mut self) {
        if let Records::Many(_) = self.records {
            self.records = Records::new();
        }
    }
    /// With nothing outstanding: becomes one that is new, where it is.
    pub(super) fn forget_flight(&mut self) {
        self.leave();
        self.begin(self.una);
    }
    /// The numbers of a connection whose SND.UNA is `by` larger; nothing is outstanding.
    pub(super) fn shift(&mut self, by: u32) {
        self.una += by;
        self.nxt += by;
    }
    /// Whether two boards with nothing outstanding are equal.
    pub(super) fn is_same_quiet(&self, other: &Scoreboard) -> bool {
        self.una == other.una && self.nxt == other.nxt
    }
    pub(super) fn una(&self) -> Seq {
        self.una
    }
    pub(super) fn nxt(&self) -> Seq {
        self.nxt
    }
    pub(super) fn sums(&self) -> Sums {
        self.sums
    }
    pub(super) fn outstanding(&self) -> u32 {
        // SND.UNA is never beyond SND.NXT.
        self.nxt.0.wrapping_sub(self.una.0)
    }
    /// RFC 6675 §4: neither SACKed nor lost, plus what was sent again; an octet sent again without
    /// being lost counts twice.
    pub(super) fn pipe(&self) -> u32 {
        let there = self.outstanding().saturating_add(self.sums.resent);
        there.saturating_sub(self.sums.sacked).saturating_sub(self.sums.lost)
    }
    pub(super) fn record(&self, index: usize) -> Option<&Record> {
        self.records.get(index)
    }
    pub(super) fn find(&self, seq: Seq) -> usize {
        self.records.find(seq)
    }
    pub(super) fn front(&self) -> Option<&Record> {
        self.records.get(0)
    }
    pub(super) fn last(&self) -> Option<&Record> {
        self.records.last()
    }
    #[cfg(test)]
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
    pub(super) fn record_count(&self) -> usize {
        self.records.len()
    }
    /// The first range that is lost and not sent again.
    pub(super) fn first_pending(&self) -> Option<(Seq, Seq)> {
        self.episode.as_ref()?.pending.first()
    }
    /// End of the highest SACKed range.
    pub(super) fn highest_sacked(&self) -> Option<Seq> {
        Some(self.episode.as_ref()?.sacked.last()?.1)
    }
    /// The oldest retransmission not judged yet.
    pub(super) fn oldest_resent(&self) -> Option<Resent> {
        self.episode.as_ref()?.resent.front().copied()
    }
    /// Its octets before `seq` are judged; all of it when `seq` is its end.
    pub(super) fn judged_resent(&mut self, seq: Seq) {
        let Some(episode) = self.episode.as_mut() else { return };
        match episode.resent.front_mut() {
            Some(front) if seq.before(front.to) => front.from = front.from.latest(seq),
            _ => {
                episode.resent.pop_front();
            }
        }
    }

    /// Nothing is SACKed, lost or sent again.
    pub(super) fn is_plain(&self) -> bool {
        self.episode.is_none() && self.sums == Sums::default()
    }
    /// Whether the records of what is outstanding lie here.
    #[inline(always)] // a comparison
    pub(super) fn is_short(&self) -> bool {
        matches!(self.records, Records::Few { .. })
    }
    /// Whether nothing is outstanding.
    pub(super) fn is_clear(&self) -> bool {
        self.records.len() == 0
    }
    /// Whether all there is are unmarked transmissions, two at most, that left when nothing of their round was in
    /// flight.
    pub(super) fn is_of_one_round(&self, delivery: &Delivery) -> bool {
        self.records.are_few(|record| record.is_unmarked() && delivery.ends_round(record.delivered))
    }
    /// Takes out the only transmission, if it is `wanted`: when it left. `None`, and nothing changes: there are more, or
    /// none, or it is not.
    #[inline(always)]
    pub(super) fn take_only(&mut self, wanted: impl FnOnce(Stamp) -> bool) -> Option<Stamp> {
        self.records.take_only(wanted)
    }
    /// SND.UNA moves to `ack`, the end of the only transmission, which was taken out.
    #[inline(always)]
    pub(super) fn advance_over_taken(&mut self, ack: Seq) {
        debug_assert!(self.is_clear());
        self.una = ack;
    }
    /// SND.UNA moves to `ack`, in a plain state: what arrived; or nothing happened and the steps of
    /// `advance` are needed.
    pub(super) fn advance_plain(&mut self, ack: Seq) -> Option<Taken> {
        let taken = self.records.take_unmarked(ack)?;
        self.una = ack;
        Some(taken)
    }

    fn episode(&mut self) -> &mut Episode {
        self.episode.get_or_insert_default()
    }
    /// Appends a transmission at SND.NXT.
    pub(super) fn push(&mut self, record: Record) {
        if record.octets == 0 {
            return;
        }
        self.sums.add(&record);
        self.nxt = record.end();
        self.records.push_back(record);
    }
    /// The same of one up to `end` that is neither SACKed nor lost nor sent again, and not empty.
    #[inline(always)]
    pub(super) fn push_unmarked(&mut self, record: Record) {
        self.nxt = record.end();
        self.records.push_back(record);
    }
    /// The same when [nothing is outstanding](Scoreboard::is_clear).
    #[inline(always)]
    pub(super) fn push_first(&mut self, record: Record) {
        self.nxt = record.end();
        self.records.begin_with(record);
    }
    fn edit(&mut self, index: usize, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.records.get_mut(index) {
            self.sums.take(record);
            change(record);
            self.sums.add(record);
        }
    }
    /// Makes `at` a border between records, if it lies inside the record at `index`. Returns the
    /// index of the record that begins there.
    fn cut(&mut self, index: usize, at: Seq) -> usize {
        let Some(record) = self.records.get_mut(index) else { return index };
        let offset = at.since(record.seq);
        if offset == 0 {
            return index;
        }
        if offset < record.octets {
            self.sums.take(record);
            let front = record.cut_front(offset);
            self.sums.add(&front);
            self.sums.add(record);
            self.records.insert(index, front);
        }
        index + 1
    }

    /// SND.UNA moves to `ack`, which must not lie beyond SND.NXT.
    pub(super) fn advance(&mut self, ack: Seq, tally: &mut Tally) {
        while let Some(front) = self.records.get_mut(0) {
            let acked = ack.since(front.seq);
            if acked == 0 {
                break;
            }
            self.sums.take(front);
            if acked < front.octets {
                let whole_unit = acked >= front.first_unit();
                let part = front.cut_front(acked);
                self.sums.add(front);
                tally.acknowledged(&part, whole_unit);
                break;
            }
            let whole = *front;
            let _ = self.records.pop_front();
            tally.acknowledged(&whole, true);
        }
        self.una = self.una.latest(ack);
        if self.records.len() == 0 {
            self.episode = None;
        } else if let Some(episode) = self.episode.as_mut() {
            episode.sacked.forget_before(ack);
            episode.pending.forget_before(ack);
        }
    }

    /// Marks `[left, right)`, which must lie inside SND.UNA..SND.NXT, as held by the peer, rounded
    /// inward to segment boundaries. Ignored when it would be a range beyond `limit`.
    pub(super) fn sack(&mut self, left: Seq, right: Seq, limit: usize, tally: &mut Tally) {
        // The cheap questions first, of the ranges alone: nothing new, or too many.
        if !self.would_sack(left, right, limit) {
            return;
        }
        let Some((left, right)) = self.round_inward(left, right) else { return };
        if !self.would_sack(left, right, limit) {
            return;
        }
        let mut from = left;
        while let Some((start, end)) = self.episode().sacked.next_gap(from, right) {
            self.sack_gap(start, end, tally);
            from = end;
        }
        self.episode().sacked.insert(left, right);
    }
    fn would_sack(&self, left: Seq, right: Seq, limit: usize) -> bool {
        let Some(episode) = self.episode.as_ref() else { return limit != 0 };
        let sacked = &episode.sacked;
        let full = sacked.len() >= limit && sacked.would_grow(left, right);
        !full && sacked.next_gap(left, right).is_some()
    }
    fn round_inward(&self, left: Seq, right: Seq) -> Option<(Seq, Seq)> {
        let first = self.records.get(self.records.find(left))?;
        let left = first.seq + first.boundary_above(left.since(first.seq));
        let last = self.records.get(self.records.find(right - 1))?;
        let right = last.seq + last.boundary_below(right.since(last.seq));
        left.before(right).then_some((left, right))
    }
    fn sack_gap(&mut self, from: Seq, to: Seq, tally: &mut Tally) {
        let mut index = self.cut(self.records.find(from), from);
        while let Some(record) = self.records.get(index) {
            if !record.seq.before(to) {
                break;
            }
            if record.end().after(to) {
                self.cut(index, to);
            }
            if let Some(record) = self.records.get(index) {
                tally.sacked(record);
            }
            self.edit(index, |record| {
                record.marks = record.marks & !(Marks::LOST | Marks::RESENT) | Marks::SACKED;
            });
            index += 1;
        }
        self.episode().pending.remove(from, to);
    }

    /// Marks the record at `index` lost, its retransmission too if one is in flight. Returns octets
    /// newly lost.
    pub(super) fn mark_lost(&mut self, index: usize) -> u32 {
        let Some(&record) = self.records.get(index) else { return 0 };
        let waiting = record.has(Marks::LOST) && !record.has(Marks::RESENT);
        if waiting || record.has(Marks::SACKED) {
            return 0;
        }
        self.edit(index, |record| record.marks = record.marks & !Marks::RESENT | Marks::LOST);
        self.episode().pending.insert(record.seq, record.end());
        record.octets
    }
    /// Marks the first segment lost.
    pub(super) fn mark_front_lost(&mut self) -> u32 {
        let Some(front) = self.front() else { return 0 };
        let end = front.seq + front.first_unit();
        self.cut(0, end);
        self.mark_lost(0)
    }
    /// The first segment, as wide as it left.
    pub(super) fn front_segment(&self) -> Option<(Seq, u32)> {
        let front = self.front()?;
        Some((front.seq, front.first_unit()))
    }
    /// The last segment the peer does not hold above all it holds.
    pub(super) fn last_segment(&self) -> Option<(Seq, u32)> {
        let last = self.last()?;
        if last.has(Marks::SACKED) {
            return None;
        }
        let start = last.boundary_below(last.octets.saturating_sub(1));
        Some((last.seq + start, last.octets - start))
    }

    /// `[seq, seq + octets)` left again; `stamp` stamps the records. Returns whether any of it was
    /// lost.
    pub(super) fn resend(
        &mut self,
        seq: Seq,
        octets: u32,
        at: Stamp,
        stamp: impl Fn(&mut Record),
    ) -> bool {
        let from = seq.latest(self.una);
        let to = (seq + octets).earliest(self.nxt);
        if !from.before(to) {
            return false;
        }
        let mut lost = false;
        let mut index = self.cut(self.records.find(from), from);
        while let Some(record) = self.records.get(index) {
            if !record.seq.before(to) {
                break;
            }
            if record.end().after(to) {
                self.cut(index, to);
            }
            self.edit(index, |record| {
                if !record.has(Marks::SACKED) {
                    lost |= record.has(Marks::LOST);
                    record.marks |= Marks::RESENT | Marks::REPEATED;
                    stamp(record);
                }
            });
            index += 1;
        }
        let episode = self.episode();
        episode.pending.remove(from, to);
        episode.resent.push_back(Resent { from, to, at });
        lost
    }

    /// Nothing is lost after all (undo). What was sent again stays in flight.
    pub(super) fn unmark_lost(&mut self) {
        if self.sums.lost != 0 {
            for index in 0..self.records.len() {
                self.edit(index, |record| record.marks &= !Marks::LOST);
            }
        }
        if let Some(episode) = self.episode.as_mut() {
            episode.pending.clear();
        }
    }
    /// The same for `[from, to)`, as far as it was sent again.
    pub(super) fn unmark_lost_between(&mut self, from: Seq, to: Seq) {
        let mut index = self.find(from);
        while self.record(index).is_some_and(|record| record.seq.before(to)) {
            self.edit(index, |record| {
                if record.has(Marks::RESENT) {
                    record.marks &= !Marks::LOST;
                }
            });
            index += 1;
        }
    }
    /// The peer took back what it had SACKed (RFC 2018 §8).
    pub(super) fn forget_sacked(&mut self) {
        for index in 0..self.records.len() {
            self.edit(index, |record| record.marks &= !Marks::SACKED);
        }
        if let Some(episode) = self.episode.as_mut() {
            episode.sacked.clear();
        }
    }
    #[cfg(test)]
    pub(super) fn sacked_ranges(&self) -> alloc::vec::Vec<(Seq, Seq)> {
        self.episode.as_ref().map(|e| e.sacked.iter().collect()).unwrap_or_default()
    }
    #[cfg(test)]
    pub(super) fn pending_ranges(&self) -> alloc::vec::Vec<(Seq, Seq)> {
        self.episode.as_ref().map(|e| e.pending.iter().collect()).unwrap_or_default()
    }
    /// Whether anything is kept on the heap.
    #[cfg(test)]
    pub(super) fn holds_heap(&self) -> bool {
        self.episode.is_some() || matches!(self.records, Records::Many(_))
    }
}

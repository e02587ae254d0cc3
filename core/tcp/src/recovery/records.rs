//! Transmissions, in sequence order.
//!
//! Owns: `Record`, one per transmission (a super-segment is one record), and `Records`, the queue
//! of them: two inline, more on the heap, none kept there once the queue is empty.
//! Must not know: what marks mean for the window, or who sets them.
//! Implements: RFC 8985 §4 (what is stored per segment); AT-6 (cuts only at segment boundaries).

use alloc::collections::VecDeque;
use usertcp_base::{Seq, Stamp};

/// Marks of a record. `SACKED` excludes `LOST` and `RESENT`.
pub(super) struct Marks;

impl Marks {
    /// The peer holds it.
    pub(super) const SACKED: u8 = 1;
    /// Believed lost. Stays set while its retransmission is in flight.
    pub(super) const LOST: u8 = 2;
    /// A retransmission of it is in flight.
    pub(super) const RESENT: u8 = 4;
    /// It was sent more than once.
    pub(super) const REPEATED: u8 = 8;
    /// The application had nothing more to send in the flight it belongs to.
    pub(super) const APPLICATION_LIMITED: u8 = 16;
}

/// What was sent by one call, or a part of it. Its octets fall into units: the segments of the
/// wire. The first unit may be shorter than the others, once its front was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) seq: Seq,
    pub(super) octets: u32,
    /// When it was sent last.
    pub(super) sent_at: Stamp,
    /// Delivery rate sampling, as of its last transmission: when the newest delivered transmission
    /// had been sent, when that was delivered, and how much had been delivered in all.
    pub(super) first_sent: Stamp,
    pub(super) delivered_at: Stamp,
    pub(super) delivered: u32,
    mss: u16,
    /// Octets of the first unit.
    phase: u16,
    pub(super) marks: u8,
}

const _: () = assert!(size_of::<Record>() <= 32);

impl Record {
    #[inline(always)]
    pub(super) fn new(seq: Seq, octets: u32, mss: u32, sent_at: Stamp) -> Record {
        let mss = u16::try_from(mss.max(1)).unwrap_or(u16::MAX);
        Record { seq, octets, sent_at, mss, phase: mss, ..Record::default() }
    }
    /// Of one segment at `now`, when nothing was in flight and `delivered` had been delivered.
    #[inline(always)] // once
    pub(super) fn new_alone(
        now: Stamp,
        (seq, octets): (Seq, u32),
        mss: u16,
        sent_at: Stamp,
        delivered: u32,
    ) -> Record {
        let (first_sent, delivered_at) = (now, now);
        Record {
            seq,
            octets,
            sent_at,
            first_sent,
            delivered_at,
            delivered,
            mss,
            phase: mss,
            marks: 0,
        }
    }
    pub(super) fn end(&self) -> Seq {
        self.seq + self.octets
    }
    pub(super) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
    /// It was sent once and nothing is believed of it.
    pub(super) fn is_unmarked(&self) -> bool {
        self.marks & !Marks::APPLICATION_LIMITED == 0
    }
    /// Cuts off and returns what lies before `ack`, which lies inside; `None` when that is less than the
    /// first segment.
    fn take_units(&mut self, ack: Seq) -> Option<Record> {
        let octets = ack.since(self.seq);
        (octets >= self.first_unit()).then(|| self.cut_front(octets))
    }
    fn unit(&self) -> u32 {
        u32::from(self.mss).max(1)
    }
    /// Octets of the first unit.
    pub(super) fn first_unit(&self) -> u32 {
        u32::from(self.phase).clamp(1, self.octets.max(1))
    }
    /// Segments of the wire it consists of.
    pub(super) fn units(&self) -> u32 {
        1 + self.octets.saturating_sub(self.first_unit()).div_ceil(self.unit())
    }
    /// The largest boundary between units not beyond `offset`.
    pub(super) fn boundary_below(&self, offset: u32) -> u32 {
        let first = self.first_unit();
        if offset >= self.octets {
            self.octets
        } else if offset < first {
            0
        } else {
            first + (offset - first) / self.unit() * self.unit()
        }
    }
    /// The smallest boundary between units not before `offset`.
    pub(super) fn boundary_above(&self, offset: u32) -> u32 {
        let first = self.first_unit();
        if offset == 0 {
            0
        } else if offset <= first {
            first
        } else {
            let whole = (offset - first).div_ceil(self.unit()).saturating_mul(self.unit());
            first.saturating_add(whole).min(self.octets)
        }
    }
    /// Cuts `offset` octets off the front and returns them. `offset` must lie inside.
    pub(super) fn cut_front(&mut self, offset: u32) -> Record {
        let offset = offset.min(self.octets);
        let front = Record { octets: offset, ..*self };
        let first = self.first_unit();
        let rest = if offset < first {
            first - offset
        } else {
            self.unit() - (offset - first) % self.unit()
        };
        self.phase = u16::try_from(rest).unwrap_or(self.mss);
        self.seq += offset;
        self.octets -= offset;
        front
    }
    /// Whether it was sent after (`at`, `end`), in RACK's order: by time, then by sequence.
    pub(super) fn sent_after(&self, at: Stamp, end: Seq) -> bool {
        self.sent_at.after(at) || (self.sent_at == at && self.end().after(end))
    }
}

/// What is asked of records that an acknowledgement took out: when the oldest was sent, and of the last
/// (each field is one of [`Record`]) all that a sample needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) oldest_sent_at: Stamp,
    pub(super) sent_at: Stamp,
    pub(super) first_sent: Stamp,
    pub(super) delivered_at: Stamp,
    pub(super) delivered: u32,
    pub(super) application_limited: bool,
}

impl Taken {
    #[inline]
    pub(super) fn of(oldest_sent_at: Stamp, last: &Record) -> Taken {
        let Record { sent_at, first_sent, delivered_at, delivered, .. } = *last;
        let application_limited = last.has(Marks::APPLICATION_LIMITED);
        Taken { oldest_sent_at, sent_at, first_sent, delivered_at, delivered, application_limited }
    }
}

const INLINE: usize = 2;

/// A queue of records. Contiguous: each begins where the one before it ends.
#[derive(Debug)]
pub(super) enum Records {
    Few { len: u8, records: [Record; INLINE] },
    Many(VecDeque<Record>),
}

impl Records {
    pub(super) fn new() -> Records {
        Records::Few { len: 0, records: [Record::default(); INLINE] }
    }
    pub(super) fn len(&self) -> usize {
        match self {
            Records::Few { len, .. } => usize::from(*len),
            Records::Many(queue) => queue.len(),
        }
    }
    pub(super) fn get(&self, index: usize) -> Option<&Record> {
        #[cfg(test)]
        work::looked_at(1);
        match self {
            Records::Few { len, records } => records.get(..usize::from(*len))?.get(index),
            Records::Many(queue) => queue.get(index),
        }
    }
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Record> {
        #[cfg(test)]
        work::looked_at(1);
        match self {
            Records::Few { len, records } => records.get_mut(..usize::from(*len))?.get_mut(index),
            Records::Many(queue) => queue.get_mut(index),
        }
    }
    pub(super) fn last(&self) -> Option<&Record> {
        self.get(self.len().checked_sub(1)?)
    }
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
    /// Puts `record` before the one at `index`; at the end when `index` is the length.
    pub(super) fn insert(&mut self, index: usize, record: Record) {
        if let Records::Few { len, records } = self {
            let count = usize::from(*len);
            if count < INLINE {
                let index = index.min(count);
                records.copy_within(index..count, index + 1);
                records[index] = record;
                *len += 1;
                return;
            }
            self.spill();
        }
        if let Records::Many(queue) = self {
            let index = index.min(queue.len());
            #[cfg(test)]
            work::moved(index.min(queue.len() - index));
            queue.insert(index, record);
        }
    }
    #[inline(always)] // it is put together in its place
    pub(super) fn push_back(&mut self, record: Record) {
        match self {
            Records::Few { len, records } if usize::from(*len) < INLINE => {
                if let Some(place) = records.get_mut(usize::from(*len)) {
                    *place = record;
                }
                *len += 1;
            }
            _ => {
                self.spill();
                if let Records::Many(queue) = self
                    && let Some(place) = behind(queue)
                {
                    *place = record;
                }
            }
        }
    }
    /// Puts the first one, where there is none.
    #[inline(always)] // as above
    pub(super) fn begin_with(&mut self, record: Record) {
        debug_assert_eq!(self.len(), 0);
        match self {
            Records::Few { len, records: [first, _] } => {
                *first = record;
                *len = 1;
            }
            Records::Many(_) => *self = Records::Few { len: 1, records: [record; INLINE] },
        }
    }
    /// There will be more than lie here.
    #[cold]
    fn spill(&mut self) {
        if let Records::Few { len, records } = self {
            let queue = records.iter().take(usize::from(*len)).copied().collect();
            *self = Records::Many(queue);
        }
    }
    pub(super) fn pop_front(&mut self) -> Option<Record> {
        match self {
            Records::Few { len, records } => {
                *len = len.checked_sub(1)?;
                let front = records[0];
                records.copy_within(1.., 0);
                Some(front)
            }
            Records::Many(queue) => {
                let front = queue.pop_front();
                if queue.is_empty() {
                    *self = Records::new();
                }
                front
            }
        }
    }
    /// Takes out what lies before `ack`. `None`, and nothing is taken, when that is less than a segment,
    /// or when one of the records was ever marked: then more follows than that they arrived.
    pub(super) fn take_unmarked(&mut self, ack: Seq) -> Option<Taken> {
        self.take_first_and_last(ack).map(|(oldest, last)| Taken::of(oldest, &last))
    }
    /// Whether they are two at most, and `all` says so of each.
    pub(super) fn are_few(&self, all: impl Fn(&Record) -> bool) -> bool {
        match self {
            Records::Few { len, records } => records.iter().take(usize::from(*len)).all(all),
            Records::Many(_) => false,
        }
    }
    /// Takes out the only record, if it is `wanted`: when it was sent. `None`, and nothing changes: there are more, or
    /// none, or it is not.
    #[inline(always)]
    pub(super) fn take_only(&mut self, wanted: impl FnOnce(Stamp) -> bool) -> Option<Stamp> {
        match self {
            Records::Few { len: len @ 1, records: [only, _] } if wanted(only.sent_at) => {
                *len = 0;
                Some(only.sent_at)
            }
            _ => None,
        }
    }
    /// When the first of the records had been sent, and the last, or the front of it that was
    /// acknowledged.
    fn take_first_and_last(&mut self, ack: Seq) -> Option<(Stamp, Record)> {
        match self {
            Records::Few { len, records } => {
                let [first, second] = *records;
                if *len == 0 || !first.is_unmarked() {
                    return None;
                }
                if first.end() == ack {
                    records[0] = second;
                    *len -= 1;
                    return Some((first.sent_at, first));
                }
                if first.end().after(ack) {
                    let part = records[0].take_units(ack)?;
                    return Some((part.sent_at, part));
                }
                if *len == 1 || !second.is_unmarked() || ack.after(second.end()) {
                    return None;
                }
                if second.end() == ack {
                    *len = 0;
                    return Some((first.sent_at, second));
                }
                let part = records[1].take_units(ack)?;
                records[0] = records[1];
                *len = 1;
                Some((first.sent_at, part))
            }
            Records::Many(queue) => {
                let mut count = 0;
                let last = loop {
                    let record = queue.get_mut(count).filter(|record| record.is_unmarked())?;
                    if record.end().after(ack) {
                        break record.take_units(ack)?;
                    }
                    count += 1;
                    if record.end() == ack {
                        break *record;
                    }
                };
                let first = if count == 0 { last.sent_at } else { queue.front()?.sent_at };
                queue.drain(..count);
                if queue.is_empty() {
                    *self = Records::new();
                }
                Some((first, last))
            }
        }
    }
    /// The index of the record that holds `seq`; the length when `seq` lies behind all of them,
    /// zero when it lies before.
    pub(super) fn find(&self, seq: Seq) -> usize {
        #[cfg(test)]
        work::looked_at(self.len().max(1).ilog2() as usize + 1);
        match self {
            Records::Few { len, records } => {
                let used = records.get(..usize::from(*len)).unwrap_or(&[]);
                used.partition_point(|record| record.end().at_or_before(seq))
            }
            Records::Many(queue) => queue.partition_point(|r| r.end().at_or_before(seq)),
        }
    }
}

/// The place of one more record.
#[inline(never)]
fn behind(queue: &mut VecDeque<Record>) -> Option<&mut Record> {
    queue.push_back(Record::default());
    queue.back_mut()
}

/// What a test counts instead of time: the same on every machine.
#[cfg(test)]
pub(super) mod work {
    use core::cell::Cell;

    std::thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
        static MOVED: Cell<usize> = const { Cell::new(0) };
    }
    pub(super) fn looked_at(records: usize) {
        LOOKED_AT.set(LOOKED_AT.get() + records);
    }
    pub(super) fn moved(records: usize) {
        MOVED.set(MOVED.get() + records);
    }
    /// Records looked at and records moved since the last call.
    pub(in super::super) fn take() -> (usize, usize) {
        (LOOKED_AT.take(), MOVED.take())
    }
}

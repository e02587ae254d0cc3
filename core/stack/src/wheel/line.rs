//! Deadlines that come in order.
//!
//! Owns: who stands in line until when, and what of that is still so as far as numbers tell.
//! Must not know: records. Whoever leaves before its time does not look for its entry: a record knows its
//! ticket, and an entry without a record that has its ticket is nobody's.

use crate::fifo::Fifo;

/// Entries that are nobody's, beside as many as there are others.
const SLACK: u32 = if cfg!(test) { 8 } else { 4096 };
/// How far away a deadline may be: a second and some milliseconds, so that nobody has to stand behind one
/// that is much later.
const MOST_TICKS: u64 = 1_010_000 >> super::TICK_MICROS_SHIFT;

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    /// Record, and the low half of its tick.
    entries: Fifo<(u32, u32)>,
    /// Entries.
    count: u32,
    /// Entries that are somebody's.
    len: u32,
    /// The ticket of the first entry, circular.
    ticket: u32,
    /// The tick of the first entry, and of the last one. None is before the first.
    first: u64,
    last: u64,
}

impl Line {
    pub(super) const fn new() -> Line {
        Line { entries: Fifo::new(), count: 0, len: 0, ticket: 0, first: u64::MAX, last: 0 }
    }

    /// Records that stand in it.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Nobody is due before this tick.
    #[inline]
    pub(super) fn first_tick(&self) -> u64 {
        self.first
    }

    /// Whether a deadline may be added at `current`.
    #[inline]
    pub(super) fn takes(&self, current: u64, tick: u64) -> bool {
        let in_order = self.count == 0 || self.last <= tick;
        in_order && tick <= current + MOST_TICKS && self.count / 2 <= self.len + SLACK
    }

    /// Adds a record: its ticket.
    #[inline]
    pub(super) fn push(&mut self, index: u32, tick: u64) -> u32 {
        self.entries.push((index, tick as u32));
        if self.count == 0 {
            self.first = tick;
        }
        self.last = tick;
        let ticket = self.ticket.wrapping_add(self.count);
        self.count += 1;
        self.len += 1;
        ticket
    }

    /// Takes the first entry out: the record and its ticket.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        let (index, _) = self.entries.pop()?;
        let ticket = self.ticket;
        self.ticket = ticket.wrapping_add(1);
        self.count -= 1;
        self.first = match self.entries.front() {
            // All are within the circle of the first.
            Some((_, tick)) => self.first + u64::from(tick.wrapping_sub(self.first as u32)),
            None => u64::MAX,
        };
        Some((index, ticket))
    }

    /// A record does not stand in it any more.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.len -= 1;
    }

    /// The first records, as many as are at hand, if the first of all is due.
    pub(super) fn due(&self, now: u64) -> impl Iterator<Item = u32> {
        let entries = if self.first <= now { usize::MAX } else { 0 };
        self.entries.ahead().iter().take(entries).map(|(index, _)| *index)
    }
}

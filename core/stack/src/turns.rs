//! Whose segment leaves next.
//!
//! Owns: the order of connections that have something to send. Must not know: segments, batches.
//!
//! Without super-segments all take turns of one decision. With them a connection that has more than one
//! to send is better served several times in a row: what a receiver finds together costs it one look
//! and us one acknowledgement. Nobody who has little to say waits for that: who comes anew has one turn
//! before those that go on.
//!
//! Whose limit lets it out often has little time (`pressing`), and goes before all of these, three turns of
//! four. While there are such connections, batches are short: what becomes due meanwhile is looked at
//! between them.

mod pressing;

use crate::ready::ReadyList;
use pressing::Pressing;
pub(crate) use pressing::{Press, press_of};

/// Super-segments of one connection in a row: about a window of today's fast paths.
const RUN_SEGMENTS: u32 = 32;
/// Turns of those that come anew between two runs of those that go on.
const MOST_AHEAD: u32 = 64;
/// Turns of pressing connections in a row while others wait.
const PRESSING_IN_A_ROW: u32 = 3;
/// Turns in one batch while there are pressing connections: where a packet is a system call of some microseconds,
/// little more than a tick of the wheel.
const SHORT_BATCH: u32 = 16;
/// Batches for which there are some after each that was.
const SHORT_BATCHES: u32 = 1024;

/// A connection that goes on at once.
#[derive(Clone, Copy, Debug)]
struct Run {
    index: u32,
    /// Segments left to it.
    left: u32,
}

/// Connections that have something to send, each at most once.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Who came anew.
    fresh: ReadyList,
    /// Who had a turn and has more.
    going: ReadyList,
    /// Who is in the middle of a run, and in neither list.
    runner: Option<Run>,
    /// How many are in `going` or run.
    going_on: u32,
    /// Segments that whose turn it is may send in a row after this one.
    left: u32,
    /// Turns of `fresh` since somebody in `going` had one.
    ahead: u32,
    run_segments: u32,
    pressing: Pressing,
    /// Turns they had in a row.
    pressing_row: u32,
    /// Batches that are still to be short.
    short_batches: u32,
}

impl Turns {
    /// Nobody yet. `super_segments`: the device cuts.
    pub(crate) fn new(super_segments: bool) -> Turns {
        let run_segments = if super_segments { RUN_SEGMENTS } else { 0 };
        let (fresh, going) = (ReadyList::new(), ReadyList::new());
        Turns {
            fresh,
            going,
            runner: None,
            going_on: 0,
            left: 0,
            ahead: 0,
            run_segments,
            pressing: Pressing::new(),
            pressing_row: 0,
            short_batches: 0,
        }
    }

    /// Whether nobody has anything to send.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.going_on == 0 && self.pressing.len() == 0
    }

    /// Whether `index` is among them.
    pub(crate) fn contains(&self, index: u32) -> bool {
        self.fresh.contains(index) || self.goes_on(index) || self.pressing.contains(index)
    }

    /// Reads a little of what is noted of `index`, so that it is on its way from memory.
    #[inline]
    pub(crate) fn touch(&self, index: u32) -> u64 {
        self.fresh.touch(index)
    }

    /// How many turns a batch has, of `most`.
    #[inline]
    pub(crate) fn begin_batch(&mut self, most: u32) -> u32 {
        if self.short_batches == 0 {
            return most;
        }
        self.short_batches -= 1;
        most.min(SHORT_BATCH)
    }

    /// How many have something to send, those that have little time aside.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.fresh.len() + self.going_on
    }

    /// Whose turn probably comes next.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = u32> {
        self.fresh.ahead()
    }

    /// `index` has something to send; nothing when that is known.
    #[inline]
    pub(crate) fn push(&mut self, index: u32) {
        if self.going_on | self.pressing.len() == 0 || !self.has_left_fresh(index) {
            self.fresh.push(index);
        }
    }

    /// `index` has something to send, and little time.
    pub(crate) fn press(&mut self, index: u32, press: Press) {
        self.short_batches = SHORT_BATCHES;
        if !self.goes_on(index) {
            self.fresh.remove(index);
            self.pressing.push(index, press);
        }
    }

    fn has_left_fresh(&self, index: u32) -> bool {
        self.goes_on(index) || self.pressing.contains(index)
    }

    /// Takes out whose turn it is.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        if self.going_on | self.pressing.len() > 0 {
            return self.pop_of_all();
        }
        self.left = 0;
        self.fresh.pop()
    }

    /// `index`, whose turn it was, has more to send.
    pub(crate) fn again(&mut self, index: u32) {
        if self.run_segments == 0 {
            return self.fresh.push(index);
        }
        if self.left > 0 {
            self.runner = Some(Run { index, left: self.left });
        } else {
            self.going.push(index);
        }
        self.count();
    }

    /// `index` has nothing to send any more.
    pub(crate) fn remove(&mut self, index: u32) {
        self.fresh.remove(index);
        if self.going_on > 0 {
            self.going.remove(index);
            self.runner = self.runner.filter(|run| run.index != index);
            self.count();
        }
        if self.pressing.len() > 0 {
            self.pressing.remove(index);
        }
    }

    fn count(&mut self) {
        self.going_on = self.going.len() + u32::from(self.runner.is_some());
    }

    fn goes_on(&self, index: u32) -> bool {
        self.runner.is_some_and(|run| run.index == index) || self.going.contains(index)
    }

    #[inline(never)]
    fn pop_of_all(&mut self) -> Option<u32> {
        let others = !self.fresh.is_empty() || self.going_on > 0;
        if self.pressing.len() > 0 && (self.pressing_row < PRESSING_IN_A_ROW || !others) {
            let next = self.pressing.pop();
            self.left = 0;
            self.pressing_row += u32::from(others);
            return next;
        }
        self.pressing_row = 0;
        if self.ahead < MOST_AHEAD
            && let Some(index) = self.fresh.pop()
        {
            (self.ahead, self.left) = (self.ahead + 1, 0);
            return Some(index);
        }
        self.ahead = 0;
        if self.going_on == 0 {
            self.left = 0;
            return self.fresh.pop();
        }
        let next = match self.runner.take() {
            Some(Run { index, left }) => {
                self.left = left.saturating_sub(1);
                Some(index)
            }
            None => {
                self.left = self.run_segments.saturating_sub(1);
                self.going.pop()
            }
        };
        self.count();
        next
    }
}

#[cfg(test)]
mod tests;

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

use crate::anchor::{Anchor, Anchors};
use crate::fifo::{Fifo, Mortal};
use crate::ready::ReadyList;
use crate::usual::LONG_QUEUE;
use pressing::Pressing;
pub(crate) use pressing::{Press, press_of};
use usertcp_base::ConnId;

/// Super-segments of one connection in a row: about a window of today's fast paths.
const RUN_SEGMENTS: u32 = 32;
/// Turns of those that come anew between two runs of those that go on.
const MOST_AHEAD: u32 = 64;
/// Turns of pressing connections in a row while others wait.
const PRESSING_IN_A_ROW: u32 = 3;
/// Turns in one batch while there are pressing connections, and where the device takes its time: where a packet is a system
/// call of some microseconds, little more than a tick of the wheel.
const SHORT_BATCH: u32 = 16;
const SHORTER_BATCH: u32 = 6;
/// Of the turns of a batch one in so many may be somebody's who goes before others.
const BEFORE_OTHERS: u32 = 4;
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
    /// Who came anew. Their records say so; some have left since.
    fresh: Mortal<ConnId>,
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
    /// Turns of a batch.
    most: u32,
    /// Batches that are still to be short, and of these shorter.
    short_batches: u32,
    shorter_batches: u32,
    /// How many were put before others since the last batch.
    before_others: u32,
}

impl Turns {
    /// Nobody yet. `super_segments`: the device cuts. A batch has `most` turns.
    pub(crate) fn new(super_segments: bool, most: u32) -> Turns {
        let run_segments = if super_segments { RUN_SEGMENTS } else { 0 };
        Turns {
            fresh: Mortal::default(),
            going: ReadyList::new(),
            runner: None,
            going_on: 0,
            left: 0,
            ahead: 0,
            run_segments,
            pressing: Pressing::new(),
            pressing_row: 0,
            most,
            short_batches: 0,
            shorter_batches: 0,
            before_others: 0,
        }
    }

    /// Whether anybody came anew, and may still be there.
    #[inline]
    pub(crate) fn has_newcomers(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether nobody has anything to send.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.going_on == 0 && self.pressing.len() == 0
    }

    /// Whether a connection is among them.
    pub(crate) fn contains(&self, id: ConnId, anchors: &Anchors) -> bool {
        anchors.get(id).is_some_and(Anchor::is_queued) || self.has_left_fresh(id.slot)
    }

    /// Whether there are others than those whose records say that they are in the queue.
    #[inline]
    pub(crate) fn has_others_than_fresh(&self) -> bool {
        self.going_on | self.pressing.len() > 0
    }

    /// How many turns the next batch has.
    #[inline]
    pub(crate) fn begin_batch(&mut self) -> u32 {
        self.before_others = 0;
        if self.short_batches == 0 {
            return self.most;
        }
        self.short_batches -= 1;
        if self.shorter_batches == 0 {
            return self.most.min(SHORT_BATCH);
        }
        self.shorter_batches -= 1;
        self.most.min(SHORTER_BATCH)
    }

    /// A batch came late to the device: the next are shorter, if they are to be short.
    pub(crate) fn came_late(&mut self) {
        self.shorter_batches = SHORT_BATCHES;
    }

    /// How many have something to send, those that have little time aside.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.fresh.alive() as u32 + self.going_on
    }

    /// Whether so many came anew that what they need is not in the caches any more.
    #[inline]
    pub(crate) fn is_long(&self) -> bool {
        self.fresh.has_full_piece() && self.len() >= LONG_QUEUE
    }

    /// How many come next because they went before the others: what they need was fetched when they did, a few packets ago.
    #[inline]
    pub(crate) fn at_hand(&self) -> usize {
        self.fresh.looked_at()
    }

    /// Whose turn probably comes next.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = u32> {
        self.fresh.ahead().map(|id| id.slot)
    }

    /// A connection has something to send; nothing when that is known.
    #[inline(always)] // for each message
    pub(crate) fn push(&mut self, id: ConnId, anchor: &mut Anchor) {
        if self.going_on | self.pressing.len() > 0 {
            self.push_among_others(id, anchor);
        } else if anchor.enter_queue() {
            self.fresh.push(id);
        }
    }

    /// The same of one whose turn is short, and shorter now than behind many others, when what it needs is not in the
    /// caches any more: it goes before them. Few of each batch may, so that the others wait no longer for it.
    pub(crate) fn push_ahead(&mut self, id: ConnId, anchor: &mut Anchor) {
        let few = self.before_others < self.most / BEFORE_OTHERS && !self.has_others_than_fresh();
        if few && anchor.enter_queue() {
            self.before_others += 1;
            self.fresh.push_ahead(id);
        }
    }

    #[inline(never)]
    fn push_among_others(&mut self, id: ConnId, anchor: &mut Anchor) {
        if !self.has_left_fresh(id.slot) && anchor.enter_queue() {
            self.fresh.push(id);
        }
    }

    /// The same where its record has to be looked up.
    pub(crate) fn push_at(&mut self, id: ConnId, anchors: &mut Anchors) {
        if let Some(anchor) = anchors.get_mut(id) {
            self.push(id, anchor);
        }
    }

    /// A connection has something to send, and little time.
    pub(crate) fn press(&mut self, id: ConnId, anchors: &mut Anchors, press: Press) {
        self.short_batches = SHORT_BATCHES;
        if !self.goes_on(id.slot) {
            self.leave_fresh(id, anchors);
            self.pressing.push(id.slot, press);
        }
    }

    fn leave_fresh(&mut self, id: ConnId, anchors: &mut Anchors) {
        if anchors.get_mut(id).is_some_and(Anchor::leave_queue) {
            self.fresh.die(|other| anchors.get(*other).is_some_and(Anchor::is_queued));
        }
    }

    /// Whether it is among those who go on, or press.
    fn has_left_fresh(&self, index: u32) -> bool {
        self.has_others_than_fresh() && (self.goes_on(index) || self.pressing.contains(index))
    }

    /// Takes out whose turn it is, with its record, if it has not left. `None`: there is nobody.
    #[inline(always)] // for each packet
    pub(crate) fn pop<'a>(
        &mut self,
        anchors: &'a mut Anchors,
    ) -> Option<Option<(ConnId, &'a mut Anchor)>> {
        if !self.are_newcomers() {
            let index = self.pop_of_all(anchors)?;
            return Some(anchors.with_id_mut(index));
        }
        self.pop_newcomer(anchors)
    }

    /// Whether nobody but who came anew has anything to send: each has one turn then.
    #[inline(always)] // as above
    pub(crate) fn are_newcomers(&mut self) -> bool {
        let alone = !self.has_others_than_fresh();
        if alone {
            self.left = 0;
        }
        alone
    }

    /// As [`Turns::pop`] where it was [asked](Turns::are_newcomers) whether they are all, and nobody has come to go on
    /// since.
    #[inline(always)] // as above
    pub(crate) fn pop_newcomer<'a>(
        &mut self,
        anchors: &'a mut Anchors,
    ) -> Option<Option<(ConnId, &'a mut Anchor)>> {
        debug_assert!(!self.has_others_than_fresh() && self.left == 0);
        let id = self.fresh.pop()?;
        let Some(anchor) = out_of_queue(id, anchors) else {
            self.fresh.buried();
            return Some(None);
        };
        Some(Some((id, anchor)))
    }

    /// The queue that begins with the first of those who came anew. Whom it gives is [taken out](out_of_queue).
    #[inline(always)] // as above
    pub(crate) fn newcomers(&mut self) -> &mut Fifo<ConnId> {
        self.fresh.queue()
    }

    /// Of these one that had left before was taken out.
    #[cold]
    pub(crate) fn forget_newcomer(&mut self) {
        self.fresh.buried();
    }

    /// The same of those who came anew, and are still there.
    fn pop_fresh(&mut self, anchors: &mut Anchors) -> Option<u32> {
        loop {
            let id = self.fresh.pop()?;
            if anchors.get_mut(id).is_some_and(Anchor::leave_queue) {
                return Some(id.slot);
            }
            self.fresh.buried();
        }
    }

    /// A connection whose turn it was has more to send.
    pub(crate) fn again(&mut self, id: ConnId, anchors: &mut Anchors) {
        if self.run_segments == 0 {
            return self.push_at(id, anchors);
        }
        if self.left > 0 {
            self.runner = Some(Run { index: id.slot, left: self.left });
        } else {
            self.going.push(id.slot);
        }
        self.count();
    }

    /// A connection has nothing to send any more.
    pub(crate) fn remove(&mut self, id: ConnId, anchors: &mut Anchors) {
        self.leave_fresh(id, anchors);
        if self.going_on > 0 {
            self.going.remove(id.slot);
            self.runner = self.runner.filter(|run| run.index != id.slot);
            self.count();
        }
        if self.pressing.len() > 0 {
            self.pressing.remove(id.slot);
        }
    }

    fn count(&mut self) {
        self.going_on = self.going.len() + u32::from(self.runner.is_some());
    }

    fn goes_on(&self, index: u32) -> bool {
        self.runner.is_some_and(|run| run.index == index) || self.going.contains(index)
    }

    #[inline(never)]
    fn pop_of_all(&mut self, anchors: &mut Anchors) -> Option<u32> {
        let others = self.fresh.alive() > 0 || self.going_on > 0;
        if self.pressing.len() > 0 && (self.pressing_row < PRESSING_IN_A_ROW || !others) {
            let next = self.pressing.pop();
            self.left = 0;
            self.pressing_row += u32::from(others);
            return next;
        }
        self.pressing_row = 0;
        if self.ahead < MOST_AHEAD
            && let Some(index) = self.pop_fresh(anchors)
        {
            (self.ahead, self.left) = (self.ahead + 1, 0);
            return Some(index);
        }
        self.ahead = 0;
        if self.going_on == 0 {
            self.left = 0;
            return self.pop_fresh(anchors);
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

/// The record of one that came anew, whose turn it is; it is in the queue no more. `None`: it had left before.
#[inline(always)] // for each packet
pub(crate) fn out_of_queue(id: ConnId, anchors: &mut Anchors) -> Option<&mut Anchor> {
    let anchor = anchors.get_mut(id).filter(|anchor| anchor.is_queued())?;
    anchor.leave_queue();
    Some(anchor)
}

#[cfg(test)]
mod tests;

//! Records in TIME-WAIT, in the order in which they end (RFC 9293 §3.6.1).
//!
//! Owns: the queue of them, which goes first when there are too many, and that what a look at the oldest
//! needs is fetched from memory for several of them at once.
//! Must not know: what a segment does to such a record.
//! Implements: MSL-1 (TIME-WAIT bounded, oldest evicted).
//!
//! A busy server has as many of these as it may, nobody has looked at the oldest for long, and with each connection
//! that ends another must go: a wait for its record, and one for its place in the demultiplexer. So [`AHEAD`] of them
//! are looked at together.

use super::Table;
use crate::anchor::{Anchor, Anchors, Body, Owner};
use crate::demux::Demux;
use crate::fifo::Sifted;
use crate::usual::AHEAD;
use arrayvec::ArrayVec;
use usertcp_base::{CloseReason, ConnId, FlowKey, Instant};
use usertcp_tcp::TimeWait;

/// Dead entries of the queue that are tolerated.
const SLACK: usize = 64;
/// In the place of a hash: the record is gone, or its hash is this by chance, and is computed again when it is needed.
const GONE: u64 = 0;

/// All of them.
#[derive(Debug)]
pub(super) struct TimeWaits {
    /// The oldest first. Some may be gone.
    queue: Sifted<Waiting>,
    /// Of the first entries, those whose records were fetched, and the hashes of their flows; the last one first.
    fetched: ArrayVec<(ConnId, u64), AHEAD>,
    /// Records, and how many there may be.
    count: u32,
    limit: u32,
}

/// A record in TIME-WAIT. All of them wait equally long: the first that came ends first, and no wheel has to be
/// turned for that.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: ConnId,
    /// When it ends, unless the peer's FIN comes again.
    until: Instant,
}

impl TimeWaits {
    /// None, and how many there may be.
    pub(super) fn new(limit: u32) -> TimeWaits {
        TimeWaits { queue: Sifted::default(), fetched: ArrayVec::new(), count: 0, limit }
    }

    /// Records.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// When the first one ends.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        Some(self.queue.front()?.until)
    }

    fn push(&mut self, waiting: Waiting, anchors: &Anchors) {
        let lives = |waiting: &Waiting| is_time_wait(anchors, waiting.id);
        self.queue.push(waiting, self.count as usize, SLACK, lives);
    }

    /// The oldest entry, and the hash of its flow if it is known. Never is one of a record that is gone in front: nobody
    /// wakes for it.
    fn pop(&mut self, anchors: &Anchors, demux: &Demux) -> Option<(Waiting, Option<u64>)> {
        let first = self.take()?;
        while self.is_gone_in_front(anchors, demux) {
            self.take();
        }
        Some(first)
    }

    fn is_gone_in_front(&mut self, anchors: &Anchors, demux: &Demux) -> bool {
        if self.fetched.is_empty() {
            self.fetch(anchors, demux);
        }
        self.queue.front().is_some_and(|waiting| !is_time_wait(anchors, waiting.id))
    }

    #[inline]
    fn take(&mut self) -> Option<(Waiting, Option<u64>)> {
        let first = self.queue.pop()?;
        let fetched = self.fetched.pop().filter(|(id, _)| *id == first.id);
        Some((first, fetched.map(|(_, hash)| hash).filter(|hash| *hash != GONE)))
    }

    /// Touches what the first entries will need, so that it comes from memory at once.
    #[inline(never)]
    fn fetch(&mut self, anchors: &Anchors, demux: &Demux) {
        let first = self.queue.ahead();
        let first = first.get(..AHEAD).unwrap_or(first);
        anchors.touch(first.iter().map(|waiting| waiting.id.slot));
        // Of one that is gone nothing more is needed.
        let hash = |id: ConnId| match is_time_wait(anchors, id) {
            true => anchors.hash_at(id.slot, demux).unwrap_or(GONE),
            false => GONE,
        };
        self.fetched.extend(first.iter().rev().map(|Waiting { id, .. }| (*id, hash(*id))));
        let hashes = self.fetched.iter().map(|(_, hash)| *hash).filter(|hash| *hash != GONE);
        demux.touch(hashes);
    }
}

impl<C: usertcp_cc::CongestionController> Table<C> {
    /// Turns a record into TIME-WAIT, without its TCB. The handle that was evicted for it, if any.
    #[inline(always)] // what it is given is large
    pub(crate) fn enter_time_wait(
        &mut self,
        id: ConnId,
        record: TimeWait,
        until: Instant,
    ) -> Option<ConnId> {
        let anchor = self.anchors.get_mut(id)?;
        debug_assert!(matches!(anchor.body, Body::Hot(..) | Body::Ended(_, None)), "it was open");
        let hot = anchor.body.hot();
        anchor.body = Body::TimeWait(record, until.into());
        anchor.set_owner(Owner::Nobody);
        self.begin_time_wait(id, hot, until)
    }

    /// The same of one that nobody holds, and whose body is a TIME-WAIT record now; the TCB that it had, if it had one.
    #[inline(never)] // its registers are its own
    pub(crate) fn begin_time_wait(
        &mut self,
        id: ConnId,
        hot: Option<u32>,
        until: Instant,
    ) -> Option<ConnId> {
        if let Some(hot) = hot {
            self.discard_hot(hot);
        }
        self.waits.count += 1;
        self.wheel.cancel(id.slot, &mut self.anchors);
        self.waits.push(Waiting { id, until }, &self.anchors);
        if self.waits.count > self.waits.limit { self.evict() } else { None }
    }

    /// A TIME-WAIT record whose time has come. Each that is looked at counts as work.
    #[inline]
    pub(crate) fn pop_time_wait(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        if self.waits.next_deadline()? > now { None } else { self.pop_over(now, work) }
    }

    #[inline(never)]
    fn pop_over(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        while *work > 0 && self.waits.next_deadline()? <= now {
            *work -= 1;
            let (Waiting { id, .. }, _) = self.waits.pop(&self.anchors, &self.demux)?;
            let Some(Anchor { body: Body::TimeWait(_, until), .. }) = self.anchors.get(id) else {
                continue;
            };
            let until = Instant::from(*until);
            if until <= now {
                return Some(id);
            }
            // It began anew, and is in the wheel for that; here it is one of those that may be evicted.
            self.waits.push(Waiting { id, until }, &self.anchors);
        }
        None
    }

    /// Removes the oldest TIME-WAIT record.
    pub(crate) fn evict(&mut self) -> Option<ConnId> {
        while let Some((Waiting { id, .. }, hash)) = self.waits.pop(&self.anchors, &self.demux) {
            if is_time_wait(&self.anchors, id) {
                self.remove_oldest(id, hash);
                return Some(id);
            }
        }
        None
    }

    /// The same, its entry being taken.
    #[inline(always)] // in one place
    fn remove_oldest(&mut self, id: ConnId, hash: Option<u64>) {
        let Some(hash) = hash else { return self.remove(id) };
        self.waits.count = self.waits.count.saturating_sub(1);
        self.take_out(hash, id.slot);
    }

    /// A TIME-WAIT record is going to be another, or none.
    pub(super) fn stop_waiting(&mut self, id: ConnId) {
        self.waits.count = self.waits.count.saturating_sub(1);
        if self.waits.queue.front().is_some_and(|waiting| waiting.id == id) {
            // The next one is in front.
            let _ = self.waits.pop(&self.anchors, &self.demux);
        }
    }

    /// A TIME-WAIT record makes way for a handshake of its own flow, as by [`Table::remove`] and
    /// [`Table::insert_handshake`]: in the demultiplexer it stays where it is.
    pub(crate) fn reopen(
        &mut self,
        old: ConnId,
        flow: &FlowKey,
        deadline: Instant,
    ) -> Option<(ConnId, &mut Anchor)> {
        if !is_time_wait(&self.anchors, old) || self.anchors.is_far_up(old.slot) {
            // Above most others it does not begin anew: a chunk that runs empty is given back.
            self.remove(old);
            let vacancy = self.vacancy(flow);
            return self.insert_handshake(flow, vacancy, deadline);
        }
        self.wheel.cancel(old.slot, &mut self.anchors);
        let id = self.anchors.renew(old.slot)?;
        self.stop_waiting(old);
        let body = Body::Ended(CloseReason::Limit, None);
        *self.anchors.at_mut(id.slot)? = Anchor::new(flow, Owner::Nobody, body);
        self.recent.note(flow, id.slot);
        self.await_handshake(id, deadline)
    }
}

fn is_time_wait(anchors: &Anchors, id: ConnId) -> bool {
    matches!(anchors.get(id), Some(Anchor { body: Body::TimeWait(..), .. }))
}

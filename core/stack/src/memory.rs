//! When frames run out.
//!
//! Owns: who waits for a frame, and that they are served when there is one again.
//! Must not know: how much memory a connection may hold (`tcp`), how frames are kept (`frame`).
//! Implements: DESIGN §7.7 (bounded memory), §10 (no lost wake-ups), RFC 6429 §4 (6429-2), AT-9.
//!
//! A frame may come home in ways the shard does not see: an application on another thread drops
//! what it read. So whoever went without is looked after on the next occasion, and at the latest after a
//! short time. What is free may not suit who is told of it (a frame of another size, or it is a TCB that is
//! missing): who is told and takes nothing is told again only when more has come home, or after that time.

use crate::anchor::{Anchor, Body};
use crate::events::Pending;
use crate::shard::Shard;
use alloc::vec::Vec;
use usertcp_base::{ConnId, Instant, Observer, Span};
use usertcp_cc::CongestionController;
use usertcp_frame::Class;

/// How long at most until memory is looked for again.
const RETRY: Span = Span::from_millis(10);

/// TCBs looked at in one turn for memory they can give back.
const SHED_PER_TURN: u32 = 256;
/// Connections behind closed windows remembered in one sweep over all TCBs.
const SHUT_LISTED: usize = 64;

/// A sweep over all TCBs while memory is short.
#[derive(Debug, Default)]
pub(crate) struct Shedding {
    next: u32,
    /// Whose windows have been closed for longest, of those the sweep has seen; the oldest first.
    shut: Vec<(Instant, ConnId)>,
}

impl Shedding {
    /// Whether a sweep has seen closed windows.
    pub(crate) fn has_seen_any(&self) -> bool {
        !self.shut.is_empty()
    }

    fn note(&mut self, since: Instant, id: ConnId) {
        let place = self.shut.partition_point(|shut| shut.0 <= since);
        self.shut.insert(place, (since, id));
        self.shut.truncate(SHUT_LISTED);
    }
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Memory is short: data that waits out of order is given up, some connections a turn. What is
    /// missing before it may find no frame to arrive in, and then it would wait for ever. When all
    /// were looked at, connections whose peers keep their windows closed are ended, the oldest first,
    /// until memory is not short any more (RFC 6429 §4).
    pub(crate) fn shed(&mut self, now: Instant) {
        if !self.common.pool.is_tight() {
            if !self.shedding.shut.is_empty() {
                self.shedding.shut.clear();
            }
            return;
        }
        self.shed_some(now);
    }

    #[cold]
    fn shed_some(&mut self, now: Instant) {
        self.common.unusual = true;
        let end = self.table.hot.end();
        for _ in 0..SHED_PER_TURN.min(end) {
            self.shed_from(now, self.shedding.next);
            self.shedding.next += 1;
            if self.shedding.next >= end {
                self.shedding.next = 0;
                self.end_shut(now);
            }
        }
    }

    fn shed_from(&mut self, now: Instant, hot: u32) {
        let Some(index) = self.table.hot.annex(hot).copied() else { return };
        match self.table.anchors.at(index) {
            Some(Anchor { body: Body::Hot(at, _), .. }) if *at == hot => {}
            _ => return,
        }
        let Some(tcb) = self.table.hot.at_mut(hot) else { return };
        let _ = tcb.renege();
        if let Some(since) = tcb.zero_window_since()
            && now.since(since) >= self.common.limits.zero_window_grace
            && let Some(id) = self.table.anchors.id_at(index)
        {
            self.shedding.note(since, id);
        }
    }

    fn end_shut(&mut self, now: Instant) {
        let shut = core::mem::take(&mut self.shedding.shut);
        for (_, id) in shut {
            self.common.pool.reclaim();
            if !self.common.pool.is_tight() {
                return;
            }
            let Some(Body::Hot(hot, _)) = self.table.anchors.get(id).map(|anchor| &anchor.body)
            else {
                continue;
            };
            let Some(tcb) = self.table.hot.at_mut(*hot) else { continue };
            // It may have opened since the sweep passed it.
            if tcb.zero_window_since().is_none() {
                continue;
            }
            let effects = tcb.end_for_limit(&mut self.common.env(now, id));
            self.apply(now, id, effects);
        }
    }

    /// Something found no frame.
    pub(crate) fn want_memory(&mut self, now: Instant) {
        if self.memory_retry.is_none() {
            self.memory_retry = Some(now + RETRY);
            self.common.unusual = true;
        }
    }

    /// A write to `slot` found room in its send queue, but no memory, and took `taken` octets: nobody but we will tell when
    /// there is some.
    pub(crate) fn starve(&mut self, now: Instant, slot: u32, taken: usize) {
        self.starved.push(slot);
        self.want_memory(now);
        if taken == 0 {
            self.note_vain();
        }
    }

    fn note_vain(&mut self) {
        let used = self.common.pool.stats().used_octets;
        self.vain_at_octets = self.vain_at_octets.max(Some(used));
    }

    /// Tells those who found no frame that they may try again: all of them when memory is plenty,
    /// one by one while it is short.
    #[inline]
    pub(crate) fn serve_starved(&mut self, now: Instant) {
        if self.memory_retry.is_some() {
            self.serve_some(now);
        }
    }

    #[inline(never)]
    fn serve_some(&mut self, now: Instant) {
        let pool = &self.common.pool;
        pool.reclaim();
        let is_time = self.memory_retry.is_some_and(|retry| retry <= now);
        if !is_time && self.vain_at_octets.is_some_and(|at| pool.stats().used_octets >= at) {
            return self.note_vain();
        }
        self.vain_at_octets = None;
        let (full, is_tight) = (pool.take(Class::Full, 0), pool.is_tight());
        let mut wakes = match full {
            Some(_) if !is_tight => self.starved.len(),
            // A small one is enough for some.
            None if pool.take(Class::Small, 0).is_none() => 0,
            _ => 1,
        };
        while wakes > 0
            && let Some(index) = self.starved.pop()
        {
            wakes -= 1;
            if let Some((id, anchor)) = self.table.anchors.with_id_mut(index) {
                self.events.add(id, anchor, Pending::WRITABLE);
            }
        }
        let waiting = !self.starved.is_empty() || !self.transmit.is_empty();
        self.memory_retry = waiting.then_some(now + RETRY);
    }
}

//! When frames run out.
//!
//! Owns: who waits for a frame, and that they are served when there is one again.
//! Must not know: how much memory a connection may hold (`tcp`), how frames are kept (`frame`).
//! Implements: DESIGN §7.7 (bounded memory), §10 (no lost wake-ups).
//!
//! A frame may come home in ways the shard does not see: an application on another thread drops
//! what it read. So whoever went without is looked after on the next occasion, and at the latest after a
//! short time.

use crate::events::Pending;
use crate::shard::Shard;
use usertcp_base::{Instant, Observer, Span};
use usertcp_cc::CongestionController;
use usertcp_frame::Class;

/// How long at most until memory is looked for again.
const RETRY: Span = Span::from_millis(10);

/// Connections looked at in one turn for memory they can give back.
const SHED_PER_TURN: u32 = 256;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Memory is short: data that waits out of order is given up, some connections a turn. What is
    /// missing before it may find no frame to arrive in, and then it would wait for ever.
    pub(crate) fn shed(&mut self) {
        if !self.common.pool.is_tight() {
            return;
        }
        let committed = self.table.hot.committed();
        for _ in 0..SHED_PER_TURN.min(committed) {
            self.shed_next = if self.shed_next + 1 < committed { self.shed_next + 1 } else { 0 };
            if let Some(tcb) = self.table.hot.at_mut(self.shed_next) {
                let _ = tcb.renege();
            }
        }
    }

    /// Something found no frame.
    pub(crate) fn want_memory(&mut self, now: Instant) {
        if self.memory_retry.is_none() {
            self.memory_retry = Some(now + RETRY);
        }
    }

    /// Tells those who found no frame that they may try again: all of them when memory is plenty,
    /// one by one while it is short.
    pub(crate) fn serve_starved(&mut self, now: Instant) {
        if self.memory_retry.is_none() {
            return;
        }
        self.common.pool.reclaim();
        let mut wakes = match self.common.pool.take(Class::Full, 0) {
            None => 0,
            Some(_) if self.common.pool.is_tight() => 1,
            Some(_) => self.starved.len(),
        };
        while wakes > 0
            && let Some(index) = self.starved.pop()
        {
            wakes -= 1;
            if let Some(anchor) = self.table.anchors.at_mut(index) {
                self.events.add(index, anchor, Pending::WRITABLE);
            }
        }
        let waiting = !self.starved.is_empty() || !self.transmit.is_empty();
        self.memory_retry = waiting.then_some(now + RETRY);
    }
}

//! How many fast opens are pending at a listener.
//!
//! Owns: the count, and those that were reset and go on counting for a while.
//! Must not know: connections, cookies.
//! Implements: RFC 7413 §5.1 (7413-4): an attacker who resets what he opened by forged SYNs frees no
//! place that way.

use super::FastOpenListen;
use alloc::collections::VecDeque;
use usertcp_base::{Instant, Span};

/// The account of one listener.
#[derive(Debug)]
pub(crate) struct PendingFastOpens {
    setup: FastOpenListen,
    open: u32,
    /// When each of those that were reset stops counting, the earliest first; at most `pending`.
    reset: VecDeque<Instant>,
}

impl PendingFastOpens {
    pub(crate) fn new(setup: FastOpenListen) -> PendingFastOpens {
        PendingFastOpens { setup, open: 0, reset: VecDeque::new() }
    }

    pub(crate) fn setup(&self) -> FastOpenListen {
        self.setup
    }

    /// Other bounds; what is pending stays so.
    pub(crate) fn set(&mut self, setup: FastOpenListen) {
        self.setup = setup;
    }

    /// Pending now.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// Whether another may be accepted.
    pub(crate) fn has_room(&mut self, now: Instant) -> bool {
        while self.reset.front().is_some_and(|until| *until <= now) {
            self.reset.pop_front();
        }
        let counting = u32::try_from(self.reset.len()).unwrap_or(u32::MAX);
        self.open.saturating_add(counting) < self.setup.pending
    }

    /// One was accepted.
    pub(crate) fn add(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    /// One is pending no more: its handshake is complete, or it is over.
    pub(crate) fn remove(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// One was reset by its peer: it is pending no more, but counts for a while.
    pub(crate) fn remove_reset(&mut self, now: Instant, counts: Span) {
        self.remove();
        if self.reset.len() < self.setup.pending as usize {
            self.reset.push_back(now + counts);
        }
    }
}

#[cfg(test)]
mod tests;

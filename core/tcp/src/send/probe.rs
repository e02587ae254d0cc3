//! Probing a closed window, and the override of silly-window avoidance: one timer for both.
//! Owns: `Persist`. Implements: RFC 9293 §3.8.6.1 (MUST-36, SHLD-29, SHLD-30), §3.8.6.2.1, RFC 6429.

use usertcp_base::{Instant, Span};

/// The persist timer: runs only while the peer's window (or a held partial segment) is what keeps
/// data from leaving, and nothing else would wake the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Persist {
    deadline: Option<Instant>,
    /// Since when the window is closed.
    since: Instant,
    tries: u8,
}

/// Probes are never further apart than this (SHLD-30: at least 60 s).
const LONGEST_GAP: Span = Span::from_secs(60);
/// How long a partial segment may be held for a wider window or for company.
pub const OVERRIDE: Span = Span::from_millis(200);

impl Persist {
    /// When it fires.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.deadline.is_some()
    }
    /// How long the window has been closed.
    pub fn closed_for(&self, now: Instant) -> Span {
        if self.is_running() { now.since(self.since) } else { Span::ZERO }
    }
    /// Starts it, first firing after `first`; a running one is left alone.
    pub fn start(&mut self, now: Instant, first: Span) {
        if self.deadline.is_none() {
            *self = Persist { deadline: Some(now + first), since: now, tries: 0 };
        }
    }
    /// Stops it: the window opened, or there is nothing to send.
    pub fn stop(&mut self) {
        self.deadline = None;
        self.tries = 0;
    }
    /// Whether it is due; if so the next firing is set, twice as far away.
    pub fn fire(&mut self, now: Instant, rto: Span) -> bool {
        match self.deadline {
            Some(deadline) if deadline <= now => {
                self.tries = self.tries.saturating_add(1);
                let gap = rto.doubled(u32::from(self.tries)).min(LONGEST_GAP);
                self.deadline = Some(now + gap);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves SHLD-29, SHLD-30
    #[test]
    fn probes_start_one_timeout_after_and_double_up_to_a_minute() {
        let (mut persist, rto) = (Persist::default(), Span::from_secs(1));
        persist.start(Instant::ZERO, rto);
        let mut times = alloc::vec![];
        for _ in 0..8 {
            let at = persist.deadline().unwrap();
            assert!(!persist.fire(at - Span::from_micros(1), rto));
            assert!(persist.fire(at, rto));
            times.push(at.as_millis() / 1000);
        }
        assert_eq!(times, [1, 3, 7, 15, 31, 63, 123, 183]);
    }
}

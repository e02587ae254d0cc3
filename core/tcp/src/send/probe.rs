//! Probing a closed window, the override of silly-window avoidance, and the rest after a mark: one
//! timer for all, for they exclude each other.
//! Owns: `Persist`. Implements: RFC 9293 §3.8.6.1 (MUST-36, SHLD-29, SHLD-30), §3.8.6.2.1, RFC 6429,
//! RFC 3168 §6.1.2 (3168-5).

use usertcp_base::{Instant, Span};

/// What the timer runs for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Persisting {
    /// It does not run.
    #[default]
    Off,
    /// The peer's window is closed and something waits for it.
    Window,
    /// Silly-window avoidance or a cork holds back less than a segment.
    Partial,
    /// A window of one segment met a mark: no new data for one timeout (RFC 3168 §6.1.2).
    Rest,
}

/// The persist timer: runs only while the peer's window (or a held partial segment) is what keeps
/// data from leaving, and nothing else would wake the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Persist {
    deadline: Instant,
    /// Since when the window is closed, in whole seconds, rounded up: the limit it is compared with
    /// is one of minutes, and an [`Instant`] would cost eight octets of every connection.
    since_secs: u32,
    /// Time from the last probe to the next, milliseconds.
    gap_ms: u16,
    why: Persisting,
}

const _: () = assert!(size_of::<Persist>() <= 16);

/// Probes are never further apart than this (SHLD-30: at least 60 s).
const LONGEST_GAP: Span = Span::from_secs(60);
/// How long a partial segment may be held for a wider window or for company.
pub const OVERRIDE: Span = Span::from_millis(200);

impl Persist {
    /// When it fires.
    pub fn deadline(&self) -> Option<Instant> {
        (self.why != Persisting::Off).then_some(self.deadline)
    }
    /// What it waits for.
    pub fn why(&self) -> Persisting {
        self.why
    }
    /// Whether it probes a closed window.
    pub fn is_probing(&self) -> bool {
        self.why == Persisting::Window
    }
    /// Since when the window has been closed.
    pub fn closed_since(&self) -> Option<Instant> {
        self.is_probing().then(|| Instant::ZERO + Span::from_secs(u64::from(self.since_secs)))
    }
    /// The window is closed: the first probe is one retransmission timeout away. Whether that is
    /// news; a timer that probes already is left alone.
    pub fn probe(&mut self, now: Instant, rto: Span) -> bool {
        if self.is_probing() {
            return false;
        }
        let gap = rto.min(LONGEST_GAP);
        let seconds = now.as_micros().div_ceil(1_000_000);
        *self = Persist {
            deadline: now + gap,
            since_secs: u32::try_from(seconds).unwrap_or(u32::MAX),
            gap_ms: u16::try_from(gap.as_micros().div_ceil(1000)).unwrap_or(u16::MAX),
            why: Persisting::Window,
        };
        true
    }
    /// Less than a segment is held back: not for longer than the override time, counted from when
    /// that began, whatever the peer says meanwhile.
    pub fn hold(&mut self, now: Instant) {
        if self.why != Persisting::Partial {
            let deadline = now + OVERRIDE;
            *self = Persist { deadline, why: Persisting::Partial, ..Persist::default() };
        }
    }
    /// A window that cannot shrink further is to be reduced: wait instead, for one retransmission
    /// timeout. A closed window makes us wait already.
    pub fn rest(&mut self, now: Instant, rto: Span) {
        if !self.is_probing() {
            *self = Persist { deadline: now + rto, why: Persisting::Rest, ..Persist::default() };
        }
    }
    /// Whether new data waits for that.
    pub fn is_resting(&self) -> bool {
        self.why == Persisting::Rest
    }
    /// Stops it: what waited leaves, or there is nothing to send.
    pub fn stop(&mut self) {
        self.why = Persisting::Off;
    }
    /// The window is open: no more probes.
    pub fn on_open(&mut self) {
        if self.is_probing() {
            self.stop();
        }
    }
    /// What is due, if it is. The next probe is twice as far away; a hold ends.
    pub fn fire(&mut self, now: Instant) -> Persisting {
        if self.why == Persisting::Off || now < self.deadline {
            return Persisting::Off;
        }
        let due = self.why;
        if due == Persisting::Window {
            let gap = Span::from_millis(u64::from(self.gap_ms) * 2).min(LONGEST_GAP);
            self.gap_ms = u16::try_from(gap.as_millis()).unwrap_or(u16::MAX);
            self.deadline = now + gap;
        } else {
            self.stop();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves SHLD-29, SHLD-30
    #[test]
    fn probes_start_one_timeout_after_and_double_up_to_a_minute() {
        let (mut persist, rto) = (Persist::default(), Span::from_secs(1));
        assert!(persist.probe(Instant::ZERO, rto));
        let mut times = alloc::vec![];
        for _ in 0..8 {
            let at = persist.deadline().unwrap();
            assert_eq!(persist.fire(at - Span::from_micros(1)), Persisting::Off);
            assert_eq!(persist.fire(at), Persisting::Window);
            assert!(!persist.probe(at, rto), "goes on");
            times.push(at.as_millis() / 1000);
        }
        assert_eq!(times, [1, 3, 7, 15, 31, 63, 123, 183]);
    }
}

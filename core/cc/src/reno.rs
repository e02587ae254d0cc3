//! NewReno.
//!
//! Owns: linear growth by octets, halving, the state to undo a halving.
//! Must not know: which segments were lost or how they are repaired.
//! Implements: RFC 5681 §3.1, RFC 3465 §2, RFC 9406 (first slow start), RFC 8511 §3.1 (opt-in).

use usertcp_base::{Instant, Prng, Span};

use crate::api::*;
use crate::residue::Tag;
use crate::window::{Backoff, Fraction, Restart, Saved, Undone, Window};

/// Half after loss (RFC 5681 §3.1); four fifths after an early mark (RFC 8511 §3.1).
const BACKOFF: Backoff = Backoff {
    loss: Fraction { numerator: 1, denominator: 2 },
    early_mark: Fraction { numerator: 4, denominator: 5 },
};

/// The NewReno controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reno {
    window: Window,
    /// Octets delivered since the window last grew in congestion avoidance.
    delivered: u32,
    saved: Option<SavedReno>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SavedReno {
    window: Saved,
    delivered: u32,
}

impl Reno {
    pub(crate) fn with_window(window: Window) -> Reno {
        Reno { window, delivered: 0, saved: None }
    }
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }
    pub(crate) fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The window was reduced for want of use: what was saved is too old to be gone back to.
    fn begin_again(&mut self) {
        self.delivered = 0;
        self.saved = None;
    }

    /// One segment per window delivered (RFC 5681 §3.1, RFC 3465 §2.1).
    fn avoid(&mut self, octets: u32) {
        self.delivered = self.delivered.saturating_add(octets);
        let window = self.window.octets();
        if self.delivered >= window {
            self.delivered = (self.delivered - window).min(window);
            self.window.grow(self.window.mss());
        }
    }
}

impl Reno {
    #[inline(always)] // of a sample that is known in part
    fn take(&mut self, sample: &AckSample) {
        let before = self.window.octets();
        let octets = self.window.on_ack(sample);
        if self.window.octets() < before {
            self.begin_again();
        }
        if octets > 0 {
            self.avoid(octets);
        }
    }
}

impl CongestionController for Reno {
    const WANTS_RATE: bool = false;

    fn start(path: &PathStart) -> Self {
        Reno::with_window(Window::start(path))
    }

    #[inline]
    fn on_sent(&mut self, sent: &Sent) {
        self.window.on_sent(sent);
    }

    fn expects_answers(&self) -> bool {
        self.window.expects_answers()
    }

    #[inline(never)]
    fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        let after = self.window.on_answer(answer);
        if after == WindowAfter::Reduced {
            self.begin_again();
        }
        after
    }

    #[inline(never)]
    fn on_ack(&mut self, sample: &AckSample, _prng: &mut Prng) {
        self.take(sample);
    }

    fn on_congestion(&mut self, event: &Congestion) {
        match event.kind {
            CongestionKind::Loss | CongestionKind::Timeout { first: true } => {
                self.saved =
                    Some(SavedReno { window: self.window.save(), delivered: self.delivered });
            }
            // Part of the event already saved.
            CongestionKind::Timeout { first: false } => {}
            // A mark is never spurious (RFC 9438 §4.9).
            CongestionKind::Marked => self.saved = None,
        }
        self.window.on_congestion(event, &BACKOFF);
        self.delivered = 0;
    }

    fn on_undo(&mut self, _now: Instant) {
        let Some(saved) = self.saved.take() else { return };
        if self.window.restore(&saved.window) == Undone::Restored {
            self.delivered = saved.delivered;
        }
    }

    fn on_path(&mut self, now: Instant, change: &PathChange) {
        match *change {
            PathChange::Mss(mss) => self.window.set_mss(mss),
            PathChange::Idle { idle, rto } => {
                if self.window.on_idle(now, idle, rto) == Restart::Reduced {
                    self.begin_again();
                }
            }
            PathChange::RecoveryEnded => self.window.on_recovery_ended(&BACKOFF),
        }
    }

    fn budget(&self) -> Budget {
        self.window.budget()
    }
    fn threshold(&self) -> u32 {
        self.window.threshold()
    }
    fn window_octets(&self) -> u32 {
        self.window.octets()
    }
    #[inline]
    fn unpaced_window(&self) -> Option<u32> {
        self.window.unpaced()
    }
    fn in_slow_start(&self) -> bool {
        self.window.in_slow_start()
    }
    fn park(&self) -> Residue {
        self.window.park(Tag::Reno)
    }
    fn resume(residue: Residue, path: &PathStart, idle: Span) -> Self {
        Reno::with_window(Window::resume(residue, path, idle))
    }
    fn describe(&self) -> Snapshot {
        self.window.describe("reno")
    }
}

#[cfg(test)]
mod tests;

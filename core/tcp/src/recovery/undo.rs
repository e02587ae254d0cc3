//! Was the loss one? Evidence that it was not.
//!
//! Owns: what was sent again in the recovery going on and not reported as a duplicate, the time
//! of its first retransmission, the steps of F-RTO.
//! Must not know: marks, the controller.
//! Implements: RFC 2883 §5, RFC 3522 §3.2 (Eifel detection), RFC 5682 §2.1, §3.1 (F-RTO).

use super::tally::Tally;
use usertcp_base::{Instant, Seq, Span, Stamp};

/// Evidence about the last congestion event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Undo {
    /// SND.UNA when it happened; nought when nothing may be undone, so that equals are equal.
    marker: Seq,
    /// Octets sent again since and not reported as duplicates.
    unreported: u32,
    /// When the first of them left.
    first_resent: Stamp,
    any_resent: bool,
    /// The event may still be undone.
    open: bool,
    /// It was a mark: nothing to undo, and a loss in the same window is the same event (RFC 3168
    /// §6.1.2).
    pub(super) by_mark: bool,
    pub(super) frto: Frto,
}

impl Undo {
    /// The window was reduced for a mark.
    pub(super) fn of_mark() -> Undo {
        Undo { by_mark: true, ..Undo::default() }
    }
    /// A congestion event happened.
    pub(super) fn start(una: Seq) -> Undo {
        Undo { marker: una, open: true, ..Undo::default() }
    }
    /// No more evidence is wanted.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.marker = Seq(0);
        self.frto = Frto::Off;
    }
    /// The numbers of a connection whose SND.UNA is `by` larger.
    pub(super) fn shift(&mut self, by: u32) {
        if self.open {
            self.marker += by;
        }
    }
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
    pub(super) fn any_resent(&self) -> bool {
        self.any_resent
    }
    pub(super) fn on_resent(&mut self, octets: u32, at: Stamp) {
        if !self.open {
            return;
        }
        if !self.any_resent {
            self.any_resent = true;
            self.first_resent = at;
        }
        self.unreported = self.unreported.saturating_add(octets);
    }
    /// `[left, right)` arrived twice. Whether with it all that was sent again was needless.
    pub(super) fn on_dsack(&mut self, left: Seq, right: Seq) -> bool {
        if !self.open || !self.any_resent || self.unreported == 0 {
            return false;
        }
        self.unreported = self.unreported.saturating_sub(right.since(left.latest(self.marker)));
        self.unreported == 0
    }
    /// Eifel: the acknowledgement that advanced SND.UNA answers something sent before the first
    /// retransmission left. `echo_age` is the least age of what it echoes.
    pub(super) fn answers_original(&self, now: Instant, echo_age: Option<Span>) -> bool {
        let age = now.stamp().since(self.first_resent);
        self.open && self.any_resent && echo_age.is_some_and(|echo| echo >= age)
    }
}

/// The step F-RTO is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Frto {
    /// Not in use.
    #[default]
    Off,
    /// The first segment was sent again; its acknowledgement is awaited.
    FirstAck,
    /// It advanced SND.UNA; new data is sent, no retransmission, until the next one.
    SecondAck,
}

/// The facts of one acknowledgement that F-RTO looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrtoAck {
    pub(super) advanced: bool,
    pub(super) duplicate: bool,
    /// It covers all that was outstanding when the timer fired.
    pub(super) complete: bool,
    pub(super) new_data_ready: bool,
    pub(super) sack: bool,
}

impl Frto {
    /// Takes one step; whether the timeout is now known to be spurious.
    pub(super) fn on_ack(&mut self, ack: &FrtoAck, tally: &Tally) -> bool {
        if *self == Frto::Off {
            return false;
        }
        // With SACK, what was believed lost, left once and arrives only now was late (RFC 5682
        // §3.1). Without, the peer may have held it behind the hole: only new data tells (§2.1).
        if ack.sack && tally.lost_original {
            *self = Frto::Off;
            return true;
        }
        let step = *self;
        *self = Frto::Off;
        match step {
            Frto::SecondAck if ack.advanced && !ack.sack => return true,
            Frto::SecondAck if !ack.advanced && !ack.duplicate => *self = step,
            Frto::FirstAck if ack.advanced && !ack.complete && ack.new_data_ready => {
                *self = Frto::SecondAck;
            }
            Frto::FirstAck if !ack.advanced && !ack.duplicate => *self = step,
            _ => {}
        }
        false
    }
    /// Retransmissions wait for the verdict (RFC 5682 §2.1 step 2b).
    pub(super) fn holds_retransmissions(self) -> bool {
        self == Frto::SecondAck
    }
}

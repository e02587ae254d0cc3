//! Tail loss probes.
//!
//! Owns: whether a probe may be sent, when, and what its acknowledgement means.
//! Must not know: how a probe is sent, the controller.
//! Implements: RFC 8985 §7.

use usertcp_base::{Seq, Span};

/// Wait before any round trip is known (RFC 8985 §7.2).
const UNKNOWN_RTT: Span = Span::from_secs(1);

/// On a path of microseconds two round trips are less than a busy host takes to run the process
/// that acknowledges: every such pause would draw a needless probe.
const LEAST_WAIT: Span = Span::from_millis(10);

/// The probe's variables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TailProbe {
    /// SND.NXT when the probe left (TLP.end_seq), while one is in flight.
    end: Seq,
    flight: Flight,
    /// A round trip was measured since the last probe.
    fresh_rtt: bool,
    /// The one rescue of this recovery was sent (6675-3).
    pub(super) rescued: bool,
}

/// The probe in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    None,
    /// There never is one: probing is switched off.
    Never,
    /// It carried new data.
    New,
    /// It repeated old data (TLP.is_retrans).
    Repeated,
}

/// What an acknowledgement says about the probe in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet, or there was none.
    Open,
    /// It is over and nothing had been lost.
    Needless,
    /// It repaired a loss.
    Repaired,
}

/// The facts of one acknowledgement that matter here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) ack: Seq,
    /// End of the range its first block reported as a duplicate.
    pub(super) dsack_end: Option<Seq>,
    /// It is a duplicate acknowledgement without any SACK block.
    pub(super) bare_duplicate: bool,
}

impl TailProbe {
    pub(super) fn new(una: Seq, enabled: bool) -> TailProbe {
        let flight = if enabled { Flight::None } else { Flight::Never };
        TailProbe { end: una, flight, fresh_rtt: true, rescued: false }
    }
    /// No probe is in flight: where the last one ended means nothing.
    pub(super) fn forget_end(&mut self, una: Seq) {
        self.end = una;
    }
    /// The numbers of a connection whose SND.UNA is `by` larger.
    pub(super) fn shift(&mut self, by: u32) {
        self.end += by;
    }
    /// Whether two that forgot where they ended are equal.
    #[inline(always)] // a part of a comparison
    pub(super) fn is_same_quiet(&self, other: &TailProbe) -> bool {
        let TailProbe { end: _, flight, fresh_rtt, rescued } = *self;
        (flight, fresh_rtt, rescued) == (other.flight, other.fresh_rtt, other.rescued)
    }
    /// At most one in flight, and only with a sample since the last one (8985-10).
    pub(super) fn may_probe(&self) -> bool {
        self.flight == Flight::None && self.fresh_rtt
    }
    /// No probe is in flight.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.flight, Flight::None | Flight::Never)
    }
    /// A round trip was measured since the last probe.
    pub(super) fn has_fresh_rtt(&self) -> bool {
        self.fresh_rtt
    }
    pub(super) fn on_sample(&mut self) {
        self.fresh_rtt = true;
    }
    pub(super) fn sent(&mut self, nxt: Seq, repeated: bool) {
        let flight = if repeated { Flight::Repeated } else { Flight::New };
        *self = TailProbe { end: nxt, flight, fresh_rtt: false, ..*self };
    }
    /// A recovery begins.
    pub(super) fn on_recovery(&mut self) {
        if !self.is_quiet() {
            self.flight = Flight::None;
        }
        self.rescued = false;
    }
    /// RFC 8985 §7.2: two round trips, and a little for the peer to be scheduled; one segment alone
    /// may wait for a delayed acknowledgement.
    pub(super) fn wait(srtt: Option<Span>, single_segment: bool, max_ack_delay: Span) -> Span {
        let Some(srtt) = srtt else { return UNKNOWN_RTT };
        let wait = srtt.saturating_mul(2).max(LEAST_WAIT);
        if single_segment { wait.saturating_add(max_ack_delay) } else { wait }
    }
    /// The same of one segment, in microseconds, where a round trip is known.
    #[inline(always)] // for each message
    pub(super) fn wait_for_one(srtt_micros: u32, max_ack_delay_micros: u32) -> u32 {
        const LEAST_MICROS: u32 = LEAST_WAIT.as_micros() as u32;
        (srtt_micros * 2).max(LEAST_MICROS) + max_ack_delay_micros
    }
    /// RFC 8985 §7.4.2.
    pub(super) fn on_ack(&mut self, seen: &Seen) -> Verdict {
        if self.is_quiet() || seen.ack.before(self.end) {
            return Verdict::Open;
        }
        let verdict = if self.flight == Flight::New
            || seen.dsack_end == Some(self.end)
            || (seen.ack == self.end && seen.bare_duplicate)
        {
            Verdict::Needless
        } else if seen.ack.after(self.end) {
            Verdict::Repaired
        } else {
            return Verdict::Open;
        };
        self.flight = Flight::None;
        verdict
    }
}

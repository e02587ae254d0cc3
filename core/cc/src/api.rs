//! The interface between a connection and its congestion controller (DESIGN §8.1).
//!
//! A controller is told facts and asked for a budget. It never sees a queue, a clock or the
//! connection, and never acts.

use usertcp_base::{Instant, Prng, Rate, Span};

/// What is known of the path when a controller starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStart {
    /// The moment.
    pub now: Instant,
    /// Payload octets of a full segment.
    pub mss_octets: u32,
    /// Round-trip time of the handshake, if it gave a sample.
    pub rtt: Option<Span>,
    /// A handshake segment had to be sent again: start with one segment (6928-2).
    pub handshake_lost: bool,
    /// Threshold remembered from an earlier connection to this host (RFC 9040).
    pub threshold_octets: Option<u32>,
}

/// A data segment was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The moment.
    pub now: Instant,
    /// Payload octets.
    pub octets: u32,
    /// Octets in flight, these included.
    pub in_flight_octets: u32,
    /// It was sent before.
    pub retransmission: bool,
    /// Nothing was in flight before it.
    pub first_after_idle: bool,
}

/// One acknowledgement, after recovery has digested it. Exactly one sample per acknowledgement
/// that delivered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSample {
    /// The moment.
    pub now: Instant,
    /// Octets by which SND.UNA advanced.
    pub acked_octets: u32,
    /// Octets newly known to have arrived: cumulative or selective.
    pub delivered_octets: u32,
    /// Octets newly marked lost.
    pub lost_octets: u32,
    /// Octets in flight before this acknowledgement.
    pub in_flight_before: u32,
    /// Octets in flight after it.
    pub in_flight_after: u32,
    /// Delivered octets in all, after this acknowledgement.
    pub delivered_total: u64,
    /// Delivery rate of the newest delivered segment, with its interval; `None` when no valid one, or
    /// when the controller does not want it ([`CongestionController::WANTS_RATE`]).
    pub rate: Option<RateSample>,
    /// Round trip of this acknowledgement, if it gave an unambiguous one.
    pub rtt: Option<Span>,
    /// Smoothed round trip.
    pub srtt: Span,
    /// Least round trip seen (windowed).
    pub min_rtt: Span,
    /// Octets reported as congestion-marked. Classic ECN tells that there were some, not how many:
    /// then all that was acknowledged.
    pub marked_octets: u32,
    /// Packets reported as congestion-marked; at most one with classic ECN.
    pub marked_packets: u32,
    /// The window was fully used in the flight this acknowledges: growth is justified (RFC 7661).
    pub window_limited: bool,
    /// This acknowledgement ends a round: it covers data sent after the last round began.
    pub round_ended: bool,
    /// In loss recovery (fast or after a timeout), before this acknowledgement ended it or not.
    pub in_recovery: bool,
}

/// A delivery-rate sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Delivery rate.
    pub rate: Rate,
    /// The interval it was measured over.
    pub interval: Span,
    /// Octets delivered in the interval.
    pub delivered_octets: u64,
    /// The sender had nothing to send at some time in it.
    pub application_limited: bool,
}

/// A congestion event: at most one per round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congestion {
    /// The moment.
    pub now: Instant,
    /// What happened.
    pub kind: CongestionKind,
    /// Octets not cumulatively acknowledged when it was noticed (FlightSize of RFC 5681 §2); what
    /// limited transmit added is among them.
    pub flight_octets: u32,
    /// Octets marked lost by it.
    pub lost_octets: u32,
}

/// Kinds of congestion event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CongestionKind {
    /// Segments were lost; recovery begins.
    Loss,
    /// The retransmission timer fired; `first` is false when it fired again for the same data.
    Timeout {
        /// The first in a row.
        first: bool,
    },
    /// Marked, not lost (ECN).
    Marked,
}

/// Something about the path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// A full segment now has this many payload octets.
    Mss(u32),
    /// Sending resumes after an idle time with nothing in flight.
    Idle {
        /// How long nothing was sent.
        idle: Span,
        /// The retransmission timeout at that time.
        rto: Span,
    },
    /// Recovery is over: the window may be set to the threshold.
    RecoveryEnded,
}

/// What a controller answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Octets that may be in flight.
    pub window_octets: u32,
    /// How fast they may leave.
    pub rate: Rate,
    /// How much may leave back to back.
    pub quantum_octets: u32,
}

/// For people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The algorithm's name.
    pub name: &'static str,
    /// Congestion window in octets.
    pub window_octets: u32,
    /// Slow-start threshold in octets, `u32::MAX` when none is known.
    pub threshold_octets: u32,
    /// Whether the window doubles per round trip.
    pub slow_start: bool,
}

/// Six octets a controller may keep while its connection is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Residue(pub [u8; 6]);

/// What an answer did to the window.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowAfter {
    /// Nothing.
    Same,
    /// It is smaller.
    Reduced,
}

/// An acknowledgement of `acked_octets`, which were all there was in flight: the round ended, nothing was lost or
/// marked, and they were less than half of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The time.
    pub now: Instant,
    /// Octets it acknowledges.
    pub acked_octets: u32,
    /// Their round trip.
    pub rtt_micros: u32,
    /// The smoothed round trip; zero: none yet.
    pub srtt_micros: u32,
    /// The least round trip.
    pub min_rtt_micros: u32,
}

/// The same as [`CongestionController::on_ack`] would be told of it, but for totals.
#[cfg(test)]
pub(crate) fn sample_of(answer: &Answer) -> AckSample {
    let Answer { now, acked_octets, rtt_micros, srtt_micros, min_rtt_micros } = *answer;
    AckSample {
        now,
        acked_octets,
        delivered_octets: acked_octets,
        lost_octets: 0,
        in_flight_before: acked_octets,
        in_flight_after: 0,
        delivered_total: 0,
        rate: None,
        rtt: Some(Span::from_micros(u64::from(rtt_micros))),
        srtt: Span::from_micros(u64::from(srtt_micros)),
        min_rtt: Span::from_micros(u64::from(min_rtt_micros)),
        marked_octets: 0,
        marked_packets: 0,
        window_limited: false,
        round_ended: true,
        in_recovery: false,
    }
}

/// Decides how much may be in flight and how fast it leaves. Told facts, asked for a budget.
///
/// It is a value: connections that are equal in everything but their numbers share one copy while they
/// are parked.
pub trait CongestionController: Clone + PartialEq + Sized {
    /// Whether it looks at [`AckSample::rate`]. If not none is taken, and the field is `None`: a sample
    /// costs a division for each acknowledgement.
    const WANTS_RATE: bool = true;
    /// A controller for a new connection.
    fn start(path: &PathStart) -> Self;
    /// A data segment left.
    fn on_sent(&mut self, sent: &Sent);
    /// An acknowledgement delivered something.
    fn on_ack(&mut self, sample: &AckSample, prng: &mut Prng);
    /// Whether [`CongestionController::on_answer`] may be called. It stays so while nothing else is told.
    fn expects_answers(&self) -> bool {
        false
    }
    /// As [`CongestionController::on_ack`], of an answer.
    fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        let _ = answer;
        WindowAfter::Same
    }
    /// A congestion event. The controller saves what it needs to undo it.
    fn on_congestion(&mut self, event: &Congestion);
    /// The last congestion event was none: restore what was before (9438-7, RFC 4015).
    fn on_undo(&mut self, now: Instant);
    /// The path changed.
    fn on_path(&mut self, now: Instant, change: &PathChange);
    /// How much, how fast, how much at once.
    fn budget(&self) -> Budget;
    /// The threshold recovery should approach (PRR's ssthresh), octets.
    fn threshold(&self) -> u32;
    /// The window of the budget alone, octets: asked for at every acknowledgement.
    fn window_octets(&self) -> u32 {
        self.budget().window_octets
    }
    /// The same while the budget has no rate; `None` while it has one.
    fn unpaced_window(&self) -> Option<u32> {
        let budget = self.budget();
        budget.rate.is_unlimited().then_some(budget.window_octets)
    }
    /// Whether the budget has no rate, and that is known with a look or two.
    fn is_surely_unpaced(&self) -> bool {
        self.unpaced_window().is_some()
    }
    /// Whether the window doubles each round.
    fn in_slow_start(&self) -> bool {
        self.describe().slow_start
    }
    /// What to keep while parked.
    fn park(&self) -> Residue;
    /// A controller for a connection that wakes after `idle`.
    fn resume(residue: Residue, path: &PathStart, idle: Span) -> Self;
    /// For metrics.
    fn describe(&self) -> Snapshot;
}

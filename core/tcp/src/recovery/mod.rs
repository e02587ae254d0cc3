//! Loss recovery of the send side: skeleton of the public edge.

mod api;

pub use api::{
    AckInput, AckOutcome, RecoveryCounters, RecoverySettings, RecoveryStart, RecoveryState,
    SendWindowFacts, TimerOutcome,
};
use usertcp_base::observe::RetransmitCause;
use usertcp_base::{Instant, Prng, Seq, Span};
use usertcp_cc::CongestionController;

/// The send side's loss recovery.
#[derive(Debug)]
pub struct Recovery {
    una: Seq,
    nxt: Seq,
}

impl Recovery {
    /// Recovery for a connection that just became synchronised, or woke.
    pub fn new(_settings: &RecoverySettings, start: &RecoveryStart) -> Recovery {
        Recovery { una: start.una, nxt: start.nxt }
    }
    /// New data `[SND.NXT, SND.NXT + octets)` left now, as segments of `mss` (a super-segment is one
    /// call). `application_limited`: after it nothing waits to be sent although the window has room.
    pub fn on_sent(&mut self, _now: Instant, _octets: u32, _mss: u32, _application_limited: bool) {}
    /// `[seq, seq + octets)` left again now.
    pub fn on_retransmitted(&mut self, _now: Instant, _seq: Seq, _octets: u32) -> RetransmitCause {
        RetransmitCause::Recovery
    }
    /// Digests one acknowledgement and tells the controller what it means.
    pub fn on_ack<C: CongestionController>(
        &mut self,
        _now: Instant,
        _input: &AckInput<'_>,
        _cc: &mut C,
        _prng: &mut Prng,
    ) -> AckOutcome {
        AckOutcome::default()
    }
    /// The deadline passed.
    pub fn on_timer<C: CongestionController>(
        &mut self,
        _now: Instant,
        _cc: &mut C,
        _window: SendWindowFacts,
    ) -> TimerOutcome {
        TimerOutcome::Nothing
    }
    /// When to call [`Recovery::on_timer`].
    pub fn deadline(&self) -> Option<Instant> {
        None
    }
    /// What to send again first: start and length, the longest contiguous stretch below `right_edge`.
    pub fn next_retransmission(&self, _right_edge: Seq) -> Option<(Seq, u32)> {
        None
    }
    /// With nothing lost and no new data to send in fast recovery: one last segment (6675-3).
    pub fn next_rescue(&self, _right_edge: Seq) -> Option<(Seq, u32)> {
        None
    }
    /// Octets that may leave now, retransmissions included, under the controller's window.
    pub fn allowance(&self, _window_octets: u32) -> u32 {
        0
    }
    /// Octets in flight (pipe, RFC 6675 §4).
    pub fn in_flight(&self) -> u32 {
        0
    }
    /// SND.UNA.
    pub fn una(&self) -> Seq {
        self.una
    }
    /// SND.NXT.
    pub fn nxt(&self) -> Seq {
        self.nxt
    }
    /// Octets sent and not cumulatively acknowledged.
    pub fn outstanding(&self) -> u32 {
        self.nxt.since(self.una)
    }
    /// Which recovery is going on.
    pub fn state(&self) -> RecoveryState {
        RecoveryState::Open
    }
    /// Retransmission timeout, back-off included.
    pub fn rto(&self) -> Span {
        Span::ZERO
    }
    /// Smoothed round-trip time.
    pub fn srtt(&self) -> Option<Span> {
        None
    }
    /// Round-trip time variation.
    pub fn rttvar(&self) -> Option<Span> {
        None
    }
    /// Least round-trip time of the last five minutes.
    pub fn min_rtt(&self) -> Option<Span> {
        None
    }
    /// Expiries of the retransmission timer in a row without progress (for R1 and R2).
    pub fn timeouts_in_a_row(&self) -> u8 {
        0
    }
    /// Octets delivered in all.
    pub fn delivered(&self) -> u64 {
        0
    }
    /// What happened so far.
    pub fn counters(&self) -> RecoveryCounters {
        RecoveryCounters::default()
    }
}

//! The steps when the send timer fires.
//!
//! Owns: their order: reorder timer, tail probe, retransmission timeout.
//! Must not know: what is queued beyond what it is told.
//! Implements: RFC 6298 §5.4–5.7, RFC 5681 §3.1, RFC 8985 §6.3, §7.3, RFC 2018 §8, RFC 5682 §2.1.

use super::ack::Flight;
use super::records::Marks;
use super::tail_probe::TailProbe;
use super::timeout::SendTimer;
use super::undo::{Frto, Undo};
use super::{Grant, Recovery, RecoveryState, SendWindowFacts, TimerOutcome};
use usertcp_base::{Instant, Span};
use usertcp_cc::{Congestion, CongestionController, CongestionKind};

/// Doublings after which the round-trip estimate is taken for bogus (6298-12).
const DOUBTFUL_BACKOFF: u8 = 3;

impl Recovery {
    /// The deadline passed. Does nothing when called early.
    pub fn on_timer<C: CongestionController>(
        &mut self,
        now: Instant,
        cc: &mut C,
        window: SendWindowFacts,
    ) -> TimerOutcome {
        if self.board.outstanding() == 0 {
            self.timer.stop();
        }
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return TimerOutcome::Nothing;
        }
        match self.timer.kind() {
            SendTimer::Off => TimerOutcome::Nothing,
            SendTimer::Reorder if now < self.expiry() => self.on_reorder_timer(now, cc, window),
            SendTimer::TailProbe => self.on_probe_timer(now, window),
            SendTimer::Reorder | SendTimer::Retransmit => self.on_timeout(now, cc, window),
        }
    }

    /// The peer's window was closed and is open again: what is outstanding, if anything, has one
    /// timeout from now.
    pub fn on_window_opened(&mut self, now: Instant) {
        self.timer.on_window_opened();
        if self.board.outstanding() != 0 {
            self.wait_for_timeout(now);
        }
    }

    fn on_reorder_timer<C: CongestionController>(
        &mut self,
        now: Instant,
        cc: &mut C,
        window: SendWindowFacts,
    ) -> TimerOutcome {
        let (octets, sacked) = (self.board.outstanding(), self.board.sums().sacked);
        let scan = self.scan(now);
        let expiry = self.expiry();
        match scan.next {
            Some(at) => self.timer.wait_until(SendTimer::Reorder, at.min(expiry)),
            None => self.timer.wait_for_timeout(),
        }
        if scan.lost_octets == 0 {
            return TimerOutcome::Nothing;
        }
        self.counters.lost_octets = self.counters.lost_octets.wrapping_add(scan.lost_octets);
        let entered_recovery =
            self.state == RecoveryState::Open && !self.only_probe_lost(window.mtu_probe);
        if entered_recovery {
            self.enter_fast_recovery(now, Flight { octets, sacked }, scan.lost_octets, cc);
        }
        // No acknowledgement may come to allow it.
        self.prr.allow_segment(self.mss());
        TimerOutcome::Lost { octets: scan.lost_octets, entered_recovery }
    }

    /// RFC 8985 §7.3. What follows a probe is the timeout.
    fn on_probe_timer(&mut self, now: Instant, window: SendWindowFacts) -> TimerOutcome {
        let allowed = self.may_probe();
        let new_data = window.new_data_ready;
        if allowed
            && !new_data
            && let Some(until) = self.acknowledgement_due(now, window).filter(|until| now < *until)
        {
            let expiry = self.expiry();
            if until < expiry {
                self.timer.wait_until(SendTimer::TailProbe, until.min(expiry));
            } else {
                self.timer.wait_for_timeout();
            }
            return TimerOutcome::Nothing;
        }
        self.timer.wait_for_timeout();
        if !allowed || (!new_data && !self.last_is_open(window)) {
            return TimerOutcome::Nothing;
        }
        self.timer.restart(now);
        self.grant = if new_data { Grant::NewData } else { Grant::Last };
        TimerOutcome::Probe { new_data }
    }
    /// A receiver whose window is full acknowledges when its application reads, or when its delayed
    /// acknowledgement is due: until then silence says nothing of loss.
    fn acknowledgement_due(&self, now: Instant, window: SendWindowFacts) -> Option<Instant> {
        if window.right_edge.since(self.board.nxt()) >= self.mss() {
            return None;
        }
        let delay = Span::from_micros(u64::from(self.bounds.ack_delay));
        let sent = self.board.last()?.sent_at;
        Some(sent.before_now(now) + TailProbe::wait(self.rtt.srtt(), true, delay))
    }
    fn last_is_open(&self, window: SendWindowFacts) -> bool {
        self.board.last_segment().is_some_and(|(seq, _)| seq.before(window.right_edge))
    }

    fn on_timeout<C: CongestionController>(
        &mut self,
        now: Instant,
        cc: &mut C,
        window: SendWindowFacts,
    ) -> TimerOutcome {
        if window.right_edge.at_or_before(self.board.una()) {
            self.timer.on_closed_expiry(now);
            return TimerOutcome::WindowClosed;
        }
        let first = self.timer.expiries() == 0 || self.state != RecoveryState::TimeoutRecovery;
        self.timer.on_expiry(now);
        let count = self.timer.expiries();
        self.counters.timeouts = self.counters.timeouts.wrapping_add(1);
        let flight_octets = self.board.outstanding();
        let lost_octets = self.mark_expired(now);
        self.counters.lost_octets = self.counters.lost_octets.wrapping_add(lost_octets);
        if self.timer.backoff() > DOUBTFUL_BACKOFF {
            self.rtt.forget();
        }
        // Not while an earlier recovery goes on (5682-3), nor when the same timeout repeats.
        let fresh = first && self.state == RecoveryState::Open;
        if first {
            self.undo = Undo::start(self.board.una());
        }
        self.undo.frto = if fresh { Frto::FirstAck } else { Frto::Off };
        self.state = RecoveryState::TimeoutRecovery;
        self.recover = self.board.nxt();
        self.tail.on_recovery();
        self.reno.reset();
        self.grant = Grant::First;
        cc.on_congestion(&Congestion {
            now,
            kind: CongestionKind::Timeout { first },
            flight_octets,
            lost_octets,
        });
        TimerOutcome::Timeout { count }
    }

    /// RFC 8985 §6.3: the first segment, and what was sent longer ago than a round trip and the
    /// reordering window; without SACK everything. Returns octets newly lost.
    fn mark_expired(&mut self, now: Instant) -> u32 {
        // The peer SACKed the very octet it waits for: it threw away what it had (RFC 2018 §8).
        let reneged = self.board.front().is_some_and(|front| front.has(Marks::SACKED));
        if reneged {
            self.board.forget_sacked();
            self.rack.rescan(self.board.una());
        }
        let window = self.rack.window(self.latest, &self.rtt, true, 0);
        let mut lost = self.board.mark_front_lost();
        for index in 1..self.board.record_count() {
            let Some(record) = self.board.record(index) else { break };
            if !self.sack || reneged || self.latest.expired(now, record, window) {
                lost = lost.saturating_add(self.board.mark_lost(index));
            }
        }
        lost
    }
}

//! The acknowledgement that everybody hopes for: in order, of what was sent once.
//!
//! Owns: what it changes, in one piece. It must come to exactly what the steps of `ack` come to
//! (compared by a test of whole connections, `crate::tests::predicted`).
//! Must not know: headers.
//! Implements: the same as `ack`, where nothing is SACKed, lost, sent again or doubted.

use super::timeout::SendTimer;
use super::{Grant, Recovery, RecoveryState, short};
use usertcp_base::{Instant, Prng, Seq, Span};
use usertcp_cc::{AckSample, CongestionController};

/// What a plain acknowledgement did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainAck {
    /// The round-trip sample.
    pub rtt: Span,
}

impl Recovery {
    /// For `Tcb::touch`.
    pub(crate) fn touch(&self) -> u32 {
        let board = self.board.una().0 ^ self.board.sums().sacked;
        let path = self.rtt.rto_micros() ^ self.rack.fack().0 ^ self.delivery.peak();
        board ^ path ^ self.counters.timeouts ^ self.recover.0 ^ self.timer.expiries() as u32
    }

    /// Whether the next acknowledgement can be a plain one.
    pub(crate) fn is_plain(&self) -> bool {
        self.sack
            && self.state == RecoveryState::Open
            && self.grant == Grant::None
            && self.board.is_plain()
            && self.tail.is_quiet()
            && self.timer.kind() != SendTimer::Reorder
            && self.reno.credit() == 0
    }

    /// SND.UNA advances to `ack`, not beyond SND.NXT, while [`Recovery::is_plain`] holds. `None`, and
    /// nothing has changed: it is not plain after all.
    #[inline]
    pub(crate) fn on_plain_ack<C: CongestionController>(
        &mut self,
        now: Instant,
        ack: Seq,
        mss: u32,
        cc: &mut C,
        prng: &mut Prng,
    ) -> Option<PlainAck> {
        let una = self.board.una();
        if self.rack.fack().after(una) {
            return None;
        }
        let in_flight_before = self.board.outstanding();
        let (first, last) = self.board.advance_plain(ack)?;
        let acked_octets = ack.since(una);
        self.mss = short(mss);
        let window =
            self.delivery.window_limited(cc.window_octets(), self.mss(), cc.in_slow_start());
        self.timer.on_progress(now, prng);
        let stamp = now.stamp();
        let (oldest, newest) = (stamp.since(first.sent_at), stamp.since(last.sent_at));
        let rtt = oldest.max(Span::from_micros(1));
        let per_round = self.delivery.peak().div_ceil(self.mss().saturating_mul(2).max(1));
        self.rtt.on_sample(rtt, per_round, &self.bounds);
        self.rtt.on_minimum(newest, now);
        self.timer.end_backoff();
        self.tail.on_sample();
        if ack.after(self.recover) {
            self.recover = ack - 1;
            self.undo.by_mark = false;
        }
        self.rack.on_plain_delivered(&last, newest, ack);
        let in_flight_after = self.board.outstanding();
        let min_rtt = self.rtt.min_rtt();
        let (rate, round_ended) = self.delivery.on_ack(now, acked_octets, Some(&last), min_rtt);
        let sample = AckSample {
            now,
            acked_octets,
            delivered_octets: acked_octets,
            lost_octets: 0,
            in_flight_before,
            in_flight_after,
            delivered_total: self.delivery.total(),
            rate,
            rtt: Some(newest),
            srtt: self.rtt.srtt().unwrap_or(Span::ZERO),
            min_rtt: min_rtt.unwrap_or(Span::ZERO),
            marked_octets: 0,
            marked_packets: 0,
            window_limited: window,
            round_ended,
            in_recovery: false,
        };
        cc.on_ack(&sample, prng);
        if in_flight_after == 0 {
            self.rack.on_flight_ended();
            self.timer.stop();
        } else if self.may_probe() {
            self.arm_probe(now);
        } else {
            self.timer.wait_for_timeout();
        }
        Some(PlainAck { rtt })
    }

    /// The round trip that an acknowledgement of everything tells while [`Recovery::is_plain`] holds, when
    /// nothing else that it would teach is of use any more.
    pub(crate) fn on_last_ack(&mut self, now: Instant, prng: &mut Prng) -> Option<Span> {
        if self.rack.fack().after(self.board.una()) {
            return None;
        }
        let sent_at = self.board.front()?.sent_at;
        self.timer.on_progress(now, prng);
        Some(now.stamp().since(sent_at).max(Span::from_micros(1)))
    }
}

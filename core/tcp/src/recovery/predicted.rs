//! The acknowledgement that everybody hopes for: in order, of what was sent once.
//!
//! Owns: what it changes, in one piece. It must come to exactly what the steps of `ack` come to
//! (compared by a test of whole connections, `crate::tests::predicted`).
//! Must not know: headers.
//! Implements: the same as `ack`, where nothing is SACKed, lost, sent again or doubted.

use super::records::Taken;
use super::rtt::is_usual_sample;
use super::timeout::SendTimer;
use super::{Grant, Record, Recovery, RecoveryState, short};
use usertcp_base::{Instant, Prng, Seq, Span};
use usertcp_cc::{AckSample, CongestionController};

/// What an answer came to.
pub(crate) struct AnswerTaken {
    /// The round-trip sample, µs.
    pub(crate) rtt_micros: u32,
    /// The congestion window after it.
    pub(crate) window_octets: u32,
}

impl Recovery {
    /// For `Tcb::touch`.
    pub(crate) fn touch(&self) -> u32 {
        let times = self.rtt.rto_micros() ^ self.timer.expiries() as u32 ^ self.delivery.peak();
        times ^ self.board.touch()
    }

    /// For `Tcb::touch_rest`.
    pub(crate) fn touch_rest(&self) -> u32 {
        self.board.sums().sacked ^ self.counters.timeouts
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

    /// As [`Recovery::on_sent`] while [`Recovery::is_plain`] holds, of octets from `seq`, which is
    /// SND.NXT, behind `outstanding` others. The deadline after it.
    #[inline(always)]
    pub(crate) fn on_plain_sent(
        &mut self,
        now: Instant,
        (seq, octets): (Seq, u32),
        outstanding: u32,
        mss: u32,
        application_limited: bool,
    ) -> Instant {
        debug_assert!(self.is_plain() && octets > 0);
        debug_assert!(seq == self.board.nxt() && outstanding == self.board.outstanding());
        self.mss = short(mss);
        if outstanding == 0 {
            self.delivery.on_flight_begun(now);
            self.timer.restart(now);
        }
        let at = self.send_time(now, false);
        let mut record = Record::new(seq, octets, mss, at);
        self.delivery.stamp(&mut record, at);
        self.board.push_unmarked(record);
        // PRR starts anew with a recovery: what it counts before that means nothing.
        self.delivery.on_sent(outstanding.wrapping_add(octets), application_limited);
        if self.tail.may_probe() {
            self.arm_probe_behind(now, outstanding.wrapping_add(octets))
        } else {
            self.timer.wait_for_timeout();
            self.expiry()
        }
    }

    /// Whether `idle` is longer than the retransmission timeout.
    #[inline]
    pub(crate) fn is_beyond_timeout(&self, idle: Span) -> bool {
        // Back-off and jitter make it longer, never shorter.
        idle > Span::from_micros(u64::from(self.rtt.rto_micros())) && idle > self.rto()
    }

    /// SND.UNA advances to `ack`, not beyond SND.NXT, while [`Recovery::is_plain`] holds. `None`, and
    /// nothing has changed: it is not plain after all. Else the round-trip sample.
    #[inline(never)]
    pub(crate) fn on_plain_ack<C: CongestionController>(
        &mut self,
        now: Instant,
        ack: Seq,
        mss: u32,
        cc: &mut C,
        prng: &mut Prng,
    ) -> Option<Span> {
        if self.rack.fack().after(self.board.una()) {
            return None;
        }
        let acked_octets = ack.0.wrapping_sub(self.board.una().0);
        let is_answer =
            ack == self.board.nxt() && self.is_answer(now, acked_octets) && self.is_calm(mss, cc);
        let rtt_micros = match is_answer {
            true => self.on_answer(now, ack, cc)?.rtt_micros,
            false => self.on_other_plain_ack(now, ack, mss, cc, prng)?,
        };
        Some(Span::from_micros(u64::from(rtt_micros)))
    }

    /// Whether `octets`, which are all there is in flight, are one or two segments of one transmission, and this is
    /// not too late for a round-trip sample. While the connection [is calm](Recovery::is_calm) too, an
    /// acknowledgement of them is the answer to a question: it ends the round, of which the window was no limit.
    #[inline(always)]
    pub(crate) fn is_answer(&self, now: Instant, octets: u32) -> bool {
        self.board
            .only_sent_at()
            .is_some_and(|at| is_usual_sample(now.stamp().0.wrapping_sub(at.0)))
            && octets <= self.mss() * 2
    }

    /// Whether nothing is left of times that were less quiet, and what is in flight, two transmissions at most, is what
    /// left since all was acknowledged, or will be when they are. It stays so while there is nothing but answers,
    /// and the window is not [too small](Recovery::is_small_window).
    pub(crate) fn is_calm<C: CongestionController>(&self, mss: u32, cc: &C) -> bool {
        let una = self.board.una();
        C::KNOWS_ANSWERS
            && self.mss() == mss
            && !self.rack.fack().after(una)
            && self.board.is_of_one_round(&self.delivery)
            && self.delivery.peak() <= mss.saturating_mul(2)
            && !self.is_small_window(cc.window_octets())
            && self.rtt.is_sampled()
            && self.timer.is_undelayed()
            && self.tail.has_fresh_rtt()
            && self.rack.is_quiet()
            && una.after(self.recover)
            && !self.undo.by_mark
    }

    /// Whether a window is so small that a flight of two segments is more than half of it.
    #[inline(always)]
    pub(crate) fn is_small_window(&self, window: u32) -> bool {
        window < self.mss() * 4
    }

    /// SND.UNA advances to `ack`, which [`Recovery::is_answer`]: what is left of `digest_plain` then. Mostly that is
    /// when something happened last.
    #[inline(always)] // as a part of what is done with a question or an answer
    pub(crate) fn on_answer<C: CongestionController>(
        &mut self,
        now: Instant,
        ack: Seq,
        cc: &mut C,
    ) -> Option<AnswerTaken> {
        let acked_octets = ack.0.wrapping_sub(self.board.una().0);
        let sent_at = self.board.advance_answered(ack)?;
        let newest = now.stamp().0.wrapping_sub(sent_at.0);
        let rtt_micros = newest.max(1);
        self.rtt.on_usual_sample(rtt_micros, &self.bounds);
        self.rtt.on_usual_minimum(rtt_micros, now);
        self.timer.restart(now);
        self.timer.stop();
        self.recover = ack - 1;
        self.rack.on_answer(rtt_micros, ack);
        self.delivery.on_answer(now, acked_octets, sent_at);
        let (srtt, least) = (self.rtt.srtt_micros(), self.rtt.min_rtt_micros());
        let window_octets = cc.on_answer(now, acked_octets, newest, srtt, least);
        Some(AnswerTaken { rtt_micros, window_octets })
    }

    #[inline(never)]
    fn on_other_plain_ack<C: CongestionController>(
        &mut self,
        now: Instant,
        ack: Seq,
        mss: u32,
        cc: &mut C,
        prng: &mut Prng,
    ) -> Option<u32> {
        let una = self.board.una();
        let taken = self.board.advance_plain(ack)?;
        Some(self.digest_plain(now, una, mss, &taken, cc, prng))
    }

    /// What an acknowledgement of all that was `taken` from `una` on does. The round-trip sample, µs.
    #[inline(always)] // once
    fn digest_plain<C: CongestionController>(
        &mut self,
        now: Instant,
        una: Seq,
        mss: u32,
        taken: &Taken,
        cc: &mut C,
        prng: &mut Prng,
    ) -> u32 {
        let ack = self.board.una();
        let acked_octets = ack.0.wrapping_sub(una.0);
        let in_flight_after = self.board.outstanding();
        self.mss = short(mss);
        let (window, doubling) = (cc.window_octets(), cc.in_slow_start());
        let window_limited = self.delivery.window_limited(window, self.mss(), doubling);
        let stamp = now.stamp();
        let newest = stamp.micros_since(taken.sent_at);
        let rtt = stamp.micros_since(taken.oldest_sent_at).max(1);
        self.rtt.on_sample(rtt, self.samples_per_round(), &self.bounds);
        self.rtt.on_minimum(newest, now);
        self.timer.on_progress(now, prng);
        self.timer.end_backoff();
        self.tail.on_sample();
        if ack.after(self.recover) {
            self.recover = ack - 1;
            self.undo.by_mark = false;
        }
        if in_flight_after == 0 {
            self.rack.on_all_delivered(newest, ack);
        } else {
            self.rack.on_plain_delivered(taken.sent_at, newest, ack);
        }
        let min_rtt = self.rtt.min_rtt();
        self.delivery.on_delivered(now, acked_octets);
        let round_ended = self.delivery.on_newest(taken.sent_at, taken.delivered);
        let rate = if C::WANTS_RATE { self.delivery.rate(taken, min_rtt) } else { None };
        let sample = AckSample {
            now,
            acked_octets,
            delivered_octets: acked_octets,
            lost_octets: 0,
            in_flight_before: in_flight_after + acked_octets,
            in_flight_after,
            delivered_total: self.delivery.total(),
            rate,
            rtt: Some(Span::from_micros(u64::from(newest))),
            srtt: self.rtt.srtt().unwrap_or(Span::ZERO),
            min_rtt: min_rtt.unwrap_or(Span::ZERO),
            marked_octets: 0,
            marked_packets: 0,
            window_limited,
            round_ended,
            in_recovery: false,
        };
        if in_flight_after == 0 {
            self.timer.stop();
        } else if self.may_probe() {
            self.arm_probe(now);
        } else {
            self.timer.wait_for_timeout();
        }
        cc.on_ack(&sample, prng);
        rtt
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

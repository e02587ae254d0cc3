//! The acknowledgement that everybody hopes for: in order, of what was sent once.
//!
//! Owns: what it changes, in one piece. It must come to exactly what the steps of `ack` come to
//! (compared by a test of whole connections, `crate::tests::predicted`).
//! Must not know: headers.
//! Implements: the same as `ack`, where nothing is SACKed, lost, sent again or doubted.

use super::rack::Latest;
use super::records::Taken;
use super::rtt::is_usual_sample;
use super::tail_probe::TailProbe;
use super::timeout::SendTimer;
use super::{Grant, Record, Recovery, RecoveryState, short};
use usertcp_base::{Instant, Prng, Seq, Span, Stamp, TICK_SHIFT};
use usertcp_cc::{AckSample, Answer, CongestionController, WindowAfter};

/// What an answer came to.
pub(crate) struct AnswerTaken {
    /// The round-trip sample, µs.
    pub(crate) rtt_micros: u32,
    /// What it did to the congestion window.
    pub(crate) window: WindowAfter,
}

impl Recovery {
    /// For `Tcb::touch`.
    pub(crate) fn touch(&self) -> u32 {
        self.rtt.rto_micros() ^ self.board.una().0
    }

    /// For `Tcb::touch_paced`.
    pub(crate) fn touch_more(&self) -> u32 {
        u32::from(self.tail.has_fresh_rtt())
    }

    /// For `Tcb::touch_more`.
    pub(crate) fn touch_rest(&self) -> u32 {
        self.reno.credit()
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
        if !self.tail.may_probe() {
            self.timer.wait_for_timeout();
            return self.expiry();
        }
        match outstanding {
            0 => self.arm_first_probe(now, octets),
            _ => self.arm_probe_behind(now, outstanding.wrapping_add(octets)),
        }
    }

    /// As [`Recovery::on_plain_sent`] of a message: nothing else is in flight, the connection [is
    /// calm](Recovery::is_calm), and what leaves [waits for a probe](Recovery::awaits_probes).
    #[inline(always)] // once
    pub(crate) fn on_message_sent(&mut self, now: Instant, seq: Seq, octets: u32) {
        let delivered = self.delivery.begin_with_message(now, octets);
        self.on_alone_sent(now, (seq, octets), delivered);
    }

    /// As [`Recovery::on_plain_sent`] of a segment with FIN, less than a full one otherwise, while nothing else is in
    /// flight and the recovery [begins with it](Recovery::begins_alone).
    #[inline(always)] // once
    pub(crate) fn on_end_sent(&mut self, now: Instant, (seq, length): (Seq, u32), mss: u32) {
        self.mss = short(mss);
        let delivered = self.delivery.begin_alone(now, length);
        self.on_alone_sent(now, (seq, length), delivered);
    }

    /// What leaves is all there is in flight, and a probe follows it; so much was `delivered` before.
    #[inline(always)] // a part of both above
    fn on_alone_sent(&mut self, now: Instant, (seq, octets): (Seq, u32), delivered: u32) {
        debug_assert!(self.is_plain() && self.board.is_clear() && self.tail.may_probe());
        debug_assert!(octets <= self.mss() && self.timer.is_exact() && self.rtt.is_sampled());
        let sent_at = self.send_time(now, false);
        let record = Record::new_alone(now.stamp(), (seq, octets), self.mss, sent_at, delivered);
        self.board.push_first(record);
        self.timer.restart(now);
        let wait = TailProbe::wait_for_one(self.rtt.srtt_micros(), self.bounds.ack_delay);
        let at = now + Span::from_micros(u64::from(wait.min(self.rtt.rto_micros())));
        self.timer.wait_until(SendTimer::TailProbe, at);
    }

    /// Whether what leaves when nothing is in flight begins a round, is noted where the record of a message is, and is
    /// followed by a probe, sooner than `limit` in any case.
    #[inline(always)] // once
    pub(crate) fn begins_alone(&self, limit: Span) -> bool {
        self.board.is_short()
            && self.awaits_probes(limit)
            && self.timer.is_exact()
            && self.rtt.is_sampled()
            && self.delivery.is_between_flights()
    }

    /// When the probe is sent that follows a message, while it is in flight.
    #[inline(always)] // a load
    pub(crate) fn probe_at(&self) -> Instant {
        self.timer.at()
    }

    /// Whether a probe follows what leaves when nothing is in flight, sooner than `limit` in any case.
    pub(crate) fn awaits_probes(&self, limit: Span) -> bool {
        self.tail.may_probe() && limit >= self.bounds.longest()
    }

    /// Whether what is in flight, if anything, is noted where the record of a message is.
    #[inline(always)] // a comparison
    pub(crate) fn has_short_record(&self) -> bool {
        self.board.is_short()
    }

    /// Whether so many ticks are no longer than the retransmission timeout as it was estimated.
    #[inline(always)] // a comparison
    pub(crate) fn is_soon(&self, idle_ticks: u32) -> bool {
        idle_ticks <= self.timeout_ticks()
    }

    /// The retransmission timeout as it was estimated: whole ticks.
    #[inline(always)] // a load
    pub(crate) fn timeout_ticks(&self) -> u32 {
        self.rtt.rto_micros() >> TICK_SHIFT
    }

    /// Whether so many ticks are longer than the retransmission timeout.
    #[inline]
    pub(crate) fn is_beyond_timeout(&self, idle_ticks: u32) -> bool {
        // Back-off and jitter make it longer, never shorter.
        idle_ticks > self.rtt.rto_micros() >> TICK_SHIFT
            && Span::from_micros(u64::from(idle_ticks) << TICK_SHIFT) > self.rto()
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
        if self.latest.fack.after(self.board.una()) {
            return None;
        }
        let acked_octets = ack.0.wrapping_sub(self.board.una().0);
        let asked_at = match ack == self.board.nxt() && self.is_calm(mss, cc) {
            true => self.take_asked(now),
            false => None,
        };
        let rtt_micros = match asked_at {
            Some(asked_at) => self.on_answer(now, ack, acked_octets, asked_at, cc).rtt_micros,
            None => self.on_other_plain_ack(now, ack, mss, cc, prng)?,
        };
        Some(Span::from_micros(u64::from(rtt_micros)))
    }

    /// When the question was sent that an acknowledgement of all that is in flight answers while the connection [is
    /// calm](Recovery::is_calm): one or two segments of one transmission, not too long ago for a round-trip sample. It
    /// ends the round then, of which the window was no limit; [`Recovery::on_answer`] is to follow.
    #[inline(always)]
    pub(crate) fn take_asked(&mut self, now: Instant) -> Option<Stamp> {
        self.board.take_only(|sent_at| is_usual_sample(micros_from(sent_at, now)))
    }

    /// Whether nothing is left of times that were less quiet, and what is in flight, two segments at most, is what
    /// left since all was acknowledged, or will be when they are. It stays so while there is nothing but answers,
    /// no transmission is longer than a segment, and the window does not become smaller.
    pub(crate) fn is_calm<C: CongestionController>(&self, mss: u32, cc: &C) -> bool {
        let una = self.board.una();
        cc.expects_answers()
            && self.mss() == mss
            && !self.latest.fack.after(una)
            && self.board.is_of_one_round(&self.delivery)
            && self.delivery.peak() <= mss.saturating_mul(2)
            && !self.is_small_window(cc.window_octets())
            && self.rtt.is_sampled()
            && self.rtt.is_below_longest(&self.bounds)
            && self.timer.is_undelayed()
            && self.tail.has_fresh_rtt()
            && self.rack.is_quiet()
            && una.after(self.recover)
            && !self.undo.by_mark
    }

    /// Whether a window is so small that a flight of two segments is half of it or more.
    fn is_small_window(&self, window: u32) -> bool {
        window / 2 <= self.mss() * 2
    }

    /// SND.UNA advances by `acked_octets` to `ack`, which answers what was [asked](Recovery::take_asked): what is left of `digest_plain` then.
    /// When something happened last means nothing: the next flight begins anew.
    #[inline(always)] // at the end of a longer way
    pub(crate) fn on_answer<C: CongestionController>(
        &mut self,
        now: Instant,
        ack: Seq,
        acked_octets: u32,
        asked_at: Stamp,
        cc: &mut C,
    ) -> AnswerTaken {
        debug_assert!(acked_octets == ack.0.wrapping_sub(self.board.una().0));
        self.board.advance_over_taken(ack);
        let newest = micros_from(asked_at, now);
        let rtt_micros = newest.max(1);
        self.rtt.on_usual_sample(rtt_micros, &self.bounds);
        self.rtt.on_usual_minimum(rtt_micros, now);
        self.timer.stop();
        self.recover = ack - 1;
        self.latest = Latest { rtt_micros, fack: ack };
        self.delivery.on_answer(acked_octets);
        let window = cc.on_answer(&Answer {
            now,
            acked_octets,
            rtt_micros: newest,
            srtt_micros: self.rtt.srtt_micros(),
            min_rtt_micros: self.rtt.min_rtt_micros(),
        });
        AnswerTaken { rtt_micros, window }
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
            self.rack.on_all_delivered(&mut self.latest, newest, ack);
        } else {
            self.rack.on_plain_delivered(&mut self.latest, taken.sent_at, newest, ack);
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
        if self.latest.fack.after(self.board.una()) {
            return None;
        }
        let sent_at = self.board.front()?.sent_at;
        self.timer.on_progress(now, prng);
        Some(now.stamp().since(sent_at).max(Span::from_micros(1)))
    }
}

/// Circular: what lies ahead was long ago.
#[inline(always)]
fn micros_from(stamp: Stamp, now: Instant) -> u32 {
    now.stamp().0.wrapping_sub(stamp.0)
}

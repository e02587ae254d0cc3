//! The congestion window that loss-based controllers share.
//!
//! Owns: window and threshold, slow start, what validates a window, restart after idle, the way
//! down at a congestion event and back when it was none, the budget that follows.
//! Must not know: how congestion avoidance grows a window (each controller's own affair).
//! Implements: RFC 5681 §3.1 and §4.1, RFC 3465 §2, RFC 6928 §2, RFC 7661 §4.3 and §4.4, RFC 8511 §3.1.
//!
//! Growth counts octets *delivered* (cumulatively or selectively), never acknowledgements: ten
//! thousand duplicates or one-octet acknowledgements are worth what they deliver.

use usertcp_base::{Instant, Span, Stamp};

use crate::api::{
    AckSample, Answer, Budget, Congestion, CongestionKind, PathStart, Residue, Sent, Snapshot,
    WindowAfter,
};
use crate::hystart::{HyStart, Phase, Verdict};
use crate::pacing::{self, Gain, LOCAL_RTT};
use crate::pipe_ack::{Period, PipeAck};
use crate::residue::{Parked, Tag};

/// No window is larger: nothing larger can be announced (RFC 7323 §2.3).
pub(crate) const MAX_WINDOW: u32 = 1 << 30;
/// No threshold known: slow start until the path complains.
pub(crate) const NO_THRESHOLD: u32 = u32::MAX;
/// A segment cannot be larger, which bounds the products of the arithmetic.
const MAX_MSS: u32 = 1 << 16;
/// How long a window may stay larger than its use justifies (RFC 7661 §4.3).
const NON_VALIDATED: Span = Span::from_secs(300);
/// The retransmission timeout assumed for a time spent parked (RFC 6298 §2.1).
const PARKED_RTO: Span = Span::from_secs(1);

/// A part of a window kept at a congestion event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction {
    pub(crate) numerator: u32,
    pub(crate) denominator: u32,
}

impl Fraction {
    fn of(self, octets: u32) -> u32 {
        let part =
            u64::from(octets) * u64::from(self.numerator) / u64::from(self.denominator.max(1));
        u32::try_from(part).unwrap_or(MAX_WINDOW)
    }
}

/// What an algorithm keeps after loss, and after a mark if the mark is known to come from a
/// queue that marks early (RFC 8511 §3.1, opt-in).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) loss: Fraction,
    pub(crate) early_mark: Fraction,
}

/// What undoing a congestion event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    octets: u32,
    threshold: u32,
    phase: Phase,
    timed_out: bool,
}

/// What a return to earlier values came to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// The values before the event hold again.
    Restored,
    /// The window has outgrown them in the meantime and stays.
    Outgrown,
}

/// What an idle time did to the window.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Nothing.
    Kept,
    /// It was reduced.
    Reduced,
}

/// Congestion window and threshold of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    mss: u32,
    octets: u32,
    threshold: u32,
    /// Zero until a round trip was measured.
    srtt_micros: u32,
    /// When use last justified the window.
    validated: Stamp,
    hystart: HyStart,
    pipe_ack: PipeAck,
    /// The path is too short to be worth pacing.
    local: bool,
    /// Nothing was acknowledged since the start or an idle time: an initial window may leave at once.
    opening: bool,
    /// The recovery under way began with a timeout.
    timed_out: bool,
    /// Marks come from queues that mark early (RFC 8511).
    early_marks: bool,
}

/// The initial window (RFC 6928 §2): ten segments, about 14600 octets, at least two segments.
pub const fn initial_window(mss: u32) -> u32 {
    let (two, ten) = (mss.saturating_mul(2), mss.saturating_mul(10));
    let bounded = if two > 14_600 { two } else { 14_600 };
    if ten < bounded { ten } else { bounded }
}

const fn valid_mss(mss: u32) -> u32 {
    if mss == 0 {
        1
    } else if mss > MAX_MSS {
        MAX_MSS
    } else {
        mss
    }
}

fn micros(span: Span) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

impl Window {
    pub(crate) fn start(path: &PathStart) -> Window {
        let mss = valid_mss(path.mss_octets);
        let rtt = path.rtt.unwrap_or(Span::ZERO);
        Window {
            mss,
            // One segment if the handshake was lost (RFC 6928 §2, SHOULD).
            octets: if path.handshake_lost { mss } else { initial_window(mss) },
            threshold: path.threshold_octets.unwrap_or(NO_THRESHOLD).max(mss * 2),
            srtt_micros: micros(rtt),
            validated: path.now.stamp(),
            hystart: HyStart::new(),
            pipe_ack: PipeAck::undefined(),
            local: !rtt.is_zero() && rtt < LOCAL_RTT,
            opening: true,
            timed_out: false,
            early_marks: false,
        }
    }

    /// A window taken over from a controller that kept none of the rest.
    pub(crate) fn taken_over(path: &PathStart, octets: u32, threshold: u32) -> Window {
        let mut window = Window::start(path);
        window.octets = octets.clamp(window.mss, MAX_WINDOW);
        window.threshold = threshold.max(window.mss * 2);
        if threshold != NO_THRESHOLD {
            window.hystart = HyStart::done();
        }
        window
    }

    pub(crate) fn park(&self, tag: Tag) -> Residue {
        Parked { tag, window: self.octets, threshold: self.threshold }.encode()
    }

    /// A window that was parked for `idle`: as after any idle time. An empty residue is a start.
    pub(crate) fn resume(residue: Residue, path: &PathStart, idle: Span) -> Window {
        let parked = Parked::decode(residue);
        if parked.window == 0 {
            return Window::start(path);
        }
        let mut window = Window::taken_over(path, parked.window, parked.threshold);
        let _ = window.on_idle(path.now, idle, PARKED_RTO);
        window
    }

    pub(crate) const fn mss(&self) -> u32 {
        self.mss
    }
    pub(crate) const fn octets(&self) -> u32 {
        self.octets
    }
    pub(crate) const fn threshold(&self) -> u32 {
        self.threshold
    }
    pub(crate) const fn srtt_micros(&self) -> u32 {
        self.srtt_micros
    }
    pub(crate) const fn in_slow_start(&self) -> bool {
        self.octets < self.threshold
    }
    pub(crate) fn set_early_marks(&mut self, early: bool) {
        self.early_marks = early;
    }

    pub(crate) fn describe(&self, name: &'static str) -> Snapshot {
        Snapshot {
            name,
            window_octets: self.octets,
            threshold_octets: self.threshold,
            slow_start: self.in_slow_start(),
        }
    }

    /// What is sent again counts while a loss in an unused window is repaired.
    #[inline]
    pub(crate) fn on_sent(&mut self, sent: &Sent) {
        if sent.retransmission {
            self.pipe_ack.on_resent(sent.octets);
        }
    }

    pub(crate) fn grow(&mut self, octets: u32) {
        self.octets = self.octets.saturating_add(octets).min(MAX_WINDOW);
    }

    /// Takes what slow start makes of `sample`. Returns the octets it left for congestion avoidance.
    #[inline(always)]
    pub(crate) fn on_ack(&mut self, sample: &AckSample) -> u32 {
        self.learn(sample);
        if self.in_slow_start() {
            match self.hystart.on_ack(sample.rtt, sample.round_ended) {
                Verdict::Leave => self.threshold = self.octets.max(self.mss * 2),
                Verdict::Stay => {}
            }
        }
        match self.countable(sample) {
            0 => 0,
            octets => self.slow_start(octets),
        }
    }

    /// Whether answers (`CongestionController::on_answer`) bring about no more than [`Window::on_answer`] does.
    pub(crate) fn expects_answers(&self) -> bool {
        !self.timed_out
            && self.pipe_ack.is_between_rounds()
            && self.hystart.phase() != Phase::Conservative
    }

    /// As [`Window::on_ack`] of an answer, of which the window was not the limit, nor half of it used.
    #[inline(always)]
    pub(crate) fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        debug_assert!(self.expects_answers());
        if answer.srtt_micros != 0 {
            self.srtt_micros = answer.srtt_micros;
            self.local = answer.min_rtt_micros < LOCAL_RTT.as_micros() as u32;
        }
        self.opening = false;
        let after = match self.pipe_ack.period(answer.now) {
            Period::GoesOn => WindowAfter::Same,
            Period::Old => self.look_again(answer.now),
        };
        self.pipe_ack.on_round(answer.acked_octets);
        if self.in_slow_start() {
            self.hystart.on_only_sample(answer.rtt_micros);
        }
        after
    }

    /// What is done once a second or so, at an answer.
    #[inline(never)]
    fn look_again(&mut self, now: Instant) -> WindowAfter {
        self.pipe_ack.turn(now, self.srtt_micros);
        match self.halve_if_unused(now) {
            Restart::Kept => WindowAfter::Same,
            Restart::Reduced => WindowAfter::Reduced,
        }
    }

    #[inline(always)]
    fn learn(&mut self, sample: &AckSample) {
        if !sample.srtt.is_zero() {
            self.srtt_micros = micros(sample.srtt);
            self.local = sample.min_rtt < LOCAL_RTT;
        }
        self.opening = false;
        let (acked, round_ended) = (sample.acked_octets, sample.round_ended);
        let period = self.pipe_ack.on_ack(sample.now, acked, round_ended, self.srtt_micros);
        if !sample.in_recovery {
            self.timed_out = false;
        }
        self.validate(sample, period);
    }

    /// Halves a window that half its size would have served for five minutes (RFC 7661 §4.4.3), which is looked at
    /// once a second or so.
    #[inline(always)]
    fn validate(&mut self, sample: &AckSample, period: Period) {
        let used = sample.window_limited || sample.in_flight_before >= self.octets / 2;
        if used || sample.in_recovery {
            self.validated = sample.now.stamp();
        } else if period == Period::Old {
            let _ = self.halve_if_unused(sample.now);
        }
    }

    #[inline(never)]
    fn halve_if_unused(&mut self, now: Instant) -> Restart {
        if now.stamp().since(self.validated) < NON_VALIDATED {
            return Restart::Kept;
        }
        self.validated = now.stamp();
        self.reduce_unused(1)
    }

    /// Octets that justify growth: none unless the window was the limit (RFC 7661 §4.4, MUST NOT),
    /// none in fast recovery, one segment per acknowledgement while a timeout is repaired (RFC
    /// 3465 §2.3: cumulative jumps there cover data that left long ago), else all. More than a
    /// window cannot have been delivered by this window.
    #[inline]
    fn countable(&self, sample: &AckSample) -> u32 {
        if !sample.window_limited || (sample.in_recovery && !self.timed_out) {
            return 0;
        }
        let limit = if sample.in_recovery { self.mss } else { self.octets };
        // Cumulatively: what a duplicate acknowledgement reports as arrived out of order is counted
        // when the gap before it closes (RFC 5681 §3.2, RFC 3042 §2: the window MUST NOT change).
        sample.acked_octets.min(limit)
    }

    /// Exponential growth up to the threshold (RFC 5681 §3.1, MUST); returns the octets beyond it.
    #[inline(never)]
    fn slow_start(&mut self, octets: u32) -> u32 {
        if !self.in_slow_start() {
            return octets;
        }
        let growth = self.hystart.growth(octets);
        let room = self.threshold - self.octets;
        self.grow(growth.min(room));
        if self.in_slow_start() {
            return 0;
        }
        // Reached by a threshold from elsewhere: the first slow start ends here too.
        self.hystart.set_phase(Phase::Done);
        growth.saturating_sub(room)
    }

    pub(crate) fn save(&self) -> Saved {
        let Window { octets, threshold, timed_out, .. } = *self;
        Saved { octets, threshold, timed_out, phase: self.hystart.phase() }
    }

    /// Reacts to `event`. The caller saves first what it may have to restore.
    pub(crate) fn on_congestion(&mut self, event: &Congestion, backoff: &Backoff) {
        match event.kind {
            CongestionKind::Loss => {
                let unused = self.non_validated(event.flight_octets);
                let used = event.flight_octets.max(unused.unwrap_or(0));
                let _ = self.lower_threshold(used, backoff.loss);
                self.pipe_ack.on_loss(unused.is_some());
                self.octets = self.octets.min(self.threshold);
                self.timed_out = false;
            }
            // Marks reduce the window down to one segment, below the least threshold (RFC 9438
            // §4.6, MUST): nothing was lost, so nothing needs a second segment to be repaired.
            CongestionKind::Marked => {
                let keep = if self.early_marks { backoff.early_mark } else { backoff.loss };
                let kept = self.lower_threshold(event.flight_octets, keep);
                self.octets = self.octets.min(kept.max(self.mss));
            }
            // The threshold stays when the timer fires again (RFC 5681 §3.1, MUST).
            CongestionKind::Timeout { first } => {
                if first {
                    let _ = self.lower_threshold(event.flight_octets, backoff.loss);
                }
                self.pipe_ack.on_loss(false);
                self.octets = self.mss;
                self.timed_out = true;
            }
        }
        self.hystart.set_phase(Phase::Done);
    }

    /// pipeACK of a window that neither the last rounds nor the present flight used by half: it is
    /// not validated (RFC 7661 §4.3), and a loss counts the larger of the two (§4.4.1).
    fn non_validated(&self, flight: u32) -> Option<u32> {
        let half = self.octets / 2;
        // The last whole round is one doubling behind in slow start.
        let behind = if self.in_slow_start() { 2 } else { 1 };
        let unused = |octets: u32| octets.saturating_mul(behind) < half && flight < half;
        self.pipe_ack.octets().filter(|octets| unused(*octets))
    }

    /// From the flight, not from the window (RFC 5681 §3.1, MUST): what was not in flight has not
    /// been tested. A flight beyond the window is left over from before an earlier reduction.
    /// Returns what is kept; the threshold is that, but at least two segments.
    fn lower_threshold(&mut self, flight: u32, keep: Fraction) -> u32 {
        let kept = keep.of(flight.min(self.octets));
        self.threshold = kept.max(self.mss * 2);
        kept
    }

    /// Back to what `saved` holds, unless the window is larger by now (RFC 9438 §4.9, SHOULD).
    pub(crate) fn restore(&mut self, saved: &Saved) -> Undone {
        self.timed_out = saved.timed_out;
        if self.octets > saved.octets {
            return Undone::Outgrown;
        }
        self.octets = saved.octets.max(self.mss);
        self.threshold = saved.threshold.max(self.mss * 2);
        self.hystart.set_phase(saved.phase);
        Undone::Restored
    }

    /// What had to be sent again in a window that was not validated comes off it (RFC 7661 §4.4.1):
    /// (max(pipeACK, LossFlightSize) − R)/2, the half being the algorithm's own fraction.
    pub(crate) fn on_recovery_ended(&mut self, backoff: &Backoff) {
        self.timed_out = false;
        if let Some(resent) = self.pipe_ack.on_recovered() {
            let kept = self.threshold.saturating_sub(backoff.loss.of(resent));
            self.octets = self.octets.min(kept.max(self.mss));
            self.threshold = kept.max(self.mss * 2);
        }
    }

    /// RFC 5681 §4.1 in the gentler way of RFC 7661: half per timeout that passed, down to an
    /// initial window; the threshold remembers three quarters.
    pub(crate) fn on_idle(&mut self, now: Instant, idle: Span, rto: Span) -> Restart {
        self.opening = true;
        self.validated = now.stamp();
        if idle <= rto {
            return Restart::Kept;
        }
        let timeouts = idle.as_micros() / rto.as_micros().max(1);
        self.reduce_unused(u32::try_from(timeouts).unwrap_or(u32::MAX))
    }

    #[inline]
    fn reduce_unused(&mut self, halvings: u32) -> Restart {
        let before = self.octets;
        self.threshold = self.threshold.max(before - before / 4);
        let least = before.min(initial_window(self.mss));
        self.octets = before.checked_shr(halvings).unwrap_or(0).max(least);
        if self.octets < before { Restart::Reduced } else { Restart::Kept }
    }

    /// The window stays in octets, except that an initial window is one in segments: fewer octets
    /// per segment must not make it a larger burst (RFC 5681 §3.1, SHOULD).
    pub(crate) fn set_mss(&mut self, mss: u32) {
        let mss = valid_mss(mss);
        if self.opening && mss < self.mss {
            let scaled = u64::from(self.octets) * u64::from(mss) / u64::from(self.mss);
            self.octets = u32::try_from(scaled).unwrap_or(MAX_WINDOW);
        }
        self.mss = mss;
        self.octets = self.octets.max(mss);
        self.threshold = self.threshold.max(mss * 2);
    }

    /// The window while its budget has no rate.
    #[inline]
    pub(crate) fn unpaced(&self) -> Option<u32> {
        (self.local || self.srtt_micros == 0).then_some(self.octets)
    }
    /// Whether the path is so short that it never has one.
    #[inline(always)] // a look
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }
    pub(crate) fn budget(&self) -> Budget {
        let gain = if self.in_slow_start() { Gain::SlowStart } else { Gain::Avoidance };
        let srtt_micros = if self.local { 0 } else { self.srtt_micros };
        let rate = pacing::rate(self.octets, srtt_micros, gain);
        let quantum = pacing::quantum(rate, self.mss);
        // An initial window may leave as one burst (RFC 6928 §2): pacing it would delay every
        // short answer by half a round trip.
        let opening = if self.opening { initial_window(self.mss) } else { 0 };
        Budget { window_octets: self.octets, rate, quantum_octets: quantum.max(opening) }
    }
}

#[cfg(test)]
mod tests;

//! HyStart++: leaving slow start before the queue overflows.
//!
//! Owns: the round-trip minima of two rounds and the phase of slow start they imply.
//! Must not know: the window, the clock, segments.
//! Implements: RFC 9406 §4.2 and §4.3, with L infinite because slow start is paced.

use usertcp_base::Span;

/// Samples a round needs before its minimum means anything (N_RTT_SAMPLE).
const SAMPLES_NEEDED: u8 = 8;
/// Rounds spent growing slowly before slow start is over (CSS_ROUNDS).
const CONSERVATIVE_ROUNDS: u8 = 5;
/// How much slower the window grows meanwhile (CSS_GROWTH_DIVISOR).
const CONSERVATIVE_DIVISOR: u32 = 4;
/// The threshold is an eighth of the last minimum (MIN_RTT_DIVISOR) between these bounds.
const THRESHOLD_DIVISOR: u32 = 8;
const LEAST_THRESHOLD_MICROS: u32 = 4_000;
const GREATEST_THRESHOLD_MICROS: u32 = 16_000;
/// A minimum of which nothing is known.
const UNKNOWN: u32 = u32::MAX;

/// Where slow start stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The window doubles per round trip.
    SlowStart,
    /// The delay rose: growth is slowed until that is confirmed or refuted.
    Conservative,
    /// The first slow start is over; HyStart++ is not used again (RFC 9406 §4.3, SHOULD).
    Done,
}

/// What a sample means for slow start.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Stay,
    /// Enough: the threshold becomes the window.
    Leave,
}

/// The state of HyStart++.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HyStart {
    last_min_micros: u32,
    current_min_micros: u32,
    baseline_micros: u32,
    samples: u8,
    conservative_rounds: u8,
    /// Octets not yet counted by the division while growth is slowed.
    rest_octets: u8,
    phase: Phase,
}

impl HyStart {
    /// At the start of a connection.
    pub(crate) const fn new() -> HyStart {
        HyStart {
            last_min_micros: UNKNOWN,
            current_min_micros: UNKNOWN,
            baseline_micros: UNKNOWN,
            samples: 0,
            conservative_rounds: 0,
            rest_octets: 0,
            phase: Phase::SlowStart,
        }
    }

    /// For a connection whose first slow start lies behind it.
    pub(crate) const fn done() -> HyStart {
        HyStart { phase: Phase::Done, ..HyStart::new() }
    }

    /// The phase.
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Sets the phase and nothing else. Once done, no sample touches the minima, so going back to
    /// an earlier phase restores exactly what was before.
    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// An acknowledgement during slow start.
    #[inline(always)]
    pub(crate) fn on_ack(&mut self, rtt: Option<Span>, round_ended: bool) -> Verdict {
        if self.phase == Phase::Done {
            return Verdict::Stay;
        }
        if round_ended {
            self.begin_round();
        }
        if self.conservative_rounds >= CONSERVATIVE_ROUNDS {
            self.phase = Phase::Done;
            return Verdict::Leave;
        }
        if let Some(rtt) = rtt {
            self.current_min_micros = self.current_min_micros.min(clamped_micros(rtt));
            self.samples = SAMPLES_NEEDED.min(self.samples + 1);
        }
        if self.samples >= SAMPLES_NEEDED {
            self.judge();
        }
        Verdict::Stay
    }

    /// An acknowledgement during slow start that ended a round with its one sample, while growth is not slowed.
    #[inline(always)]
    pub(crate) fn on_only_sample(&mut self, rtt_micros: u32) {
        debug_assert!(self.phase != Phase::Conservative && rtt_micros < UNKNOWN);
        if self.phase == Phase::SlowStart {
            self.last_min_micros = self.current_min_micros;
            self.current_min_micros = rtt_micros;
            self.samples = 1;
        }
    }

    /// By how much the window grows for `octets` delivered.
    pub(crate) fn growth(&mut self, octets: u32) -> u32 {
        if self.phase != Phase::Conservative {
            return octets;
        }
        let octets = octets.saturating_add(u32::from(self.rest_octets));
        // The remainder is below the divisor, hence fits.
        self.rest_octets = (octets % CONSERVATIVE_DIVISOR) as u8;
        octets / CONSERVATIVE_DIVISOR
    }

    /// A partial round counts as one of the conservative rounds (RFC 9406 §4.2), so counting the
    /// ends of rounds is enough.
    fn begin_round(&mut self) {
        self.last_min_micros = self.current_min_micros;
        self.current_min_micros = UNKNOWN;
        self.samples = 0;
        if self.phase == Phase::Conservative {
            self.conservative_rounds = self.conservative_rounds.saturating_add(1);
        }
    }

    #[inline(never)]
    fn judge(&mut self) {
        match self.phase {
            Phase::SlowStart if self.delay_rose() => {
                self.baseline_micros = self.current_min_micros;
                self.conservative_rounds = 0;
                self.rest_octets = 0;
                self.phase = Phase::Conservative;
            }
            // The rise was jitter: double again (RFC 9406 §4.2).
            Phase::Conservative if self.current_min_micros < self.baseline_micros => {
                self.baseline_micros = UNKNOWN;
                self.conservative_rounds = 0;
                self.phase = Phase::SlowStart;
            }
            _ => {}
        }
    }

    fn delay_rose(&self) -> bool {
        if self.last_min_micros == UNKNOWN || self.current_min_micros == UNKNOWN {
            return false;
        }
        let threshold = (self.last_min_micros / THRESHOLD_DIVISOR)
            .clamp(LEAST_THRESHOLD_MICROS, GREATEST_THRESHOLD_MICROS);
        self.current_min_micros >= self.last_min_micros.saturating_add(threshold)
    }
}

fn clamped_micros(rtt: Span) -> u32 {
    // One below the mark for "unknown": more than an hour is as good as an hour here.
    u32::try_from(rtt.as_micros()).unwrap_or(UNKNOWN).min(UNKNOWN - 1)
}

#[cfg(test)]
mod tests;

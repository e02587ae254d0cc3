//! The round-trip estimator.
//!
//! Owns: SRTT, RTTVAR, the timeout that follows from them, the windowed minimum.
//! Must not know: which acknowledgements give valid samples, timers, back-off.
//! Implements: RFC 6298 §2, §5.7; RFC 7323 appendix G (several samples per round trip).

use super::api::RecoverySettings;
use usertcp_base::{Instant, Span, Tick};

/// Fractional bits of the estimates.
const FRACTION: u32 = 4;
/// Longer samples count as this.
const LONGEST_SAMPLE_MICROS: u32 = 240_000_000;
/// How long a minimum is believed: 300 s in ticks of 64 µs.
const MINIMUM_AGE_TICKS: u32 = 300_000_000 / 64;
/// Timeout before any sample (6298-1).
const INITIAL_RTO_MICROS: u32 = 1_000_000;
/// Least timeout when data transmission begins after a lost SYN (6298-10).
const LOST_SYN_RTO_MICROS: u32 = 3_000_000;

/// What is known of the round trip. Zero stands for "no sample yet".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RttEstimator {
    srtt: u32,
    rttvar: u32,
    /// Timeout in microseconds, without back-off.
    rto: u32,
    min_rtt: u32,
    min_rtt_at: Tick,
}

impl RttEstimator {
    pub(super) fn new(bounds: &Bounds, timed_out: bool) -> RttEstimator {
        let least = if timed_out { LOST_SYN_RTO_MICROS } else { INITIAL_RTO_MICROS };
        RttEstimator { rto: least.max(bounds.rto_min), ..RttEstimator::default() }
    }
    /// Begins with the estimate of earlier connections to the host (RFC 9040): samples move it from
    /// there. The timeout keeps its bounds.
    pub(super) fn resume(&mut self, srtt: Span, rttvar: Span, bounds: &Bounds) {
        let fraction = |span: Span| micros(span).min(LONGEST_SAMPLE_MICROS) << FRACTION;
        self.srtt = fraction(srtt);
        self.rttvar = fraction(rttvar);
        let timeout = self.estimated_rto(bounds);
        self.rto = self.rto.max(timeout);
    }
    fn estimated_rto(&self, bounds: &Bounds) -> u32 {
        self.unbounded_rto(bounds).min(bounds.rto_max).max(bounds.rto_min)
    }
    /// The same without a longest one, and without a least one.
    fn unbounded_rto(&self, bounds: &Bounds) -> u32 {
        // An estimate is below 2^28 µs and a bound at most an hour: nothing overflows.
        let variance = (self.rttvar >> (FRACTION - 2)).max(bounds.ack_delay);
        (self.srtt >> FRACTION) + variance
    }
    /// Whether no timeout is longer than the longest, as long as samples are [usual](is_usual_sample).
    pub(super) fn is_below_longest(&self, bounds: &Bounds) -> bool {
        const MOST: u32 = LONGEST_USUAL_MICROS;
        let few = self.srtt.max(self.rttvar) >> FRACTION < MOST && bounds.ack_delay < 4 * MOST;
        few && bounds.rto_max >= 5 * MOST
    }
    /// Whether the timeout is what the estimate gives.
    pub(super) fn is_estimated(&self, bounds: &Bounds) -> bool {
        self.srtt != 0 && self.rto == self.estimated_rto(bounds)
    }
    /// SRTT, RTTVAR (both in 1/16 µs), the least round trip (µs) and when it was seen; they, and a
    /// timeout that follows from them, become zero. In a record they are one's own.
    pub(super) fn take_times(&mut self, bounds: &Bounds) -> RttTimes {
        if self.is_estimated(bounds) {
            self.rto = 0;
        }
        let times = RttTimes {
            srtt: self.srtt,
            rttvar: self.rttvar,
            min_rtt: self.min_rtt,
            min_rtt_at: self.min_rtt_at,
        };
        self.srtt = 0;
        self.rttvar = 0;
        self.min_rtt = 0;
        self.min_rtt_at = Tick(0);
        times
    }
    /// Whether two whose times were taken out are equal.
    #[inline(always)] // a part of a comparison
    pub(super) fn is_same_taken(&self, other: &RttEstimator) -> bool {
        let RttEstimator { srtt: _, rttvar: _, rto, min_rtt: _, min_rtt_at: _ } = *self;
        rto == other.rto
    }
    /// Sets them.
    pub(super) fn set_times(&mut self, times: &RttTimes, bounds: &Bounds) {
        self.srtt = times.srtt;
        self.rttvar = times.rttvar;
        self.min_rtt = times.min_rtt;
        self.min_rtt_at = times.min_rtt_at;
        if self.rto == 0 {
            self.rto = self.estimated_rto(bounds);
        }
    }
    /// The SYN was lost: keep the timeout at 3 s until the next sample (6298-10).
    pub(super) fn distrust_start(&mut self) {
        self.rto = self.rto.max(LOST_SYN_RTO_MICROS);
    }
    pub(super) fn srtt(&self) -> Option<Span> {
        present(self.srtt >> FRACTION)
    }
    pub(super) fn rttvar(&self) -> Option<Span> {
        self.srtt().map(|_| Span::from_micros(u64::from(self.rttvar >> FRACTION)))
    }
    pub(super) fn min_rtt(&self) -> Option<Span> {
        present(self.min_rtt)
    }
    /// Zero: there is none.
    pub(super) fn srtt_micros(&self) -> u32 {
        self.srtt >> FRACTION
    }
    /// Zero: there is none.
    pub(super) fn min_rtt_micros(&self) -> u32 {
        self.min_rtt
    }
    pub(super) fn rto_micros(&self) -> u32 {
        self.rto
    }
    /// A valid sample in microseconds; `per_round` of them are expected per round trip (RFC 7323
    /// appendix G), so that each moves the estimate by that much less and the history lasts as long.
    #[inline(always)]
    pub(super) fn on_sample(&mut self, micros: u32, per_round: u32, bounds: &Bounds) {
        let value = i64::from(micros.clamp(1, LONGEST_SAMPLE_MICROS)) << FRACTION;
        if self.srtt == 0 {
            self.srtt = value as u32;
            self.rttvar = (value / 2) as u32;
        } else {
            self.follow(value, per_round);
        }
        self.rto = self.estimated_rto(bounds);
    }
    /// A [usual](is_usual_sample) one, one per round trip, while [`RttEstimator::is_below_longest`] and not the first.
    #[inline(always)]
    pub(super) fn on_usual_sample(&mut self, micros: u32, bounds: &Bounds) {
        self.follow(i64::from(micros) << FRACTION, 1);
        self.rto = self.unbounded_rto(bounds).max(bounds.rto_min);
        debug_assert_eq!(self.rto, self.estimated_rto(bounds));
    }
    #[inline(always)]
    fn follow(&mut self, value: i64, per_round: u32) {
        let (srtt, rttvar) = (i64::from(self.srtt), i64::from(self.rttvar));
        let (error, change) = ((srtt - value).abs() - rttvar, value - srtt);
        let (error, change) = match per_round {
            // Rounded to nearest.
            0 | 1 => ((error + 2) >> 2, (change + 4) >> 3),
            _ => part_of_each(error, change, per_round),
        };
        // Each goes towards its aim and not beyond: they stay positive, and as small as samples.
        self.rttvar = (rttvar + error) as u32;
        self.srtt = (srtt + change) as u32;
    }
    /// Whether there were samples, also for the minimum.
    pub(super) fn is_sampled(&self) -> bool {
        self.srtt != 0 && self.min_rtt != 0
    }
    /// A round trip for the minimum in microseconds, from the newest transmission delivered.
    #[inline]
    pub(super) fn on_minimum(&mut self, micros: u32, now: Instant) {
        let micros = micros.clamp(1, LONGEST_SAMPLE_MICROS);
        if self.min_rtt == 0 {
            self.min_rtt = u32::MAX;
        }
        self.on_usual_minimum(micros, now);
    }
    /// One of those that are as long as they count, and not the first.
    #[inline(always)]
    pub(super) fn on_usual_minimum(&mut self, micros: u32, now: Instant) {
        // Circular: what lies ahead is as old as can be.
        let age = now.tick().0.wrapping_sub(self.min_rtt_at.0);
        if micros <= self.min_rtt || age > MINIMUM_AGE_TICKS {
            self.min_rtt = micros;
            self.min_rtt_at = now.tick();
        }
    }
    /// The estimate is bogus (6298-12, 4015-2): the next sample counts as the first. The timeout
    /// stays.
    pub(super) fn forget(&mut self) {
        self.srtt = 0;
        self.rttvar = 0;
    }
}

/// What every connection measures for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RttTimes {
    /// In 1/16 µs; zero: no sample yet.
    pub srtt: u32,
    /// In 1/16 µs.
    pub rttvar: u32,
    /// In µs.
    pub min_rtt: u32,
    /// When it was seen.
    pub min_rtt_at: Tick,
}

impl RttTimes {
    /// Ticks after which a least round trip is forgotten.
    pub const MINIMUM_AGE_TICKS: u32 = MINIMUM_AGE_TICKS;
}

/// The settings in the form they are kept: microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub(super) rto_min: u32,
    /// Not less than the least.
    pub(super) rto_max: u32,
    pub(super) ack_delay: u32,
}

impl Bounds {
    pub(super) fn of(settings: &RecoverySettings) -> Bounds {
        let rto_min = micros(settings.rto_min);
        Bounds {
            rto_min,
            rto_max: micros(settings.rto_max).max(rto_min),
            ack_delay: micros(settings.max_ack_delay),
        }
    }
    /// No timeout is longer, without back-off.
    pub(super) fn longest(&self) -> Span {
        Span::from_micros(u64::from(self.rto_max.max(LOST_SYN_RTO_MICROS)))
    }
}

/// Samples up to this are usual.
const LONGEST_USUAL_MICROS: u32 = 10_000_000;

/// Whether a sample is like nearly all, and counts as what it is, but that there is none of less than a microsecond.
#[inline(always)] // a comparison
pub(super) const fn is_usual_sample(micros: u32) -> bool {
    const { assert!(LONGEST_USUAL_MICROS <= LONGEST_SAMPLE_MICROS) };
    micros <= LONGEST_USUAL_MICROS
}

/// Capped at an hour, far from overflow in any sum.
pub(super) fn micros(span: Span) -> u32 {
    span.as_micros().clamp(1, 3_600_000_000) as u32
}
fn present(micros: u32) -> Option<Span> {
    (micros != 0).then(|| Span::from_micros(u64::from(micros)))
}
/// By how much one of several samples a round trip moves the estimates.
#[inline(never)]
fn part_of_each(error: i64, change: i64, per_round: u32) -> (i64, i64) {
    let weight = i64::from(per_round);
    (nearest(error, weight * 4), nearest(change, weight * 8))
}
/// The quotient rounded to nearest, so that small errors do not all vanish to one side.
fn nearest(value: i64, divisor: i64) -> i64 {
    let half = if value < 0 { -(divisor / 2) } else { divisor / 2 };
    (value + half) / divisor
}

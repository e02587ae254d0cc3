//! From a window to a rate and a quantum.
//!
//! Owns: the pacing gains, the rule for local paths, how much may leave back to back.
//! Must not know: timers, queues, what a controller does with its window.
//! Implements: RFC 9406 §4.3 and RFC 7661 §4.4.2 ask for pacing; gains and quantum are ours.

use usertcp_base::{Rate, Span};

/// Below this least round-trip time nothing is paced. Such a path is a virtual interface or one
/// switch away: the acknowledgements themselves return within a timer tick or few, so timers
/// would cost more than the bursts they smooth, and at 50 µs a pacing rate is a guess about
/// scheduling noise. The least round trip decides, not the smoothed one: delayed acknowledgements
/// inflate the latter to tens of milliseconds on the very paths this rule is for.
pub(crate) const LOCAL_RTT: Span = Span::from_millis(1);
/// What segmentation offload takes at once; always allowed where nothing is paced.
pub(crate) const OFFLOAD_OCTETS: u32 = 64 * 1024;
/// A quantum is what passes in this time.
const QUANTUM_TIME: Span = Span::from_millis(1);

/// How fast a window grows decides how far ahead of it the rate must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gain {
    /// Twice the window per round trip, because the window doubles in one.
    SlowStart,
    /// 1.2 times: enough to find spare capacity and to make up for late timers.
    Avoidance,
}

/// The rate for `window` octets per `srtt`; unlimited while no round trip was measured.
pub(crate) fn rate(window: u32, srtt_micros: u32, gain: Gain) -> Rate {
    if srtt_micros == 0 {
        return Rate::UNLIMITED;
    }
    let (numerator, denominator) = match gain {
        Gain::SlowStart => (2, 1),
        Gain::Avoidance => (6, 5),
    };
    // At most 2^32 · 6 · 10^6 < 2^55.
    let scaled = u64::from(window) * numerator * 1_000_000;
    Rate::from_octets_per_second(scaled / (u64::from(srtt_micros) * denominator))
}

/// How much may leave back to back: a millisecond's worth, at most one offload unit, but at least
/// two segments so that a receiver that delays acknowledgements answers at once.
pub(crate) fn quantum(rate: Rate, mss: u32) -> u32 {
    let paced = rate.octets_in(QUANTUM_TIME).min(u64::from(OFFLOAD_OCTETS));
    (paced as u32).max(mss.saturating_mul(2))
}

#[cfg(test)]
mod tests;

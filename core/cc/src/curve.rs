//! The arithmetic of CUBIC.
//!
//! Owns: the curve W(t) = C·(t − K)³ + W_max, its K, and the integer cube root.
//! Must not know: congestion events, acknowledgements, when an epoch begins.
//! Implements: RFC 9438 §4.2 with C = 0.4.
//!
//! Units: windows in octets, time in microseconds. The RFC counts windows in segments and time in
//! seconds, so C becomes 0.4 · MSS / 10^18 octets per cubic microsecond.

use crate::window::MAX_WINDOW;

/// C / 10^18 · 2^77, rounded: 0.4 · 2^77 / 10^18 = 60446.29, exact to 5 parts in a million.
const C_SCALED: u128 = 60_446;
const C_SHIFT: u32 = 77;
/// Beyond this distance from K (18 minutes) the curve exceeds every window; it bounds the product
/// below at 2^(90 + 16 + 16).
const FARTHEST_MICROS: u32 = 1 << 30;

/// One curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Curve {
    /// W_max: where the curve is flat.
    pub(crate) peak: u32,
    /// K: when it is there.
    pub(crate) k_micros: u32,
    /// Octets of a segment, at most 2^16.
    pub(crate) mss: u32,
}

impl Curve {
    /// The window at `micros` after the epoch began, between zero and [`MAX_WINDOW`].
    pub(crate) fn at(&self, micros: u32) -> u32 {
        let distance = u128::from(micros.abs_diff(self.k_micros).min(FARTHEST_MICROS));
        let cubed = distance * distance * distance;
        let offset = (cubed * u128::from(self.mss) * C_SCALED) >> C_SHIFT;
        let offset = offset.min(u128::from(MAX_WINDOW)) as u32;
        if micros < self.k_micros {
            self.peak.saturating_sub(offset)
        } else {
            self.peak.saturating_add(offset).min(MAX_WINDOW)
        }
    }
}

/// K = cbrt((W_max − cwnd_epoch) / C) in microseconds, exact to a millisecond (K is over a second
/// as soon as half a segment is missing).
pub(crate) fn inflection_micros(missing: u32, mss: u32) -> u32 {
    // In cubic milliseconds: missing / MSS · 2.5 · 10^9. At most 2^32 · 2.5 · 10^9 < 2^64.
    let cubed = u64::from(missing) * 2_500_000_000 / u64::from(mss.max(1));
    cube_root(cubed).saturating_mul(1000)
}

/// The largest integer whose cube is not above `value`.
pub(crate) fn cube_root(value: u64) -> u32 {
    // Digit by digit, base 2: 22 digits, since 2^22 cubed exceeds 2^64. Once per epoch.
    let mut root: u64 = 0;
    for digit in (0..22).rev() {
        let trial = root | 1 << digit;
        let fits = (trial * trial).checked_mul(trial).is_some_and(|cube| cube <= value);
        if fits {
            root = trial;
        }
    }
    root as u32
}

#[cfg(test)]
mod tests;

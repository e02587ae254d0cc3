//! Rates. Owns: octets per second and the time octets take at it.

use crate::Span;

/// Octets per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate {
    octets_per_second: u64,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Rate = Rate { octets_per_second: u64::MAX };

    /// A rate of `octets` per second; zero counts as one.
    pub const fn from_octets_per_second(octets: u64) -> Rate {
        Rate { octets_per_second: if octets == 0 { 1 } else { octets } }
    }
    /// A rate of `bits` per second.
    pub const fn from_bits_per_second(bits: u64) -> Rate {
        Rate::from_octets_per_second(bits / 8)
    }
    /// The rate at which `octets` pass in `span`; unlimited when `span` is zero.
    pub const fn over(octets: u64, span: Span) -> Rate {
        if span.is_zero() {
            return Rate::UNLIMITED;
        }
        let per_second = octets as u128 * 1_000_000 / span.as_micros() as u128;
        if per_second >= u64::MAX as u128 {
            return Rate::UNLIMITED;
        }
        Rate::from_octets_per_second(per_second as u64)
    }
    /// Octets per second.
    pub const fn octets_per_second(self) -> u64 {
        self.octets_per_second
    }
    /// Whether there is no limit.
    pub const fn is_unlimited(self) -> bool {
        self.octets_per_second == u64::MAX
    }
    /// The time `octets` take, in nanoseconds, rounded up; zero when unlimited.
    pub const fn nanos_for(self, octets: u64) -> u64 {
        if self.is_unlimited() {
            return 0;
        }
        if let Some(product) = octets.checked_mul(1_000_000_000) {
            return product.div_ceil(self.octets_per_second);
        }
        let nanos = (octets as u128 * 1_000_000_000).div_ceil(self.octets_per_second as u128);
        if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
    }
    /// The time `octets` take, rounded up to microseconds; zero when unlimited.
    pub const fn span_for(self, octets: u64) -> Span {
        Span::from_micros(self.nanos_for(octets).div_ceil(1000))
    }
    /// Octets that pass in `span`, rounded down.
    pub const fn octets_in(self, span: Span) -> u64 {
        if self.is_unlimited() {
            return u64::MAX;
        }
        let octets = self.octets_per_second as u128 * span.as_micros() as u128 / 1_000_000;
        if octets > u64::MAX as u128 { u64::MAX } else { octets as u64 }
    }
    /// `numerator / denominator` of this rate; a denominator of zero counts as one.
    pub const fn scaled(self, numerator: u64, denominator: u64) -> Rate {
        if self.is_unlimited() {
            return self;
        }
        let divisor = if denominator == 0 { 1 } else { denominator };
        let value = self.octets_per_second as u128 * numerator as u128 / divisor as u128;
        if value >= u64::MAX as u128 {
            return Rate::UNLIMITED;
        }
        Rate::from_octets_per_second(value as u64)
    }
}

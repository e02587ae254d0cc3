//! Sequence numbers. Owns: 32-bit circular arithmetic. Implements: RFC 9293 §3.4.

use core::ops::{Add, AddAssign, Sub};

/// A sequence number: 32-bit, circular. Two numbers compare by which is less than half the
/// circle ahead; exactly half is "before" in neither direction's favour and counts as before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// Whether `self` lies before `other`.
    pub const fn before(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
    /// Whether `self` lies after `other`.
    pub const fn after(self, other: Seq) -> bool {
        other.before(self)
    }
    /// Whether `self` is `other` or lies before it.
    pub const fn at_or_before(self, other: Seq) -> bool {
        !other.before(self)
    }
    /// Whether `self` is `other` or lies after it.
    pub const fn at_or_after(self, other: Seq) -> bool {
        !self.before(other)
    }
    /// Whether `self` lies in `[low, high)`.
    pub const fn within(self, low: Seq, high: Seq) -> bool {
        self.at_or_after(low) && self.before(high)
    }
    /// Octets from `earlier` up to `self`; `None` when `earlier` lies after `self`.
    pub const fn distance_from(self, earlier: Seq) -> Option<u32> {
        if self.before(earlier) { None } else { Some(self.0.wrapping_sub(earlier.0)) }
    }
    /// Octets from `earlier` up to `self`, zero when `earlier` lies after `self`.
    pub const fn since(self, earlier: Seq) -> u32 {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }
    /// The later of two.
    pub const fn latest(self, other: Seq) -> Seq {
        if self.before(other) { other } else { self }
    }
    /// The earlier of two.
    pub const fn earliest(self, other: Seq) -> Seq {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for Seq {
    type Output = Seq;
    fn add(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, octets: u32) {
        self.0 = self.0.wrapping_add(octets);
    }
}

impl Sub<u32> for Seq {
    type Output = Seq;
    fn sub(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_sub(octets))
    }
}

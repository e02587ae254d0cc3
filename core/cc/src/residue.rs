//! What a parked connection remembers of its congestion control, in six octets.
//!
//! Owns: the compact format: two numbers of 23 bits and a tag of two.
//! Must not know: what the numbers mean to a controller, nor when parking happens.
//! Implements: the state RFC 9040 §4 lets a host keep; the format is ours.
//!
//! A number is `mantissa << exponent` with a mantissa of 19 bits and an exponent of 4, rounded
//! down: exact below 2^19 and less than one part in 2^18 too small above. All ones mean
//! `u32::MAX`, "no threshold", which no other number encodes to.

use crate::api::Residue;

const MANTISSA_BITS: u32 = 19;
const NUMBER_BITS: u32 = 23;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;

/// Which controller wrote a residue. Six octets of zero are an empty residue: window zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Cubic,
    Reno,
    Fixed,
}

/// The content of a residue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) tag: Tag,
    pub(crate) window: u32,
    pub(crate) threshold: u32,
}

impl Parked {
    pub(crate) fn encode(self) -> Residue {
        let tag = match self.tag {
            Tag::Cubic => 0u64,
            Tag::Reno => 1,
            Tag::Fixed => 2,
        };
        let window = u64::from(squeeze(self.window));
        let threshold = u64::from(squeeze(self.threshold));
        let all = tag << (2 * NUMBER_BITS) | window << NUMBER_BITS | threshold;
        let [a, b, c, d, e, f, _, _] = all.to_le_bytes();
        Residue([a, b, c, d, e, f])
    }

    /// An unknown tag counts as CUBIC: a residue never makes a connection fail.
    pub(crate) fn decode(residue: Residue) -> Parked {
        let [a, b, c, d, e, f] = residue.0;
        let all = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let tag = match all >> (2 * NUMBER_BITS) {
            1 => Tag::Reno,
            2 => Tag::Fixed,
            _ => Tag::Cubic,
        };
        Parked { tag, window: expand((all >> NUMBER_BITS) as u32), threshold: expand(all as u32) }
    }
}

const fn squeeze(value: u32) -> u32 {
    if value == u32::MAX {
        return NUMBER_MASK;
    }
    let exponent = (u32::BITS - value.leading_zeros()).saturating_sub(MANTISSA_BITS);
    exponent << MANTISSA_BITS | value >> exponent
}

const fn expand(bits: u32) -> u32 {
    let number = bits & NUMBER_MASK;
    if number == NUMBER_MASK {
        return u32::MAX;
    }
    let mantissa = (number & ((1 << MANTISSA_BITS) - 1)) as u64;
    let value = mantissa << (number >> MANTISSA_BITS);
    if value > u32::MAX as u64 { u32::MAX } else { value as u32 }
}

#[cfg(test)]
mod tests;

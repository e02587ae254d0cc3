//! TCP headers of plain shape, written in one piece.
//!
//! Owns: headers whose only option is timestamps, whatever their flags; and SYNs with MSS, timestamps
//! and window scale, perhaps SACK-permitted, and nothing else. In the layout of `tcp::emit`.
//! Must not know: any other shape; a test holds this module against `tcp::emit`.
//! Implements: RFC 9293 §3.1, RFC 7323 appendix A.

use crate::checksum::Running;
use crate::tcp::{Flags, HEADER_OCTETS, Header, Options, Timestamps};

/// Octets of a header with timestamps alone.
const STAMPED_OCTETS: usize = HEADER_OCTETS + 12;
/// Octets of a header that opens.
const OPENING_OCTETS: usize = HEADER_OCTETS + 20;

/// The options of a header of plain shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    /// Timestamps, no SYN.
    Stamped(Timestamps),
    /// What a SYN offers.
    Opening {
        /// The largest segment, octets.
        mss: u16,
        /// SACK-permitted.
        sack_permitted: bool,
        /// Timestamps.
        stamps: Timestamps,
        /// Window scale.
        scale: u8,
    },
}

impl Plain {
    /// The shape of a header with these flags and options, if it is one of them.
    #[inline]
    pub fn of(flags: Flags, options: &Options) -> Option<Plain> {
        if !flags.contains(Flags::SYN) {
            return options.only_timestamps().map(Plain::Stamped);
        }
        let (Some(mss), Some(stamps), Some(scale)) =
            (options.mss, options.timestamps, options.scale)
        else {
            return None;
        };
        let others = !options.sack.is_empty()
            || options.authentication.is_some()
            || options.user_timeout.is_some()
            || options.fast_open.is_some()
            || options.accurate_ecn.is_some();
        let sack_permitted = options.sack_permitted;
        (!others).then_some(Plain::Opening { mss, sack_permitted, stamps, scale })
    }

    /// Octets of the header.
    #[inline]
    pub fn header_octets(&self) -> usize {
        match self {
            Plain::Stamped(_) => STAMPED_OCTETS,
            Plain::Opening { .. } => OPENING_OCTETS,
        }
    }

    /// Writes the header to the front of `out`; false, and nothing is written, when it is shorter than
    /// [`Plain::header_octets`]. `sum`: of pseudo-header and payload; `complete`: the header is added,
    /// else `sum` stays for a device to add it.
    #[inline]
    pub fn write(&self, out: &mut [u8], header: &Header, sum: Running, complete: bool) -> bool {
        let [first, second] = fixed_part(header, self.header_octets());
        let urgent = u64::from(header.urgent) << 32;
        match *self {
            Plain::Stamped(stamps) => {
                let third = urgent | u64::from(STAMPS);
                let fourth = u64::from(stamps.value) << 32 | u64::from(stamps.echo);
                put(out, [first, second, third, fourth], sum, complete)
            }
            Plain::Opening { mss, sack_permitted, stamps, scale } => {
                let third = urgent | u64::from(MSS | u32::from(mss));
                let before = if sack_permitted { SACK_PERMITTED_STAMPS } else { STAMPS };
                let fourth = u64::from(before) << 32 | u64::from(stamps.value);
                let last = SCALE | u32::from(scale);
                let fifth = u64::from(stamps.echo) << 32 | u64::from(last);
                put(out, [first, second, third, fourth, fifth], sum, complete)
            }
        }
    }
}

/// Kind and length of the MSS.
pub(crate) const MSS: u32 = 0x0204_0000;
/// Two NOPs, kind and length of the timestamps.
pub(crate) const STAMPS: u32 = 0x0101_080A;
/// SACK-permitted, kind and length of the timestamps.
pub(crate) const SACK_PERMITTED_STAMPS: u32 = 0x0402_080A;
/// A NOP, kind and length of the window scale.
pub(crate) const SCALE: u32 = 0x0103_0300;

#[inline]
fn fixed_part(header: &Header, header_octets: usize) -> [u64; 2] {
    let ports = u64::from(header.source_port) << 48 | u64::from(header.destination_port) << 32;
    let ack = if header.flags.contains(Flags::ACK) { header.ack.0 } else { 0 };
    let flags = (header_octets as u64 / 4) << 12 | u64::from(header.flags.bits());
    let second = u64::from(ack) << 32 | flags << 16 | u64::from(header.window.0);
    [ports | u64::from(header.seq.0), second]
}

/// Writes the words of a header, the checksum among them; false when `out` is too short for them.
#[inline]
pub(crate) fn put<const WORDS: usize>(
    out: &mut [u8],
    mut words: [u64; WORDS],
    mut sum: Running,
    complete: bool,
) -> bool {
    let (places, _) = out.as_chunks_mut::<8>();
    let Some(places) = places.first_chunk_mut::<WORDS>() else { return false };
    let field = if complete {
        sum.add_words(words.map(u64::to_be));
        sum.finish()
    } else {
        !sum.finish()
    };
    if let Some(third) = words.get_mut(2) {
        *third |= u64::from(field) << 48;
    }
    for (to, word) in places.iter_mut().zip(words) {
        *to = word.to_be_bytes();
    }
    true
}

#[cfg(test)]
mod tests;

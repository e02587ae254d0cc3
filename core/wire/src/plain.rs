//! TCP headers of plain shape, written in one piece.
//!
//! Owns: headers whose only option is timestamps, whatever their flags; and SYNs with MSS, timestamps
//! and window scale, perhaps SACK-permitted, and nothing else. In the layout of `tcp::emit`.
//! Must not know: any other shape; a test holds this module against `tcp::emit`.
//! Implements: RFC 9293 §3.1, RFC 7323 appendix A.

use crate::checksum;
use crate::tcp::{
    CHECKSUM_OFFSET, EmitChecksum, Flags, HEADER_OCTETS, Header, Options, Timestamps,
};
use crate::usual::sum_of;

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
    /// [`Plain::header_octets`].
    #[inline]
    pub fn write(&self, out: &mut [u8], header: &Header, field: EmitChecksum) -> bool {
        match *self {
            Plain::Stamped(stamps) => {
                let Some(out) = out.first_chunk_mut::<STAMPED_OCTETS>() else { return false };
                let (fixed, options) = out.split_at_mut(HEADER_OCTETS);
                fixed.copy_from_slice(&fixed_part(header, STAMPED_OCTETS));
                options.copy_from_slice(&stamps_behind([1, 1], stamps));
                put_checksum(out, field);
            }
            Plain::Opening { mss, sack_permitted, stamps, scale } => {
                let Some(out) = out.first_chunk_mut::<OPENING_OCTETS>() else { return false };
                let (fixed, options) = out.split_at_mut(HEADER_OCTETS);
                fixed.copy_from_slice(&fixed_part(header, OPENING_OCTETS));
                let [m0, m1] = mss.to_be_bytes();
                let (first, options) = options.split_at_mut(4);
                first.copy_from_slice(&[2, 4, m0, m1]);
                let (middle, last) = options.split_at_mut(12);
                let sack = if sack_permitted { [4, 2] } else { [1, 1] };
                middle.copy_from_slice(&stamps_behind(sack, stamps));
                last.copy_from_slice(&[1, 3, 3, scale]);
                put_checksum(out, field);
            }
        }
        true
    }
}

#[inline]
fn fixed_part(header: &Header, header_octets: usize) -> [u8; HEADER_OCTETS] {
    let [s0, s1] = header.source_port.to_be_bytes();
    let [d0, d1] = header.destination_port.to_be_bytes();
    let [q0, q1, q2, q3] = header.seq.0.to_be_bytes();
    let ack = if header.flags.contains(Flags::ACK) { header.ack.0 } else { 0 };
    let [a0, a1, a2, a3] = ack.to_be_bytes();
    let [ae, flags] = header.flags.bits().to_be_bytes();
    let offset = (header_octets as u8 / 4) << 4 | ae;
    let [w0, w1] = header.window.0.to_be_bytes();
    let [u0, u1] = header.urgent.to_be_bytes();
    [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, 0, 0, u0, u1]
}

#[inline]
fn stamps_behind([first, second]: [u8; 2], stamps: Timestamps) -> [u8; 12] {
    let [v0, v1, v2, v3] = stamps.value.to_be_bytes();
    let [e0, e1, e2, e3] = stamps.echo.to_be_bytes();
    [first, second, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3]
}

#[inline]
fn put_checksum<const OCTETS: usize>(out: &mut [u8; OCTETS], field: EmitChecksum) {
    let field = match field {
        EmitChecksum::Full(partial) => {
            !checksum::fold(u32::from(sum_of(out)) + u32::from(checksum::fold(partial)))
        }
        EmitChecksum::Partial(pseudo) => checksum::fold(pseudo),
    };
    if let Some(place) = out.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        place.copy_from_slice(&field.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;

//! From a header to octets.
//!
//! Owns: the order and padding of options that we send, and the checksum field.
//! Must not know: when an option is due, what it says; the layer below is a partial sum.
//! Implements: RFC 9293 §3.1 (MUST-2, 65, 68, 69), E-26, PR-8; RFC 7323 appendix A (layout).

use super::{
    AccurateEcnOrder, Authentication, CHECKSUM_OFFSET, Flags, HEADER_OCTETS, Header, OPTION_OCTETS,
    Options, SackBlocks, Timestamps,
};
use crate::checksum;

/// What goes into the checksum field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmitChecksum {
    /// The finished checksum. Given is the partial sum of pseudo-header and payload (each may
    /// just be added to the other); `emit` adds the header.
    Full(u32),
    /// For a device that finishes the job: the field holds the folded sum of the pseudo-header
    /// alone, not complemented, and the device sums from the start of the header on.
    Partial(u32),
}

/// Octets of the header that [`emit`] will write: 20 to 60, a multiple of four.
#[inline]
pub fn header_len(options: &Options, flags: Flags) -> usize {
    HEADER_OCTETS + Area::of(options, flags).padded_len()
}

/// Writes the header to the front of `out` and returns its octets, [`header_len`] of them; zero,
/// and nothing written, when `out` is shorter.
///
/// Options come in the order of PR-8 and end in zero octets up to the next word (MUST-69).
/// Authentication comes first: a code is not what may be left out.
/// On a SYN: MSS, SACK-permitted, timestamps, NOP and window scale, then Fast Open, user
/// timeout. Elsewhere: NOP NOP timestamps, NOP NOP SACK, user timeout; MSS, scale, SACK-permitted
/// and Fast Open are left out there (MUST-65), as is SACK on a SYN. Accurate ECN follows the
/// timestamps, or on a SYN without them the MSS; NOPs then bring what follows to its place in a
/// word, and the end to a word's. What does not fit 40 octets is left out: of SACK the last blocks
/// (three fit beside timestamps), of others the whole option.
#[inline]
pub fn emit(
    out: &mut [u8],
    header: &Header,
    options: &Options,
    checksum_field: EmitChecksum,
) -> usize {
    let area = Area::of(options, header.flags);
    let header_octets = HEADER_OCTETS + area.padded_len();
    let Some(out) = out.get_mut(..header_octets) else {
        return 0;
    };
    let Some((fixed, rest)) = out.split_first_chunk_mut::<HEADER_OCTETS>() else {
        return 0;
    };
    *fixed = fixed_part(header, header_octets);
    if let Some(written) = area.octets.get(..rest.len()) {
        rest.copy_from_slice(written);
    }
    let field = match checksum_field {
        EmitChecksum::Full(partial) => {
            let partial = u32::from(checksum::fold(partial));
            checksum::finish(partial + checksum::sum(out))
        }
        EmitChecksum::Partial(pseudo) => checksum::fold(pseudo),
    };
    if let Some(place) = out.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    header_octets
}

/// The 20 octets with a checksum of zero.
#[inline]
fn fixed_part(header: &Header, header_octets: usize) -> [u8; HEADER_OCTETS] {
    let [s0, s1] = header.source_port.to_be_bytes();
    let [d0, d1] = header.destination_port.to_be_bytes();
    let [q0, q1, q2, q3] = header.seq.0.to_be_bytes();
    let ack = if header.flags.contains(Flags::ACK) { header.ack.0 } else { 0 };
    let [a0, a1, a2, a3] = ack.to_be_bytes();
    let [ae, flags] = header.flags.bits().to_be_bytes();
    // At most 60 octets: 15 words, four bits.
    let offset = (header_octets as u8 / 4) << 4 | ae;
    let [w0, w1] = header.window.0.to_be_bytes();
    let [u0, u1] = header.urgent.to_be_bytes();
    [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, 0, 0, u0, u1]
}

/// Two NOPs, then kind 19 with room for its digest.
const MD5_OPTION: [u8; 20] = [1, 1, 19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Kind 29 with room for two key numbers and a code of 96 bits.
const AO_OPTION: [u8; 16] = [29, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The option area while it is written; what is not written stays zero.
struct Area {
    octets: [u8; OPTION_OCTETS],
    len: usize,
}

impl Area {
    #[inline]
    fn of(options: &Options, flags: Flags) -> Area {
        let mut area = Area { octets: [0; OPTION_OCTETS], len: 0 };
        match options.authentication {
            Some(Authentication::Md5) => area.put(&MD5_OPTION),
            Some(Authentication::Ao { key_id, next_key_id }) => {
                let [kind, len, _, _, mac @ ..] = AO_OPTION;
                area.put(&[kind, len, key_id, next_key_id]);
                area.put(&mac);
            }
            None => {}
        }
        if flags.contains(Flags::SYN) {
            area.put_syn(options);
        } else {
            if let Some(timestamps) = options.timestamps {
                let [kind, len, a, b, c, d, e, f, g, h] = timestamp_option(timestamps);
                area.put(&[1, 1, kind, len, a, b, c, d, e, f, g, h]);
            }
            area.put_accurate_ecn(options, options.sack.len().min(2), 0);
            area.put_sack(&options.sack);
        }
        if let Some(timeout) = options.user_timeout {
            let [high, low] = timeout.to_be_bytes();
            area.put(&[28, 4, high, low]);
        }
        if options.accurate_ecn.is_some() {
            area.align(0);
        }
        area
    }

    fn padded_len(&self) -> usize {
        self.len.next_multiple_of(4)
    }

    fn room(&self) -> usize {
        OPTION_OCTETS.saturating_sub(self.len)
    }

    /// Appends all of `octets`, or nothing.
    #[inline]
    fn put(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        if let Some(place) = self.octets.get_mut(self.len..end) {
            place.copy_from_slice(octets);
            self.len = end;
        }
    }

    /// NOPs until `place` octets of the present word are written.
    #[inline]
    fn align(&mut self, place: usize) {
        while self.len % 4 != place && self.room() > 0 {
            self.put(&[1]);
        }
    }

    fn put_syn(&mut self, options: &Options) {
        if let Some(mss) = options.mss {
            let [high, low] = mss.to_be_bytes();
            self.put(&[2, 4, high, low]);
        }
        if let Some(timestamps) = options.timestamps {
            // The two octets before the timestamps keep them on a word boundary.
            self.put(if options.sack_permitted { &[4, 2] } else { &[1, 1] });
            self.put(&timestamp_option(timestamps));
        }
        let cookie_octets = options.fast_open.as_ref().map_or(0, |it| it.octets().len() + 2);
        self.put_accurate_ecn(options, 0, cookie_octets);
        if options.sack_permitted && options.timestamps.is_none() {
            // Padding in front ends a word here: the layout that peers and their tests know.
            self.align(2);
            self.put(&[4, 2]);
        }
        if let Some(shift) = options.scale {
            if options.accurate_ecn.is_some() {
                self.align(1);
                self.put(&[3, 3, shift]);
            } else {
                self.put(&[1, 3, 3, shift]);
            }
        }
        if let Some(cookie) = &options.fast_open {
            let octets = cookie.octets();
            if self.room() >= octets.len() + 2 {
                self.put(&[34, octets.len() as u8 + 2]);
                self.put(octets);
                // Whatever follows begins on a word, as it does before.
                while !self.len.is_multiple_of(4) {
                    self.put(&[1]);
                }
            }
        }
    }

    fn put_sack(&mut self, blocks: &SackBlocks) {
        // Kind and length end a word, so that the edges begin one.
        let before = (self.len + 2).next_multiple_of(4);
        let count = blocks.len().min(OPTION_OCTETS.saturating_sub(before) / 8);
        if count == 0 {
            return;
        }
        self.align(2);
        self.put(&[5, count as u8 * 8 + 2]);
        for block in blocks.iter().take(count) {
            self.put(&block.left.0.to_be_bytes());
            self.put(&block.right.0.to_be_bytes());
        }
    }

    /// All of the option, unless it would push out what matters more: on a SYN anything else, later
    /// as many SACK `blocks` (RFC 9768 §3.2.3.3: two). Who chose the counters knew of no authentication.
    fn put_accurate_ecn(&mut self, options: &Options, blocks: usize, cookie_octets: usize) {
        let Some(option) = &options.accurate_ecn else { return };
        let count = usize::from(option.count.min(3));
        let mut end = self.len + 2 + 3 * count;
        if options.sack_permitted && options.timestamps.is_none() || blocks > 0 {
            end = (end + 2).next_multiple_of(4) + 8 * blocks;
        }
        if options.scale.is_some() {
            end = (end + 3).next_multiple_of(4);
        }
        end += cookie_octets;
        if end > OPTION_OCTETS {
            return;
        }
        let kind = match option.order {
            AccurateEcnOrder::Capable0First => 172,
            AccurateEcnOrder::Capable1First => 174,
        };
        self.put(&[kind, count as u8 * 3 + 2]);
        for counter in option.counters.iter().take(count) {
            let [_, a, b, c] = counter.to_be_bytes();
            self.put(&[a, b, c]);
        }
    }
}

#[inline]
fn timestamp_option(timestamps: Timestamps) -> [u8; 10] {
    let [a, b, c, d] = timestamps.value.to_be_bytes();
    let [e, f, g, h] = timestamps.echo.to_be_bytes();
    [8, 10, a, b, c, d, e, f, g, h]
}

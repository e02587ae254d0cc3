//! The packet that goes on where another one ended.
//!
//! Owns: which headers by IPv4 say nothing new but the next octets, and what they sum to.
//! Must not know: payloads, what is made of a run of packets.
//! Implements: what RFC 9293 §3.1 and RFC 7323 appendix A leave the same from packet to packet.
//!
//! The packet before was read and its header checksum verified; so a few comparisons of whole words are
//! all that reading this one takes.

use super::{BOTH_V4, IPV4_OCTETS, STAMPS, half, halved, word};
use crate::checksum::Running;

/// What both headers of the next packet must be: everything the same but the sequence number and the
/// TCP checksum. The urgent pointer means nothing in this shape (RFC 9293 §3.1).
///
/// Words are as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    /// The IP header, and the ports.
    front: [u64; 3],
    /// The next sequence number.
    seq: u32,
    /// Acknowledgement, flags, window.
    middle: u64,
    /// Both timestamps.
    stamps: u64,
    /// Octets of payload.
    octets: u32,
    /// The sum of the pseudo-header and all but sequence number, checksum and urgent pointer.
    sum: u64,
}

impl Successor {
    /// The successor of a packet of the usual shape with these headers and `octets` of payload.
    #[must_use]
    pub fn of(headers: &[u8; BOTH_V4], octets: u32) -> Successor {
        let length = octets + (BOTH_V4 - IPV4_OCTETS) as u32;
        let [source, destination] =
            [half::<12>(headers), half::<16>(headers)].map(u32::to_ne_bytes);
        let pseudo = Running::pseudo_v4(source, destination, crate::tcp::PROTOCOL, length);
        let (middle, stamps) = (word::<28>(headers), word::<44>(headers));
        let ports_and_options = [half::<20>(headers), STAMPS.to_be()].map(u64::from);
        Successor {
            front: [word::<0>(headers), word::<8>(headers), word::<16>(headers)],
            seq: u32::from_be(half::<24>(headers)).wrapping_add(octets),
            middle,
            stamps,
            octets,
            sum: pseudo.words()
                + halved(middle)
                + halved(stamps)
                + ports_and_options.iter().sum::<u64>(),
        }
    }

    /// Octets of payload that it has.
    #[inline]
    #[must_use]
    pub fn payload_octets(&self) -> u32 {
        self.octets
    }

    /// It came: the next one is that after it.
    #[inline]
    pub fn go_on(&mut self) {
        self.seq = self.seq.wrapping_add(self.octets);
    }

    /// Whether these are its headers. They have [`BOTH_V4`] octets.
    #[inline(always)] // a few comparisons
    #[must_use]
    pub fn has(&self, headers: &[u8; BOTH_V4]) -> Option<Headers> {
        let [first, second, third] = self.front;
        let seq = self.seq.to_be();
        let same = word::<0>(headers) == first
            && word::<8>(headers) == second
            && word::<16>(headers) == third
            && half::<24>(headers) == seq
            && word::<28>(headers) == self.middle
            && half::<40>(headers) == STAMPS.to_be()
            && word::<44>(headers) == self.stamps;
        let changed = u64::from(seq) + u64::from(half::<36>(headers));
        same.then_some(Headers { sum: self.sum + changed })
    }
}

/// The headers of a successor that came.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// The sum of the halves of their words and those of the pseudo-header.
    sum: u64,
}

impl Headers {
    /// Whether the TCP checksum is right with a payload that sums to `payload`.
    #[inline(always)] // for each packet
    #[must_use]
    pub fn are_intact(self, payload: Running) -> bool {
        payload.plus_even(self.sum).is_complete()
    }
}

#[cfg(test)]
mod tests;

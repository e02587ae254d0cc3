//! The packet that goes on where another one ended.
//!
//! Owns: which headers by IPv4 say nothing new but the next octets, and what they sum to.
//! Must not know: payloads, what is made of a run of packets.
//! Implements: what RFC 9293 §3.1 and RFC 7323 appendix A leave the same from packet to packet.
//!
//! The packet before was read and its header checksum verified; so a few comparisons of whole words are
//! all that reading this one takes.

use super::{BOTH_V4, IPV4_OCTETS, LOW, STAMPS};
use crate::checksum::{self, Running};

/// What both headers of the next packet must be: everything the same but the sequence number and the
/// TCP checksum. The urgent pointer means nothing in this shape (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    ip: [u8; IPV4_OCTETS],
    /// Ports and the next sequence number.
    first: u64,
    /// Acknowledgement, flags, window.
    second: u64,
    /// Both timestamps.
    fourth: u64,
    /// Octets of payload.
    octets: u32,
    /// The sum, in two words, of the pseudo-header and all but sequence number, checksum and urgent pointer.
    sum: u64,
}

impl Successor {
    /// The successor of a packet of the usual shape with these headers and `octets` of payload.
    #[must_use]
    pub fn of(headers: &[u8; BOTH_V4], octets: u32) -> Option<Successor> {
        let (ip, tcp) = headers.split_first_chunk::<IPV4_OCTETS>()?;
        let [first, second, _, fourth] = words(tcp)?;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *ip;
        let (source, destination) = ([s0, s1, s2, s3], [d0, d1, d2, d3]);
        let length = octets + tcp.len() as u32;
        let pseudo = Running::pseudo_v4(source, destination, crate::tcp::PROTOCOL, length);
        let sum = pseudo.in_two_words()
            + (first >> 32)
            + (second >> 32)
            + (second & LOW)
            + u64::from(STAMPS)
            + (fourth >> 32)
            + (fourth & LOW);
        let mut successor = Successor { ip: *ip, first, second, fourth, octets, sum };
        successor.go_on();
        Some(successor)
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
        let seq = (self.first as u32).wrapping_add(self.octets);
        self.first = (self.first & !LOW) | u64::from(seq);
    }

    /// Whether these are its headers. They have [`BOTH_V4`] octets.
    #[inline(always)] // a few comparisons
    #[must_use]
    pub fn has(&self, headers: &[u8; BOTH_V4]) -> Option<Headers> {
        let (ip, tcp) = headers.split_first_chunk::<IPV4_OCTETS>()?;
        let [first, second, third, fourth] = words(tcp)?;
        let same = first == self.first
            && second == self.second
            && fourth == self.fourth
            && third as u32 == STAMPS
            && *ip == self.ip;
        same.then_some(Headers { sum: self.sum + (first & LOW) + (third >> 32) })
    }
}

/// The headers of a successor that came.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// The sum, in two words, of them and the pseudo-header.
    sum: u64,
}

impl Headers {
    /// Whether the TCP checksum is right with a payload that sums to `payload`.
    #[inline]
    #[must_use]
    pub fn are_intact(self, payload: Running) -> bool {
        checksum::folded(self.sum + payload.in_two_words()) == 0xFFFF
    }
}

/// The words of a TCP header.
#[inline(always)]
fn words(tcp: &[u8]) -> Option<[u64; 4]> {
    let ([a, b, c, d], []) = tcp.as_chunks::<8>() else { return None };
    Some([a, b, c, d].map(|word| u64::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests;

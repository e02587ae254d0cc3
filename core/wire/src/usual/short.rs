//! A packet by IPv4 that carries a question or an answer, looked at in one piece.
//!
//! Owns: what nearly every short packet says in its headers but for the numbers of TCP, compared as whole words; both
//! of its sums.
//! Must not know: any other shape; a test holds it against [`HeadersV4`](super::HeadersV4).
//! Implements: what the module above does.

use super::{ACKNOWLEDGES, BOTH_V4, PSH, TCP_OCTETS, TcpHeader};
use crate::checksum::Running;
use crate::plain::STAMPS;
use crate::tcp::PROTOCOL;
use usertcp_base::{Seq, WireWindow};

/// A packet by IPv4 of the usual shape in one piece, not marked, without FIN, with a few octets of payload.
#[derive(Clone, Copy, Debug)]
pub struct ShortV4<'a> {
    headers: &'a [u8; BOTH_V4],
    payload: &'a [u8],
}

impl<'a> ShortV4<'a> {
    /// The most octets of payload.
    pub const MOST_OCTETS: usize = 511;

    /// `None`: `packet` is of another shape, longer, its IP header tells of another length, or the checksum of that
    /// is wrong. That of TCP is not looked at.
    #[inline(always)] // a few comparisons of whole words
    pub fn of(packet: &'a [u8]) -> Option<ShortV4<'a>> {
        // Version and header length, the mark, the length; of the fragment field all but "don't fragment" and the
        // bit that means nothing.
        const SHAPE: u64 = u64::from_ne_bytes([0xFF, 3, 0xFF, 0xFF, 0, 0, 0x3F, 0xFF]);
        const USUAL: u32 = u32::from_ne_bytes([0x45, 0, 0, 0]);
        // Data offset and flags, in front of the window.
        const FLAGS: u32 = ((!PSH as u32) << 16).to_be();

        if packet.len().wrapping_sub(BOTH_V4 + 1) >= ShortV4::MOST_OCTETS {
            return None;
        }
        let (headers, payload) = packet.split_first_chunk()?;
        let short = ShortV4 { headers, payload };
        let (first, second, last) = (short.word(0), short.word(8), short.half(16));
        // Shorter than 2^16: it is in the octets of its field alone.
        let expected = u64::from(USUAL | (packet.len() as u32).to_be());
        let usual = (first ^ expected) & SHAPE == 0
            && headers[9] == PROTOCOL
            && short.half(32) & FLAGS == ACKNOWLEDGES
            && short.half(40) == STAMPS.to_be();
        if !usual {
            return None;
        }
        let mut sum = Running::default();
        sum.add_words([first, second, u64::from(last)]);
        sum.is_complete().then_some(short)
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let octets = self.headers.get(at..).and_then(|octets| octets.first_chunk());
        octets.map_or(0, |octets| u64::from_ne_bytes(*octets))
    }

    #[inline(always)]
    fn half(&self, at: usize) -> u32 {
        let octets = self.headers.get(at..).and_then(|octets| octets.first_chunk());
        octets.map_or(0, |octets| u32::from_ne_bytes(*octets))
    }

    /// Whether the checksum of TCP is right.
    #[inline(always)] // for each packet
    pub fn is_intact(&self) -> bool {
        // The addresses lie in one word, behind them the TCP header.
        let mut sum = Running::end_of_pseudo(PROTOCOL, (TCP_OCTETS + self.payload.len()) as u32);
        sum.add_words([self.word(12), self.word(20), self.word(28), self.word(36), self.word(44)]);
        sum.add_short(self.payload);
        sum.is_complete()
    }

    /// Octets of payload, one at least.
    #[inline(always)]
    pub fn payload_octets(&self) -> usize {
        self.payload.len()
    }
    /// Source address.
    #[inline(always)]
    pub fn source(&self) -> [u8; 4] {
        self.half(12).to_ne_bytes()
    }
    /// Destination address.
    #[inline(always)]
    pub fn destination(&self) -> [u8; 4] {
        self.half(16).to_ne_bytes()
    }
    /// Both ports, the source's in the upper half.
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        u32::from_be(self.half(20))
    }
    /// SEG.SEQ and SEG.ACK.
    #[inline(always)]
    pub fn numbers(&self) -> Numbers {
        Numbers(u64::from_be(self.word(24)))
    }
    /// The window field.
    #[inline(always)]
    pub fn window(&self) -> WireWindow {
        let [.., a, b] = self.half(32).to_ne_bytes();
        WireWindow(u16::from_be_bytes([a, b]))
    }
    /// TSval.
    #[inline(always)]
    pub fn value(&self) -> u32 {
        u32::from_be(self.half(44))
    }
}

/// SEG.SEQ and SEG.ACK in one word, as they lie in the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Of a header that was read.
    #[inline(always)]
    pub fn of(header: &TcpHeader) -> Numbers {
        Numbers(u64::from(header.seq.0) << 32 | u64::from(header.ack.0))
    }
    /// SEG.SEQ.
    #[inline(always)]
    pub fn seq(self) -> Seq {
        Seq((self.0 >> 32) as u32)
    }
    /// SEG.ACK.
    #[inline(always)]
    pub fn ack(self) -> Seq {
        Seq(self.0 as u32)
    }
}

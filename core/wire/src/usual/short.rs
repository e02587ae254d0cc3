//! A packet by IPv4 that carries a question or an answer, looked at in one piece.
//!
//! Owns: what nearly every short packet says in its headers but for the numbers of TCP, compared as whole words; both
//! of its sums.
//! Must not know: any other shape; a test holds it against [`HeadersV4`].
//! Implements: what the module above does.

use super::{ACKNOWLEDGES, BOTH_V4, FIN, HeadersV4, PSH, TCP_OCTETS, TcpHeader, word};
use crate::checksum::Running;
use crate::plain::STAMPS;
use crate::tcp::PROTOCOL;
use usertcp_base::{Seq, WireWindow};

/// A packet by IPv4 of the usual shape in one piece, with a few octets of payload; not marked and without FIN, unless it
/// was read by [`ShortV4::of_any`].
#[derive(Clone, Copy, Debug)]
pub struct ShortV4<'a> {
    headers: HeadersV4<'a>,
    payload: &'a [u8],
}

impl<'a> ShortV4<'a> {
    /// The most octets of payload.
    pub const MOST_OCTETS: usize = 511;

    /// `None`: `packet` is of another shape, longer, its IP header tells of another length, or the checksum of that
    /// is wrong. That of TCP is not looked at.
    #[inline(always)] // a few comparisons of whole words
    pub fn of(packet: &'a [u8]) -> Option<ShortV4<'a>> {
        ShortV4::read::<1, PSH, 3>(packet)
    }

    /// The same of one that may be marked, have FIN, or no payload: `None` also tells that no other way of reading it
    /// would find the usual shape by IPv4 in it, if it is not longer.
    #[inline(always)] // as above
    pub fn of_any(packet: &'a [u8]) -> Option<ShortV4<'a>> {
        ShortV4::read::<0, { PSH | FIN }, 0>(packet)
    }

    /// Whether a packet is one by IPv4 without IP options, and would be a segment with SYN: none that is read here, nor by
    /// [`HeadersV4::of`].
    #[inline(always)] // in one place
    pub fn is_syn(packet: &[u8]) -> bool {
        const FLAGS: usize = 33;
        const SYN: u8 = 2;
        packet.first() == Some(&0x45) && packet.get(FLAGS).is_some_and(|flags| flags & SYN != 0)
    }

    /// One of at least so many octets of payload, with no flag but ACK and perhaps those in `FREE`; of the mark's bits
    /// those in `MARK` are not set.
    #[inline(always)] // twice
    fn read<const LEAST: usize, const FREE: u16, const MARK: u8>(
        packet: &'a [u8],
    ) -> Option<ShortV4<'a>> {
        // Version and header length, the mark, the length; of the fragment field all but "don't fragment" and the
        // bit that means nothing.
        let shape = const { u64::from_ne_bytes([0xFF, MARK, 0xFF, 0xFF, 0, 0, 0x3F, 0xFF]) };
        const USUAL: u32 = u32::from_ne_bytes([0x45, 0, 0, 0]);
        // Data offset and flags, in front of the window.
        let flags = const { ((!FREE as u32) << 16).to_be() };

        if packet.len().wrapping_sub(BOTH_V4 + LEAST) > ShortV4::MOST_OCTETS - LEAST {
            return None;
        }
        let (octets, payload) = packet.split_first_chunk()?;
        let headers = HeadersV4(octets);
        let (first, second, last) =
            (headers.word::<0>(), headers.word::<8>(), headers.half::<16>());
        // Shorter than 2^16: it is in the octets of its field alone.
        let expected = u64::from(USUAL | (packet.len() as u32).to_be());
        let usual = (first ^ expected) & shape == 0
            && octets[9] == PROTOCOL
            && headers.half::<32>() & flags == ACKNOWLEDGES
            && headers.half::<40>() == STAMPS.to_be();
        if !usual {
            return None;
        }
        let mut sum = Running::default();
        sum.add_words([first, second, u64::from(last)]);
        sum.is_complete().then_some(ShortV4 { headers, payload })
    }

    /// Whether the checksum of TCP is right.
    #[inline(always)] // for each packet
    pub fn is_intact(&self) -> bool {
        // The addresses lie in one word, behind them the TCP header.
        let mut sum = Running::end_of_pseudo(PROTOCOL, (TCP_OCTETS + self.payload.len()) as u32);
        let HeadersV4(headers) = self.headers;
        sum.add_words([
            word::<12>(headers),
            word::<20>(headers),
            word::<28>(headers),
            word::<36>(headers),
            word::<44>(headers),
        ]);
        sum.add_short(self.payload);
        sum.is_complete()
    }

    /// Octets of payload; one at least, if it was read by [`ShortV4::of`].
    #[inline(always)]
    pub fn payload_octets(&self) -> usize {
        self.payload.len()
    }
    /// Its headers.
    #[inline(always)]
    pub fn headers(&self) -> HeadersV4<'a> {
        self.headers
    }
    /// SEG.SEQ and SEG.ACK.
    #[inline(always)]
    pub fn numbers(&self) -> Numbers {
        Numbers(u64::from_be(self.headers.word::<24>()))
    }
    /// The window field.
    #[inline(always)]
    pub fn window(&self) -> WireWindow {
        let [.., a, b] = self.headers.half::<32>().to_ne_bytes();
        WireWindow(u16::from_be_bytes([a, b]))
    }
    /// TSval.
    #[inline(always)]
    pub fn value(&self) -> u32 {
        u32::from_be(self.headers.half::<44>())
    }
}

/// SEG.SEQ and SEG.ACK in one word, as they lie in the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Of a header that was read.
    #[inline(always)]
    pub fn of(header: &TcpHeader) -> Numbers {
        Numbers::from((header.seq, header.ack))
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

impl From<(Seq, Seq)> for Numbers {
    #[inline(always)]
    fn from((seq, ack): (Seq, Seq)) -> Numbers {
        Numbers(u64::from(seq.0) << 32 | u64::from(ack.0))
    }
}

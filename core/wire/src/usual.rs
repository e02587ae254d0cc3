//! Headers of the usual shape, read and written in one piece.
//!
//! Owns: IPv4 without options or fragments, IPv6 without extensions, and TCP with nothing but ACK,
//! perhaps PSH and FIN, and timestamps in the layout of RFC 7323 appendix A: what nearly every segment of an
//! established connection has.
//! Must not know: any other shape. `ipv4`, `ipv6` and `tcp` read and write all; a test holds this
//! module against them.
//! Implements: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 7323 appendix A.

mod prepared;
mod series;
mod short;
mod successor;

pub use prepared::{MessageHeader, PreparedV4};
pub use series::Series;
pub use short::{Numbers, ShortV4};
pub use successor::{Headers, Successor};

use crate::checksum;
use crate::plain::STAMPS;
use usertcp_base::{Ecn, Seq, WireWindow};

/// Octets of the IPv4 header.
pub const IPV4_OCTETS: usize = 20;
/// Octets of the IPv6 header.
pub const IPV6_OCTETS: usize = 40;
/// Octets of the TCP header.
pub const TCP_OCTETS: usize = 32;

/// A data offset of eight words, ACK.
const OFFSET_ACK: u16 = 0x8010;
/// Where the flags are in a TCP header.
const FLAGS_AT: usize = 13;
const SYN: u8 = 2;
const ACK: u8 = 0x10;
const PSH: u16 = 8;
const FIN: u16 = 1;
/// Data offset and flags without PSH and FIN, in front of the window, as they lie in memory.
const ACKNOWLEDGES: u32 = ((OFFSET_ACK as u32) << 16).to_be();

/// What an IP header of the usual shape says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpHeader<Address> {
    /// Octets of what follows the header.
    pub payload_octets: u16,
    /// The ECN mark.
    pub ecn: Ecn,
    /// Differentiated services code point.
    pub dscp: u8,
    /// Time to live, hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
}

/// What a TCP header of the usual shape says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// PSH is set.
    pub push: bool,
    /// FIN is set.
    pub fin: bool,
    /// The window field.
    pub window: WireWindow,
    /// TSval.
    pub value: u32,
    /// TSecr.
    pub echo: u32,
}

/// Who sent a packet that seems to be of the usual shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// By IPv4.
    V4 {
        /// Its source address, the octets as they lie: a number is where it can be read as it was written, in one piece.
        source: u32,
        /// Source and destination port, the source's in the upper half.
        ports: u32,
    },
    /// By IPv6.
    V6 {
        /// Its source address.
        source: [u8; 16],
        /// As by IPv4.
        ports: u32,
    },
}

/// Where a packet seems to come from; nothing of it is checked.
#[inline]
pub fn addresses(packet: &[u8]) -> Option<Addresses> {
    let ports_at = |at: usize| packet.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
    match packet.first()? {
        0x45 => {
            let source = u32::from_ne_bytes(*packet.get(12..)?.first_chunk()?);
            Some(Addresses::V4 { source, ports: ports_at(IPV4_OCTETS)? })
        }
        0x60..=0x6F => {
            let source = *packet.get(8..)?.first_chunk()?;
            Some(Addresses::V6 { source, ports: ports_at(IPV6_OCTETS)? })
        }
        _ => None,
    }
}

/// Whether a packet seems to ask for a connection (SYN without ACK); nothing of it is checked.
#[inline]
pub fn may_open(packet: &[u8]) -> bool {
    let flags_behind = |ip_octets: usize| packet.get(ip_octets + FLAGS_AT).copied();
    let flags = match packet.first() {
        Some(0x45) => flags_behind(IPV4_OCTETS),
        Some(0x60..=0x6F) => flags_behind(IPV6_OCTETS),
        _ => None,
    };
    flags.is_some_and(|flags| flags & (SYN | ACK) == SYN)
}

/// Reads an IPv4 header in front of TCP. `None`: it is of another shape, or its checksum is wrong.
#[inline(always)] // as above
pub fn read_ipv4(octets: &[u8; IPV4_OCTETS]) -> Option<IpHeader<[u8; 4]>> {
    let [version, service, l0, l1, _, _, f0, f1, hop_limit, protocol, _, _, addresses @ ..] =
        *octets;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    // Of the fragment field only "don't fragment" may be set, and the bit that means nothing.
    let whole = u16::from_be_bytes([f0, f1]) & 0x3FFF == 0;
    let total = u16::from_be_bytes([l0, l1]);
    let usual = version == 0x45 && whole && protocol == crate::tcp::PROTOCOL;
    let (words, last) = octets.as_chunks::<8>();
    let mut sum = checksum::Running::default();
    if let ([first, second], Some(last)) = (words, last.first_chunk()) {
        let last = u64::from(u32::from_ne_bytes(*last));
        sum.add_words([u64::from_ne_bytes(*first), u64::from_ne_bytes(*second), last]);
    }
    if !usual || !sum.is_complete() {
        return None;
    }
    Some(IpHeader {
        payload_octets: total.checked_sub(IPV4_OCTETS as u16)?,
        ecn: Ecn::from_bits(service),
        dscp: service >> 2,
        hop_limit,
        source: [s0, s1, s2, s3],
        destination: [d0, d1, d2, d3],
    })
}

/// Both headers by IPv4 of a packet of the usual shape, where they lie.
#[derive(Clone, Copy, Debug)]
pub struct HeadersV4<'a>(&'a [u8; BOTH_V4]);

impl<'a> HeadersV4<'a> {
    /// `None`: they are of another shape, or the checksum of the IP header is wrong. That of TCP is not looked
    /// at.
    #[inline(always)] // a few comparisons of whole words
    pub fn of(octets: &'a [u8; BOTH_V4]) -> Option<HeadersV4<'a>> {
        // Version and header length; of the fragment field all but "don't fragment" and the bit that means
        // nothing.
        const SHAPE: u64 = u64::from_ne_bytes([0xFF, 0, 0, 0, 0, 0, 0x3F, 0xFF]);
        const USUAL: u64 = u64::from_ne_bytes([0x45, 0, 0, 0, 0, 0, 0, 0]);
        // Data offset and flags, in front of the window.
        const FLAGS: u32 = ((!(PSH | FIN) as u32) << 16).to_be();
        let headers = HeadersV4(octets);
        let (first, second, last) =
            (headers.word::<0>(), headers.word::<8>(), headers.half::<16>());
        let usual = first & SHAPE == USUAL
            && octets[9] == crate::tcp::PROTOCOL
            && headers.half::<32>() & FLAGS == ACKNOWLEDGES
            && headers.half::<40>() == STAMPS.to_be();
        if !usual {
            return None;
        }
        let mut sum = checksum::Running::default();
        sum.add_words([first, second, u64::from(last)]);
        sum.is_complete().then_some(headers)
    }
    /// The same of a packet for which [`HeadersV4::of`] has said that they are.
    #[inline(always)]
    pub fn known(octets: &'a [u8; BOTH_V4]) -> HeadersV4<'a> {
        HeadersV4(octets)
    }
    #[inline(always)]
    fn word<const AT: usize>(&self) -> u64 {
        word::<AT>(self.0)
    }
    #[inline(always)]
    fn half<const AT: usize>(&self) -> u32 {
        half::<AT>(self.0)
    }
    /// Octets of the packet.
    #[inline(always)]
    pub fn packet_octets(&self) -> usize {
        usize::from(u16::from_be_bytes([self.0[2], self.0[3]]))
    }
    /// The ECN mark.
    #[inline(always)]
    pub fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.0[1])
    }
    /// FIN is set.
    #[inline(always)]
    pub fn fin(&self) -> bool {
        self.0[33] & FIN as u8 != 0
    }
    /// Source address.
    #[inline(always)]
    pub fn source(&self) -> [u8; 4] {
        self.half::<12>().to_ne_bytes()
    }
    /// Destination address.
    #[inline(always)]
    pub fn destination(&self) -> [u8; 4] {
        self.half::<16>().to_ne_bytes()
    }
    /// The TCP header.
    #[inline(always)]
    pub fn tcp(&self) -> TcpHeader {
        read_usual_tcp(self.tcp_octets())
    }
    /// Its octets.
    #[inline(always)]
    pub fn tcp_octets(&self) -> &'a [u8; TCP_OCTETS] {
        let octets = self.0.get(IPV4_OCTETS..).and_then(|octets| octets.first_chunk());
        octets.unwrap_or(&[0; TCP_OCTETS])
    }
    /// Both ports, the source's in the upper half.
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        u32::from_be(self.half::<20>())
    }
    /// The sum of the pseudo-header of a segment of `octets`.
    #[inline(always)]
    pub fn pseudo(&self, octets: u32) -> checksum::Running {
        checksum::Running::pseudo_v4(
            self.source(),
            self.destination(),
            crate::tcp::PROTOCOL,
            octets,
        )
    }
}

/// The word of both headers that begins with octet `AT`, as it lies in memory.
#[inline(always)]
fn word<const AT: usize>(headers: &[u8; BOTH_V4]) -> u64 {
    headers
        .get(AT..)
        .and_then(|octets| octets.first_chunk())
        .map_or(0, |octets| u64::from_ne_bytes(*octets))
}

/// Half a word that begins there.
#[inline(always)]
fn half<const AT: usize>(headers: &[u8; BOTH_V4]) -> u32 {
    headers
        .get(AT..)
        .and_then(|octets| octets.first_chunk())
        .map_or(0, |octets| u32::from_ne_bytes(*octets))
}

/// Reads an IPv6 header in front of TCP. `None`: it is of another shape.
#[inline]
pub fn read_ipv6(octets: &[u8; IPV6_OCTETS]) -> Option<IpHeader<[u8; 16]>> {
    let [v0, v1, _, _, l0, l1, next, hop_limit, addresses @ ..] = octets;
    let class = v0 << 4 | v1 >> 4;
    if v0 >> 4 != 6 || *next != crate::tcp::PROTOCOL {
        return None;
    }
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    Some(IpHeader {
        payload_octets: u16::from_be_bytes([*l0, *l1]),
        ecn: Ecn::from_bits(class),
        dscp: class >> 2,
        hop_limit: *hop_limit,
        source: *source,
        destination: *destination.first_chunk()?,
    })
}

/// Whether a TCP header is of the usual shape.
#[inline(always)] // this and those after it are a few loads
pub fn is_usual_tcp(octets: &[u8; TCP_OCTETS]) -> bool {
    let [.., f0, f1, _, _, _, _, _, _, o0, o1, o2, o3, _, _, _, _, _, _, _, _] = *octets;
    let flags = u16::from_be_bytes([f0, f1]);
    flags & !(PSH | FIN) == OFFSET_ACK && u32::from_be_bytes([o0, o1, o2, o3]) == STAMPS
}

/// Reads a TCP header; the checksum is not looked at. `None`: it is of another shape.
#[inline(always)]
pub fn read_tcp(octets: &[u8; TCP_OCTETS]) -> Option<TcpHeader> {
    is_usual_tcp(octets).then(|| read_usual_tcp(octets))
}

/// Reads a TCP header that [is of the usual shape](is_usual_tcp).
#[inline(always)]
pub fn read_usual_tcp(octets: &[u8; TCP_OCTETS]) -> TcpHeader {
    // Each where it is needed, not all of them in one register.
    let ([ports, seq, ack, flags, _, _, value, echo], _) = octets.as_chunks::<4>() else {
        return TcpHeader::default();
    };
    let ports = u32::from_be_bytes(*ports);
    let [_, flags, w0, w1] = *flags;
    TcpHeader {
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        seq: Seq(u32::from_be_bytes(*seq)),
        ack: Seq(u32::from_be_bytes(*ack)),
        push: flags & PSH as u8 != 0,
        fin: flags & FIN as u8 != 0,
        window: WireWindow(u16::from_be_bytes([w0, w1])),
        value: u32::from_be_bytes(*value),
        echo: u32::from_be_bytes(*echo),
    }
}

/// Octets of both headers by IPv4.
pub const BOTH_V4: usize = IPV4_OCTETS + TCP_OCTETS;

/// Writes both headers of a packet by IPv4, whose payload sums to `payload`, or is summed by the device:
/// then the TCP checksum is not completed.
///
/// Sums are of words as they lie in memory: their order does not matter before the end.
#[inline(always)]
pub fn write_both_v4(
    out: &mut [u8; BOTH_V4],
    ip: &IpHeader<[u8; 4]>,
    tcp: &TcpHeader,
    payload: Option<checksum::Running>,
) {
    let length = u32::from(ip.payload_octets);
    let pseudo =
        checksum::Running::pseudo_v4(ip.source, ip.destination, crate::tcp::PROTOCOL, length);
    let (front, back) = out.split_at_mut(IPV4_OCTETS);
    put_ipv4(front, ip);
    let words = tcp_halves(tcp).map(u32::to_be);
    put_halves(back, words);
    // A few halves of words: there is room for many more.
    let sum = pseudo.words() + sum_of(words);
    let field = match payload {
        Some(payload) => !checksum::folded(halved(payload.words()) + sum),
        None => checksum::folded(pseudo.words()),
    };
    if let Some(place) = back.as_chunks_mut::<4>().0.get_mut(CHECKSUM_HALF) {
        let [first, second] = field.to_ne_bytes();
        *place = [first, second, 0, 0];
    }
}

/// The sum of words.
#[inline(always)]
fn sum_of<const N: usize>(words: [u32; N]) -> u64 {
    words.iter().fold(0, |sum, word| sum + u64::from(*word))
}

/// The sum of both halves of a word.
#[inline(always)]
const fn halved(word: u64) -> u64 {
    (word >> 32) + (word & LOW)
}

/// The lower half of a word.
const LOW: u64 = 0xFFFF_FFFF;

/// The sum of the halves of words.
#[inline(always)]
fn in_halves(words: [u64; 4]) -> u64 {
    words.iter().fold(0, |sum, word| sum + halved(*word))
}

/// Writes words that are in the order of the network.
#[inline(always)]
fn put_halves<const N: usize>(out: &mut [u8], words: [u32; N]) {
    for (to, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_ne_bytes();
    }
}

/// Writes an IPv4 header with its checksum, "don't fragment" set.
///
/// Like the others it is put together in registers and stored in whole words.
#[inline]
pub fn write_ipv4(out: &mut [u8; IPV4_OCTETS], header: &IpHeader<[u8; 4]>) {
    put_ipv4(out, header);
}

/// The same into as many octets.
#[inline(always)]
fn put_ipv4(out: &mut [u8], header: &IpHeader<[u8; 4]>) {
    let service = u32::from(header.dscp << 2 | header.ecn.bits());
    let total = u32::from(header.payload_octets.wrapping_add(IPV4_OCTETS as u16));
    let first = (0x4500_0000 | service << 16 | total).to_be();
    let unfragmented = 0x4000_u32.to_be();
    let lifetime = u32::from_ne_bytes([header.hop_limit, crate::tcp::PROTOCOL, 0, 0]);
    let source = u32::from_ne_bytes(header.source);
    let destination = u32::from_ne_bytes(header.destination);
    let sum = sum_of([first, unfragmented, lifetime, source, destination]);
    let [a, b] = (!checksum::folded(sum)).to_ne_bytes();
    let third = lifetime | u32::from_ne_bytes([0, 0, a, b]);
    put_halves(out, [first, unfragmented, third, source, destination]);
}

/// Writes an IPv6 header.
#[inline]
pub fn write_ipv6(out: &mut [u8; IPV6_OCTETS], header: &IpHeader<[u8; 16]>, flow_label: u32) {
    let class = u32::from(header.dscp << 2 | header.ecn.bits());
    let first = 6 << 28 | class << 20 | (flow_label & 0xF_FFFF);
    let [v0, v1, v2, v3] = first.to_be_bytes();
    let [l0, l1] = header.payload_octets.to_be_bytes();
    let (fixed, addresses) = out.split_at_mut(8);
    fixed.copy_from_slice(&[v0, v1, v2, v3, l0, l1, crate::tcp::PROTOCOL, header.hop_limit]);
    let (source, destination) = addresses.split_at_mut(16);
    source.copy_from_slice(&header.source);
    destination.copy_from_slice(&header.destination);
}

/// Writes both headers of a packet by IPv6, as [`write_both_v4`].
#[inline(never)]
pub fn write_both_v6(
    out: &mut [u8; BOTH_V6],
    ip: &IpHeader<[u8; 16]>,
    flow_label: u32,
    tcp: &TcpHeader,
    payload: Option<checksum::Running>,
) {
    let (front, back) = out.split_at_mut(IPV6_OCTETS);
    let length = u32::from(ip.payload_octets);
    let pseudo =
        checksum::Running::pseudo_v6(ip.source, ip.destination, crate::tcp::PROTOCOL, length);
    let words = tcp_words(tcp);
    let field = match payload {
        Some(payload) => {
            !checksum::folded(pseudo.in_two_words() + in_halves(words) + payload.in_two_words())
        }
        None => checksum::folded(pseudo.in_two_words()),
    };
    if let Some(front) = front.first_chunk_mut() {
        write_ipv6(front, ip, flow_label);
    }
    put_words(back, words, field);
}

/// Octets of both headers by IPv6.
pub const BOTH_V6: usize = IPV6_OCTETS + TCP_OCTETS;

/// The words of a TCP header, the checksum being zero.
#[inline(always)]
fn tcp_words(header: &TcpHeader) -> [u64; 4] {
    let [a, b, c, d, e, f, g, h] = tcp_halves(header).map(u64::from);
    [a << 32 | b, c << 32 | d, e << 32 | f, g << 32 | h]
}

/// Which half of a word the checksum begins.
const CHECKSUM_HALF: usize = 4;

/// The same in halves.
#[inline(always)]
fn tcp_halves(header: &TcpHeader) -> [u32; 8] {
    let ports = u32::from(header.source_port) << 16 | u32::from(header.destination_port);
    let push = if header.push { PSH } else { 0 };
    let fin = if header.fin { FIN } else { 0 };
    let flags = u32::from(OFFSET_ACK | push | fin);
    let window = flags << 16 | u32::from(header.window.0);
    [ports, header.seq.0, header.ack.0, window, 0, STAMPS, header.value, header.echo]
}

/// Writes them with the checksum in its place.
#[inline(always)]
fn put_words(out: &mut [u8], words: [u64; 4], field: u16) {
    let [first, second, third, fourth] = words;
    let words = [first, second, third | u64::from(field) << 48, fourth];
    for (to, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_be_bytes();
    }
}

#[cfg(test)]
mod tests;

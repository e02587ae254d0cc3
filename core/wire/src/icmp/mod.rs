//! What both versions of ICMP share.
//!
//! Owns: messages as values, and the packet an error quotes.
//! Must not know: whether a quote matches a connection, rates, whether to believe any of it.
//! Implements: RFC 792, RFC 4443, RFC 1191 §4, RFC 5927 (what a quote must hold), IC-11.

#[cfg(test)]
mod tests;

use core::net::IpAddr;
use usertcp_base::{DropReason, Seq};

use crate::{checksum, ipv4, ipv6, tcp};

/// Octets before the payload or the quote, in both versions.
pub const HEADER_OCTETS: usize = 8;
/// Octets of the transport header that every error quotes at least (RFC 792).
pub const LEAST_QUOTED_OCTETS: usize = 8;

/// A message, as far as it concerns us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// Someone wants an answer.
    EchoRequest,
    /// An answer to a question we did not ask.
    EchoReply,
    /// Something happened to a packet; `quote` is the beginning of it.
    Error {
        /// What happened.
        problem: Problem,
        /// The packet's first octets, from its IP header on.
        quote: &'a [u8],
    },
    /// Anything else: source quench (RFC 6633), redirects, neighbour discovery, group
    /// membership, timestamps.
    Other,
}

/// What an error message reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It could not be delivered.
    Unreachable {
        /// The code of the version it came with.
        code: u8,
    },
    /// It was too big and might not be fragmented.
    TooBig {
        /// MTU of the next hop, octets; zero when an old router did not say (IC-6).
        mtu: u32,
    },
    /// It lived too long.
    TimeExceeded {
        /// 0 on the way, 1 in reassembly.
        code: u8,
    },
    /// A header field was not understood.
    Parameter {
        /// The code of the version it came with.
        code: u8,
        /// Which octet of the packet was meant.
        pointer: u32,
    },
}

/// The packet of ours that an error quotes, as far as TCP needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Its source: an address of ours, if the error is honest.
    pub source: IpAddr,
    /// Its destination: the peer.
    pub destination: IpAddr,
    /// Its length as its IP header tells, octets, that header included.
    pub packet_octets: u32,
    /// Its source port.
    pub source_port: u16,
    /// Its destination port.
    pub destination_port: u16,
    /// Its sequence number.
    pub seq: Seq,
}

/// Reads an IPv4 packet from a quote. Its checksum and total length are not judged: routers
/// change the one, and the other tells of the whole packet.
///
/// Errors: `IcmpIgnored` when the packet is not TCP or not a first fragment, `IcmpMalformed`
/// when fewer than eight octets of TCP are there.
pub fn quote_v4(bytes: &[u8]) -> Result<Quote, DropReason> {
    let (header, header_octets) =
        ipv4::parse_unverified(bytes).map_err(|_| DropReason::IcmpMalformed)?;
    if header.protocol != tcp::PROTOCOL || header.fragment_offset != 0 {
        return Err(DropReason::IcmpIgnored);
    }
    let (source_port, destination_port, seq) = transport(bytes.get(header_octets..))?;
    Ok(Quote {
        source: IpAddr::V4(header.source),
        destination: IpAddr::V4(header.destination),
        packet_octets: u32::from(header.total_octets),
        source_port,
        destination_port,
        seq,
    })
}

/// Reads an IPv6 packet from a quote; errors as [`quote_v4`].
pub fn quote_v6(bytes: &[u8]) -> Result<Quote, DropReason> {
    let header = ipv6::parse_unverified(bytes).map_err(|_| DropReason::IcmpMalformed)?;
    let rest = bytes.get(ipv6::HEADER_OCTETS..).unwrap_or(&[]);
    let upper = ipv6::walk(header.next_header, rest).map_err(|_| DropReason::IcmpMalformed)?;
    let later_fragment = upper.fragment.is_some_and(|fragment| fragment.offset != 0);
    if upper.protocol != tcp::PROTOCOL || later_fragment {
        return Err(DropReason::IcmpIgnored);
    }
    let (source_port, destination_port, seq) = transport(rest.get(upper.offset..))?;
    Ok(Quote {
        source: IpAddr::V6(header.source),
        destination: IpAddr::V6(header.destination),
        packet_octets: u32::from(header.payload_octets) + ipv6::HEADER_OCTETS as u32,
        source_port,
        destination_port,
        seq,
    })
}

/// Ports and sequence number: exactly the eight octets that RFC 792 promises (IC-11).
fn transport(bytes: Option<&[u8]>) -> Result<(u16, u16, Seq), DropReason> {
    let Some([a, b, c, d, e, f, g, h]) = bytes.and_then(|bytes| bytes.first_chunk::<8>()) else {
        return Err(DropReason::IcmpMalformed);
    };
    Ok((
        u16::from_be_bytes([*a, *b]),
        u16::from_be_bytes([*c, *d]),
        Seq(u32::from_be_bytes([*e, *f, *g, *h])),
    ))
}

/// Makes a message one of type `kind`, code 0, and carries its checksum over.
pub(crate) fn retype(header: &mut [u8; HEADER_OCTETS], kind: u8) {
    let [old_kind, old_code, high, low, ..] = *header;
    let field = u16::from_be_bytes([high, low]);
    let old = u16::from_be_bytes([old_kind, old_code]);
    let field = match checksum::updated(field, old, u16::from(kind) << 8) {
        // Both zeros verify, except over a message of nothing but zeros: there only this one.
        0 => 0xFFFF,
        field => field,
    };
    let [high, low] = field.to_be_bytes();
    header[0] = kind;
    header[1] = 0;
    header[2] = high;
    header[3] = low;
}

//! The IPv6 header and its extension headers.
//!
//! Owns: their typed forms, the walk to the upper layer, `emit`.
//! Must not know: which addresses are ours, reassembly.
//! Implements: RFC 8200 §3, §4 (I-8, I-10, I-11), RFC 5095 (routing header type 0), RFC 7112
//! (header chain in the first fragment), AT-29 (at most eight headers, no tunnels).

#[cfg(test)]
mod tests;
mod walk;

use core::net::Ipv6Addr;
use usertcp_base::{DropReason, Ecn};

pub use walk::{FRAGMENT, Fragment, Upper, walk};

/// Octets of the fixed header.
pub const HEADER_OCTETS: usize = 40;
/// Octets of a fragment header.
pub const FRAGMENT_HEADER_OCTETS: usize = 8;
/// Least MTU of any IPv6 link (RFC 8200 §5).
pub const LEAST_MTU: u16 = 1280;

/// The fixed header, its length field checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Differentiated services: six bits.
    pub dscp: u8,
    /// The ECN mark.
    pub ecn: Ecn,
    /// Flow label: twenty bits.
    pub flow_label: u32,
    /// Octets after this header.
    pub payload_octets: u16,
    /// Kind of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Who is to get it.
    pub destination: Ipv6Addr,
}

/// Parses the fixed header at the front of `bytes`. `packet_octets` is what was received in all;
/// it may be longer than the packet (link padding).
///
/// Errors: `IpVersion`, `IpMalformed` (the payload does not fit; jumbograms are not taken).
pub fn parse(bytes: &[u8], packet_octets: usize) -> Result<Header, DropReason> {
    let header = parse_unverified(bytes)?;
    if HEADER_OCTETS + usize::from(header.payload_octets) > packet_octets {
        return Err(DropReason::IpMalformed);
    }
    Ok(header)
}

/// Reads the fixed header without judging the payload length: for quotes in ICMP errors, which
/// are cut short.
pub fn parse_unverified(bytes: &[u8]) -> Result<Header, DropReason> {
    let Some(fixed) = bytes.first_chunk::<HEADER_OCTETS>() else {
        return Err(DropReason::IpMalformed);
    };
    let first = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
    if first >> 28 != 6 {
        return Err(DropReason::IpVersion);
    }
    Ok(Header {
        dscp: (first >> 22) as u8 & 0x3F,
        ecn: Ecn::from_bits((first >> 20) as u8),
        flow_label: first & 0xF_FFFF,
        payload_octets: u16::from_be_bytes([fixed[4], fixed[5]]),
        next_header: fixed[6],
        hop_limit: fixed[7],
        source: address(fixed, 8),
        destination: address(fixed, 24),
    })
}

fn address(fixed: &[u8; HEADER_OCTETS], at: usize) -> Ipv6Addr {
    let octets = fixed.get(at..).and_then(|rest| rest.first_chunk::<16>());
    Ipv6Addr::from(octets.copied().unwrap_or_default())
}

/// The fixed header's octets. Values wider than their field lose their high bits.
pub fn emit(header: &Header) -> [u8; HEADER_OCTETS] {
    let first = 6 << 28
        | u32::from(header.dscp & 0x3F) << 22
        | u32::from(header.ecn.bits()) << 20
        | header.flow_label & 0xF_FFFF;
    let mut out = [0; HEADER_OCTETS];
    let [p0, p1] = header.payload_octets.to_be_bytes();
    out[..4].copy_from_slice(&first.to_be_bytes());
    out[4..8].copy_from_slice(&[p0, p1, header.next_header, header.hop_limit]);
    out[8..24].copy_from_slice(&header.source.octets());
    out[24..].copy_from_slice(&header.destination.octets());
    out
}

/// A fragment header's octets (RFC 8200 §4.5). `fragment.offset` loses its low three bits.
pub fn emit_fragment(next_header: u8, fragment: &Fragment) -> [u8; FRAGMENT_HEADER_OCTETS] {
    let [o0, o1] = (fragment.offset & !7 | u16::from(fragment.more)).to_be_bytes();
    let [a, b, c, d] = fragment.identification.to_be_bytes();
    [next_header, 0, o0, o1, a, b, c, d]
}

//! The IPv4 header.
//!
//! Owns: its typed form, `parse`, `emit`, the look at its options.
//! Must not know: which addresses are ours, which source is allowed, reassembly.
//! Implements: RFC 791 §3.1, RFC 1122 §3.2.1 (I-1), RFC 7126 §4.3 and §4.4 (I-12), RFC 6864.

#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;
use usertcp_base::{DropReason, Ecn};

use crate::checksum;

/// Octets of a header without options: the only kind that is sent.
pub const HEADER_OCTETS: usize = 20;
/// Octets of the longest header.
pub const LONGEST_HEADER_OCTETS: usize = 60;

/// A header, its length fields checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Differentiated services: six bits.
    pub dscp: u8,
    /// The ECN mark.
    pub ecn: Ecn,
    /// Octets of header and payload together.
    pub total_octets: u16,
    /// The identification; zero in what we send unfragmented (I-6).
    pub identification: u16,
    /// DF.
    pub dont_fragment: bool,
    /// MF.
    pub more_fragments: bool,
    /// Where the payload lies in its datagram, octets (a multiple of eight).
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// The protocol above.
    pub protocol: u8,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Who is to get it.
    pub destination: Ipv4Addr,
}

impl Header {
    /// Whether this is a part of a datagram only.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Parses and checks the header at the front of `bytes`. `packet_octets` is what was received in
/// all, which may go on in other slices and may be longer than the packet (link padding).
///
/// Returns the header and its octets (20 to 60). Errors: `IpVersion`, `IpMalformed` (a length
/// that does not fit), `IpChecksum`, `IpSourceRoute` (LSRR or SSRR).
pub fn parse(bytes: &[u8], packet_octets: usize) -> Result<(Header, usize), DropReason> {
    let (header, header_octets) = parse_unverified(bytes)?;
    let Some(octets) = bytes.get(..header_octets) else {
        return Err(DropReason::IpMalformed);
    };
    let total = usize::from(header.total_octets);
    if total < header_octets || total > packet_octets {
        return Err(DropReason::IpMalformed);
    }
    if checksum::finish(checksum::sum(octets)) != 0 {
        return Err(DropReason::IpChecksum);
    }
    if let Some(options) = octets.get(HEADER_OCTETS..)
        && !options.is_empty()
    {
        check_options(options)?;
    }
    Ok((header, header_octets))
}

/// Reads the fixed part without judging checksum, total length or options: for quotes in ICMP
/// errors, which are cut short and may have been changed on the way.
pub fn parse_unverified(bytes: &[u8]) -> Result<(Header, usize), DropReason> {
    let Some(fixed) = bytes.first_chunk::<HEADER_OCTETS>() else {
        return Err(DropReason::IpMalformed);
    };
    if fixed[0] >> 4 != 4 {
        return Err(DropReason::IpVersion);
    }
    let header_octets = usize::from(fixed[0] & 0xF) * 4;
    if header_octets < HEADER_OCTETS {
        return Err(DropReason::IpMalformed);
    }
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    let header = Header {
        dscp: fixed[1] >> 2,
        ecn: Ecn::from_bits(fixed[1]),
        total_octets: u16::from_be_bytes([fixed[2], fixed[3]]),
        identification: u16::from_be_bytes([fixed[4], fixed[5]]),
        dont_fragment: fragment & 0x4000 != 0,
        more_fragments: fragment & 0x2000 != 0,
        fragment_offset: (fragment & 0x1FFF) << 3,
        ttl: fixed[8],
        protocol: fixed[9],
        source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
        destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
    };
    Ok((header, header_octets))
}

/// The header's octets, without options, checksum included. Values wider than their field lose
/// their high bits; `fragment_offset` loses its low three.
pub fn emit(header: &Header) -> [u8; HEADER_OCTETS] {
    let [t0, t1] = header.total_octets.to_be_bytes();
    let [i0, i1] = header.identification.to_be_bytes();
    let fragment = header.fragment_offset >> 3
        | u16::from(header.dont_fragment) << 14
        | u16::from(header.more_fragments) << 13;
    let [f0, f1] = fragment.to_be_bytes();
    let [s0, s1, s2, s3] = header.source.octets();
    let [d0, d1, d2, d3] = header.destination.octets();
    let service = header.dscp << 2 | header.ecn.bits();
    let mut out = [
        0x45,
        service,
        t0,
        t1,
        i0,
        i1,
        f0,
        f1,
        header.ttl,
        header.protocol,
        0,
        0,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ];
    let [high, low] = checksum::finish(checksum::sum(&out)).to_be_bytes();
    out[10] = high;
    out[11] = low;
    out
}

/// Source routes are refused, everything else is passed over by its length (I-12). A length that
/// does not fit makes the packet malformed.
fn check_options(options: &[u8]) -> Result<(), DropReason> {
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    let mut rest = options;
    while let [kind, after_kind @ ..] = rest {
        match *kind {
            0 => return Ok(()),
            1 => rest = after_kind,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(DropReason::IpSourceRoute),
            _ => {
                let [len, ..] = after_kind else {
                    return Err(DropReason::IpMalformed);
                };
                rest = match rest.get(usize::from(*len)..) {
                    Some(after) if *len >= 2 => after,
                    _ => return Err(DropReason::IpMalformed),
                };
            }
        }
    }
    Ok(())
}

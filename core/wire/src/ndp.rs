//! Neighbour solicitations and advertisements of IPv6.
//!
//! Owns: their typed forms, the checks that need only the packet itself, `emit`.
//! Must not know: which addresses are ours, the neighbour cache, routers (their advertisements and
//! redirects are not read).
//! Implements: RFC 4861 §4.3, §4.4, §4.6.1 (formats), §7.1.1, §7.1.2 (validity), RFC 4291 §2.7.1
//! (the solicited-node group).

use crate::ethernet::Mac;
use crate::{checksum, icmpv6, ipv6};
use core::net::Ipv6Addr;
use usertcp_base::{DropReason, Ecn};

/// The type of a solicitation.
pub const SOLICITATION: u8 = 135;
/// The type of an advertisement.
pub const ADVERTISEMENT: u8 = 136;
/// The hop limit of every message: no router let it pass (RFC 4861 §7.1).
pub const HOP_LIMIT: u8 = 255;
/// All nodes of the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);

/// Octets of a message without options.
const FIXED_OCTETS: usize = 24;
/// Octets of the option that holds a link-layer address of Ethernet.
const OPTION_OCTETS: usize = 8;
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Octets of a packet as we send it, at most.
pub const LONGEST_OCTETS: usize = ipv6::HEADER_OCTETS + FIXED_OCTETS + OPTION_OCTETS;

/// What a message says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Who has the target's address?
    Solicitation {
        /// The address that is looked for.
        target: Ipv6Addr,
        /// Where on the link the sender is, if it says.
        source_mac: Option<Mac>,
    },
    /// The target's address is here.
    Advertisement {
        /// The address that was looked for.
        target: Ipv6Addr,
        /// Where on the link it is, if it says.
        target_mac: Option<Mac>,
        /// It answers a solicitation.
        solicited: bool,
        /// It is to replace what is known.
        overrides: bool,
    },
}

/// A message and the addresses of its IP header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Packet {
    /// Who sent it; unspecified while it looks whether the target is taken (RFC 4862 §5.4.2).
    pub source: Ipv6Addr,
    /// Who is to get it: one host, or a group.
    pub destination: Ipv6Addr,
    /// What it says.
    pub message: Message,
}

/// Whether the IPv6 packet that begins with `bytes` is one of neighbour discovery (types 133 to
/// 137), so far as its first octets tell. Behind extension headers nobody sends them.
#[inline]
pub fn is_discovery(bytes: &[u8]) -> bool {
    bytes.get(6) == Some(&icmpv6::PROTOCOL)
        && bytes.get(ipv6::HEADER_OCTETS).is_some_and(|kind| (133..=137).contains(kind))
}

/// Reads an IPv6 packet with a solicitation or advertisement in it, by the rules of RFC 4861
/// §7.1.1 and §7.1.2.
///
/// Errors: those of [`ipv6::parse`]; `IcmpChecksum`; `IcmpIgnored` for other messages;
/// `NeighbourMalformed` for everything a message must not be.
pub fn parse(bytes: &[u8]) -> Result<Packet, DropReason> {
    let header = ipv6::parse(bytes, bytes.len())?;
    let (source, destination) = (header.source, header.destination);
    let end = ipv6::HEADER_OCTETS + usize::from(header.payload_octets);
    let octets = bytes.get(ipv6::HEADER_OCTETS..end).ok_or(DropReason::IpMalformed)?;
    if header.next_header != icmpv6::PROTOCOL {
        return Err(DropReason::IcmpIgnored);
    }
    let (from, to) = (source.octets(), destination.octets());
    let pseudo = checksum::pseudo_v6(from, to, icmpv6::PROTOCOL, u32::from(header.payload_octets));
    if checksum::finish(pseudo + checksum::sum(octets)) != 0 {
        return Err(DropReason::IcmpChecksum);
    }
    let Some((fixed, options)) = octets.split_first_chunk::<FIXED_OCTETS>() else {
        return Err(DropReason::NeighbourMalformed);
    };
    let [kind, code, _, _, flags, _, _, _, target @ ..] = *fixed;
    let target = Ipv6Addr::from(target);
    if !matches!(kind, SOLICITATION | ADVERTISEMENT) {
        return Err(DropReason::IcmpIgnored);
    }
    if header.hop_limit != HOP_LIMIT || code != 0 || target.is_multicast() || source.is_multicast()
    {
        return Err(DropReason::NeighbourMalformed);
    }
    let message = if kind == SOLICITATION {
        let source_mac = link_address(options, SOURCE_ADDRESS)?;
        let asks_for_duplicates = source.is_unspecified();
        if asks_for_duplicates && (source_mac.is_some() || !is_solicited_node(destination)) {
            return Err(DropReason::NeighbourMalformed);
        }
        Message::Solicitation { target, source_mac }
    } else {
        let solicited = flags & SOLICITED != 0;
        if solicited && destination.is_multicast() || source.is_unspecified() {
            return Err(DropReason::NeighbourMalformed);
        }
        let target_mac = link_address(options, TARGET_ADDRESS)?;
        Message::Advertisement { target, target_mac, solicited, overrides: flags & OVERRIDE != 0 }
    };
    Ok(Packet { source, destination, message })
}

/// The address in the option of type `wanted`. All options must have a length, and end where the
/// message does; those of other types are passed over.
fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, DropReason> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, words, ..] = *options else { return Err(DropReason::NeighbourMalformed) };
        let octets = usize::from(words) * 8;
        let Some((option, rest)) = options.split_at_checked(octets).filter(|_| octets > 0) else {
            return Err(DropReason::NeighbourMalformed);
        };
        if kind == wanted && octets == OPTION_OCTETS && found.is_none() {
            found = option.get(2..).and_then(|address| address.first_chunk::<6>()).copied();
        }
        options = rest;
    }
    Ok(found)
}

/// The group that everyone with such an address listens to (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | a as u16, (b as u16) << 8 | c as u16)
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}

/// Writes the packet from its IPv6 header on, and returns its octets; zero when `out` is shorter.
pub fn emit(out: &mut [u8], packet: &Packet) -> usize {
    let (kind, flags, target, option, mac) = match packet.message {
        Message::Solicitation { target, source_mac } => {
            (SOLICITATION, 0, target, SOURCE_ADDRESS, source_mac)
        }
        Message::Advertisement { target, target_mac, solicited, overrides } => {
            let flags =
                if solicited { SOLICITED } else { 0 } | if overrides { OVERRIDE } else { 0 };
            (ADVERTISEMENT, flags, target, TARGET_ADDRESS, target_mac)
        }
    };
    debug_assert!(flags & ROUTER == 0, "we are none");
    let octets = FIXED_OCTETS + if mac.is_some() { OPTION_OCTETS } else { 0 };
    let Some((header, body)) = out
        .get_mut(..ipv6::HEADER_OCTETS + octets)
        .and_then(|out| out.split_first_chunk_mut::<{ ipv6::HEADER_OCTETS }>())
    else {
        return 0;
    };
    *header = ipv6::emit(&ipv6::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        flow_label: 0,
        payload_octets: octets as u16,
        next_header: icmpv6::PROTOCOL,
        hop_limit: HOP_LIMIT,
        source: packet.source,
        destination: packet.destination,
    });
    body[..8].copy_from_slice(&[kind, 0, 0, 0, flags, 0, 0, 0]);
    body[8..FIXED_OCTETS].copy_from_slice(&target.octets());
    if let (Some(mac), Some([to, words, place @ ..])) = (mac, body.get_mut(FIXED_OCTETS..)) {
        (*to, *words) = (option, 1);
        place.copy_from_slice(&mac);
    }
    let (from, to) = (packet.source.octets(), packet.destination.octets());
    let pseudo = checksum::pseudo_v6(from, to, icmpv6::PROTOCOL, octets as u32);
    let field = checksum::finish(pseudo + checksum::sum(body));
    body[2..4].copy_from_slice(&field.to_be_bytes());
    ipv6::HEADER_OCTETS + octets
}

#[cfg(test)]
mod tests;

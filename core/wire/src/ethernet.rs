//! The Ethernet II header.
//!
//! Owns: its typed form, kinds of payload, which group address stands for which IPv6 group.
//! Must not know: which addresses are ours, neighbours.
//! Implements: RFC 894, RFC 2464 §3 and §7 (IPv6 over Ethernet). 802.3 lengths and VLAN tags are
//! recognised, not read: both are kinds of payload we do not speak.

use core::net::Ipv6Addr;
use usertcp_base::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 14;

/// A link-layer address.
pub type Mac = [u8; 6];

/// Everybody on the link.
pub const BROADCAST: Mac = [0xFF; 6];

/// What follows the header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// IP version 4.
    Ipv4,
    /// IP version 6.
    Ipv6,
    /// Address resolution of IPv4.
    Arp,
    /// A VLAN tag (802.1Q, 802.1ad): the frame is of another network.
    Vlan,
    /// Anything else, lengths of 802.3 included.
    Other(u16),
}

impl Kind {
    /// The kind behind a number.
    #[inline]
    pub const fn from_number(number: u16) -> Kind {
        match number {
            0x0800 => Kind::Ipv4,
            0x86DD => Kind::Ipv6,
            0x0806 => Kind::Arp,
            0x8100 | 0x88A8 => Kind::Vlan,
            other => Kind::Other(other),
        }
    }
    /// The number of the kind; of both VLAN tags the usual one.
    #[inline]
    pub const fn number(self) -> u16 {
        match self {
            Kind::Ipv4 => 0x0800,
            Kind::Ipv6 => 0x86DD,
            Kind::Arp => 0x0806,
            Kind::Vlan => 0x8100,
            Kind::Other(other) => other,
        }
    }
}

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// For whom on the link.
    pub destination: Mac,
    /// From whom on the link.
    pub source: Mac,
    /// What follows.
    pub kind: Kind,
}

/// Reads the header at the front of `bytes`. Error: `LinkMalformed`, too few octets.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Header, DropReason> {
    let Some([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, k0, k1]) =
        bytes.first_chunk::<HEADER_OCTETS>()
    else {
        return Err(DropReason::LinkMalformed);
    };
    Ok(Header {
        destination: [*d0, *d1, *d2, *d3, *d4, *d5],
        source: [*s0, *s1, *s2, *s3, *s4, *s5],
        kind: Kind::from_number(u16::from_be_bytes([*k0, *k1])),
    })
}

/// The header's octets.
#[inline]
pub const fn emit(header: &Header) -> [u8; HEADER_OCTETS] {
    let [d0, d1, d2, d3, d4, d5] = header.destination;
    let [s0, s1, s2, s3, s4, s5] = header.source;
    let [k0, k1] = header.kind.number().to_be_bytes();
    [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, k0, k1]
}

/// Whether the address names a group, broadcast included.
#[inline]
pub const fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// Whether one station may have this address.
pub fn is_station(mac: Mac) -> bool {
    !is_group(mac) && mac != [0; 6]
}

/// The group address that carries packets to an IPv6 group (RFC 2464 §7).
pub const fn group_of(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

#[cfg(test)]
mod tests;

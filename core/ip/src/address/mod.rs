//! Our addresses.
//!
//! Owns: the table of local addresses and its index, prefixes, the choice of a source address,
//! the two written forms of an address (16 octets, `IpAddr`).
//! Must not know: packets, connections.
//! Implements: RFC 1122 §3.2.1.3 (I-14), RFC 4291 §2.5.5.2 (mapped form), RFC 6724 §5 rules 2 and
//! 8 (as far as one interface needs them).

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use usertcp_base::{LocalIndex, RemoteAddr};

/// An address as flow keys hold it: IPv4 as `::ffff:a.b.c.d`.
#[inline]
pub const fn remote_address(address: IpAddr) -> RemoteAddr {
    match address {
        IpAddr::V4(address) => RemoteAddr(address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => RemoteAddr(address.octets()),
    }
}

/// The address behind the sixteen octets of a flow key.
#[inline]
pub fn ip_address(remote: RemoteAddr) -> IpAddr {
    if is_v4(&remote) {
        let [.., a, b, c, d] = remote.0;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(remote.0))
    }
}

/// Whether the sixteen octets of a flow key stand for an IPv4 address.
#[inline]
pub(crate) fn is_v4(remote: &RemoteAddr) -> bool {
    const MAPPED: u128 = 0xFFFF_0000_0000;
    u128::from_be_bytes(remote.0) >> 32 == MAPPED >> 32
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    address: IpAddr,
    prefix_len: u8,
}

/// What was wrong with a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CidrError {
    /// Not an address a host may have.
    Address,
    /// Not a number of 0 to 32, or to 128 for IPv6.
    PrefixLen,
}

impl Cidr {
    /// An address of ours and its network's prefix length in bits. IPv4 in the form of IPv6
    /// (`::ffff:a.b.c.d`) is no address of a host: flow keys use it for IPv4 itself.
    pub const fn new(address: IpAddr, prefix_len: u8) -> Result<Cidr, CidrError> {
        if let IpAddr::V6(six) = address
            && six.to_ipv4_mapped().is_some()
        {
            return Err(CidrError::Address);
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix_len > most {
            return Err(CidrError::PrefixLen);
        }
        Ok(Cidr { address, prefix_len })
    }
    /// The address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }
    /// Bits of the prefix.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }
    /// Whether `other` is of the same network.
    pub fn contains(&self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4()
            && common_bits(self.address, other) >= u32::from(self.prefix_len)
    }
    /// The network's directed broadcast address; none for IPv6 and for /31 and /32 (RFC 3021).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) if self.prefix_len < 31 => {
                Some(Ipv4Addr::from_bits(address.to_bits() | u32::MAX >> self.prefix_len))
            }
            _ => None,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    /// `10.0.0.1/24`, `2001:db8::1/64`; without a slash the prefix is the whole address.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, bits)) => {
                (address, Some(bits.parse::<u8>().map_err(|_| CidrError::PrefixLen)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        Cidr::new(address, prefix_len.unwrap_or(whole))
    }
}

impl core::fmt::Display for CidrError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            CidrError::Address => "not an IP address of a host",
            CidrError::PrefixLen => "not a prefix length of this address family",
        })
    }
}

impl core::error::Error for CidrError {}

/// Bits two addresses of one family have in common from the front.
fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// The addresses we answer to, each with an index that stays.
///
/// Fixed at start. An "any" mode, which takes packets for every address and gives each new one
/// an index, has its place here: `entries` only ever grows, and an index is never reused while a
/// flow key may hold it.
#[derive(Debug)]
pub(crate) struct AddressTable {
    entries: Vec<Cidr>,
    /// Address (mapped form, as a number) to index, sorted.
    sorted: Vec<(u128, LocalIndex)>,
    /// Directed broadcasts of our networks.
    broadcasts: Vec<Ipv4Addr>,
    /// Our IPv4 addresses, sorted, and their indices.
    four: Vec<(u32, LocalIndex)>,
    /// What no IPv4 packet may come from: our own addresses and all broadcasts, sorted.
    no_sources: Vec<u32>,
}

impl AddressTable {
    /// A table of the first 65,536 of `addresses`. An address that comes twice is found by its
    /// first index.
    pub(crate) fn new(mut addresses: Vec<Cidr>) -> AddressTable {
        addresses.truncate(usize::from(u16::MAX) + 1);
        let mut sorted: Vec<_> = addresses
            .iter()
            .zip(0..=u16::MAX)
            .map(|(cidr, index)| (number(cidr.address), LocalIndex(index)))
            .collect();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(number, _)| *number);
        let broadcasts: Vec<_> = addresses.iter().filter_map(Cidr::broadcast).collect();
        let mut table = AddressTable {
            entries: addresses,
            sorted,
            broadcasts,
            four: Vec::new(),
            no_sources: Vec::new(),
        };
        table.index_four();
        table
    }

    /// Fills what is looked up for every IPv4 packet.
    fn index_four(&mut self) {
        let bits = |address| match address {
            IpAddr::V4(address) => Some(Ipv4Addr::to_bits(address)),
            IpAddr::V6(_) => None,
        };
        let indexed = self.entries.iter().filter_map(|cidr| {
            let address = cidr.address;
            Some((bits(address)?, self.index(address)?))
        });
        self.four = indexed.collect();
        self.four.sort_unstable();
        self.four.dedup();
        let broadcasts = self.broadcasts.iter().copied().chain([Ipv4Addr::BROADCAST]);
        let ours = self.four.iter().map(|(address, _)| *address);
        self.no_sources = broadcasts.map(Ipv4Addr::to_bits).chain(ours).collect();
        self.no_sources.sort_unstable();
    }

    pub(crate) fn address(&self, index: LocalIndex) -> Option<IpAddr> {
        self.entries.get(usize::from(index.0)).map(Cidr::address)
    }

    /// As [`AddressTable::index`].
    #[inline]
    pub(crate) fn index_v4(&self, address: Ipv4Addr) -> Option<LocalIndex> {
        let bits = address.to_bits();
        let at = self.four.binary_search_by_key(&bits, |(address, _)| *address).ok()?;
        self.four.get(at).map(|(_, index)| *index)
    }

    /// Whether an address is no other host's: one of ours, or a broadcast.
    #[inline]
    pub(crate) fn is_no_source_v4(&self, address: Ipv4Addr) -> bool {
        self.no_sources.binary_search(&address.to_bits()).is_ok()
    }

    pub(crate) fn index(&self, address: IpAddr) -> Option<LocalIndex> {
        let number = number(address);
        let at = self.sorted.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, index) = *self.sorted.get(at)?;
        // An IPv6 address in the mapped form is not the IPv4 address it looks like.
        (self.address(index) == Some(address)).then_some(index)
    }

    /// Whether an IPv4 address is the limited broadcast or one of our networks'. An address of
    /// ours is none, whatever its network's prefix says.
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast()
            || self.broadcasts.contains(&address) && self.index(IpAddr::V4(address)).is_none()
    }

    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<LocalIndex> {
        let mut best: Option<((bool, u32), LocalIndex)> = None;
        for (cidr, index) in self.entries.iter().zip(0..=u16::MAX) {
            if cidr.address.is_ipv4() != remote.is_ipv4() {
                continue;
            }
            let scope = is_link_local(cidr.address) == is_link_local(remote);
            let merit = (scope, common_bits(cidr.address, remote));
            // The first of equals stays.
            if best.is_none_or(|(most, _)| merit > most) {
                best = Some((merit, LocalIndex(index)));
            }
        }
        best.map(|(_, index)| index)
    }
}

fn number(address: IpAddr) -> u128 {
    u128::from_be_bytes(remote_address(address).0)
}

pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

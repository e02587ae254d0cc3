//! An address with a prefix length. Owns: its text form and its subnet arithmetic.
//! Must not know: whether it is ours or the kernel's.

use crate::fault::Fault;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address on a network, such as 10.77.0.2/24.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    /// The address of the host.
    pub address: IpAddr,
    /// Leading bits that name the network.
    pub prefix: u8,
}

impl Cidr {
    /// Bits of an address of this family.
    pub fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether `other` has the same family and lies in this network.
    pub fn contains(&self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4()
            && bits(self.address) & self.mask() == bits(other) & self.mask()
    }

    /// Whether the network has no address but this one.
    pub fn is_single(&self) -> bool {
        self.prefix == self.width()
    }

    /// The first host of the network that is not this one: what the other side is called when
    /// nobody says. `None` when there is no other host.
    pub fn neighbour(&self) -> Option<Cidr> {
        let network = bits(self.address) & self.mask();
        // With two addresses in all, both are hosts (RFC 3021, RFC 6164); else the first is not.
        let first = if self.prefix + 1 == self.width() { network } else { network + 1 };
        [first, first + 1]
            .into_iter()
            .map(|host| Cidr { address: self.with_bits(host), ..*self })
            .find(|cidr| cidr.address != self.address && self.contains(cidr.address))
    }

    fn mask(&self) -> u128 {
        let host_bits = u32::from(self.width() - self.prefix);
        u128::MAX.checked_shl(host_bits).unwrap_or(0)
    }

    fn with_bits(&self, value: u128) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(value as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(value)),
        }
    }

    /// Why no host may have this address, if so.
    fn unfit(&self) -> Option<&'static str> {
        let (address, host) = (self.address, !self.mask());
        let host = if address.is_ipv4() { host & 0xFFFF_FFFF } else { host };
        if address.is_unspecified() {
            Some("the unspecified address belongs to no host")
        } else if address.is_loopback() {
            Some("a loopback address never leaves the kernel")
        } else if address.is_multicast() {
            Some("a multicast address belongs to no one host")
        } else if host <= 1 {
            None
        } else if bits(address) & host == 0 {
            Some("that is the address of the network itself, not of a host")
        } else if address.is_ipv4() && bits(address) & host == host {
            Some("that is the broadcast address of the network, not of a host")
        } else {
            None
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_bits()),
        IpAddr::V6(six) => six.to_bits(),
    }
}

impl FromStr for Cidr {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Cidr, Fault> {
        const EXAMPLE: &str = "write an address, a slash and a prefix length, such as 10.77.0.2/24 \
                               or fd77::2/64";
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = host
            .parse()
            .map_err(|_| Fault::usage(format!("\"{host}\" is not an IP address"), EXAMPLE))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        if prefix.is_empty() {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            return Err(Fault::usage("there is no prefix length", format!("write {host}/{usual}")));
        }
        let prefix = prefix.parse().ok().filter(|p| (1..=width).contains(p)).ok_or_else(|| {
            Fault::usage(
                format!("\"{prefix}\" is not a prefix length"),
                format!("use a number from 1 to {width}"),
            )
        })?;
        let cidr = Cidr { address, prefix };
        match cidr.unfit() {
            Some(why) => Err(Fault::usage(why, "choose a host's address, such as 10.77.0.2/24")),
            None => Ok(cidr),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn text_goes_in_and_out() {
        for text in ["10.77.0.2/24", "fd77::2/64", "192.0.2.0/31", "10.0.0.1/32", "fe80::1/128"] {
            assert_eq!(cidr(text).to_string(), text);
        }
    }

    #[test]
    fn wrong_text_says_why() {
        for (text, what) in [
            ("10.77.0.2", "there is no prefix length"),
            ("10.77.0.2/", "there is no prefix length"),
            ("10.77.0/24", "\"10.77.0\" is not an IP address"),
            ("host/24", "\"host\" is not an IP address"),
            ("10.77.0.2/33", "\"33\" is not a prefix length"),
            ("10.77.0.2/0", "\"0\" is not a prefix length"),
            ("10.77.0.2/x", "\"x\" is not a prefix length"),
            ("fd77::2/129", "\"129\" is not a prefix length"),
            ("10.77.0.0/24", "that is the address of the network itself, not of a host"),
            ("10.77.0.255/24", "that is the broadcast address of the network, not of a host"),
            ("127.0.0.2/8", "a loopback address never leaves the kernel"),
            ("224.0.0.1/4", "a multicast address belongs to no one host"),
            ("0.0.0.0/8", "the unspecified address belongs to no host"),
            ("fd77::/64", "that is the address of the network itself, not of a host"),
        ] {
            let fault = text.parse::<Cidr>().unwrap_err();
            assert_eq!(fault.what, what, "{text}");
            assert!(!fault.remedy.is_empty() && fault.code() == 2);
        }
    }

    #[test]
    fn neighbours() {
        for (text, other) in [
            ("10.77.0.2/24", Some("10.77.0.1/24")),
            ("10.77.0.1/24", Some("10.77.0.2/24")),
            ("fd77::2/64", Some("fd77::1/64")),
            ("192.0.2.0/31", Some("192.0.2.1/31")),
            ("192.0.2.1/31", Some("192.0.2.0/31")),
            ("192.0.2.1/32", None),
        ] {
            assert_eq!(cidr(text).neighbour(), other.map(cidr), "{text}");
        }
    }

    #[test]
    fn networks_contain_their_family_only() {
        assert!(cidr("10.77.0.2/24").contains("10.77.0.200".parse().unwrap()));
        assert!(!cidr("10.77.0.2/24").contains("10.77.1.1".parse().unwrap()));
        assert!(!cidr("10.77.0.2/24").contains("fd77::1".parse().unwrap()));
        assert!(cidr("fd77::2/1").contains("ffff::1".parse().unwrap()));
    }
}

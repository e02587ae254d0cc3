//! An address with the length of its prefix.
//! Owns: how it is written. Must not know: what it is for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its leading bits are the network's: `10.9.0.1/24`, `fd00::1/64`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network, at most 32 or 128.
    pub prefix_bits: u8,
}

/// Why a text is not an address with a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CidrError {
    text: String,
}

impl Cidr {
    /// `None`: the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Cidr> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix_bits <= most).then_some(Cidr { address, prefix_bits })
    }

    /// The same network with all bits behind the prefix zero: how a route is written.
    pub fn network(self) -> Cidr {
        let cut = |bits: u128, width: u32| match u32::from(self.prefix_bits) {
            0 => 0,
            prefix => bits >> (width - prefix.min(width)) << (width - prefix.min(width)),
        };
        let address = match self.address {
            IpAddr::V4(v4) => IpAddr::V4((cut(u128::from(v4.to_bits()), 32) as u32).into()),
            IpAddr::V6(v6) => IpAddr::V6(cut(v6.to_bits(), 128).into()),
        };
        Cidr { address, ..self }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    /// Without `/n` the address stands alone: 32 or 128 bits.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let error = || CidrError { text: text.into() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| error())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Cidr::new(address, prefix_bits).ok_or_else(error)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an address with a prefix, such as 10.9.0.1/24", self.text)
    }
}

impl std::error::Error for CidrError {}

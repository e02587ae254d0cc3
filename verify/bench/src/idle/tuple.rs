//! Connections by number. Owns: which four-tuple a number has, and an order in which numbers are drawn.
//! Must not know: packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// IPv4: from 10.0.0.0/8 to 192.0.2.1.
    V4,
    /// IPv6: from fd00::/96 to fd01::1.
    V6,
}

impl Family {
    /// 4 or 6.
    pub fn number(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }

    /// Where everybody connects to.
    pub fn server(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
            Family::V6 => Ipv6Addr::new(0xFD01, 0, 0, 0, 0, 0, 0, 1).into(),
        }
    }
}

/// The port everybody connects to.
pub const SERVER_PORT: u16 = 80;
/// The most connections there can be.
pub const MOST: u32 = 1 << 27;
const FIRST_PORT: u16 = 1024;
const HOST_BITS: u32 = 24;

/// The peer's end of connection `number`: 2^24 hosts, each with as many ports as it takes.
pub fn remote(family: Family, number: u32) -> (IpAddr, u16) {
    let host = number & ((1 << HOST_BITS) - 1);
    let port = FIRST_PORT + (number >> HOST_BITS) as u16;
    let address = match family {
        Family::V4 => Ipv4Addr::from_bits(0x0A00_0000 | host).into(),
        Family::V6 => Ipv6Addr::from_bits(0xFD00 << 112 | u128::from(host)).into(),
    };
    (address, port)
}

/// The number of the connection whose peer is this; `None`: nobody of ours.
pub fn number(address: IpAddr, port: u16) -> Option<u32> {
    let host = match address {
        IpAddr::V4(address) if address.octets()[0] == 10 => address.to_bits() & 0x00FF_FFFF,
        IpAddr::V6(address) if address.to_bits() >> HOST_BITS == 0xFD00 << (112 - HOST_BITS) => {
            address.to_bits() as u32 & 0x00FF_FFFF
        }
        _ => return None,
    };
    let high = u32::from(port.checked_sub(FIRST_PORT)?);
    (high < MOST >> HOST_BITS).then_some(high << HOST_BITS | host)
}

/// An order of the numbers below `count` that looks like chance, without a table: a Feistel network
/// over the next even power of two, walked until it falls below `count`.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    count: u32,
    half_bits: u32,
    seed: u64,
}

const ROUNDS: u64 = 4;

impl Shuffle {
    /// An order of `count` numbers.
    pub fn new(count: u32, seed: u64) -> Shuffle {
        let bits = 32 - count.saturating_sub(1).leading_zeros();
        Shuffle { count, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// The number at `place`, which is below the count.
    pub fn at(&self, place: u32) -> u32 {
        self.walk(place, |order, mut left, mut right| {
            for round in 0..ROUNDS {
                (left, right) = (right, left ^ order.mixed(round, right));
            }
            (left, right)
        })
    }

    /// Where `number` stands.
    pub fn place_of(&self, number: u32) -> u32 {
        self.walk(number, |order, mut left, mut right| {
            for round in (0..ROUNDS).rev() {
                (left, right) = (right ^ order.mixed(round, left), left);
            }
            (left, right)
        })
    }

    fn mixed(&self, round: u64, half: u32) -> u32 {
        mix(self.seed ^ round << 40 ^ u64::from(half)) as u32 & ((1 << self.half_bits) - 1)
    }

    fn walk(&self, mut value: u32, step: fn(&Shuffle, u32, u32) -> (u32, u32)) -> u32 {
        loop {
            let halves = (value >> self.half_bits, value & ((1 << self.half_bits) - 1));
            let (left, right) = step(self, halves.0, halves.1);
            value = left << self.half_bits | right;
            if value < self.count {
                return value;
            }
        }
    }
}

/// A number that has nothing to do with `value` (the end of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_its_four_tuple() {
        let ends = [0, 1, 2, 255, 256, (1 << 24) - 1, 1 << 24, 99_999_999, MOST - 1];
        let some = (0..1000).map(|n| (mix(n) % u64::from(MOST)) as u32);
        for at in ends.into_iter().chain(some) {
            for family in [Family::V4, Family::V6] {
                let (address, port) = remote(family, at);
                assert_eq!(number(address, port), Some(at), "{address} {port}");
            }
        }
    }

    #[test]
    fn strangers_have_no_number() {
        let v4 = |text: &str| number(text.parse().unwrap(), 1024);
        assert_eq!(
            [v4("11.0.0.1"), v4("192.0.2.1"), v4("fd01::1"), v4("fd00::1:0:0:1")],
            [None; 4]
        );
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!([number(address, 1023), number(address, 1024 + 8)], [None; 2]);
        assert_eq!(v4("10.0.0.1"), Some(1));
    }

    #[test]
    fn an_order_has_every_number_once_and_its_places_are_known() {
        for count in [1, 2, 3, 7, 64, 1000, 4097] {
            let shuffle = Shuffle::new(count, 42);
            let mut seen = vec![false; count as usize];
            for place in 0..count {
                let number = shuffle.at(place);
                assert!(!std::mem::replace(&mut seen[number as usize], true), "{count}: {number}");
                assert_eq!(shuffle.place_of(number), place);
            }
        }
    }

    #[test]
    fn an_order_looks_like_chance() {
        let shuffle = Shuffle::new(100_000, 1);
        let near = (1..100_000).filter(|&at| shuffle.at(at).abs_diff(shuffle.at(at - 1)) < 100);
        assert!(near.count() < 400, "neighbours are seldom drawn one after the other");
        let low = (0..1000).filter(|&at| shuffle.at(at) < 50_000).count();
        assert!((420..580).contains(&low), "{low}");
    }
}

//! Ports are spread, private to a destination, and found even when one is left.

use super::*;
use alloc::vec::Vec;

fn ports(range: RangeInclusive<u16>) -> (Ports, Prng) {
    let secrets = Secrets::from_seed([9; 32]).unwrap();
    let prng = secrets.prng();
    (Ports::new(secrets, range), prng)
}

fn to(number: u32) -> Destination {
    let mut remote = [0; 16];
    remote[12..].copy_from_slice(&number.to_be_bytes());
    Destination { local: LocalIndex(0), remote: RemoteAddr(remote), remote_port: 443 }
}

#[test]
fn stays_in_its_range() {
    let (mut ports, mut prng) = ports(50_000..=50_009);
    for number in 0..1000 {
        let port = ports.choose(&to(number), &mut prng, |_| false).unwrap();
        assert!((50_000..=50_009).contains(&port));
    }
    for (range, first, count) in [
        (0..=u16::MAX, 1, u16::MAX),
        (0..=0, *DEFAULT_RANGE.start(), 28_232),
        (7..=7, 7, 1),
        #[expect(clippy::reversed_empty_ranges)]
        (9..=3, *DEFAULT_RANGE.start(), 28_232),
    ] {
        let (ports, _) = self::ports(range);
        assert_eq!((ports.first, ports.count), (first, count));
    }
}

#[test]
fn finds_the_last_free_port_and_no_more() {
    let (mut ports, mut prng) = ports(DEFAULT_RANGE);
    assert_eq!(ports.choose(&to(1), &mut prng, |port| port != 40_000), Some(40_000));
    assert_eq!(ports.choose(&to(1), &mut prng, |_| true), None);
}

/// 6056-1: over many destinations the ports are uniform (χ² with 63 degrees of freedom).
#[test]
fn ports_are_uniform_over_destinations() {
    let (mut ports, mut prng) = ports(1024..=65_535);
    let mut buckets = [0_i64; 64];
    let total = 64_000;
    for number in 0..total {
        let port = ports.choose(&to(number), &mut prng, |_| false).unwrap();
        buckets[usize::from(port - 1024) * 64 / 64_512] += 1;
    }
    let expected = i64::from(total) / 64;
    let chi_squared =
        buckets.iter().map(|n| (n - expected) * (n - expected)).sum::<i64>() / expected;
    assert!(chi_squared < 120, "{chi_squared}");
}

/// A destination sees a port again only after the range has gone by.
#[test]
fn one_destination_walks_the_range() {
    let (mut ports, mut prng) = ports(DEFAULT_RANGE);
    let mut seen = Vec::new();
    for _ in 0..2000 {
        let port = ports.choose(&to(1), &mut prng, |_| false).unwrap();
        assert!(!seen.contains(&port));
        seen.push(port);
    }
}

/// 6056-2: what one destination sees tells nothing about the next port of another.
#[test]
fn destinations_do_not_share_a_sequence() {
    let (mut ports, mut prng) = ports(DEFAULT_RANGE);
    let mut near = 0;
    for number in 0..4096 {
        let here = ports.choose(&to(0), &mut prng, |_| false).unwrap();
        let there = ports.choose(&to(number + 1), &mut prng, |_| false).unwrap();
        near += u32::from(here.abs_diff(there) <= 3);
    }
    assert!(near <= 8, "{near}");
}

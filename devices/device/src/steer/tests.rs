use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const RULE: SteerRule = SteerRule::new([0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321], 4);

fn end(address: impl Into<IpAddr>, port: u16) -> FlowEnd {
    FlowEnd { address: address.into(), port }
}

proptest! {
    #[test]
    fn both_directions_have_one_owner(a: u32, b: u32, p: u16, q: u16, shards in 1u16..200) {
        let rule = SteerRule::new(RULE.key(), shards);
        let (one, other) = (end(Ipv4Addr::from(a), p), end(Ipv4Addr::from(b), q));
        prop_assert_eq!(rule.owner(one, other), rule.owner(other, one));
        prop_assert!(rule.owner(one, other) < shards);
    }

    #[test]
    fn so_they_have_in_version_6(a: u128, b: u128, p: u16, q: u16, shards in 1u16..200) {
        let rule = SteerRule::new(RULE.key(), shards);
        let (one, other) = (end(Ipv6Addr::from(a), p), end(Ipv6Addr::from(b), q));
        prop_assert_eq!(rule.owner(one, other), rule.owner(other, one));
        prop_assert!(rule.owner(one, other) < shards);
    }
}

/// Each shard gets its share of `flows`, give or take 5 % of it.
fn assert_even(flows: impl Iterator<Item = (FlowEnd, FlowEnd)>) {
    let mut counts = [0u32; 4];
    for (one, other) in flows {
        counts[usize::from(RULE.owner(one, other))] += 1;
    }
    let share = counts.iter().sum::<u32>() / 4;
    let even = counts.iter().all(|count| count.abs_diff(share) * 20 < share);
    assert!(even, "{counts:?}");
}

#[test]
fn flows_that_differ_little_are_spread_evenly() {
    let server = end(Ipv4Addr::new(10, 77, 0, 2), 80);
    let one_client = (0..40_000).map(|n| (end(Ipv4Addr::new(10, 77, 0, 1), 1024 + n), server));
    assert_even(one_client);
    let many_clients = (0..40_000u32).map(|n| (end(Ipv4Addr::from(0x0A00_0000 + n), 1024), server));
    assert_even(many_clients);
    let six = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
    let near = |n: u16| Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100 + n);
    assert_even((0..40_000).map(|n| (end(near(1), 1024 + n), end(six, 80))));
    assert_even((0..40_000).map(|n| (end(near(n), 1024), end(six, 80))));
    let far = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 1);
    assert_even((0..40_000).map(|n| (end(far(n), 1024), end(six, 80))));
}

#[test]
fn another_key_is_another_rule() {
    let other = SteerRule::new([1, 2], 4);
    let server = end(Ipv4Addr::new(10, 77, 0, 2), 80);
    let differ = (0..4000)
        .map(|n| end(Ipv4Addr::new(10, 77, 0, 1), 1024 + n))
        .filter(|client| RULE.owner(*client, server) != other.owner(*client, server))
        .count();
    // Of four shards three are others.
    assert!((2800..3200).contains(&differ), "{differ}");
}

#[test]
fn the_key_is_not_printed() {
    assert_eq!(std::format!("{RULE:?}"), "SteerRule { shards: 4, .. }");
}

use super::*;

const NOW: Instant = Instant::from_millis(1_000_000);

fn flow(host: u32) -> FlowKey {
    let mut remote = RemoteAddr([0xfd; 16]);
    remote.0[12..].copy_from_slice(&host.to_be_bytes());
    FlowKey { remote, local: LocalIndex(0), remote_port: 80, local_port: 40_000 }
}
fn cache(capacity: u32) -> HostCache {
    HostCache::new(Secrets::from_seed([3; 32]).expect("no zeros"), capacity)
}
fn facts(millis: u64) -> HostFacts {
    HostFacts {
        path: None,
        rtt: Some((Span::from_millis(millis), Span::from_millis(millis / 2))),
        threshold_octets: Some(100_000),
        reorders: false,
    }
}

// proves 9040-1, P-8
#[test]
fn facts_are_found_for_ten_minutes_by_connections_of_the_same_pair_of_hosts() {
    let mut cache = cache(100);
    let path = Some(LearnedPath { segment_octets: 1260, until: NOW + Span::from_secs(9000) });
    let found = HostFacts { path, ..facts(20) };
    cache.learn(NOW, &flow(1), &found);
    let until = NOW + Span::from_secs(600);
    let path = Some(LearnedPath { segment_octets: 1260, until });
    let other_port = FlowKey { local_port: 1, remote_port: 2, ..flow(1) };
    assert_eq!(cache.find(NOW, &other_port), Some(HostFacts { path, ..found }));
    assert_eq!(cache.find(NOW, &flow(2)), None);
    let tenant = FlowKey { local: LocalIndex(1), ..flow(1) };
    assert_eq!(cache.find(NOW, &tenant), None, "another address of ours");
    let almost = NOW + Span::from_micros(599_999_999);
    assert!(cache.find(almost, &flow(1)).is_some());
    assert_eq!(cache.find(until, &flow(1)), None, "out of date");
}

// proves 9040-2
#[test]
fn a_million_hosts_leave_no_more_than_the_bound() {
    let mut cache = cache(1000);
    for host in 0..1_000_000 {
        cache.learn(NOW, &flow(host), &facts(20));
    }
    assert_eq!(cache.len(), 1000);
    assert_eq!(cache.sets.iter().map(Vec::len).sum::<usize>(), 1000);
    assert!(cache.sets.iter().all(|set| set.capacity() <= 8));
}

// proves 9040-2, AT-44: a flood does not drive out what is useful
#[test]
fn what_two_connections_found_survives_a_flood_until_it_is_old() {
    let mut cache = cache(64);
    for _ in 0..2 {
        cache.learn(NOW, &flow(7), &facts(20));
    }
    for host in 1000..50_000 {
        cache.learn(NOW, &flow(host), &facts(1));
    }
    assert_eq!(cache.find(NOW, &flow(7)).and_then(|facts| facts.rtt), facts(20).rtt);
    let later = NOW + Span::from_secs(601);
    for host in 1000..5_000 {
        cache.learn(later, &flow(host), &facts(1));
        cache.learn(later, &flow(host), &facts(1));
    }
    assert!(!cache.sets.iter().flatten().any(|entry| entry.host.remote == flow(7).remote));
    assert_eq!(cache.len(), 64, "all are confirmed now");
    cache.learn(later, &flow(9_999_999), &facts(1));
    assert_eq!(cache.find(later, &flow(9_999_999)), None, "a newcomer finds no place");
}

#[test]
fn a_later_connection_moves_the_estimates_half_way() {
    let mut cache = cache(8);
    cache.learn(NOW, &flow(1), &HostFacts { threshold_octets: Some(50_000), ..facts(20) });
    cache.learn(NOW, &flow(1), &HostFacts { reorders: true, ..facts(60) });
    let found = cache.find(NOW, &flow(1)).expect("learned");
    assert_eq!(found.rtt, Some((Span::from_millis(40), Span::from_millis(20))));
    assert_eq!((found.threshold_octets, found.reorders), (Some(75_000), true));
    // What is out of date counts for nothing.
    let later = NOW + Span::from_secs(600);
    cache.learn(later, &flow(1), &facts(60));
    assert_eq!(cache.find(later, &flow(1)), Some(facts(60)));
}

#[test]
fn a_tiny_threshold_is_not_handed_on_and_no_capacity_is_no_cache() {
    let mut small = cache(8);
    small.learn(NOW, &flow(1), &HostFacts { threshold_octets: Some(2000), ..facts(20) });
    assert_eq!(small.find(NOW, &flow(1)).and_then(|facts| facts.threshold_octets), None);
    let mut off = cache(0);
    off.learn(NOW, &flow(1), &facts(20));
    assert_eq!((off.find(NOW, &flow(1)), off.len(), off.sets.len()), (None, 0, 0));
    assert_eq!(cache(8).find(NOW, &flow(1)), None, "empty");
}

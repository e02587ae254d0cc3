//! What is remembered, of whom, and for how long.

use super::*;
use usertcp_base::Span;

fn flow(remote: u8, port: u16) -> FlowKey {
    let remote = RemoteAddr([remote; 16]);
    FlowKey { remote, local: LocalIndex(0), remote_port: port, local_port: 4000 }
}

fn cookie(octet: u8) -> Cookie {
    Cookie::new(&[octet; 8]).expect("a cookie")
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Span::from_secs(secs)
}

// proves 7413-5
#[test]
fn a_cookie_belongs_to_a_pair_of_addresses_and_not_to_a_port() {
    let (mut cache, limits) = (CookieCache::default(), Limits::default());
    assert_eq!(cache.advise(at(0), &flow(1, 80), &limits), Advice::Ask);
    cache.learn(at(0), &flow(1, 80), cookie(1), 1460, &limits);
    let known = Advice::Cookie(cookie(1), 1460);
    assert_eq!(cache.advise(at(1), &flow(1, 80), &limits), known);
    assert_eq!(cache.advise(at(1), &flow(1, 443), &limits), known);
    assert_eq!(cache.advise(at(1), &flow(2, 80), &limits), Advice::Ask);
    let other_local = FlowKey { local: LocalIndex(1), ..flow(1, 80) };
    assert_eq!(cache.advise(at(1), &other_local, &limits), Advice::Ask);
    cache.on_success(&flow(1, 80), 1400);
    assert_eq!(cache.advise(at(1), &flow(1, 80), &limits), Advice::Cookie(cookie(1), 1400));
    cache.learn(at(2), &flow(1, 80), cookie(2), 1300, &limits);
    assert_eq!(cache.advise(at(2), &flow(1, 80), &limits), Advice::Cookie(cookie(2), 1300));
}

// proves 7413-5
#[test]
fn a_cookie_ages() {
    let (mut cache, limits) = (CookieCache::default(), Limits::default());
    cache.learn(at(0), &flow(1, 80), cookie(1), 1460, &limits);
    let day = 24 * 3600;
    assert!(matches!(cache.advise(at(day - 1), &flow(1, 80), &limits), Advice::Cookie(..)));
    assert_eq!(cache.advise(at(day), &flow(1, 80), &limits), Advice::Ask);
    assert_eq!(cache.len(), (0, 0));
}

// proves 7413-5
#[test]
fn failures_pause_one_service_for_longer_and_longer() {
    let (mut cache, limits) = (CookieCache::default(), Limits::default());
    cache.learn(at(0), &flow(1, 80), cookie(1), 1460, &limits);
    let mut now = at(0);
    let mut pauses = alloc::vec![];
    for _ in 0..10 {
        cache.on_failure(now, &flow(1, 80), &limits);
        assert_eq!(cache.advise(now, &flow(1, 80), &limits), Advice::Pause);
        assert!(matches!(cache.advise(now, &flow(1, 443), &limits), Advice::Cookie(..)));
        let mut until = now;
        while cache.advise(until, &flow(1, 80), &limits) == Advice::Pause {
            until = until + Span::from_secs(1);
        }
        pauses.push(until.since(now).as_millis() / 1000);
        now = until;
        if pauses.len() == 3 {
            cache.on_success(&flow(1, 80), 1460);
        }
    }
    assert_eq!(pauses, [60, 120, 240, 60, 120, 240, 480, 960, 1920, 3840]);
}

// proves 7413-5
#[test]
fn both_tables_are_bounded_and_the_oldest_makes_room() {
    let limits = Limits { fast_open_peers: 3, ..Limits::default() };
    let mut cache = CookieCache::default();
    for remote in 1..=3 {
        cache.learn(at(u64::from(remote)), &flow(remote, 80), cookie(remote), 1460, &limits);
        cache.on_failure(at(u64::from(remote)), &flow(remote, 81), &limits);
    }
    // The first one is used, the second one is not.
    assert!(matches!(cache.advise(at(9), &flow(1, 80), &limits), Advice::Cookie(..)));
    cache.learn(at(10), &flow(4, 80), cookie(4), 1460, &limits);
    cache.on_failure(at(10), &flow(4, 81), &limits);
    assert_eq!(cache.len(), (3, 3));
    assert_eq!(cache.advise(at(11), &flow(2, 80), &limits), Advice::Ask);
    assert!(matches!(cache.advise(at(11), &flow(1, 80), &limits), Advice::Cookie(..)));
    assert!(matches!(cache.advise(at(11), &flow(1, 81), &limits), Advice::Cookie(..)));
    assert_eq!(cache.advise(at(11), &flow(4, 81), &limits), Advice::Pause);
    let none = Limits { fast_open_peers: 0, ..Limits::default() };
    let mut cache = CookieCache::default();
    cache.learn(at(0), &flow(1, 80), cookie(1), 1460, &none);
    assert_eq!(cache.len(), (0, 0));
}

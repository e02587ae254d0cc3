//! Rates that streams share: groups, listeners, the shard.

use super::lab::{Lab, judge};
use usertcp_base::{Limiter, Rate, RateGroupId, Span};
use usertcp_stack::{Listen, Profile, RateError};

const MBIT: u64 = 1_000_000;

fn mbit(rate: u64) -> Rate {
    Rate::from_bits_per_second(rate * MBIT)
}

fn within(found: u64, asked: u64, per_mille: u64) -> bool {
    found.abs_diff(asked) * 1000 <= asked * per_mille
}

/// What each stream sent while `span` passed.
fn measure(lab: &mut Lab, span: Span) -> Vec<u64> {
    let from = lab.now();
    lab.near.queue.left.clear();
    lab.run(span);
    (0..lab.streams.len()).map(|at| lab.sent_since(at, from)).collect()
}

fn limiter(lab: &Lab, at: usize) -> Limiter {
    let info = lab.near.shard.info(lab.now(), lab.streams[at].conn).unwrap();
    info.figures.unwrap().limiter
}

/// Every packet with data, in the order in which it left.
fn together(lab: &Lab) -> Vec<super::lab::Left> {
    let mut all: Vec<_> = lab.near.queue.left.values().flatten().copied().collect();
    all.sort_by_key(|left| left.at);
    all
}

#[test]
fn a_group_shares_its_rate_by_weight() {
    let mut lab = Lab::new(10, Span::ZERO);
    lab.open(10);
    let begin = lab.now();
    let group = lab.near.shard.create_rate_group(begin, mbit(20)).unwrap();
    for at in 0..10 {
        let conn = lab.streams[at].conn;
        lab.near.shard.join_rate_group(begin, conn, group, at as u16 + 1).unwrap();
        lab.want(at, 1 << 40);
    }
    lab.run(Span::from_millis(500));
    let sent = measure(&mut lab, Span::from_secs(6));
    let total: u64 = sent.iter().sum();
    assert!(within(total, 20 * MBIT / 8 * 6, 10), "{total}");
    for (at, sent) in sent.iter().enumerate() {
        let asked = total * (at as u64 + 1) / 55;
        assert!(within(*sent, asked, 30), "weight {}: {sent} of {asked}", at + 1);
        assert_eq!(limiter(&lab, at), Limiter::GroupRate);
    }
    // The group as a whole, in every window of 500 packets.
    let found = judge(&together(&lab)[..1500], mbit(20).octets_per_second());
    assert!(found.off <= 1000, "{found:?}");
    let info = lab.near.shard.rate_group_info(group).unwrap();
    assert_eq!((info.rate, info.waiting_weight), (mbit(20), 55));
    assert_eq!(info.octets, lab.near.queue.octets, "every octet is counted once");
    assert_eq!(lab.near.shard.counters().segments_retransmitted, 0);
    assert_eq!(lab.near.shard.counters().dropped_total(), 0);
}

#[test]
fn a_group_of_thousands() {
    const STREAMS: usize = 2000;
    let mut lab = Lab::new(STREAMS as u32, Span::ZERO);
    lab.open(STREAMS);
    let begin = lab.now();
    let group = lab.near.shard.create_rate_group(begin, mbit(400)).unwrap();
    for at in 0..STREAMS {
        let conn = lab.streams[at].conn;
        lab.near.shard.join_rate_group(begin, conn, group, 1 + (at % 2) as u16).unwrap();
        lab.want(at, 1 << 40);
    }
    lab.run(Span::from_millis(400));
    let sent = measure(&mut lab, Span::from_secs(4));
    let total: u64 = sent.iter().sum();
    assert!(within(total, 400 * MBIT / 8 * 4, 10), "{total}");
    for (at, sent) in sent.iter().enumerate() {
        let asked = total * (1 + at as u64 % 2) / (STREAMS as u64 * 3 / 2);
        // Some 44 packets of weight 1: two of them are what a moment more or less makes.
        assert!(sent.abs_diff(asked) <= 3 * asked / 100 + 3000, "{at}: {sent} of {asked}");
    }
}

#[test]
fn what_a_member_leaves_the_others_get() {
    let mut lab = Lab::new(4, Span::ZERO);
    lab.open(4);
    let begin = lab.now();
    let group = lab.near.shard.create_rate_group(begin, mbit(16)).unwrap();
    for at in 0..4 {
        let conn = lab.streams[at].conn;
        lab.near.shard.join_rate_group(begin, conn, group, 1).unwrap();
        lab.want(at, 1 << 40);
    }
    // Its own limit is the lower one.
    lab.near.shard.set_rate(begin, lab.streams[3].conn, mbit(1)).unwrap();
    lab.run(Span::from_millis(100));
    let sent = measure(&mut lab, Span::from_secs(2));
    assert!(within(sent.iter().sum(), 4_000_000, 10), "{sent:?}");
    assert!(within(sent[3], 250_000, 20), "{sent:?}");
    assert!(sent[..3].iter().all(|one| within(*one, 1_250_000, 30)), "{sent:?}");
    // Most of the time: when its own limit lets it go, it waits for its turn in the group.
    let own = (0..24).filter(|_| {
        lab.run(Span::from_millis(1));
        limiter(&lab, 3) == Limiter::Rate
    });
    assert!(own.count() > 12);
    // It stops; it ends; it comes back.
    lab.near.shard.set_rate(lab.now(), lab.streams[3].conn, Rate::UNLIMITED).unwrap();
    lab.streams[3].wants = 0;
    lab.run(Span::from_millis(200));
    let conn = lab.streams[2].conn;
    lab.near.shard.abort(lab.now(), conn);
    let sent = measure(&mut lab, Span::from_secs(1));
    assert!(within(sent.iter().sum(), 2_000_000, 10), "{sent:?}");
    assert!(within(sent[0], 1_000_000, 30) && sent[3] == 0, "{sent:?}");
    assert_eq!(lab.near.shard.rate_group_info(group).unwrap().waiting_weight, 2);
    lab.want(3, 1 << 40);
    let sent = measure(&mut lab, Span::from_secs(1));
    for at in [0, 1, 3] {
        assert!(within(sent[at], 666_666, 30), "{sent:?}");
    }
}

#[test]
fn a_change_of_a_groups_rate_holds_at_once() {
    let mut lab = Lab::new(8, Span::ZERO);
    lab.open(8);
    let begin = lab.now();
    let group = lab.near.shard.create_rate_group(begin, mbit(1)).unwrap();
    for at in 0..8 {
        let conn = lab.streams[at].conn;
        lab.near.shard.join_rate_group(begin, conn, group, 1).unwrap();
        lab.want(at, 1 << 40);
    }
    lab.run(Span::from_secs(1));
    for (rate, millis) in [(100, 100), (2, 2000), (50, 100), (1, 4000)] {
        lab.near.shard.set_rate_group(lab.now(), group, mbit(rate)).unwrap();
        let total: u64 = measure(&mut lab, Span::from_millis(millis)).iter().sum();
        let asked = rate * MBIT / 8 * millis / 1000;
        assert!(total.abs_diff(asked) <= asked / 100 + 6000, "{rate} Mbit/s: {total} of {asked}");
    }
    lab.streams.iter_mut().for_each(|stream| stream.wants = 200_000);
    lab.near.shard.remove_rate_group(group).unwrap();
    let sent = measure(&mut lab, Span::from_millis(1));
    assert!(sent.iter().all(|one| *one > 100_000), "{sent:?}");
    let conn = lab.streams[0].conn;
    assert!(lab.near.shard.join_rate_group(lab.now(), conn, group, 1).is_err(), "it is gone");
    assert_eq!(lab.near.shard.remove_rate_group(group), Err(RateError::Stale));
    lab.near.shard.join_rate_group(lab.now(), conn, RateGroupId::NONE, 1).unwrap();
}

#[test]
fn the_lowest_of_all_limits_and_says_so() {
    let mut lab = Lab::new(4, Span::ZERO);
    lab.open(4);
    let begin = lab.now();
    let group = lab.near.shard.create_rate_group(begin, mbit(40)).unwrap();
    for at in 0..4 {
        let conn = lab.streams[at].conn;
        lab.near.shard.join_rate_group(begin, conn, group, 1).unwrap();
        lab.want(at, 1 << 40);
    }
    // Of each stream: its own limit, the group's quarter, the shard's quarter.
    let steps = [
        (mbit(5), mbit(40), Rate::UNLIMITED, Limiter::Rate, 5),
        (mbit(20), mbit(40), Rate::UNLIMITED, Limiter::GroupRate, 10),
        (mbit(20), mbit(40), mbit(12), Limiter::ShardRate, 3),
        (mbit(1), mbit(40), mbit(12), Limiter::Rate, 1),
        (Rate::UNLIMITED, mbit(8), mbit(12), Limiter::GroupRate, 2),
    ];
    for (own, shared, shard, whose, rate) in steps {
        for stream in &lab.streams {
            lab.near.shard.set_rate(lab.clock.get(), stream.conn, own).unwrap();
        }
        lab.near.shard.set_rate_group(lab.now(), group, shared).unwrap();
        lab.near.shard.set_shard_rate(lab.now(), shard);
        lab.run(Span::from_millis(50));
        let before: Vec<Span> = (0..4).map(|at| time_of(&lab, at, whose)).collect();
        let sent = measure(&mut lab, Span::from_secs(1));
        for at in 0..4 {
            // Two packets leave at once: that many are what a moment more or less makes.
            let asked = rate * MBIT / 8;
            assert!(sent[at].abs_diff(asked) <= asked / 100 + 3000, "{whose:?}: {sent:?}");
            let held = time_of(&lab, at, whose).as_millis() - before[at].as_millis();
            assert!(held >= 800, "{whose:?} held stream {at} for {held} ms of 1000");
        }
    }
}

fn time_of(lab: &Lab, at: usize, whose: Limiter) -> Span {
    let info = lab.near.shard.info(lab.now(), lab.streams[at].conn).unwrap();
    info.figures.unwrap().limited[whose as usize]
}

// The far side sends: what its listener accepted shares the listener's rate.
#[test]
fn a_listeners_rate_is_shared_by_what_it_accepts() {
    listeners_rate(true);
}

#[test]
fn a_listeners_first_rate_counts_for_what_it_accepted_before() {
    listeners_rate(false);
}

fn listeners_rate(before: bool) {
    let mut lab = Lab::new(5, Span::ZERO);
    if before {
        lab.far.shard.set_listener_rate(lab.now(), lab.listener, mbit(9)).unwrap();
    }
    lab.open(3);
    if !before {
        let info = lab.far.shard.listener_rate_info(lab.listener);
        assert_eq!(info, Err(RateError::Stale), "it has none yet");
        // Long enough to rest, and to be parked: the rate finds them there.
        lab.run(Span::from_secs(3));
        lab.far.shard.set_listener_rate(lab.now(), lab.listener, mbit(9)).unwrap();
    }
    let earlier = lab.far.queue.octets;
    let peers: Vec<_> = lab.streams.iter().map(|stream| stream.peer).collect();
    let run = |lab: &mut Lab| {
        let before = lab.far.queue.octets;
        // The far application writes what there is room for, every millisecond.
        for _ in 0..1000 {
            for peer in &peers {
                let _ = lab.far.shard.write(lab.now(), *peer, &[1; 4096]).unwrap();
            }
            lab.run(Span::from_millis(1));
        }
        lab.far.queue.octets - before
    };
    run(&mut lab);
    let sent = run(&mut lab);
    assert!(within(sent, 9 * MBIT / 8, 10), "{sent}");
    for peer in &peers {
        let figures = lab.far.shard.info(lab.now(), *peer).unwrap().figures.unwrap();
        assert_eq!(figures.limiter, Limiter::ListenerRate);
    }
    lab.far.shard.set_listener_rate(lab.now(), lab.listener, mbit(3)).unwrap();
    let sent = run(&mut lab);
    assert!(within(sent, 3 * MBIT / 8, 10), "{sent}");
    let info = lab.far.shard.listener_rate_info(lab.listener).unwrap();
    assert_eq!((info.rate, info.octets), (mbit(3), lab.far.queue.octets - earlier));
}

#[test]
fn names_of_listeners_are_few_and_used_again() {
    let mut lab = Lab::new(1, Span::ZERO);
    let now = lab.now();
    let listen = |lab: &mut Lab, port| {
        let profile = Profile::default();
        let listen = Listen { local: None, port: Some(port), backlog: 1, profile };
        lab.far.shard.listen(&listen).unwrap()
    };
    // However many there are, each may have a rate, and no other has it.
    let all: Vec<_> = (0..100).map(|port| listen(&mut lab, 20_000 + port)).collect();
    for (listener, number) in all.iter().zip(1..) {
        lab.far.shard.set_listener_rate(now, *listener, mbit(number)).unwrap();
    }
    for (listener, number) in all.iter().zip(1..) {
        assert_eq!(lab.far.shard.listener_rate_info(*listener).unwrap().rate, mbit(number));
    }
    // Those that go without a rate leave their names to others.
    for _ in 0..1000 {
        let listener = listen(&mut lab, 30_000);
        assert_eq!(lab.far.shard.listener_rate_info(listener), Err(RateError::Stale));
        lab.far.shard.close_listener(now, listener);
    }
}

#[test]
fn rates_of_closed_listeners_go_when_nobody_uses_them() {
    let mut lab = Lab::new(1, Span::ZERO);
    let now = lab.now();
    lab.far.shard.set_listener_rate(now, lab.listener, mbit(9)).unwrap();
    lab.open(1);
    let listener = lab.listener;
    lab.far.shard.close_listener(now, listener);
    let conn = lab.streams[0].peer;
    let name = lab.far.shard.settings(conn).unwrap().shares.listener;
    assert_eq!(lab.far.shard.rate_group_info(name).unwrap().rate, mbit(9), "it is in use");
    let come_and_go = |lab: &mut Lab| {
        for _ in 0..1000 {
            let profile = Profile::default();
            let listen = Listen { local: None, port: Some(30_000), backlog: 1, profile };
            let listener = lab.far.shard.listen(&listen).unwrap();
            lab.far.shard.set_listener_rate(now, listener, mbit(1)).unwrap();
            lab.far.shard.close_listener(now, listener);
        }
    };
    come_and_go(&mut lab);
    assert_eq!(lab.far.shard.rate_group_info(name).unwrap().rate, mbit(9), "it is in use still");
    lab.far.shard.abort(now, conn);
    let _ = lab.far.shard.close(now, conn);
    come_and_go(&mut lab);
    assert_eq!(lab.far.shard.rate_group_info(name), Err(RateError::Stale));
    let next = lab.far.shard.create_rate_group(now, mbit(1)).unwrap();
    assert!(next.slot < 10, "{next:?}");
}

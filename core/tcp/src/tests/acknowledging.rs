//! When and what we acknowledge: delay, pairs, bursts, SACK and duplicate reports.

use super::bench::*;
use crate::*;
use std::vec::Vec;
use usertcp_wire::tcp::Flags;

// proves MUST-40, SHLD-18
#[test]
fn one_small_segment_is_acknowledged_later_but_soon() {
    let mut bench = Start::default().go();
    bench.warm_up();
    for gap in [1, 10, 100, 1000, 100_000] {
        let _ = bench.pass(gap);
        let data = bench.peer().data(10);
        let began = bench.clock();
        let mut out = bench.send(data);
        out.extend(bench.pass(1000));
        assert_eq!(out.len(), 1);
        assert!(out[0].at - began <= 40, "{}", out[0].at - began);
        let _ = bench.read(100);
    }
    let mut slow = Start::default().with(|s| s.ack_delay = usertcp_base::Span::from_secs(9)).go();
    slow.warm_up();
    for _ in 0..20 {
        let data = slow.peer().data(10);
        let began = slow.clock();
        let mut out = slow.send(data);
        out.extend(slow.pass(2000));
        assert!(out[0].at - began < 500, "{}", out[0].at - began);
    }
}

// proves SHLD-19
#[test]
fn every_second_full_segment() {
    let mut bench = Start::default().go();
    bench.warm_up();
    let mut acks = 0;
    for _ in 0..100 {
        let data = bench.peer().data(1460);
        acks += bench.send(data).len();
        let _ = bench.read(5000);
        bench.now = bench.now + usertcp_base::Span::from_micros(200);
    }
    assert!((50..=55).contains(&acks), "{acks}");
    // 2 × RMSS of small ones.
    let mut octets = 0;
    loop {
        let data = bench.peer().data(300);
        octets += 300;
        if !bench.send(data).is_empty() {
            break;
        }
        bench.now = bench.now + usertcp_base::Span::from_micros(20);
    }
    assert!(octets <= 2920 + 300, "{octets}");
}

// proves MUST-58, MUST-59
#[test]
fn a_burst_in_hand_is_one_acknowledgement() {
    let mut bench = Start::sack().go();
    for index in (0..64).rev() {
        let data = bench.peer_at(index * 500).data(500);
        let _ = bench.give(data);
    }
    let out = bench.drain();
    assert_eq!((out.len(), out[0].bare()), (1, (0, 32_000)));
    assert!(out[0].sack.is_empty());
}

// proves 5681-7, MAY-13, 2018-3, 2018-4, E-10
#[test]
fn out_of_order_is_answered_at_once_with_blocks() {
    for timestamps in [false, true] {
        let mut bench = Start { timestamps, ..Start::sack() }.go();
        bench.warm_up();
        let at = bench.received();
        let block = |n: i64| (at + n * 100, at + n * 100 + 100);
        let mut last = Vec::new();
        for n in [3, 5, 7, 9] {
            let data = bench.peer_at(at + n * 100).data(100);
            last = bench.send(data);
            assert_eq!(last.len(), 1);
            assert_eq!(last[0].bare(), (0, at));
        }
        let mut expected = std::vec![block(9), block(7), block(5), block(3)];
        expected.truncate(if timestamps { 3 } else { 4 });
        assert_eq!(last[0].sack, expected);
        // Part of the gap is filled: at once as well, and what is still held is told (2018-3).
        let data = bench.peer_at(at).data(50);
        let out = bench.send(data);
        assert_eq!((out.len(), out[0].ack), (1, at + 50));
        assert_eq!(out[0].sack.len(), expected.len());
        assert_eq!(bench.read(5000), 50);
    }
    // Without the peer's permission never (2018-2).
    let mut bench = Start::default().go();
    let data = bench.peer_at(100).data(100);
    assert!(bench.send(data)[0].sack.is_empty());
}

// proves 2883-1, 2883-2, 5681-7
#[test]
fn duplicates_are_reported_once() {
    let mut bench = Start::sack().go();
    bench.warm_up();
    let at = bench.received();
    let data = bench.peer().data(500);
    let _ = bench.send(data);
    // Wholly old, through the window check.
    let old = bench.peer_at(at).data(100);
    let out = bench.send(old);
    assert_eq!((out.len(), &out[0].sack), (1, &std::vec![(at, at + 100)]));
    for _ in 0..2 {
        let next = bench.peer().data(1460);
        assert!(bench.send(next).iter().all(|out| out.sack.is_empty()), "once");
    }
    // Half old.
    let now = bench.received();
    let half = bench.peer_at(now - 50).data(100);
    let mut out = bench.send(half);
    out.extend(bench.pass(50));
    assert_eq!((out.len(), &out[0].sack), (1, &std::vec![(now - 50, now)]));
    // Inside what is held.
    let now = bench.received();
    let ahead = bench.peer_at(now + 1000).data(1000);
    let _ = bench.send(ahead);
    let inside = bench.peer_at(now + 1200).data(100);
    let out = bench.send(inside);
    assert_eq!(out[0].sack, [(now + 1200, now + 1300), (now + 1000, now + 2000)]);
    let _ = bench.read(50_000);
}

// proves 7323-19, 7323-10
#[test]
fn the_echo_is_that_of_the_earliest_unacknowledged() {
    let mut bench = Start::modern().go();
    bench.warm_up();
    let clock = bench.peer_clock();
    let first = bench.peer().data(10).stamps(clock + 10, 0);
    assert!(bench.send(first).is_empty());
    let second = bench.peer().data(10).stamps(clock + 12, 0);
    let mut out = bench.send(second);
    out.extend(bench.pass(100));
    assert_eq!(out.len(), 1);
    assert_eq!(
        out[0].stamps,
        Some((bench.our_clock() - 100 + (out[0].at as u32 % 100), clock + 10))
            .map(|(_, echo)| (out[0].stamps.unwrap().0, echo))
    );
    // Out of order does not count.
    let at = bench.received();
    let ahead = bench.peer_at(at + 100).data(10).stamps(clock + 500, 0);
    assert_eq!(bench.send(ahead)[0].stamps.unwrap().1, clock + 10);
    let fill = bench.peer_at(at).data(100).stamps(clock + 501, 0);
    assert_eq!(bench.send(fill)[0].stamps.unwrap().1, clock + 501);
}

// proves 7323-10: a peer whose acknowledgement was lost measures from its repetition, and not the timeout too
#[test]
fn the_echo_of_what_came_again_is_of_the_repetition() {
    let mut bench = Start::modern().go();
    bench.warm_up();
    let clock = bench.peer_clock();
    let at = bench.received();
    let mut echo_of = |seq, octets, stamp| {
        let segment = bench.peer_at(seq).data(octets).stamps(clock + stamp, 0);
        let mut out = bench.send(segment);
        out.extend(bench.pass(100));
        assert_eq!(out.len(), 1, "{seq}");
        out[0].stamps.unwrap().1 - clock
    };
    assert_eq!(echo_of(at, 10, 10), 10);
    assert_eq!(echo_of(at + 10, 10, 20), 20);
    // All that was acknowledged last, more than that, and less, which does not count: what the peer was told of was later.
    assert_eq!(echo_of(at + 10, 10, 330), 330);
    assert_eq!(echo_of(at, 20, 640), 640);
    assert_eq!(echo_of(at, 10, 650), 640);
    // A probe of a closed window or of an idle peer: an octet that was sent before, and none.
    assert_eq!(echo_of(at + 19, 1, 900), 900);
    assert_eq!(echo_of(at + 19, 0, 950), 900);
}

// proves MUST-58: what leaves anyway carries what is owed
#[test]
fn data_carries_the_acknowledgement() {
    let mut bench = Start::default().go();
    let data = bench.peer().data(10);
    let _ = bench.give(data);
    assert_eq!(bench.put(100), 100);
    let out = bench.drain();
    assert_eq!((spans(&out), out[0].ack), (std::vec![(0, 100)], 10));
    assert_eq!(out.len(), 1);
    assert!(bench.pass(100).len() <= 1, "no bare acknowledgement follows");
}

// proves E-10, AT-3: refused segments, by kind
#[test]
fn refused_text_is_answered_refused_emptiness_throttled() {
    let mut bench = Start::default().go();
    let edge = bench.edge();
    let mut empty = 0;
    for _ in 0..100 {
        let beyond = bench.peer_at(edge + 5000);
        empty += bench.send(beyond).len();
    }
    assert_eq!(empty, 1);
    for _ in 0..10 {
        let old = bench.peer_at(-500).data(100);
        assert_eq!(bench.send(old).len(), 1, "the peer may have lost our acknowledgement");
    }
    assert_eq!((bench.received(), bench.state()), (0, StateName::Established));
    let fin = bench.peer_at(edge + 7).and(Flags::FIN);
    assert_eq!(bench.send(fin).len(), 1);
}

//! Hostile peers and strangers, by number.

use super::bench::*;
use std::vec::Vec;
use usertcp_wire::tcp::Flags;

// proves AT-3, 5961-6
#[test]
fn challenges_are_few() {
    let mut bench = Start::default().go();
    let mut sent = Vec::new();
    for round in 0..20_000i64 {
        let flags = if round % 2 == 0 { Flags::RST } else { Flags::SYN };
        let blind = bench.peer_at(1 + round * 1000 % 60_000).flags(flags);
        sent.extend(bench.send(blind).iter().map(|out| out.at));
        sent.extend(bench.pass(1).iter().map(|out| out.at));
    }
    assert_eq!(bench.ended, None);
    assert!(!sent.is_empty());
    for (i, at) in sent.iter().enumerate() {
        let within = sent[i..].iter().filter(|other| **other < at + 5000).count();
        assert!(within <= 10, "{within} in five seconds");
    }
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 500 - 33), "{sent:?}");
}

// proves AT-35
#[test]
fn two_desynchronised_ends_do_not_fight() {
    let mut bench = Start::default().go();
    let mut acks = 0;
    for _ in 0..5000 {
        // Each of our answers provokes the same wrong acknowledgement at once.
        let wrong = bench.peer_at(100_000);
        acks += bench.send(wrong).len();
        let ahead = bench.peer_acks(50_000);
        acks += bench.send(ahead).len();
        acks += bench.pass(1).len();
    }
    assert!(acks <= 10, "{acks}");
}

// proves AT-12, 5681-8
#[test]
fn splitting_acknowledgements_gains_nothing() {
    let grown = |pieces: i64| {
        let mut bench = Start::cubic().go();
        let _ = bench.write(10_000);
        let _ = bench.pass(50);
        for piece in 1..=pieces {
            let ack = bench.peer_acks(10_000 * piece / pieces);
            let _ = bench.give(ack);
        }
        bench.info().congestion_window_octets
    };
    let (one, many) = (grown(1), grown(10_000));
    assert!(many <= one + 1000, "{many} {one}");
}

// proves AT-13
#[test]
fn forged_duplicates_release_no_more_than_was_in_flight() {
    for sack in [false, true] {
        let mut bench = Start { sack, ..Start::cubic() }.go();
        let _ = bench.put(100_000);
        let sent = bench.drain();
        let flight = sent.iter().map(Out::len).sum::<usize>();
        let mut extra = Vec::new();
        for _ in 0..10_000 {
            let duplicate = bench.peer_acks(0);
            extra.extend(bench.send(duplicate));
        }
        assert!(extra.len() <= flight / 1000, "{sack}: {} of {flight}", extra.len());
        if sack {
            assert!(extra.is_empty(), "duplicates that report nothing count nothing");
        }
    }
}

// proves AT-11: see `arrival`; here for a long series
#[test]
fn optimistic_acknowledgements_grow_nothing() {
    let mut bench = Start::cubic().go();
    let _ = bench.write(10_000);
    let window = bench.info().congestion_window_octets;
    for ahead in 1..5000 {
        let ack = bench.peer_acks(10_000 + ahead);
        let _ = bench.send(ack);
    }
    assert_eq!((bench.info().congestion_window_octets, bench.una()), (window, 0));
}

// proves 5961-8
#[test]
fn a_restarted_peer_is_found_out_in_one_round_trip() {
    let mut bench = Start::default().go();
    let _ = bench.write(500);
    let _ = bench.send(bench.peer());
    // It lost its state and opens anew: our challenge makes it reset at what we acknowledged.
    let syn = bench.peer_at(-70_000).flags(Flags::SYN);
    let challenge = bench.send(syn);
    let (_, ack) = challenge[0].bare();
    let reset = bench.peer_at(ack).flags(Flags::RST);
    let _ = bench.send(reset);
    assert!(bench.ended.is_some());
}

// proves AT-36
#[test]
fn wrong_numbers_are_answered_alike() {
    let answer = |seq: i64| {
        let mut bench = Start::default().go();
        let _ = bench.write(10);
        let probe = bench.peer_at(seq);
        bench.send(probe)
    };
    let expected = answer(-1);
    for seq in [-2, -1000, -1_000_000, 70_000, 1_000_000, 1 << 30] {
        assert_eq!(answer(seq), expected, "{seq}");
    }
}

//! Limits in time: R1, R2, keep-alive, the ends of waiting.

use super::bench::*;
use usertcp_base::Span;
use usertcp_base::observe::{CloseReason, Event};
use usertcp_wire::tcp::Flags;

// proves MUST-20, SHLD-9, SHLD-10, SHLD-11, E-29
#[test]
fn silence_is_told_at_r1_and_ends_at_r2() {
    let mut bench = Start::default().go();
    let _ = bench.write(500);
    let mut suspect = None;
    let mut resent = 0;
    while bench.ended.is_none() {
        let out = bench.pass(100);
        resent += out.iter().filter(|out| out.len() == 500).count();
        if suspect.is_none() && bench.log.0.contains(&Event::PathSuspect) {
            suspect = Some(resent);
        }
        assert!(bench.clock() < 2_000_000);
    }
    assert_eq!(suspect, Some(3), "R1");
    assert_eq!(bench.ended, Some(CloseReason::TimedOut));
    assert!(bench.clock() >= 100_000, "SHLD-11");
    assert!(bench.clock().abs_diff(924_000) < 1000);
}

// proves MUST-21
#[test]
fn r2_is_the_applications() {
    let mut bench = Start::default().with(|s| s.give_up = Some(Span::from_secs(10))).go();
    let _ = bench.pass(500_000);
    let began = bench.clock();
    let _ = bench.write(500);
    let _ = bench.pass(9_900);
    assert_eq!(bench.ended, None, "counted from when data began to be outstanding");
    let _ = bench.pass(200);
    assert_eq!((bench.ended, bench.clock() - began), (Some(CloseReason::TimedOut), 10_100));
    let mut bench = Start::default().with(|s| s.give_up = None).go();
    let _ = bench.write(500);
    let _ = bench.pass(3_600_000);
    let out = bench.pass(200_000);
    assert!(bench.ended.is_none() && !out.is_empty());
}

// proves MUST-20: what counts is progress
#[test]
fn slow_progress_is_progress() {
    let mut bench = Start::default().with(|s| s.give_up = Some(Span::from_secs(10))).go();
    let _ = bench.write(30_000);
    for ack in 1..20 {
        let _ = bench.pass(9_000);
        let ack = bench.peer_acks(ack * 1000);
        let _ = bench.send(ack);
    }
    assert_eq!(bench.ended, None);
}

// proves MUST-24, MUST-25
#[test]
fn keep_alive_is_off_by_default() {
    let mut bench = Start::default().go();
    assert!(bench.pass(24 * 3_600_000).is_empty());
    assert_eq!((bench.ended, bench.deadline()), (None, None));
}

// proves MUST-26, MUST-27, MUST-28, MUST-29, SHLD-12
#[test]
fn keep_alive_probes() {
    let exact = |s: &mut crate::Settings| {
        s.keep_alive.enabled = true;
        s.manner = crate::Manner::Linux;
    };
    let mut bench = Start::default().with(exact).go();
    assert!(bench.pass(7_199_000).is_empty());
    let out = bench.pass(1_500);
    assert_eq!((out.len(), out[0].bare(), out[0].at), (1, (-1, 0), 7_200_000));
    let mut bench = Start::default()
        .with(|s| {
            exact(s);
            s.keep_alive.idle = Span::from_secs(10);
            s.keep_alive.interval = Span::from_secs(5);
        })
        .go();
    // A bare acknowledgement starts the interval anew.
    let _ = bench.pass(9_000);
    let _ = bench.send(bench.peer());
    assert!(bench.pass(9_900).is_empty());
    assert_eq!(bench.pass(200).len(), 1);
    // The third is answered.
    assert_eq!(bench.pass(10_000).len(), 2);
    let _ = bench.send(bench.peer());
    assert!(bench.pass(9_900).is_empty());
    let out = bench.pass(100_000);
    assert_eq!(out.iter().filter(|out| !out.has(Flags::RST)).count(), 9);
    assert_eq!(bench.ended, Some(CloseReason::KeepAlive));
}

// proves MUST-26: with data outstanding the retransmission timer rules
#[test]
fn no_keep_alive_while_anything_is_outstanding() {
    let mut bench = Start::default()
        .with(|s| {
            s.keep_alive.enabled = true;
            s.keep_alive.idle = Span::from_secs(3);
            s.keep_alive.interval = Span::from_secs(3);
        })
        .go();
    let _ = bench.write(100);
    let out = bench.pass(60_000);
    assert!(out.iter().all(|out| out.len() == 100));
    assert_eq!(bench.ended, None);
    let _ = bench.send(bench.peer());
    assert_eq!(bench.pass(3_200).len(), 1);
}

// Switching it on counts from then.
#[test]
fn keep_alive_switched_on_late() {
    let mut bench = Start::default().go();
    let _ = bench.pass(10_000_000);
    let out = bench.set(|s| {
        s.keep_alive.enabled = true;
        s.keep_alive.idle = Span::from_secs(10);
    });
    assert!(out.is_empty());
    assert!(bench.pass(9_000).is_empty());
    assert_eq!(bench.pass(2_000).len(), 1);
}

// Both FINs are through: silence is what is expected.
#[test]
fn nothing_is_kept_alive_that_is_over() {
    let mut bench = Start::default()
        .with(|s| {
            s.keep_alive.enabled = true;
            s.keep_alive.idle = Span::from_secs(3);
        })
        .go();
    let _ = bench.shutdown();
    let last = bench.peer().data(100).and(Flags::FIN);
    let _ = bench.send(last);
    assert!(bench.pass(10_000_000).is_empty());
    assert_eq!(bench.ended, None);
    assert_eq!(bench.read(200), 100);
    assert_eq!(bench.ended, Some(CloseReason::Normal));
}

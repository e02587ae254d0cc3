//! Timestamps on the arriving side: PAWS, the missing option, expiry.

use super::bench::*;
use usertcp_base::DropReason;
use usertcp_base::observe::CloseReason;
use usertcp_wire::tcp::Flags;

// proves 7323-12, 7323-17, AT-41
#[test]
fn an_older_timestamp_is_acknowledged_and_dropped() {
    let mut bench = Start::modern().go();
    let recent = bench.peer_clock();
    let data = bench.peer().data(10).stamps(recent, 0);
    let _ = bench.send(data);
    let _ = bench.pass(1000);
    for age in [1, 2, 1000, 1 << 30] {
        let before = bench.received();
        let old = bench.peer().data(10).window(5).stamps(recent.wrapping_sub(age), 0);
        let out = bench.send(old);
        assert_eq!(out.len(), 1, "{age}");
        assert_eq!(out[0].bare().1, before);
        assert_eq!((bench.received(), bench.info().peer_window_octets), (before, 60_000));
        let _ = bench.pass(1000);
    }
    // Across the wrap: the peer's clock began just below it.
    let _ = bench.pass(1000);
    assert!(bench.peer_clock() < 1 << 20, "wrapped");
    let data = bench.peer().data(10);
    let _ = bench.send(data);
    assert_eq!(bench.received(), 20);
}

// proves 7323-8
#[test]
fn a_missing_timestamp_drops_and_never_aborts() {
    let mut bench = Start::modern().go();
    for _ in 0..100 {
        let bare = bench.peer().data(10).unstamped().and(Flags::FIN);
        assert!(bench.send(bare).is_empty());
    }
    assert_eq!((bench.received(), bench.ended), (0, None));
    assert_eq!(bench.dropped(DropReason::TimestampMissing), 100);
}

// proves 7323-13
#[test]
fn a_reset_needs_no_timestamp() {
    for stamps in [Some((5, 5)), None] {
        let mut bench = Start::modern().go();
        let reset = Peer { stamps: Some(stamps), ..bench.peer().flags(Flags::RST) };
        let _ = bench.send(reset);
        assert_eq!(bench.ended, Some(CloseReason::Reset));
    }
}

// proves 7323-14
#[test]
fn after_24_days_any_value_is_new() {
    let mut bench = Start::modern().go();
    let data = bench.peer().data(10).stamps(1 << 30, 0);
    let _ = bench.send(data);
    let _ = bench.pass(23 * 24 * 3_600_000);
    let old = bench.peer().data(10).stamps((1 << 30) - 5, 0);
    let _ = bench.send(old);
    assert_eq!(bench.received(), 10);
    let _ = bench.pass(2 * 24 * 3_600_000);
    let old = bench.peer().data(10).stamps((1 << 30) - 5, 0);
    let _ = bench.send(old);
    assert_eq!(bench.received(), 20);
    let older = bench.peer().data(10).stamps((1 << 30) - 6, 0);
    let _ = bench.send(older);
    assert_eq!(bench.received(), 20, "then it is tracked again");
}

// proves 7323-18
#[test]
fn a_timestamp_nobody_agreed_on_is_ignored() {
    let mut bench = Start::sack().go();
    let data = bench.peer().data(10).stamps(77, 88);
    let out = bench.send(data);
    assert_eq!(bench.received(), 10);
    assert!(out.iter().all(|out| out.stamps.is_none()));
}

// proves 7323-11
#[test]
fn an_echo_counts_only_with_progress() {
    let mut bench = Start::modern().go();
    let _ = bench.write(1000);
    let echo = bench.our_clock();
    let _ = bench.pass(50);
    let clock = bench.peer_clock();
    let ack = bench.peer().stamps(clock, echo);
    let _ = bench.send(ack);
    let srtt = bench.info().srtt;
    let _ = bench.pass(60_000);
    for _ in 0..10 {
        let clock = bench.peer_clock();
        let duplicate = bench.peer().stamps(clock, echo);
        let _ = bench.send(duplicate);
        let data = bench.peer().data(10).stamps(clock, echo);
        let _ = bench.send(data);
    }
    assert_eq!(bench.info().srtt, srtt);
}

// proves 7323-6, 7323-15
#[test]
fn every_segment_has_one_and_the_clock_ticks_in_milliseconds() {
    let mut bench = Start::modern().go();
    let first = bench.write(10)[0].stamps.unwrap().0;
    let _ = bench.pass(10_000);
    let _ = bench.send(bench.peer());
    let second = bench.write(10)[0].stamps.unwrap().0;
    assert!(second.wrapping_sub(first).abs_diff(10_000) <= 1);
    let probe = bench.peer_at(-5);
    assert!(bench.send(probe)[0].stamps.is_some());
    let fin = bench.shutdown();
    assert!(fin.iter().all(|out| out.stamps.is_some()));
}

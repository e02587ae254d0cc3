//! Retransmission as the wire shows it: the timer, back-off, idle restart, spurious signs.

use super::bench::*;
use std::vec::Vec;
use usertcp_base::observe::Event;

// proves 6298-8, 6298-9, MUST-19
#[test]
fn the_gaps_double_and_each_ack_of_new_data_restarts() {
    let mut bench = Start { sack: false, ..Start::cubic() }.go();
    let _ = bench.write(3000);
    let rto = bench.info().rto.as_millis();
    let _ = bench.pass(rto - 50);
    let ack = bench.peer_acks(1000);
    assert!(bench.send(ack).is_empty());
    let rto = bench.info().rto.as_millis();
    let from = bench.clock();
    let out = bench.pass(rto * 40);
    assert!(out.iter().all(|out| out.seq == 1000), "the earliest, and nothing else");
    let times: Vec<u64> = out.iter().map(|out| out.at - from).collect();
    assert!(times[0].abs_diff(rto) <= 1, "restarted: {times:?} {rto}");
    for (i, pair) in times.windows(2).enumerate() {
        let gap = rto << (i + 1);
        assert!((pair[1] - pair[0]).abs_diff(gap) <= gap / 20, "{times:?}");
    }
    assert!(times.len() >= 5);
    let _ = bench.send(bench.peer());
    let timer = bench.tcb.recovery.deadline();
    assert_eq!(timer, None, "6298-8: stops when all is acknowledged");
}

// proves 6298-10
#[test]
fn after_a_lost_syn_the_first_timeout_is_three_seconds() {
    let start = Start { active: true, lost: true, rtt: 1100, sack: false, ..Start::cubic() };
    let mut bench = start.go();
    assert_eq!(spans(&bench.write(3000)), [(0, 1000)], "6928-2: one segment to begin with");
    let out = bench.pass(10_000);
    let first = out.iter().find(|out| out.len() > 0).unwrap();
    assert_eq!((first.seq, first.at), (0, 3000));
    let _ = bench.send(bench.peer());
    let _ = bench.drain();
    let _ = bench.pass(50);
    let _ = bench.send(bench.peer());
    assert!(bench.info().rto.as_millis() < 1000, "until a valid sample");
}

// proves 6298-11, 6298-12, 7323-11 (no timestamps: Karn)
#[test]
fn back_off_ends_with_a_sample_only() {
    let mut bench = Start::default().go();
    let _ = bench.write(1000);
    let base = bench.info().rto;
    let _ = bench.pass(base.as_millis() * 16);
    let backed = bench.info().rto;
    assert!(backed > base);
    let _ = bench.send(bench.peer());
    assert_eq!(bench.info().rto, backed, "an acknowledgement of a retransmission alone");
    let _ = bench.write(1000);
    let _ = bench.pass(50);
    let _ = bench.send(bench.peer());
    assert!(bench.info().rto.as_millis() <= 300, "{:?}", bench.info().rto);
    assert_eq!(bench.info().srtt.as_millis(), 50, "it counts as the first");
}

// proves 5681-6
#[test]
fn after_an_idle_time_the_window_starts_over() {
    let mut bench = Start::cubic().go();
    for _ in 0..8 {
        let window = bench.info().congestion_window_octets as usize;
        let _ = bench.put((2 * window).min(50_000));
        let _ = bench.drain();
        let _ = bench.pass(90);
        let _ = bench.send(bench.peer());
    }
    while bench.una() < bench.written {
        let _ = bench.pass(50);
        let _ = bench.send(bench.peer());
    }
    while bench.info().send_queue_octets > 0 {
        let _ = bench.pass(10);
        let _ = bench.send(bench.peer());
    }
    assert!(bench.info().congestion_window_octets > 20_000);
    let _ = bench.pass(10_000);
    let put = bench.put(60_000);
    assert!(put > 20_000);
    let mut out = bench.drain();
    out.extend(bench.pass(5));
    let burst: usize = out.iter().map(Out::len).sum();
    assert!(burst <= 10 * 1000, "{burst}");
}

// proves 8961-4, MUST-18
#[test]
fn a_timeout_is_congestion() {
    let mut bench = Start::cubic().with(|s| s.mtu_probing = crate::MtuProbing::Off).go();
    let _ = bench.write(10_000);
    let mut out = bench.pass(3000);
    out.retain(|out| out.len() > 0);
    assert!(bench.log.0.iter().any(|event| matches!(event, Event::Timeout(_))));
    assert_eq!(bench.info().congestion_window_octets, 1000);
}

// proves SHLD-28: a retransmission is not cut into crumbs by what is left of the window
#[test]
fn retransmissions_leave_whole() {
    for sack in [false, true] {
        let start = Start { sack, fixed_window: Some(10_300), ..Start::default() };
        let mut bench = start.go();
        let _ = bench.write(10_000);
        let mut out = Vec::new();
        for round in 0..40 {
            let blocks =
                if sack { std::vec![(2000, 10_000 - (40 - round) * 100)] } else { std::vec![] };
            let duplicate = bench.peer_acks(0).sack(&blocks);
            out.extend(bench.send(duplicate));
            out.extend(bench.pass(40));
        }
        let spans = spans(&out);
        assert!(!spans.is_empty());
        assert!(spans.iter().all(|span| span.1 == 1000), "{sack} {spans:?}");
    }
}

// proves 2018-5, 2018-6, AT-14
#[test]
fn a_peer_that_takes_back_what_it_sacked() {
    let mut bench = Start::sack().go();
    let _ = bench.write(10_000);
    let sacks = bench.peer_acks(0).sack(&[(1000, 10_000)]);
    let mut out = bench.send(sacks);
    let mut seen = 0;
    let began = bench.clock();
    // It drops everything it SACKed, and acknowledges only what comes in order.
    while bench.una() < 10_000 && bench.clock() < began + 60_000 {
        for out in out.drain(..) {
            if out.seq <= seen && out.len() > 0 {
                seen = seen.max(out.seq + out.len() as i64);
            }
        }
        let ack = bench.peer_acks(seen);
        out.extend(bench.send(ack));
        out.extend(bench.pass(20));
    }
    assert_eq!(bench.una(), 10_000, "no deadlock");
    assert!(bench.info().timeouts <= 2, "{}", bench.info().timeouts);
}

// proves 5681-5, 3042-1: three duplicates, none of which changes the window or carries text
#[test]
fn the_third_duplicate_resends_and_the_first_two_release_new_data() {
    let mut bench = Start { sack: false, ..Start::cubic() }.go();
    let _ = bench.put(60_000);
    let sent = bench.drain().len();
    assert_eq!(sent, 10);
    // These are no duplicates.
    let text = bench.peer_acks(0).data(10);
    let _ = bench.send(text);
    for window in [50_000, 50_001, 50_002, 50_003] {
        let update = bench.peer_acks(0).window(window);
        assert!(spans(&bench.send(update)).iter().all(|span| span.0 >= 10_000), "{window}");
    }
    let duplicate = |bench: &Bench| bench.peer_acks(0).window(50_003);
    let _ = bench.pass(100);
    let mut out = Vec::new();
    for count in [1, 2] {
        let again = duplicate(&bench);
        out.extend(bench.send(again));
        out.extend(bench.pass(1));
        assert!(spans(&out).iter().all(|span| span.0 >= 10_000), "limited transmit only");
        // One each, and the window is left alone (RFC 5681 §3.2 step 1).
        assert_eq!(out.len(), count, "{:?}", spans(&out));
    }
    let third = duplicate(&bench);
    let mut out = bench.send(third);
    out.extend(bench.pass(50)); // the pacer has its say
    assert_eq!(spans(&out).first(), Some(&(0, 1000)));
}

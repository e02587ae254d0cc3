//! Windows: probing, shrinking, silly windows, on both sides.

use super::arrival::shut;
use super::bench::*;
use usertcp_base::Span;
use usertcp_base::observe::{CloseReason, Limiter};
use usertcp_wire::tcp::Flags;

/// The peer acknowledges everything and shuts its window; data waits.
fn stuck(start: Start) -> Bench {
    let mut bench = start.go();
    let _ = bench.write(1000);
    let shut = bench.peer().window(0);
    let _ = bench.send(shut);
    assert!(bench.write(3000).is_empty());
    assert_eq!(bench.limiter, Some(Limiter::PeerWindow));
    bench
}

fn probe_times(bench: &mut Bench, millis: u64) -> std::vec::Vec<u64> {
    let began = bench.clock();
    let probes = bench.pass(millis);
    assert!(probes.iter().all(|probe| probe.bare().0 < bench.una()), "{probes:?}");
    probes.iter().map(|probe| probe.at - began).collect()
}

// proves MUST-36, SHLD-29, SHLD-30
#[test]
fn probes_after_one_timeout_then_doubling_to_a_minute() {
    let mut bench = stuck(Start::default());
    let rto = bench.info().rto.as_millis();
    let times = probe_times(&mut bench, 400_000);
    assert!(times[0].abs_diff(rto) <= 1, "{times:?} {rto}");
    let mut gap = rto;
    for pair in times.windows(2) {
        gap = (gap * 2).min(60_000);
        assert!((pair[1] - pair[0]).abs_diff(gap) <= 2 + gap / 100, "{times:?} {gap}");
    }
    // The update had been lost: the answer to a probe brings it.
    let out = bench.send(bench.peer());
    assert_eq!(spans(&out), [(1000, 1000), (2000, 1000), (3000, 1000)]);
}

// proves MUST-37
#[test]
fn a_peer_that_answers_probes_is_kept_for_ever() {
    let mut bench = stuck(Start::default());
    let mut answered = 0;
    while bench.clock() < 24 * 3_600_000 {
        for _ in bench.pass(30_000) {
            let shut = bench.peer().window(0);
            let _ = bench.send(shut);
            answered += 1;
        }
    }
    assert_eq!(bench.ended, None);
    assert!((1400..1500).contains(&answered), "{answered}");
    // One that is silent is not (R2).
    let _ = bench.pass(1_000_000);
    assert_eq!(bench.ended, Some(CloseReason::TimedOut));
}

// proves 6429-1, AT-9
#[test]
fn a_limit_on_closed_windows_is_kept_to_the_second() {
    for outstanding in [false, true] {
        let start = Start::default().with(|s| s.persist_limit = Some(Span::from_secs(50)));
        let mut bench = if outstanding { shrunk_to_nothing(start) } else { stuck(start) };
        let began = bench.clock();
        while bench.ended.is_none() && bench.clock() < began + 100_000 {
            for _ in bench.pass(100) {
                let mut shut = bench.peer().window(0);
                shut.ack = bench.una();
                let _ = bench.send(shut);
            }
        }
        assert_eq!(bench.ended, Some(CloseReason::TimedOut), "{outstanding}");
        let took = bench.clock() - began;
        assert!((50_000..50_500).contains(&took), "{took}");
    }
}

// proves AT-9, 6429-1: the application is gone, the peer's window stays closed
#[test]
fn nobody_waits_for_ever_behind_a_closed_window() {
    let mut bench = stuck(Start::default());
    assert!(bench.close().is_empty());
    let began = bench.clock();
    while bench.ended.is_none() && bench.clock() < began + 4_000_000 {
        for _ in bench.pass(1000) {
            let shut = bench.peer_acks(1000).window(0);
            let _ = bench.send(shut);
        }
    }
    assert_eq!(bench.ended, Some(CloseReason::TimedOut));
    assert!((bench.clock() - began).abs_diff(924_000) <= 1000, "as long as R2");
}

/// 20 kB are in flight when the window goes to nothing.
fn shrunk_to_nothing(start: Start) -> Bench {
    let mut bench = start.go();
    assert_eq!(bench.write(20_000).len(), 20);
    let shut = bench.peer_acks(0).window(0);
    assert!(bench.send(shut).is_empty());
    bench
}

// proves MUST-34, SHLD-15, SHLD-16
#[test]
fn a_window_that_shrinks_stops_new_data_and_no_more() {
    let mut bench = Start { sack: false, ..Start::default() }.go();
    assert_eq!(bench.write(20_000).len(), 20);
    let shrink = bench.peer_acks(0).window(5000);
    assert!(bench.send(shrink).is_empty());
    assert!(bench.write(1000).is_empty(), "SHLD-15");
    let out = bench.pass(2000);
    assert!(!out.is_empty(), "SHLD-16: what lies inside is sent again");
    assert!(out.iter().all(|out| out.seq + out.len() as i64 <= 5000), "{:?}", spans(&out));
    assert_eq!(bench.ended, None);
    let open = bench.peer_acks(5000).window(60_000);
    let out = bench.send(open);
    assert_eq!(bench.una(), 5000);
    assert!(out.iter().any(|out| out.seq == 20_000), "{:?}", spans(&out));
    let _ = bench.send(bench.peer());
    assert_eq!(bench.una(), 21_000);
}

// proves MUST-35, SHLD-17: nothing new waits
#[test]
fn a_window_that_shrinks_to_nothing_is_probed() {
    for sack in [false, true] {
        let mut bench = shrunk_to_nothing(Start { sack, ..Start::default() });
        let rto = bench.info().rto.as_millis();
        let times = probe_times(&mut bench, 100_000);
        assert!(times[0] <= rto + 1, "{times:?}");
        let mut gap = rto;
        for pair in times.windows(2) {
            gap = (gap * 2).min(60_000);
            assert!((pair[1] - pair[0]).abs_diff(gap) <= 2 + gap / 100, "{times:?} {gap}");
        }
        // Answered probes keep it alive beyond R2 (SHLD-17).
        while bench.clock() < 4_000_000 {
            for _ in bench.pass(10_000) {
                let shut = bench.peer_acks(0).window(0);
                let _ = bench.send(shut);
            }
        }
        assert_eq!(bench.ended, None);
        assert!(!bench.log.0.contains(&usertcp_base::observe::Event::PathSuspect));
        // Reopened, it goes on within about one timeout, not after the backed-off one.
        let window = bench.info().congestion_window_octets;
        let open = bench.peer_acks(0);
        let mut out = bench.send(open);
        out.extend(bench.pass(1200));
        assert!(out.iter().any(|out| out.span() == (0, 1000)), "{:?}", spans(&out));
        assert_eq!(bench.info().congestion_window_octets, window);
    }
}

// proves MUST-38, SHLD-28: the sender's side
#[test]
fn a_sliver_of_window_is_not_used_at_once() {
    let mut bench = stuck(Start::default());
    for sliver in [1, 2, 3] {
        let open = bench.peer().window(sliver);
        assert!(bench.send(open).is_empty(), "{sliver}");
    }
    let open = bench.peer().window(1000);
    assert_eq!(spans(&bench.send(open)), [(1000, 1000)]);
    // Half of the largest window ever seen is enough.
    let mut bench = Start { window: 800, ..Start::default() }.go();
    let _ = bench.write(800);
    let half = bench.peer().window(399);
    let _ = bench.send(half);
    assert!(bench.write(3000).is_empty());
    let half = bench.peer().window(400);
    assert_eq!(spans(&bench.send(half)), [(800, 400)]);
}

// proves MUST-38: the override timer, however often the peer speaks
#[test]
fn slivers_are_used_within_the_override_time() {
    let mut bench = stuck(Start::default());
    let mut out = std::vec::Vec::new();
    let open = bench.peer().window(10);
    out.extend(bench.send(open));
    for sliver in 1..10 {
        out.extend(bench.pass(50));
        let open = bench.peer_acks(1000).window(10 + sliver);
        out.extend(bench.send(open));
    }
    let first = out.iter().find(|out| out.len() > 0).expect("held for ever");
    assert!((195..=1000).contains(&first.at), "{first:?}");
}

// proves MUST-39, SHLD-14, H-2: the receiver's side
#[test]
fn reading_octet_by_octet_opens_in_steps() {
    let mut bench = shut();
    let edge = bench.edge();
    let mut moves = std::vec::Vec::new();
    for _ in 0..3000 {
        let before = bench.edge();
        assert_eq!(bench.read(1), 1);
        let out = bench.drain();
        assert!(out.iter().all(|out| out.ack + i64::from(out.window) >= before), "SHLD-14");
        if bench.edge() != before {
            assert_eq!(out.len(), 1, "told at once");
            moves.push(bench.edge() - before);
        }
    }
    assert!(bench.edge() >= edge + 1460);
    assert!(moves.iter().all(|step| *step >= 1460), "{moves:?}");
}

// proves SHLD-14 with a scaled window, 7323-5
#[test]
fn the_right_edge_never_moves_left() {
    let start = Start { scale: Some(5), ..Start::modern() };
    let mut bench = start.go();
    let mut edge = 0;
    for round in 0..2000usize {
        let size = (round * 37) % 1400 + 1;
        let data = bench.peer().data(size);
        if bench.edge() - bench.received() < size as i64 {
            let _ = bench.read(40_000);
        }
        for out in bench.send(data) {
            let right = out.ack + (i64::from(out.window) << bench.info().scales.1);
            assert!(right >= edge, "{right} {edge}");
            edge = right;
        }
        if round % 7 == 0 {
            let _ = bench.read(round % 900);
        }
    }
}

// proves MUST-36 as the receiver: probes of every kind are answered
#[test]
fn probes_are_answered_with_the_window() {
    let mut bench = shut();
    let at = bench.received();
    let empty = bench.peer_at(at - 1);
    assert_eq!(bench.send(empty)[0].bare(), (0, at));
    let octet = bench.peer_at(at).data(1).and(Flags::PSH);
    let out = bench.send(octet);
    assert_eq!((out[0].bare(), out[0].window), ((0, at), 0));
    assert_eq!(bench.read(4000), 4000);
    let update = bench.drain();
    assert_eq!((update.len(), update[0].bare()), (1, (0, at)));
    assert!(update[0].window >= 1460);
    // Lost: the next probe brings it.
    let _ = bench.pass(600);
    let again = bench.peer_at(at - 1);
    assert!(bench.send(again)[0].window >= 1460);
}

/// A short read is a read, or nothing at all: where the buffer of the application is too small, the data in
/// several pieces, or the peer to be told of room.
#[test]
fn a_short_read_is_a_read() {
    let facts = |bench: &Bench| (bench.tcb.readable_octets(), bench.tcb.autotune, bench.tcb.acks);
    let mut bench = Start::modern().go();
    let mut other = Start::modern().go();
    for connection in [&mut bench, &mut other] {
        let data = connection.peer().data(100);
        let _ = connection.send(data);
    }
    let mut into = [0; 100];
    let before = facts(&bench);
    assert_eq!(bench.call(|tcb, env| tcb.read_short(env.now, env.pool, &mut into[..99])), None);
    assert_eq!(facts(&bench), before);
    assert_eq!(bench.call(|tcb, env| tcb.read_short(env.now, env.pool, &mut into)), Some(100));
    assert_eq!(other.read(100), 100);
    assert_eq!(facts(&bench), facts(&other));
    assert!(into.iter().enumerate().all(|(at, octet)| *octet == pattern(at as i64)));
    // In two pieces.
    for _ in 0..2 {
        let data = bench.peer().data(100);
        let _ = bench.send(data);
    }
    assert_eq!(bench.call(|tcb, env| tcb.read_short(env.now, env.pool, &mut [0; 200])), None);
    assert_eq!(bench.read(200), 200);
    // A window that was shut opens: the peer is told by the steps.
    let mut bench = shut();
    let all = bench.tcb.readable_octets() as usize;
    let read = bench.call(|tcb, env| tcb.read_short(env.now, env.pool, &mut std::vec![0; all]));
    assert_eq!(read, None);
}

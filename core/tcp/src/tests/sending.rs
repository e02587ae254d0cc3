//! What leaves and in which pieces: Nagle, cork, PSH, URG, sizes, super-segments, pacing.

use super::bench::*;
use crate::*;
use std::vec::Vec;
use usertcp_base::observe::Limiter;
use usertcp_base::{Rate, Seq, Span};
use usertcp_wire::tcp::Flags;

// proves MUST-17, SHLD-7
#[test]
fn nagle_on_and_off() {
    for (no_delay, expected) in [(true, 10), (false, 1)] {
        let mut bench = Start::default().with(|s| s.no_delay = no_delay).go();
        let mut out = Vec::new();
        for _ in 0..10 {
            out.extend(bench.write(1));
            out.extend(bench.pass(5));
        }
        assert_eq!(out.len(), expected);
        let ack = bench.peer();
        let rest = bench.send(ack);
        assert_eq!(spans(&rest).iter().map(|span| span.1).sum::<usize>(), 10 - expected);
        assert!(rest.iter().all(|out| out.has(Flags::PSH)), "SHLD-27: one PSH");
    }
}

// proves MUST-17: the mark of the last small segment is not for ever (2^31 octets later)
#[test]
fn a_small_segment_is_forgotten_when_it_was_acknowledged() {
    let mut bench = Start::default().go();
    let _ = bench.write(10);
    let _ = bench.send(bench.peer());
    let _ = bench.write(1000);
    let _ = bench.send(bench.peer());
    let una = bench.tcb.snd.una;
    assert_eq!(bench.tcb.snd.small, una, "it moves along");
    assert_eq!(spans(&bench.write(10)), [(1010, 10)]);
}

// proves MUST-60, MUST-61, SHLD-27, SHLD-28
#[test]
fn full_segments_and_a_push_at_the_end() {
    let mut bench = Start::default().go();
    let out = bench.write(5500);
    assert_eq!(out.iter().map(Out::len).collect::<Vec<_>>(), [1000, 1000, 1000, 1000, 1000, 500]);
    let pushed: Vec<bool> = out.iter().map(|out| out.has(Flags::PSH)).collect();
    assert_eq!(pushed, [false, false, false, false, false, true]);
    for _ in 0..10 {
        assert!(bench.write(90).is_empty(), "Nagle: a small one is out");
    }
    let out = bench.send(bench.peer());
    assert_eq!((spans(&out), out[0].has(Flags::PSH)), (std::vec![(5500, 900)], true));
}

// proves MUST-16, MUST-14
#[test]
fn the_effective_send_mss() {
    let table = [(false, 1460, 1460), (true, 1460, 1448), (true, 700, 688), (false, 700, 700)];
    for (timestamps, mss, expected) in table {
        let start = Start { timestamps, mss, fixed_window: Some(1 << 20), ..Start::default() };
        let mut bench = start.go();
        let out = bench.write(10_000);
        assert_eq!(out[0].len(), expected);
        assert_eq!(bench.info().send_mss_octets as usize, expected);
    }
    // Path MTU 1400 over IPv4 carries segments of 1380.
    let start = Start { timestamps: true, mss: 1460, ..Start::default() };
    let mut bench = start.go();
    let path = PathFacts { segment_octets: 1380, ..PATH };
    bench.tcb.mtu = PathMtu::new(&path, bench.tcb.settings(), 1460);
    assert_eq!(bench.write(10_000)[0].len(), 1348);
}

// proves MAY-14, MAY-15, MAY-16: corked 200 ms at most, whatever the peer says meanwhile
#[test]
fn a_cork_is_pulled_after_200_ms() {
    let mut bench = Start::default().with(|s| s.cork = true).go();
    let out = bench.write(2300);
    assert_eq!(spans(&out), [(0, 1000), (1000, 1000)]);
    assert!(out.iter().all(|out| !out.has(Flags::PSH)));
    let mut later = Vec::new();
    for window in 0..12 {
        later.extend(bench.pass(30));
        let ack = bench.peer().window(50_000 + window);
        later.extend(bench.send(ack));
    }
    assert_eq!(spans(&later), [(2000, 300)]);
    assert!(later[0].has(Flags::PSH));
    assert!((199..=201).contains(&later[0].at), "{}", later[0].at);
    // More of it in time completes the segment; pulling the cork sends at once.
    assert!(bench.write(300).is_empty());
    assert_eq!(spans(&bench.write(700)), [(2300, 1000)]);
    assert!(bench.write(10).is_empty());
    assert_eq!(spans(&bench.set(|s| s.cork = false)).len(), 1);
    let _ = bench.send(bench.peer());
    let _ = bench.set(|s| s.cork = true);
    assert!(bench.write(10).is_empty());
    bench.tcb.flush();
    assert_eq!(spans(&bench.drain()).len(), 1);
}

// proves MUST-20: a held segment is no transmission, R2 has nothing to count
#[test]
fn a_cork_after_a_long_idle_time_ends_nothing() {
    let mut bench = Start::default().with(|s| s.cork = true).go();
    let _ = bench.pass(2_000_000);
    assert!(bench.write(10).is_empty());
    assert_eq!(spans(&bench.pass(250)), [(0, 10)]);
    assert_eq!(bench.ended, None);
}

// proves MUST-30, MUST-62, MUST-31
#[test]
fn urgent_data_as_the_sender_marks_it() {
    let mut bench = Start::default().go();
    assert_eq!(bench.put(100), 100);
    assert_eq!(bench.put(3), 3);
    bench.tcb.mark_urgent_written();
    let out = bench.drain();
    assert!(out[0].has(Flags::URG));
    assert_eq!(out[0].seq + i64::from(out[0].urgent), 103);
    let _ = bench.send(bench.peer());
    assert!(!bench.write(10)[0].has(Flags::URG));
    // Longer than the field can say, in super-segments too: never a pointer past the mark, and the
    // device would repeat the pointer on each segment it cuts.
    for super_segments in [false, true] {
        let start = Start { window: u16::MAX, scale: Some(4), super_segments, ..Start::default() };
        let mut bench = start.go();
        let mut out = Vec::new();
        for _ in 0..2 {
            assert_eq!(bench.put(100_000), 100_000);
            bench.tcb.mark_urgent_written();
            out.extend(bench.drain());
            let _ = bench.send(bench.peer());
        }
        assert_eq!(bench.put(2500), 2500);
        out.extend(bench.drain());
        for out in out {
            let mark = (out.seq / 100_000 + 1) * 100_000;
            if mark > 200_000 {
                assert!(!out.has(Flags::URG));
                continue;
            }
            assert!(out.has(Flags::URG) && out.gso.is_none(), "{:?} {:?}", out.span(), out.gso);
            let pointer = out.seq + i64::from(out.urgent);
            assert_eq!(pointer, mark.min(out.seq + 65_535));
        }
    }
}

// proves MUST-48, MUST-49, SHLD-21, SHLD-22
#[test]
fn code_point_and_hop_limit_on_everything() {
    let mut bench = Start::default().with(|s| (s.dscp, s.hop_limit) = (46, 7)).go();
    let mut out = bench.write(1500);
    let data = bench.peer_acks(0).data(10);
    out.extend(bench.send(data));
    out.extend(bench.pass(5000));
    assert!(out.len() > 4);
    assert!(out.iter().all(|out| (out.dscp, out.hop_limit) == (46, 7)));
    let _ = bench.set(|s| (s.dscp, s.hop_limit) = (10, 9));
    let out = bench.pass(20_000);
    assert!(out.iter().all(|out| (out.dscp, out.hop_limit) == (10, 9)) && !out.is_empty());
    let out = bench.abort();
    assert_eq!((out[0].dscp, out[0].hop_limit), (10, 9));
    assert_eq!(Start::default().go().write(1)[0].hop_limit, 64);
}

// proves SHLD-28 with a segmenting device
#[test]
fn super_segments_are_cut_between_segments() {
    let start = Start { super_segments: true, ..Start::modern() };
    let mut bench = start.go();
    let out = bench.write(50_500);
    assert_eq!(out.iter().map(Out::len).sum::<usize>(), 50_500);
    assert!(out.len() < 5 && out[0].gso == Some(988), "{:?}", spans(&out));
    for pair in out.windows(2) {
        assert_eq!(pair[0].len() % 988, 0, "cut between segments");
    }
    let _ = bench.send(bench.peer());
    // SACK blocks take room in each wire segment.
    let ahead = bench.peer_at(2000).data(10);
    let _ = bench.send(ahead);
    let out = bench.write(20_000);
    for out in &out {
        let options = 12 + 4 + 8 * out.sack.len();
        let payload = out.gso.map_or(out.len(), usize::from);
        assert!(payload + options <= 1000, "{payload} {options}");
        assert_eq!(out.sack, [(2000, 2010)], "2018-3: on data too");
    }
    // And without a segmenting device.
    let mut bench = Start::modern().go();
    let ahead = bench.peer_at(2000).data(10);
    let _ = bench.send(ahead);
    for out in bench.write(5000) {
        assert!(out.gso.is_none() && out.len() + 12 + 4 + 8 * out.sack.len() <= 1000);
    }
}

// proves DESIGN §6.2: one answer, one reason
#[test]
fn a_rate_limit_is_one_deadline_and_nothing_is_lost() {
    let limit = Rate::from_octets_per_second(10_000);
    let mut bench = Start::default().with(|s| s.rate_limit = limit).go();
    assert_eq!(bench.put(20_000), 20_000);
    let mut out = bench.drain();
    assert!(bench.deadline().is_some());
    assert_eq!(bench.info().limiter, Limiter::Rate);
    for _ in 0..30 {
        let _ = bench.send(bench.peer());
        out.extend(bench.pass(100));
    }
    assert_eq!(out.iter().map(Out::len).sum::<usize>(), 20_000);
    let last = out.last().unwrap();
    assert!((1500..2100).contains(&last.at), "{}", last.at);
    assert!(out.windows(2).all(|pair| pair[1].seq == pair[0].seq + pair[0].len() as i64));
    let shares = bench.info().limited;
    assert!(shares[Limiter::Rate as usize] > Span::from_millis(1200), "{shares:?}");
}

// proves DESIGN §7.5: every limiter has its name
#[test]
fn the_limiter_is_named() {
    let mut bench = Start { fixed_window: Some(3000), ..Start::default() }.go();
    assert_eq!(bench.info().limiter, Limiter::Application);
    let _ = bench.write(10_000);
    assert_eq!(bench.info().limiter, Limiter::Congestion);
    let shut = bench.peer().window(0);
    let _ = bench.send(shut);
    assert_eq!(bench.info().limiter, Limiter::PeerWindow);
    let _ = bench.pass(50 * 3_600_000 / 1000);
    let shares = bench.info().limited;
    assert_eq!(shares[Limiter::PeerWindow as usize].as_micros() / 1000, 180_000);
}

// Idle for longer than half the tick circle: the time still counts.
#[test]
fn two_days_of_idleness_are_two_days() {
    let mut bench = Start::default().go();
    let _ = bench.pass(48 * 3_600_000);
    let idle = bench.info().limited[Limiter::Application as usize];
    assert_eq!(idle.as_micros() / 3_600_000_000, 48);
}

// proves REC-1, MUST-1
#[test]
fn large_windows_do_not_overflow() {
    let start = Start {
        scale: Some(14),
        window: u16::MAX,
        fixed_window: Some(1 << 30),
        ..Start::default()
    };
    let mut bench = start.go();
    assert_eq!(bench.info().peer_window_octets, u32::from(u16::MAX) << 14);
    assert!(bench.tcb.snd.right_edge() != Seq(0));
    assert_eq!(bench.write(100_000).iter().map(Out::len).sum::<usize>(), 100_000);
    let mut bench = Start { window: 65_535, ..Start::default() }.go();
    let sent: usize = bench.write(100_000).iter().map(Out::len).sum();
    assert!(sent > 64_000 && sent <= 65_535, "{sent}");
}

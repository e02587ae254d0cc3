//! Path signals: who is believed, when, and what follows.

use super::bench::*;
use crate::*;
use usertcp_base::Span;
use usertcp_base::observe::Event;

fn too_big(segment_octets: u16) -> SignalKind {
    SignalKind::TooBig { segment_octets }
}

// proves IC-1, IC-4, IC-7, AT-26
#[test]
fn a_claim_needs_an_octet_in_flight_and_no_progress() {
    for seq in [-1, 3000, 3001, -100_000] {
        let mut bench = Start::sack().with(|s| s.mtu_probing = MtuProbing::Off).go();
        let _ = bench.write(3000);
        bench.signal(seq, too_big(700));
        let _ = bench.pass(3000);
        assert_eq!(bench.info().send_mss_octets, 1000, "{seq}");
    }
    let mut bench = Start::sack().with(|s| s.mtu_probing = MtuProbing::Off).go();
    let _ = bench.write(3000);
    bench.signal(0, too_big(9000));
    bench.signal(0, too_big(700));
    let ack = bench.peer_acks(1000);
    let _ = bench.send(ack);
    let _ = bench.pass(3000);
    assert_eq!(bench.info().send_mss_octets, 1000, "what it quotes arrived");
}

// proves IC-4, IC-5, IC-6, IC-9
#[test]
fn a_real_black_hole_is_believed_at_the_timeout_and_cut_anew() {
    for super_segments in [false, true] {
        for (claim, mss) in [(700, 680), (0, 536), (68, 536)] {
            let start = Start { super_segments, ..Start::cubic() };
            let mut bench = start.go();
            let window = bench.info().congestion_window_octets;
            let _ = bench.write(5000);
            bench.signal(0, too_big(claim));
            assert_eq!(bench.info().send_mss_octets, 1000, "not yet");
            let told = |event: &&Event| matches!(event, Event::PathMtu(_));
            assert_eq!(bench.log.0.iter().find(told), None, "nothing became anything");
            let mut out = std::vec::Vec::new();
            // The peer gets only what fits.
            let mut seen = 0;
            for _ in 0..100 {
                out.extend(bench.pass(20));
                for out in out.drain(..) {
                    let fits = out.gso.map_or(out.len(), usize::from) <= mss;
                    if fits && out.seq <= seen && out.len() > 0 {
                        seen = seen.max(out.seq + out.len() as i64);
                    }
                }
                if seen > bench.una() {
                    let ack = bench.peer_acks(seen);
                    out.extend(bench.send(ack));
                }
            }
            assert_eq!(bench.una(), 5000, "{claim} {super_segments}");
            assert_eq!(bench.info().send_mss_octets as usize, mss);
            let now = bench.info().congestion_window_octets;
            assert!(now >= window / 2, "IC-9: {now} of {window}");
        }
    }
}

// proves IC-2, SHLD-20, MUST-47, MUST-56
#[test]
fn unreachable_is_told_and_ends_nothing() {
    for (told, kind) in
        [(true, SignalKind::Hard), (true, SignalKind::Soft), (false, SignalKind::Hard)]
    {
        let mut bench = Start::default().with(|s| s.soft_errors = told).go();
        let _ = bench.write(100);
        bench.signal(0, kind);
        assert_eq!((bench.effects.soft_error, bench.ended), (told, None));
        bench.signal(500, kind);
        assert!(!bench.effects.soft_error, "IC-1");
        assert!(!bench.log.0.iter().any(|event| matches!(event, Event::PathMtu(_))));
    }
}

// proves IC-12
#[test]
fn ten_thousand_errors_a_second_are_told_ten_times() {
    let mut bench = Start::default().go();
    let _ = bench.write(100);
    let mut told = 0;
    for _ in 0..10_000 {
        bench.signal(0, SignalKind::Soft);
        told += u32::from(bench.effects.soft_error);
        bench.now = bench.now + Span::from_micros(100);
    }
    assert_eq!(told, 10);
    // Nor does the throttle lose its mind after days.
    bench.now = bench.now + Span::from_secs(60 * 3600);
    bench.signal(0, SignalKind::Soft);
    assert!(bench.effects.soft_error);
}

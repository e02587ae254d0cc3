//! Explicit congestion notification as the wire shows it.

use super::bench::*;
use crate::*;
use std::vec::Vec;
use usertcp_base::Ecn;
use usertcp_wire::tcp::Flags;

fn echoes(out: &[Out]) -> Vec<bool> {
    out.iter().map(|out| out.has(Flags::ECE)).collect()
}

/// Window-limited rounds, every acknowledgement with these flags; what left in each.
fn rounds(bench: &mut Bench, count: usize, flags: Flags) -> Vec<Vec<Out>> {
    let mut rounds = Vec::new();
    for _ in 0..count {
        let room = bench.info().congestion_window_octets as usize * 2;
        let _ = bench.put(room);
        let mut out = bench.drain();
        out.extend(bench.pass(50));
        let ack = bench.peer().and(flags);
        rounds.push(out);
        let _ = bench.give(ack);
    }
    rounds
}

// proves 3168-3
#[test]
fn a_mark_is_echoed_on_every_acknowledgement_until_cwr() {
    for active in [false, true] {
        let mut bench = Start { active, ..Start::default() }.ecn().go();
        assert!(bench.info().ecn);
        bench.warm_up();
        // Acknowledged at once, although a single segment would wait.
        let out = bench.send(bench.peer().data(100).marked());
        assert_eq!(echoes(&out), [true]);
        for _ in 0..5 {
            let _ = bench.send(bench.peer().data(100));
            let out = bench.send(bench.peer().data(900).flags(Flags::ACK | Flags::PSH));
            let late = bench.pass(500);
            let all: Vec<Out> = out.into_iter().chain(late).collect();
            assert!(!all.is_empty() && all.iter().all(|out| out.has(Flags::ECE)), "{all:?}");
            let _ = bench.read(5000);
        }
        let data = bench.write(10);
        assert_eq!(echoes(&data), [true], "on data as well");
        // CWR without data says nothing: only a data segment can answer.
        let _ = bench.send(bench.peer().and(Flags::CWR));
        assert_eq!(echoes(&bench.send(bench.peer().data(1).and(Flags::URG))).first(), Some(&true));
        let out = bench.send(bench.peer().data(10).and(Flags::CWR));
        assert_eq!(echoes(&out), [false], "and at once: the peer's window may be one segment");
        assert_eq!(bench.info().marks_received, 1);
        // A mark on the segment that says CWR is a new one.
        let out = bench.send(bench.peer().data(10).and(Flags::CWR).marked());
        assert_eq!(echoes(&out), [true]);
    }
}

// proves 3168-7
#[test]
fn marks_outside_the_window_and_without_agreement_are_ignored() {
    let mut bench = Start::default().ecn().go();
    let _ = bench.send(bench.peer().data(1000));
    let edge = bench.edge();
    for peer in [bench.peer_at(edge + 5), bench.peer_at(-500), bench.peer_at(0)] {
        let out = bench.send(peer.data(400).marked());
        assert!(echoes(&out).iter().all(|echo| !echo), "{out:?}");
    }
    let _ = bench.send(bench.peer().marked());
    assert_eq!(bench.info().marks_received, 0, "a bare acknowledgement is not ECN-capable");

    let mut bench = Start::default().go();
    assert!(!bench.info().ecn);
    assert_eq!(echoes(&bench.send(bench.peer().data(10).marked())), [false]);
    let out = bench.write(3000);
    assert!(out.iter().all(|out| out.ecn == Ecn::NotCapable));
    let _ = bench.send(bench.peer().and(Flags::ECE));
    assert_eq!(bench.info().mark_reductions, 0);
}

// proves 3168-2, 3168-8
#[test]
fn new_data_alone_is_ecn_capable() {
    let mut bench = Start::sack().with(|settings| settings.keep_alive.enabled = true).ecn().go();
    let out = bench.write(2500);
    assert!(out.iter().all(|out| out.ecn == Ecn::Capable0 && !out.has(Flags::CWR)), "{out:?}");
    let again = bench.pass(3000);
    assert!(again.len() > 2 && again.iter().all(|out| out.ecn == Ecn::NotCapable), "{again:?}");
    let _ = bench.send(bench.peer());
    let pure = bench.send(bench.peer().data(10));
    assert_eq!(pure[0].ecn, Ecn::NotCapable);
    let probes = bench.pass(8_000_000);
    assert!(!probes.is_empty() && probes.iter().all(|out| out.ecn == Ecn::NotCapable));
    let mut bench = Start::sack().ecn().go();
    let _ = bench.send(bench.peer().window(0));
    assert!(bench.write(10).is_empty());
    let probes = bench.pass(10_000);
    assert!(!probes.is_empty() && probes.iter().all(|out| out.ecn == Ecn::NotCapable));
    let mut bench = Start::sack().ecn().go();
    let fin = bench.shutdown();
    assert_eq!(fin[0].ecn, Ecn::NotCapable, "a FIN alone has no data");
}

// proves 3168-4
#[test]
fn ten_echoes_in_one_round_trip_cut_once_and_cwr_is_said_once() {
    let mut bench = Start { ecn: true, ..Start::cubic() }.go();
    let _ = rounds(&mut bench, 3, Flags::NONE);
    let _ = bench.put(40_000);
    let _ = bench.drain();
    let _ = bench.pass(50);
    let (una, before) = (bench.una(), bench.info().congestion_window_octets);
    assert!(bench.sent() - una >= 11_000, "{}", bench.sent() - una);
    let mut out = Vec::new();
    for n in 1..=10 {
        out.extend(bench.send(bench.peer_acks(una + n * 1000).and(Flags::ECE)));
    }
    let info = bench.info();
    assert_eq!(info.mark_reductions, 1);
    let share = info.congestion_window_octets * 100 / before;
    assert!((50..=86).contains(&share), "{share} % of {before}");
    while out.iter().all(|out| out.len() == 0) && bench.una() < bench.sent() {
        let next = (bench.una() + 1000).min(bench.sent());
        out.extend(bench.send(bench.peer_acks(next).and(Flags::ECE)));
    }
    let said: Vec<bool> =
        out.iter().filter(|out| out.len() > 0).map(|out| out.has(Flags::CWR)).collect();
    assert!(said[0] && said[1..].iter().all(|said| !said), "{said:?}");
    assert_eq!(bench.info().retransmissions, 0);
    // What follows the CWR acknowledged with an echo: the next round, the next cut.
    let _ = bench.send(bench.peer().and(Flags::ECE));
    assert_eq!(bench.info().mark_reductions, 2);
}

// proves 3168-4: a loss of the same window is the same event, and answers marks too
#[test]
fn a_window_is_reduced_once_for_a_mark_and_a_loss() {
    let mut bench = Start { ecn: true, ..Start::cubic() }.go();
    let _ = rounds(&mut bench, 3, Flags::NONE);
    let _ = bench.put(60_000);
    let _ = bench.drain();
    let una = bench.una();
    let end = bench.sent();
    let _ = bench.pass(50);
    let _ = bench.send(bench.peer_acks(una + 1000).and(Flags::ECE));
    let threshold = bench.info().threshold_octets;
    let blocks = [(una + 2000, una + 8000)];
    let out = bench.send(bench.peer_acks(una + 1000).sack(&blocks).and(Flags::ECE));
    let again = out.iter().find(|out| out.seq == una + 1000).expect("sent again");
    assert!(!again.has(Flags::CWR) && again.ecn == Ecn::NotCapable, "{again:?}");
    assert_eq!(bench.info().threshold_octets, threshold, "not twice");
    // A loss alone says CWR as well, on new data.
    let _ = bench.send(bench.peer_acks(end));
    let mut bench = Start { ecn: true, ..Start::cubic() }.go();
    let _ = rounds(&mut bench, 3, Flags::NONE);
    let _ = bench.put(60_000);
    let mut out = bench.drain();
    let (una, end) = (bench.una(), bench.sent());
    let _ = bench.pass(50);
    out.clear();
    out.extend(bench.send(bench.peer_acks(una).sack(&[(una + 1000, una + 7000)])));
    out.extend(bench.send(bench.peer_acks(end).and(Flags::ECE)));
    let said = out.iter().filter(|out| out.has(Flags::CWR)).collect::<Vec<_>>();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].seq >= end && said[0].ecn == Ecn::Capable0);
    assert_eq!(bench.info().mark_reductions, 0, "the loss was the answer");
}

// proves 3168-5, AT-43
#[test]
fn echoes_for_ever_leave_a_segment_per_timeout() {
    let mut bench = Start { ecn: true, ..Start::cubic() }.go();
    let _ = rounds(&mut bench, 40, Flags::ECE);
    let info = bench.info();
    assert_eq!(info.congestion_window_octets, 1000, "down to one segment, not below");
    let from = bench.clock();
    let mut times = Vec::new();
    let _ = bench.put(50_000);
    while times.len() < 10 && bench.clock() < from + 60_000 {
        for out in bench.pass(10) {
            assert!(out.len() <= 1000);
            times.push(out.at);
            let _ = bench.give(bench.peer().and(Flags::ECE));
        }
    }
    let rto = bench.info().rto.as_millis();
    assert_eq!(times.len(), 10, "alive");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= rto, "waits for the timer: {times:?}, {rto}");
        assert!(pair[1] - pair[0] <= rto + 50, "and no longer: {times:?}, {rto}");
    }
    assert_eq!((bench.info().timeouts, bench.info().retransmissions), (0, 0));
    // The marks end: it grows again.
    let _ = rounds(&mut bench, 30, Flags::NONE);
    assert!(bench.info().congestion_window_octets > 2000);
}

// proves 3168-4: a device that cuts would repeat CWR on each piece
#[test]
fn cwr_leaves_in_a_segment_of_its_own() {
    let start = Start { ecn: true, super_segments: true, ..Start::cubic() };
    let mut bench = start.go();
    bench.room = 60_000;
    let _ = rounds(&mut bench, 4, Flags::NONE);
    let _ = bench.put(60_000);
    let _ = bench.drain();
    let _ = bench.pass(50);
    let out = bench.send(bench.peer().and(Flags::ECE));
    let data: Vec<&Out> = out.iter().filter(|out| out.len() > 0).collect();
    assert!(data[0].has(Flags::CWR) && data[0].gso.is_none() && data[0].len() <= 1000);
    assert!(data[1..].iter().all(|out| !out.has(Flags::CWR)));
    assert!(out.iter().all(|out| out.len() == 0 || out.ecn == Ecn::Capable0));
}

//! Arrival: the first four steps, text and FIN.

use super::bench::*;
use crate::*;
use usertcp_base::DropReason;
use usertcp_base::observe::CloseReason;
use usertcp_wire::tcp::Flags;

// proves E-9: the four cases, ±1 around both edges, across the wrap
#[test]
fn acceptability_at_both_edges() {
    let mut edges = Start::default().go();
    let edge = edges.edge();
    assert_eq!(edges.received(), 0);
    // Offset, length, whether it is taken.
    let table = [
        (0, 0, true),
        (-1, 0, false),
        (edge - 1, 0, true),
        (edge + 1, 0, false),
        (-1, 1, false),
        (-1, 2, true),
        (0, 1, true),
        (edge - 1, 1, true),
        (edge - 1, 2, true),
        (edge, 1, false),
        (edge + 1, 1, false),
    ];
    for (seq, octets, taken) in table {
        let mut bench = Start::default().go();
        let before = bench.counters.clone();
        let _ = bench.write(500);
        let segment = bench.peer_at(seq).data(octets);
        let out = bench.send(segment);
        assert_eq!(bench.una() == 500, taken, "{seq} {octets}");
        if !taken {
            assert_eq!(bench.received(), 0, "no state change");
            assert_eq!(out.len(), 1, "E-10");
            assert_eq!(out[0].bare(), (500, 0), "E-10: <SND.NXT><RCV.NXT>");
            assert_ne!(bench.counters, before, "counted");
        }
    }
    let _ = edges.send(edges.peer());
}

/// Fills our receive window; what is left of it.
pub fn shut() -> Bench {
    let mut start = Start::default();
    start.limits.receive_buffer_start_octets = 8000;
    start.limits.receive_buffer_octets = 8000;
    let mut bench = start.go();
    while bench.edge() > bench.received() {
        let room = (bench.edge() - bench.received()).min(1000) as usize;
        let data = bench.peer().data(room);
        let _ = bench.send(data);
    }
    let _ = bench.pass(1000);
    assert_eq!(bench.edge(), bench.received());
    bench
}

// proves E-9 (window 0), E-11, MUST-66
#[test]
fn with_the_window_shut_control_fields_still_count() {
    let mut bench = shut();
    let at = bench.received();
    assert_eq!(bench.write(500).len(), 1);
    // Text is dropped, its acknowledgement and its window are used, an ACK is owed.
    let probe = bench.peer().data(100).window(555).and(Flags::PSH);
    let out = bench.send(probe);
    assert_eq!((bench.una(), bench.info().peer_window_octets), (500, 555));
    assert_eq!((bench.received(), bench.tcb.readable_octets() as i64), (at, at));
    assert_eq!(out.last().map(Out::bare), Some((500, at)));
    // FIN as well.
    let fin = bench.peer().and(Flags::FIN).window(555);
    assert_eq!(bench.send(fin).len(), 1);
    assert_eq!((bench.received(), bench.state()), (at, StateName::Established));
    // Away from RCV.NXT nothing counts.
    let beside = bench.peer_at(at + 1).data(1).window(444);
    let _ = bench.send(beside);
    assert_eq!(bench.info().peer_window_octets, 555);
    // Urgent is told, a reset is believed.
    let urgent = bench.peer().urgent(10);
    let _ = bench.send(urgent);
    assert!(bench.effects.urgent);
    let reset = bench.peer().flags(Flags::RST);
    let _ = bench.send(reset);
    assert_eq!(bench.ended, Some(CloseReason::Reset));
    assert_eq!(bench.tcb.readable_octets() as i64, at, "what had arrived can be read");
}

// proves E-12
#[test]
fn what_straddles_an_edge_is_trimmed() {
    let mut bench = Start::default().go();
    let first = bench.peer().data(100);
    let _ = bench.send(first);
    let half_old = bench.peer_at(50).data(100);
    let _ = bench.send(half_old);
    assert_eq!(bench.received(), 150);
    let edge = bench.edge();
    let over = bench.peer_at(edge - 10).data(50).and(Flags::FIN);
    let _ = bench.send(over);
    assert_eq!(bench.info().out_of_order_octets, 10, "nothing past the window is stored");
    assert_eq!(bench.read(1000), 150);
    assert_eq!(bench.state(), StateName::Established);
}

// proves E-13, 5961-1, 5961-2, 5961-3
#[test]
fn a_reset_counts_at_the_next_number_only() {
    let edge = Start::default().go().edge();
    for seq in [-1, edge, edge + 1, -100_000] {
        let mut bench = Start::default().go();
        let reset = bench.peer_at(seq).flags(Flags::RST);
        assert!(bench.send(reset).is_empty(), "{seq}");
        assert_eq!(bench.dropped(DropReason::ResetOutOfWindow), 1);
    }
    for seq in [1, 2, 100, edge - 1] {
        let mut bench = Start::default().go();
        let reset = bench.peer_at(seq).flags(Flags::RST | Flags::ACK);
        let out = bench.send(reset);
        assert_eq!(out.iter().map(Out::bare).collect::<std::vec::Vec<_>>(), [(0, 0)], "{seq}");
        assert_eq!(bench.ended, None);
    }
    let mut bench = Start::default().go();
    let reset = bench.peer().flags(Flags::RST).data(20);
    assert!(bench.send(reset).is_empty());
    assert_eq!(bench.ended, Some(CloseReason::Reset), "MUST-12");
    assert_eq!(bench.tcb.readable_octets(), 0, "SHLD-2");
    // With SACK, also at the right edge of what is held.
    for (sack, ends) in [(true, true), (false, false)] {
        let mut bench = Start { sack, ..Start::default() }.go();
        let ahead = bench.peer_at(100).data(50);
        let _ = bench.send(ahead);
        let reset = bench.peer_at(150).flags(Flags::RST);
        let _ = bench.send(reset);
        assert_eq!(bench.ended.is_some(), ends);
    }
}

// proves E-14, 5961-4
#[test]
fn a_syn_is_challenged_whatever_its_number() {
    for seq in [-100_000, -1, 0, 1, 5000, 1 << 30] {
        for flags in [Flags::SYN, Flags::SYN | Flags::ACK, Flags::SYN | Flags::FIN] {
            let mut bench = Start::modern().go();
            let syn = bench.peer_at(seq).flags(flags).unstamped().data(10).window(5);
            let out = bench.send(syn);
            assert_eq!(out.len(), 1);
            assert_eq!(out[0].bare(), (0, 0));
            assert_eq!((bench.received(), bench.info().peer_window_octets), (0, 60_000));
        }
    }
}

// proves E-16
#[test]
fn without_ack_nothing_counts() {
    let mut bench = Start::default().go();
    let bare = bench.peer().flags(Flags::PSH | Flags::URG | Flags::FIN).data(10).window(5);
    assert!(bench.send(bare).is_empty());
    assert_eq!((bench.received(), bench.info().peer_window_octets), (0, 60_000));
    assert!(!bench.effects.urgent);
}

// proves E-18, AT-11, 5961-5, 5961-7
#[test]
fn acknowledgement_numbers_have_both_bounds() {
    for ahead in [1, 2, 1000, 1 << 30, (1 << 31) - 1] {
        let mut bench = Start::cubic().go();
        let _ = bench.write(500);
        let window = bench.info().congestion_window_octets;
        let optimistic = bench.peer_acks(500 + ahead).data(10).window(9);
        let out = bench.send(optimistic);
        assert_eq!((out.len(), out[0].bare()), (1, (500, 0)));
        assert_eq!((bench.una(), bench.received()), (0, 0));
        assert_eq!(bench.info().congestion_window_octets, window);
    }
    // Nothing below ISS was ever sent.
    let mut fresh = Start::default().go();
    let ghost = fresh.peer_acks(-10).data(10);
    assert_eq!(fresh.send(ghost).len(), 1);
    assert_eq!(fresh.received(), 0);
    assert_eq!(fresh.dropped(DropReason::AckTooOld), 1);
    // MAX.SND.WND below SND.UNA and no more.
    let mut bench = Start { window: 3000, ..Start::default() }.go();
    for _ in 0..5 {
        let _ = bench.write(1000);
        let _ = bench.send(bench.peer());
    }
    let old = bench.peer_acks(2000).data(10);
    let _ = bench.send(old);
    assert_eq!(bench.received(), 10, "its text counts");
    assert_eq!(bench.una(), 5000, "its ACK field does not");
    let older = bench.peer_acks(1999).data(10);
    let _ = bench.send(older);
    assert_eq!(bench.received(), 10);
}

// proves E-19
#[test]
fn an_overtaken_window_is_ignored() {
    let mut bench = Start::default().go();
    let _ = bench.write(2000);
    let newer = bench.peer_acks(2000).window(5000);
    let _ = bench.send(newer);
    let older = bench.peer_acks(1000).window(100);
    let _ = bench.send(older);
    assert_eq!(bench.info().peer_window_octets, 5000, "same SEQ, lower ACK");
    for window in [4500, 4000] {
        let data = bench.peer().data(100).window(window);
        let _ = bench.send(data);
    }
    let behind = bench.peer_at(50).data(160).window(50);
    let _ = bench.send(behind);
    assert_eq!(bench.info().peer_window_octets, 4000, "lower SEQ");
    let again = bench.peer_at(100).data(120).window(3000);
    let _ = bench.send(again);
    assert_eq!(bench.info().peer_window_octets, 3000, "equal both: taken");
}

// proves E-21, SHLD-31, MUST-59
#[test]
fn a_fin_waits_for_the_data_before_it() {
    let mut bench = Start::default().go();
    let last = bench.peer_at(100).data(50).and(Flags::FIN);
    let out = bench.send(last);
    assert_eq!(out.len(), 1, "MAY-13");
    assert!(!bench.effects.peer_closed && bench.state() == StateName::Established);
    let first = bench.peer_at(0).data(60);
    let _ = bench.send(first);
    assert!(!bench.effects.peer_closed);
    let middle = bench.peer_at(60).data(40);
    let out = bench.send(middle);
    assert!(bench.effects.peer_closed && bench.effects.readable);
    assert_eq!(out[0].ack, 151);
    assert_eq!(bench.state(), StateName::CloseWait);
    assert_eq!(bench.read(1000), 150);
    assert!(bench.at_end());
    let again = bench.peer_at(100).data(50).and(Flags::FIN);
    let _ = bench.send(again);
    assert!(!bench.effects.peer_closed, "told once");
}

// proves E-24, MUST-30, MUST-31, MUST-32, MUST-33, AT-27
#[test]
fn urgent_data_as_the_receiver_sees_it() {
    let mut bench = Start::default().go();
    let table = [(0, 0, false), (0, 500, true), (0, 500, false), (0, 400, false), (0, 700, true)];
    for (seq, pointer, told) in table {
        let urgent = bench.peer_at(seq).urgent(pointer);
        let _ = bench.send(urgent);
        assert_eq!(bench.effects.urgent, told, "{pointer}");
    }
    assert_eq!(bench.tcb.urgent_octets(), 700);
    let mut left = 700;
    for _ in 0..4 {
        let data = bench.peer().data(200);
        let _ = bench.send(data);
        assert_eq!(bench.read(200), 200);
        left = (left - 200i32).max(0);
        assert_eq!(bench.tcb.urgent_octets() as i32, left);
    }
    // Any length: the pointer goes ahead of 200 kB of data.
    for _ in 0..200 {
        let data = bench.peer().data(1000).urgent(u16::MAX);
        let _ = bench.send(data);
        assert!(bench.effects.urgent && bench.tcb.urgent_octets() > 60_000);
        assert_eq!(bench.read(5000), 1000);
    }
    // With FIN: a mark beyond the end stands for nothing.
    let fin = bench.peer().urgent(9).and(Flags::FIN);
    let _ = bench.send(fin);
    assert_eq!(bench.tcb.urgent_octets(), 0);
    let after = bench.peer().urgent(9);
    let _ = bench.send(after);
    assert!(!bench.effects.urgent, "E-22: after the FIN URG is ignored");
}

//! Closing, from every side and in every state.

use super::bench::*;
use crate::*;
use StateName::*;
use usertcp_base::DropReason;
use usertcp_base::observe::CloseReason;
use usertcp_wire::tcp::Flags;

fn fin(bench: &Bench) -> Peer {
    bench.peer().and(Flags::FIN)
}

/// A connection in the given state.
fn in_state(state: StateName) -> Bench {
    let mut bench = Start::default().go();
    let peer_first = matches!(state, CloseWait | LastAck);
    if peer_first {
        let segment = fin(&bench);
        let _ = bench.send(segment);
    }
    if !matches!(state, Established | CloseWait) {
        let _ = bench.shutdown();
    }
    if state == FinWait2 {
        let _ = bench.send(bench.peer());
    }
    if state == Closing {
        let segment = Peer { ack: 0, ..fin(&bench) };
        let _ = bench.send(segment);
    }
    assert_eq!(bench.state(), state);
    bench
}

const STATES: [StateName; 6] = [Established, CloseWait, FinWait1, FinWait2, Closing, LastAck];

// proves E-20, E-22: every arc by packets
#[test]
fn every_arc_by_packets() {
    // FIN-WAIT-1 and -2, then TIME-WAIT, owing an acknowledgement.
    let mut bench = in_state(FinWait2);
    let segment = fin(&bench);
    let out = bench.send(segment);
    assert_eq!((bench.ended, out.len()), (Some(CloseReason::Normal), 1));
    assert_eq!(out[0].bare(), (1, 1));
    assert!(bench.time_wait.is_some());
    // FIN and ACK of ours in one: straight to TIME-WAIT.
    let mut bench = in_state(FinWait1);
    let segment = fin(&bench);
    let out = bench.send(segment);
    assert_eq!((out[0].bare(), bench.time_wait.is_some()), ((1, 1), true));
    // Simultaneous close.
    let mut bench = in_state(Closing);
    assert!(bench.send(bench.peer()).is_empty());
    assert_eq!((bench.ended, bench.time_wait.is_some()), (Some(CloseReason::Normal), true));
    // The passive side leaves nothing.
    let mut bench = in_state(LastAck);
    assert!(bench.send(bench.peer()).is_empty());
    assert_eq!((bench.ended, bench.time_wait.is_some()), (Some(CloseReason::Normal), false));
}

// proves E-22
#[test]
fn the_record_answers_the_repeated_fin() {
    let mut bench = in_state(FinWait2);
    let segment = fin(&bench);
    let _ = bench.send(segment.clone());
    let mut record = bench.time_wait.clone().unwrap();
    match record.handle_segment(bench.now, &bench.segment(&segment)) {
        TimeWaitOutcome::Restart(reply) => {
            assert_eq!(reply.header.ack, bench.tcb.rcv_nxt());
            assert_eq!(reply.header.seq, bench.tcb.snd.nxt);
        }
        other => panic!("{other:?}"),
    }
}

// proves E-27
#[test]
fn what_was_written_goes_out_before_the_fin() {
    let mut bench = Start { window: 5000, ..Start::default() }.go();
    assert_eq!(bench.put(50_000), 50_000);
    let mut out = bench.close();
    while bench.state() != FinWait2 {
        assert!(!out.is_empty());
        let ack = out.last().map(|last| last.seq + last.len() as i64).unwrap();
        let fin = i64::from(out.last().unwrap().has(Flags::FIN));
        assert!(fin == 0 || ack == 50_000);
        out = bench.send(bench.peer_acks(ack + fin));
    }
    assert_eq!(bench.una(), 50_001);
    assert!(bench.deadline().is_some(), "FIN-WAIT-2 does not last when nobody reads");
    let _ = bench.pass(61_000);
    assert_eq!(bench.ended, Some(CloseReason::Normal));
}

// proves MAY-1
#[test]
fn half_a_close_lets_the_other_half_read_on() {
    let mut bench = in_state(FinWait2);
    for _ in 0..5 {
        let data = bench.peer().data(1000);
        let _ = bench.send(data);
        assert_eq!(bench.read(5000), 1000);
        let _ = bench.pass(3_600_000);
    }
    assert_eq!(bench.ended, None);
    let mut bench = in_state(CloseWait);
    assert_eq!(spans(&bench.write(1500)), [(0, 1000), (1000, 500)]);
}

// proves SHLD-3
#[test]
fn unread_data_makes_a_close_a_reset() {
    for state in [Established, FinWait1, FinWait2] {
        let mut bench = in_state(state);
        let data = bench.peer().data(1000);
        let _ = bench.send(data);
        let out = bench.close();
        assert!(out[0].has(Flags::RST), "{state:?}");
        assert_eq!((out[0].seq, bench.ended), (bench.sent(), Some(CloseReason::Aborted)));
    }
    // Data after a full close.
    for octets in [1, 1000] {
        let mut bench = Start::default().go();
        let _ = bench.close();
        let data = bench.peer_acks(0).data(octets);
        let out = bench.send(data);
        assert!(out[0].has(Flags::RST));
        assert_eq!(bench.ended, Some(CloseReason::Aborted));
    }
    // Old data again is no reason.
    let mut bench = Start::default().go();
    let data = bench.peer().data(10);
    let _ = bench.send(data.clone());
    assert_eq!(bench.read(10), 10);
    let _ = bench.close();
    assert_eq!(bench.send(data).len(), 1);
    assert_eq!(bench.ended, None);
}

// proves E-28
#[test]
fn abort_resets_where_the_peer_may_still_wait() {
    for state in STATES {
        let mut bench = in_state(state);
        let sent = bench.sent();
        let out = bench.abort();
        assert_eq!(bench.ended, Some(CloseReason::Aborted));
        assert!(bench.time_wait.is_none());
        // RFC 9293 §3.10.5: in CLOSING and LAST-ACK both FINs are out, and no reset is sent.
        let silent = matches!(state, Closing | LastAck);
        assert_eq!(out.is_empty(), silent, "{state:?}");
        if let Some(reset) = out.first() {
            assert!(reset.has(Flags::RST) && reset.len() == 0);
            assert_eq!(reset.seq, sent, "SEQ = SND.NXT");
        }
    }
    // With data still queued the peer knows nothing of our FIN.
    let mut bench = Start { window: 10, ..Start::default() }.go();
    let segment = fin(&bench).window(10);
    let _ = bench.send(segment);
    assert_eq!(bench.put(500), 500);
    let _ = bench.shutdown();
    assert_eq!(bench.state(), LastAck);
    assert!(bench.abort()[0].has(Flags::RST));
}

// proves E-13, MUST-12: in each state
#[test]
fn a_reset_in_every_state() {
    for state in STATES {
        let mut bench = in_state(state);
        let reset = bench.peer().flags(Flags::RST | Flags::ACK);
        assert!(bench.send(reset).is_empty());
        assert_eq!(bench.ended, Some(CloseReason::Reset), "{state:?}");
    }
}

// proves E-22, 1337-1: both FINs are acknowledged and the reader is slow
#[test]
fn a_slow_reader_holds_back_the_end_and_nothing_else_does() {
    for close in [false, true] {
        let mut bench = in_state(FinWait2);
        let last = bench.peer().data(100).and(Flags::FIN);
        let out = bench.send(last.clone());
        assert_eq!((out[0].bare(), bench.state()), ((1, 101), TimeWait));
        assert_eq!(bench.ended, None);
        let reset = bench.peer().flags(Flags::RST);
        assert!(bench.send(reset).is_empty() && bench.ended.is_none());
        assert_eq!(bench.send(last).len(), 1, "the repeated FIN is acknowledged");
        let _ = bench.pass(4_000_000);
        assert_eq!(bench.ended, None);
        let out = if close {
            bench.close()
        } else {
            assert_eq!(bench.read(1000), 100);
            std::vec::Vec::new()
        };
        // Nothing is left that a reset could stop.
        assert!(out.is_empty(), "{out:?}");
        assert!(bench.time_wait.is_some() && bench.ended.is_some());
    }
}

// proves E-20: closing twice, or in any state, is no error
#[test]
fn closing_again_changes_nothing() {
    for state in STATES {
        let mut bench = in_state(state);
        let sent = bench.sent();
        let _ = bench.shutdown();
        let out = bench.shutdown();
        assert!(out.is_empty());
        assert!(bench.sent() - sent <= 1);
        assert_eq!(bench.put(10), 0, "nothing can be written any more");
    }
}

// proves MUST-35: a FIN needs window as data does
#[test]
fn a_fin_sent_before_ours_was_acknowledged_may_come_later() {
    let mut bench = Start::default().go();
    let _ = bench.shutdown();
    let (seq, una) = (bench.received(), bench.una());
    let _ = bench.send(bench.peer());
    // Overtaken by the acknowledgement of our FIN, it still acknowledges nothing.
    let late = bench.peer_acks(una).flags(Flags::ACK | Flags::FIN);
    let out = bench.send(late);
    assert_eq!(out[0].ack, seq + 1, "{out:?}");
    assert_eq!(bench.dropped(DropReason::AckTooOld), 0);
}

#[test]
fn a_fin_does_not_pass_the_right_edge() {
    let mut bench = Start { window: 1000, ..Start::default() }.go();
    assert_eq!(bench.put(1000), 1000);
    let out = bench.shutdown();
    assert_eq!(spans(&out), [(0, 1000)]);
    assert!(!out[0].has(Flags::FIN), "it would stand at the right edge");
    let closed = bench.peer().window(0);
    assert!(bench.send(closed).is_empty());
    let probes = bench.pass(1000);
    assert!(!probes.is_empty() && probes.iter().all(|probe| !probe.has(Flags::FIN)));
    let open = bench.peer().window(1);
    let out = bench.send(open);
    assert!(out.len() == 1 && out[0].has(Flags::FIN));
    assert_eq!(out[0].seq, 1000);
}

// proves E-28, AT-20: what arrives after our FIN was acknowledged
#[test]
fn acknowledged_fin_then_reset() {
    let mut bench = Start::default().go();
    let _ = bench.close();
    let _ = bench.send(bench.peer());
    assert_eq!(bench.state(), FinWait2);
    let reset = bench.peer().flags(Flags::RST);
    assert!(bench.send(reset).is_empty());
    assert_eq!(bench.ended, Some(CloseReason::Reset));
}

/// A short answer with FIN behind it is taken in one step where it acknowledges all there was in flight and all was read
/// before: to be read, and then the end, and owed an acknowledgement. Any other is left as it was.
#[test]
fn the_last_answer_is_one_step() {
    let start = || {
        let mut bench = Start { fixed_window: None, ..Start::modern() }.go();
        assert_eq!(spans(&bench.write(64)), [(0, 64)]);
        bench
    };
    let take = |bench: &mut Bench, last: Peer| {
        let mut segment = bench.segment(&last);
        let usual = UsualSegment::of(&segment).unwrap();
        bench.tcb.take_last_answer(bench.now, &usual, &mut segment.payload, 0)
    };
    let mut bench = start();
    let last = bench.peer().data(64).and(Flags::FIN);
    let answered = take(&mut bench, last).unwrap();
    assert_eq!(answered.acked_octets.get(), 64);
    assert_eq!((bench.state(), bench.una()), (CloseWait, 64));
    assert_eq!(bench.tcb.receiver.queued(), 64);
    assert!(bench.tcb.only_acknowledges() && bench.tcb.is_closing());
    // It acknowledges less, or there is something to be read before.
    let mut bench = start();
    let last = bench.peer_acks(63).data(64).and(Flags::FIN);
    assert!(take(&mut bench, last).is_none());
    let first = bench.peer_acks(0).data(10);
    let _ = bench.send(first);
    let last = bench.peer().data(64).and(Flags::FIN);
    assert!(take(&mut bench, last).is_none());
    assert_eq!((bench.state(), bench.una()), (Established, 0));
}

//! Losses that were none: RFC 2883 (DSACK), 3522 (Eifel), 5682 (F-RTO), 4015.

use super::*;

fn timed_out(sender: &mut Sender, segments: u32) {
    sender.recovery.tail.sent(START, false);
    sender.send(segments);
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
    assert_eq!(sender.resend(), [1]);
}
fn undone(sender: &Sender) -> usize {
    sender.cc.calls.iter().filter(|call| **call == Call::Undo).count()
}

// proves 2883-3
#[test]
fn a_recovery_whose_every_retransmission_was_needless_is_undone() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(3, 6)]);
    let before = sender.cc.window;
    assert_eq!(sender.resend(), [1]);
    let _ = sender.sack(1, &[(3, 8)]);
    assert_eq!(sender.resend(), [2]);
    let outcome = sender.pass(5).ack(11);
    assert!(outcome.left_recovery && !outcome.spurious);
    assert!(!sender.sack(11, &[(1, 1)]).spurious);
    assert!(sender.sack(11, &[(2, 2)]).spurious);
    assert_eq!(undone(&sender), 1);
    assert_ne!(sender.cc.window, before);
    assert!(!sender.sack(11, &[(2, 2)]).spurious, "once");
}

// proves 2883-3
#[test]
fn one_needed_retransmission_keeps_the_reduction() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(3, 6)]);
    assert_eq!(sender.resend(), [1]);
    let _ = sender.sack(1, &[(3, 10)]);
    assert_eq!(sender.resend(), [2]);
    let _ = sender.pass(100).ack(11);
    assert!(!sender.sack(11, &[(1, 1)]).spurious);
    assert_eq!(undone(&sender), 0);
}

// proves 3522-1, 4015-2
#[test]
fn an_answer_to_the_original_undoes_the_timeout_at_once() {
    let mut sender = Sender::with_timestamps();
    let sent = sender.now;
    timed_out(&mut sender, 5);
    sender.echoed_at = Some(sent);
    let outcome = sender.pass(100).ack(2);
    assert!(outcome.spurious);
    assert_eq!(sender.recovery.state(), RecoveryState::Open);
    assert!(sender.resend().is_empty());
    assert_eq!(undone(&sender), 1);
    assert!(sender.recovery.rto() >= ms(400), "the delay is learnt");
    assert_eq!(outcome.rtt, Some(ms(400)));
    // 4015-1: all that was in flight still is; nothing is sent twice.
    assert_eq!(sender.recovery.in_flight(), 4 * MSS);
}

// proves 3522-1: an answer to the retransmission proves nothing.
#[test]
fn an_answer_to_the_retransmission_keeps_the_timeout() {
    let mut sender = Sender::with(|_, start| (start.timestamps, start.sack) = (true, false));
    sender.send(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [1]);
    sender.echoed_at = Some(sender.now);
    assert!(!sender.pass(100).ack(2).spurious);
    assert_eq!(sender.recovery.state(), RecoveryState::TimeoutRecovery);
}

// proves 3522-2
#[test]
fn eifel_is_not_used_when_a_duplicate_is_reported() {
    let mut sender = Sender::with_timestamps();
    let sent = sender.now;
    timed_out(&mut sender, 5);
    sender.recovery.undo.frto = Frto::Off;
    sender.recovery.undo.on_resent(5 * MSS, sender.now.stamp());
    sender.echoed_at = Some(sent);
    assert!(!sender.pass(100).sack(2, &[(1, 1)]).spurious);
}

// proves 3522-1 for fast recovery
#[test]
fn an_answer_to_the_original_undoes_fast_recovery() {
    let mut sender = Sender::with_timestamps();
    let sent = sender.now;
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    sender.echoed_at = Some(sent);
    assert!(sender.pass(5).ack(5).spurious);
    assert!(sender.recovery.rack.reordering_seen());
}

#[test]
fn what_arrives_before_it_was_sent_again_was_not_lost() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.recovery.state(), RecoveryState::FastRecovery);
    assert!(sender.ack(5).spurious);
    assert_eq!(undone(&sender), 1);
}

// proves 5682-1 (§3.1, with SACK)
#[test]
fn originals_that_arrive_after_a_timeout_show_that_it_was_spurious() {
    let mut sender = Sender::new();
    timed_out(&mut sender, 5);
    sender.new_data_ready = true;
    assert!(!sender.pass(10).ack(2).spurious);
    assert!(sender.resend().is_empty(), "retransmissions wait for the verdict");
    assert!(sender.pass(1).ack(3).spurious);
    assert_eq!(sender.recovery.counters().resent_octets, MSS, "one needless retransmission");
    assert_eq!(undone(&sender), 1);
}

// proves 5682-1 (§2.1, without SACK)
#[test]
fn without_sack_the_second_advance_decides() {
    let mut sender = Sender::without_sack();
    sender.send(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [1]);
    sender.new_data_ready = true;
    assert!(!sender.pass(10).ack(3).spurious);
    sender.cc.window = 2 * MSS;
    assert!(sender.resend().is_empty());
    assert_eq!(sender.allowance(), 2 * MSS);
    sender.send(2);
    assert!(sender.pass(1).ack(4).spurious);
    assert_eq!(sender.recovery.next_retransmission(START + 90_000), None);
}

// proves 5682-2
#[test]
fn a_duplicate_at_either_step_means_real_loss() {
    for first_step in [true, false] {
        let mut sender = Sender::without_sack();
        sender.send(5);
        let _ = sender.expire();
        assert_eq!(sender.resend(), [1]);
        sender.new_data_ready = true;
        sender.cc.window = 10 * MSS;
        if !first_step {
            let _ = sender.pass(10).ack(2);
            assert!(sender.resend().is_empty());
        }
        let next = if first_step { 1 } else { 2 };
        assert!(!sender.pass(1).ack(next).spurious);
        assert!(!sender.pass(1).ack(3).spurious);
        assert!(!sender.resend().is_empty());
        assert_eq!(undone(&sender), 0);
    }
}

// proves 5682-3
#[test]
fn without_new_data_recovery_is_conventional() {
    let mut sender = Sender::without_sack();
    sender.send(5);
    let _ = sender.expire();
    let _ = sender.resend();
    sender.cc.window = 2 * MSS;
    let _ = sender.pass(100).ack(2);
    assert_eq!(sender.resend(), [2, 3]);
    assert!(!sender.pass(100).ack(4).spurious);
    // Not again before the recovery point.
    let _ = sender.expire();
    assert_eq!(sender.recovery.undo.frto, Frto::Off);
}

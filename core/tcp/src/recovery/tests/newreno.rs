//! Peers without SACK: RFC 5681 §3.2, 6582, 3042.

use super::*;

// proves 5681-5, 3042-1
#[test]
fn the_third_duplicate_resends_and_the_first_two_let_one_new_segment_out_each() {
    let mut sender = Sender::without_sack();
    sender.cc.window = 10 * MSS;
    sender.send(10).pass(100);
    assert_eq!(sender.allowance(), 0);
    for _ in 0..2 {
        let outcome = sender.ack(1);
        assert!(outcome.duplicate && !outcome.entered_recovery);
        assert_eq!(sender.allowance(), MSS);
        sender.send(1);
    }
    assert!(sender.ack(1).entered_recovery);
    assert_eq!(sender.resend(), [1]);
    assert_eq!(sender.congestions()[0].kind, CongestionKind::Loss);
}

// proves 5681-5
#[test]
fn what_is_no_duplicate_does_not_count() {
    let mut sender = Sender::without_sack();
    sender.send(10).pass(100);
    for _ in 0..5 {
        let changed = AckInput { window_changed: true, ..sender.input(START, &[]) };
        assert!(!sender.give(&changed).duplicate);
        let payload = AckInput { has_payload: true, ..sender.input(START, &[]) };
        assert!(!sender.give(&payload).duplicate);
    }
    assert_eq!(sender.recovery.state(), RecoveryState::Open);
    let _ = sender.ack(11);
    assert!(!sender.ack(11).duplicate, "nothing is outstanding");
}

// proves 6582-1
#[test]
fn three_losses_of_ten_are_repaired_one_per_round_trip() {
    let mut sender = Sender::without_sack();
    sender.cc.window = 10 * MSS;
    sender.send(10).pass(100);
    for _ in 0..7 {
        let _ = sender.ack(1);
    }
    assert_eq!(sender.resend(), [1]);
    sender.pass(100);
    let outcome = sender.ack(4);
    assert!(!outcome.left_recovery);
    assert_eq!(sender.resend(), [4]);
    sender.pass(100);
    let _ = sender.ack(7);
    assert_eq!(sender.resend(), [7]);
    sender.pass(100);
    assert!(sender.ack(11).left_recovery);
    assert_eq!(sender.recovery.counters().timeouts, 0);
    assert_eq!(sender.congestions().len(), 1);
    assert_eq!(sender.recovery.delivered(), u64::from(10 * MSS));
}

// proves 6582-2
#[test]
fn duplicates_of_before_a_timeout_start_nothing() {
    let mut sender = Sender::without_sack();
    sender.send(10);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [1]);
    for _ in 0..5 {
        assert!(!sender.pass(1).ack(1).entered_recovery);
    }
    sender.cc.window = 100 * MSS;
    let _ = sender.resend();
    let _ = sender.pass(100).ack(11);
    assert_eq!(sender.recovery.state(), RecoveryState::Open);
    sender.send(5).pass(100);
    for _ in 0..5 {
        assert!(!sender.ack(11).entered_recovery, "caused by what was sent again");
    }
    let _ = sender.ack(12);
    for count in 1..=3 {
        assert_eq!(sender.ack(12).entered_recovery, count == 3);
    }
}

// proves AT-13
#[test]
fn made_up_duplicates_release_at_most_the_flight() {
    let mut sender = Sender::without_sack();
    sender.cc.window = 20 * MSS;
    sender.send(20).pass(100);
    let mut sent = 0;
    for _ in 0..10_000 {
        let _ = sender.ack(1);
        sent += sender.resend().len();
        while sender.allowance() >= MSS {
            sender.send(1);
            sent += 1;
        }
    }
    assert!(sent <= 20, "{sent}");
}

#[test]
fn a_timeout_marks_everything_lost_and_goes_on_by_the_window() {
    let mut sender = Sender::without_sack();
    sender.send(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [1]);
    sender.cc.window = 2 * MSS;
    sender.pass(100);
    let _ = sender.ack(2);
    assert_eq!(sender.resend(), [2, 3]);
    assert_eq!(sender.recovery.in_flight(), 2 * MSS);
    sender.pass(100);
    assert!(sender.ack(6).left_recovery);
}

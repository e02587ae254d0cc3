//! Proportional rate reduction: RFC 9937.

use super::*;

/// A window of `flight` segments, of which `lost` (the first ones) are lost; acknowledgements
/// arrive one per segment. Returns octets sent per acknowledgement from the start of recovery.
fn reduce(flight: u32, lost: u32) -> (Sender, Vec<u32>) {
    let mut sender = Sender::new();
    sender.cc.window = flight * MSS;
    sender.send(flight).pass(100);
    let mut sent = Vec::new();
    for number in lost + 1..=flight {
        let _ = sender.sack(1, &[(lost + 1, number)]);
        if sender.recovery.state() != RecoveryState::FastRecovery {
            continue;
        }
        let resent = sender.resend().len() as u32 * MSS;
        let mut octets = resent;
        while sender.allowance() >= MSS {
            sender.send(1);
            octets += MSS;
        }
        sent.push(octets);
    }
    (sender, sent)
}

// proves 9937-1, 9937-2, 9937-4
#[test]
fn one_loss_of_twenty_sends_about_one_per_two_acknowledgements() {
    let (sender, sent) = reduce(20, 1);
    assert_eq!(sent[0], MSS, "the retransmission leaves on the acknowledgement that starts it");
    let total: u32 = sent.iter().sum();
    assert!((8 * MSS..=10 * MSS).contains(&total), "{total}");
    assert!(sent.iter().all(|octets| *octets <= MSS));
    assert!(sender.recovery.in_flight().abs_diff(10 * MSS) <= MSS);
}

// proves 9937-3
#[test]
fn with_heavy_loss_no_more_leaves_than_was_delivered_and_a_segment() {
    let (sender, sent) = reduce(20, 15);
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|octets| *octets <= 2 * MSS), "{sent:?}");
    assert!(sender.recovery.in_flight() <= sender.cc.threshold);
}

// proves 9937-3
#[test]
fn progress_without_new_loss_lets_one_segment_more_out() {
    let (mut sender, _) = reduce(20, 15);
    sender.pass(100);
    let outcome = sender.ack(2);
    assert_eq!((outcome.delivered_octets, outcome.lost_octets), (MSS, 0));
    assert!(sender.allowance() >= 2 * MSS);
}

// proves 9937-5, AT-13
#[test]
fn acknowledgements_that_deliver_nothing_let_nothing_out() {
    let (mut sender, _) = reduce(20, 1);
    assert_eq!(sender.allowance(), 0);
    for _ in 0..10_000 {
        let _ = sender.sack(1, &[(2, 20)]);
        assert_eq!(sender.allowance(), 0);
    }
}

#[test]
fn a_retransmission_is_never_cut_for_want_of_a_fraction() {
    let mut sender = Sender::new();
    sender.send(20).pass(100);
    let (mut fractions, mut resent) = (0, Vec::new());
    for number in 5..=20 {
        let _ = sender.sack(1, &[(2, 2), (5, number)]);
        let allowed = sender.recovery.prr.allowed();
        if (1..MSS).contains(&allowed) && sender.recovery.next_retransmission(seq(21)).is_some() {
            assert_eq!(sender.allowance(), 0);
            fractions += 1;
        }
        resent.append(&mut sender.resend());
    }
    assert_eq!(resent, [1, 3, 4]);
    assert!(fractions > 0);
}

// proves 9937-5
#[test]
fn at_the_end_the_window_is_the_threshold() {
    let (mut sender, _) = reduce(20, 1);
    let nxt = sender.recovery.nxt();
    let outcome =
        { sender.pass(100).give(&AckInput { ack: nxt, ..Sender::new().input(nxt, &[]) }) };
    assert!(outcome.left_recovery);
    assert_eq!(sender.cc.calls.iter().filter(|c| **c == Call::Ended).count(), 1);
    assert_eq!(sender.allowance(), sender.cc.threshold);
}

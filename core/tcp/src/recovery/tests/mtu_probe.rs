//! Path MTU probes: their loss alone is no congestion (RFC 4821 §7.6, P-2).

use super::*;

/// Ten segments, of which the second is the probe.
fn with_probe(mut sender: Sender) -> Sender {
    sender.send(10).pass(100);
    sender.mtu_probe = Some((seq(2), seq(3)));
    sender
}
fn quiet(sender: &Sender) -> bool {
    sender.recovery.state() == RecoveryState::Open && sender.congestions().is_empty()
}

// proves P-2
#[test]
fn a_probe_lost_alone_leaves_again_at_once_and_nothing_is_reduced() {
    for sack in [true, false] {
        let mut sender = with_probe(if sack { Sender::new() } else { Sender::without_sack() });
        let _ = sender.ack(2);
        for last in 3..=6 {
            let outcome = if sack { sender.sack(2, &[(3, last)]) } else { sender.ack(2) };
            assert!(!outcome.entered_recovery && outcome.lost_octets == 0, "{outcome:?}");
        }
        assert!(quiet(&sender), "{sack}");
        assert_eq!(sender.recovery.next_retransmission(seq(99)), Some((seq(2), MSS)));
        let _ = sender.recovery.on_retransmitted(sender.now, seq(2), MSS);
        sender.recovery.forgive(seq(2), seq(3));
        sender.mtu_probe = None;
        let later = if sack { sender.sack(2, &[(3, 8)]) } else { sender.ack(2) };
        assert!(!later.entered_recovery);
        let _ = sender.pass(100).ack(11);
        assert!(quiet(&sender), "{sack}");
        assert_eq!(sender.recovery.in_flight(), 0);
    }
}

#[test]
fn its_second_loss_is_one_like_any_other() {
    let mut sender = with_probe(Sender::new());
    let _ = sender.sack(2, &[(3, 6)]);
    let _ = sender.recovery.on_retransmitted(sender.now, seq(2), MSS);
    sender.recovery.forgive(seq(2), seq(3));
    sender.mtu_probe = None;
    sender.pass(10).send(5);
    // What was sent after it arrives, a round trip later.
    let outcome = sender.pass(200).sack(2, &[(3, 15)]);
    assert!(outcome.entered_recovery, "{outcome:?}");
    assert_eq!(sender.congestions().len(), 1);
}

#[test]
fn another_loss_beside_it_is_congestion() {
    let mut sender = with_probe(Sender::new());
    let outcome = sender.sack(2, &[(4, 8)]);
    assert!(outcome.entered_recovery, "{outcome:?}");
    assert_eq!(sender.congestions().len(), 1);
    sender.recovery.forgive(seq(2), seq(3));
    assert_eq!(sender.recovery.state(), RecoveryState::FastRecovery);
    assert!(sender.recovery.next_retransmission(seq(99)).is_some(), "still lost");
}

#[test]
fn the_timer_that_finds_it_lost_is_no_congestion_either() {
    let mut sender = with_probe(Sender::new());
    // One segment SACKed is no proof yet: the reorder timer decides.
    let _ = sender.sack(2, &[(3, 3)]);
    let outcome = sender.expire();
    assert_eq!(outcome, TimerOutcome::Lost { octets: MSS, entered_recovery: false });
    assert!(quiet(&sender));
}

#[test]
fn what_a_timeout_finds() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let silent = Vanished { front_octets: MSS, repeated: false, silent_octets: 10 * MSS };
    assert_eq!(sender.recovery.vanished(), silent);
    let _ = sender.sack(1, &[(10, 10)]);
    assert_eq!(sender.recovery.vanished().silent_octets, 0);
    let _ = sender.recovery.on_retransmitted(sender.now, seq(1), MSS);
    assert!(sender.recovery.vanished().repeated);
}

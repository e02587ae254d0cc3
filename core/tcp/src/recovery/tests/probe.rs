//! Tail loss probes: RFC 8985 §7.

use super::*;

// proves 8985-9
#[test]
fn a_probe_waits_two_round_trips() {
    let mut sender = Sender::new();
    sender.send(5);
    assert_eq!(sender.wait(), 200);
    let mut single = Sender::with(|settings, _| settings.max_ack_delay = ms(50));
    single.send(1);
    assert_eq!(single.wait(), 250, "one segment: and the delay of its acknowledgement");
    let mut unknown = Sender::with(|_, start| start.rtt = None);
    unknown.send(5);
    assert_eq!(unknown.wait(), 1000);
    let mut capped = Sender::new();
    capped.send(1);
    assert_eq!(capped.wait(), 300, "never later than the timeout");
}

// proves 8985-9
#[test]
fn on_a_path_of_microseconds_a_probe_waits_ten_milliseconds() {
    let mut sender = Sender::with(|_, start| start.rtt = Some(Span::from_micros(80)));
    sender.send(5);
    assert_eq!(sender.wait(), 10, "a busy peer takes longer than two round trips");
}

// proves 8985-9
#[test]
fn a_full_window_waits_for_its_delayed_acknowledgement() {
    let mut sender = Sender::with(|settings, _| settings.max_ack_delay = ms(40));
    sender.window = 5 * MSS;
    sender.send(5);
    assert_eq!(sender.wait(), 200);
    assert_eq!(sender.expire(), TimerOutcome::Nothing, "the reader may be slow");
    assert_eq!(sender.wait(), 40);
    assert_eq!(sender.expire(), TimerOutcome::Probe { new_data: false });
}

// proves 8985-10, 8985-11
#[test]
fn one_probe_then_the_timeout() {
    let mut sender = Sender::new();
    sender.send(5);
    assert_eq!(sender.expire(), TimerOutcome::Probe { new_data: false });
    assert_eq!(sender.resend(), [5]);
    assert_eq!(sender.wait(), 300);
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
    assert_eq!(sender.recovery.counters().probes, 1);
}

// proves 8985-10, 8985-11
#[test]
fn a_probe_prefers_new_data_and_may_exceed_the_window_by_a_segment() {
    let mut sender = Sender::new();
    sender.cc.window = 5 * MSS;
    sender.send(5);
    assert_eq!(sender.allowance(), 0);
    sender.new_data_ready = true;
    assert_eq!(sender.expire(), TimerOutcome::Probe { new_data: true });
    assert_eq!(sender.allowance(), MSS);
    assert_eq!(sender.recovery.next_retransmission(START + 100_000), None);
    sender.send(1);
    assert_eq!(sender.allowance(), 0);
    assert_eq!(sender.wait(), 300);
    // No second one without a new sample.
    assert!(!sender.recovery.may_probe());
    let _ = sender.pass(1).ack(7);
    assert_eq!(sender.recovery.counters().probes, 1);
    sender.send(2);
    assert!(sender.recovery.may_probe());
}

// proves 8985-12
#[test]
fn a_probe_that_repaired_a_loss_reduces_the_window_once() {
    let mut sender = Sender::new();
    sender.send(5).pass(100);
    let _ = sender.ack(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [5]);
    let outcome = sender.pass(100).ack(6);
    assert!(!outcome.probe_repaired, "not known yet");
    sender.send(1).pass(100);
    let outcome = sender.ack(7);
    assert!(outcome.probe_repaired);
    assert_eq!(sender.congestions().len(), 1);
    assert_eq!(sender.recovery.state(), RecoveryState::Open);
    sender.send(1).pass(100);
    assert!(!sender.ack(8).probe_repaired);
}

// proves 8985-12
#[test]
fn a_needless_probe_costs_nothing() {
    let mut sender = Sender::new();
    sender.send(5).pass(100);
    let _ = sender.ack(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [5]);
    let _ = sender.pass(1).ack(6);
    let outcome = sender.pass(100).sack(6, &[(5, 5)]);
    assert!(outcome.dsack);
    sender.send(1).pass(100);
    assert!(!sender.ack(7).probe_repaired);
    assert!(sender.congestions().is_empty());
}

// proves 8985-12: a peer that does not report duplicates.
#[test]
fn a_bare_duplicate_shows_a_needless_probe_too() {
    let mut sender = Sender::new();
    sender.send(5).pass(100);
    let _ = sender.ack(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [5]);
    let _ = sender.pass(1).ack(6);
    let _ = sender.ack(6);
    sender.send(1).pass(100);
    assert!(!sender.ack(7).probe_repaired);
}

// proves 8985-9, 8985-13: a probe is not armed while something is SACKed.
#[test]
fn only_one_timer_is_armed() {
    let mut sender = Sender::new();
    sender.send(3);
    assert_eq!(sender.recovery.timer.kind(), SendTimer::TailProbe);
    let _ = sender.pass(100).sack(1, &[(2, 2)]);
    assert_eq!(sender.recovery.timer.kind(), SendTimer::Reorder);
    let _ = sender.expire();
    assert_eq!(sender.recovery.timer.kind(), SendTimer::Retransmit);
    let _ = sender.resend();
    let _ = sender.pass(100).ack(4);
    assert_eq!(sender.recovery.deadline(), None);
}

#[test]
fn a_probe_that_was_not_sent_is_forgotten_when_news_arrive() {
    let mut sender = Sender::new();
    sender.send(5);
    let _ = sender.expire();
    let _ = sender.sack(1, &[(5, 5)]);
    assert!(sender.recovery.next_retransmission(START + 100_000).is_none());
    let _ = sender.ack(6);
}

//! RACK: RFC 8985 §6.

use super::*;

// proves 8985-4, 6675-1
#[test]
fn three_segments_above_a_hole_resend_it_at_once() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    assert!(!sender.sack(1, &[(2, 2)]).entered_recovery);
    assert!(!sender.sack(1, &[(2, 3)]).entered_recovery);
    let outcome = sender.sack(1, &[(2, 4)]);
    assert!(outcome.entered_recovery);
    assert_eq!(outcome.lost_octets, MSS);
    assert_eq!(sender.resend(), [1]);
}

// proves 6675-1: three tiny ones too.
#[test]
fn three_tiny_segments_above_a_hole_are_enough() {
    let mut sender = Sender::new();
    for octets in [MSS, 10, 10, 10] {
        sender.recovery.on_sent(sender.now, octets, MSS, false);
    }
    let edge = seq(2);
    sender.pass(100);
    for count in 1..=3 {
        let outcome = sender.give(&sender.input(START, &[(edge, edge + 10 * count)]));
        assert_eq!(outcome.entered_recovery, count == 3);
    }
}

// proves 8985-6
#[test]
fn one_segment_above_a_hole_resends_it_at_the_reorder_timer() {
    let mut sender = Sender::new();
    sender.send(2).pass(100);
    let outcome = sender.sack(1, &[(2, 2)]);
    assert_eq!(outcome.lost_octets, 0);
    assert_eq!(sender.wait(), 25, "a quarter of the least round trip");
    let fired = sender.expire();
    assert_eq!(fired, TimerOutcome::Lost { octets: MSS, entered_recovery: true });
    assert_eq!(sender.resend(), [1]);
    assert_eq!(sender.congestions().len(), 1);
}

// RFC 5681 §2: FlightSize is what is sent and not acknowledged cumulatively. Much of it is SACKed by
// the time RACK's patience with reordering ends, and was as much in flight when the loss happened.
#[test]
fn what_was_sacked_while_reordering_was_awaited_counts_as_flight() {
    let mut sender = Sender::new();
    sender.send(20).pass(100);
    sender.recovery.rack.note_reordering();
    assert!(!sender.sack(1, &[(2, 15)]).entered_recovery);
    let fired = sender.expire();
    assert_eq!(fired, TimerOutcome::Lost { octets: MSS, entered_recovery: true });
    assert_eq!(sender.congestions()[0].flight_octets, 20 * MSS);
    // The same when an acknowledgement shows it, of something newer whose round trip was short.
    let mut sender = Sender::new();
    sender.send(20).pass(100);
    sender.recovery.rack.note_reordering();
    assert!(!sender.sack(1, &[(2, 15)]).entered_recovery);
    sender.send(5).pass(20);
    assert!(sender.sack(1, &[(21, 21), (2, 15)]).entered_recovery);
    assert_eq!(sender.congestions()[0].flight_octets, 25 * MSS);
}

// proves 8985-6: what was sent after the newest delivered is not judged.
#[test]
fn later_transmissions_are_not_judged() {
    let mut sender = Sender::new();
    sender.send(5).pass(1).send(20).pass(100);
    let outcome = sender.sack(1, &[(2, 5)]);
    assert_eq!(outcome.lost_octets, MSS);
}

// proves 8985-7
#[test]
fn a_lost_retransmission_is_found_within_a_round_trip() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    sender.pass(1).send(1).pass(1);
    let _ = sender.sack(1, &[(2, 10)]);
    assert!(sender.resend().is_empty());
    sender.pass(100);
    let outcome = sender.sack(1, &[(2, 11)]);
    assert_eq!(outcome.lost_octets, MSS, "what left after the retransmission arrived");
    assert_eq!(sender.resend(), [1]);
    assert_eq!(sender.recovery.counters().timeouts, 0);
}

// proves 8985-3
#[test]
fn only_data_sent_once_shows_reordering() {
    let mut sender = Sender::new();
    sender.send(3).pass(100);
    let _ = sender.ack(2);
    let _ = sender.sack(2, &[(3, 3)]);
    assert!(!sender.recovery.rack.reordering_seen());
    let _ = sender.pass(5).ack(4);
    assert!(sender.recovery.rack.reordering_seen());

    let mut sender = Sender::new();
    sender.send(4).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    let _ = sender.pass(100).ack(5);
    assert!(!sender.recovery.rack.reordering_seen());
}

// proves 8985-2
#[test]
fn an_early_answer_to_a_retransmission_does_not_lower_the_round_trip() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    let _ = sender.resend();
    let before = sender.recovery.latest.rtt();
    let _ = sender.pass(5).ack(5);
    assert_eq!(sender.recovery.latest.rtt(), before, "the original was only late");
}

// proves 8985-5
#[test]
fn reported_duplicates_widen_the_reordering_window_up_to_a_round_trip() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    let _ = sender.pass(1).ack(5);
    let window = |sender: &Sender| {
        sender
            .recovery
            .rack
            .window(sender.recovery.latest, &sender.recovery.rtt, false, 0)
            .as_millis()
    };
    assert_eq!(window(&sender), 25);
    for (round, expected) in [(1, 50), (2, 75), (3, 100), (4, 100), (5, 100)] {
        let next = sender.recovery.nxt().since(START) / MSS + 1;
        sender.send(1);
        let _ = sender.sack(next, &[(1, 1)]);
        let _ = sender.sack(next, &[(1, 1)]);
        sender.pass(100);
        let _ = sender.ack(next + 1);
        let actual = window(&sender);
        assert!(actual.abs_diff(expected) <= 1, "round {round}: {actual}, not {expected}");
    }
    for _ in 0..16 {
        sender.recovery.rack.on_recovery_ended();
    }
    assert_eq!(window(&sender), 25);
}

// An original that answers after all is as good a witness as a reported duplicate; a recovery that
// was none does not count among the sixteen.
#[test]
fn an_undone_recovery_widens_the_reordering_window_and_keeps_it_wide() {
    let mut sender = Sender::with_timestamps();
    let sent = sender.now;
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    sender.echoed_at = Some(sent);
    let outcome = sender.pass(5).ack(5);
    assert!(outcome.spurious && outcome.left_recovery);
    let window = |sender: &Sender| {
        sender
            .recovery
            .rack
            .window(sender.recovery.latest, &sender.recovery.rtt, true, 9)
            .as_millis()
    };
    assert_eq!(window(&sender), 50);
    // The retransmission's duplicate is of the same round.
    let _ = sender.sack(5, &[(1, 1)]);
    assert_eq!(window(&sender), 50);
    for _ in 0..15 {
        sender.recovery.rack.on_recovery_ended();
    }
    assert_eq!(window(&sender), 50);
    sender.recovery.rack.on_recovery_ended();
    assert_eq!(window(&sender), 25);
}

// proves 8985-8
#[test]
fn a_timeout_leaves_alone_what_was_just_sent() {
    let mut sender = Sender::new();
    sender.recovery.tail.sent(START, false);
    sender.send(3);
    sender.now = sender.recovery.deadline().unwrap() - ms(1);
    sender.send(1).pass(1);
    assert_eq!(sender.fire(), TimerOutcome::Timeout { count: 1 });
    sender.cc.window = 100 * MSS;
    assert_eq!(sender.resend(), [1, 2, 3]);
}

#[test]
fn news_before_it_left_do_not_take_the_first_segment_of_a_timeout_back() {
    let mut sender = Sender::new();
    sender.recovery.tail.sent(START, false);
    sender.send(3);
    sender.now = sender.recovery.deadline().unwrap() - ms(1);
    sender.send(3).pass(1);
    let _ = sender.fire();
    let _ = sender.sack(1, &[(4, 4)]);
    assert_eq!((sender.recovery.in_flight(), sender.cc.window), (2 * MSS, MSS));
    assert_eq!(sender.resend(), [1]);
}

// proves 8985-1
#[test]
fn without_sack_there_is_neither_rack_nor_probe() {
    let mut sender = Sender::without_sack();
    sender.send(5).pass(100);
    let _ = sender.sack(1, &[(2, 5)]);
    assert_eq!(sender.recovery.board.sums().sacked, 0);
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
}

// proves 8985-14, AT-8
#[test]
fn one_acknowledgement_never_judges_more_than_a_bounded_number_of_records() {
    let mut sender = Sender::new();
    sender.cc.window = u32::MAX;
    sender.send(3000).pass(100);
    let outcome = sender.sack(1, &[(2998, 3000)]);
    assert_eq!(outcome.lost_octets, 512 * MSS);
    assert_eq!(sender.wait(), 0);
    while sender.recovery.deadline() == Some(sender.now) {
        let _ = sender.fire();
    }
    assert_eq!(sender.recovery.board.sums().lost, 2997 * MSS);
    assert_eq!(sender.congestions().len(), 1);
}

// proves 6675-4
#[test]
fn five_losses_in_a_window_are_one_event() {
    let mut sender = Sender::new();
    sender.send(20).pass(100);
    let _ = sender.sack(1, &[(2, 2), (4, 4), (6, 6)]);
    let _ = sender.sack(1, &[(8, 8), (10, 20)]);
    let _ = sender.resend();
    sender.pass(100);
    for next in [3, 5, 7, 9] {
        let _ = sender.ack(next);
        let _ = sender.resend();
    }
    let outcome = sender.ack(21);
    assert!(outcome.left_recovery);
    let events = sender.congestions();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].flight_octets), (CongestionKind::Loss, 20 * MSS));
    assert_eq!(sender.cc.calls.iter().filter(|call| **call == Call::Ended).count(), 1);
}

// RFC 5681 §2: FlightSize is what was not cumulatively acknowledged. Right after a recovery most
// of it may be SACKed, and the window would be cut by that share a second time.
#[test]
fn what_was_sacked_is_part_of_the_flight_that_is_reduced() {
    let mut sender = Sender::new();
    sender.send(20).pass(100);
    let _ = sender.sack(1, &[(2, 3)]);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.congestions()[0].flight_octets, 20 * MSS);
    assert_eq!(sender.resend(), [1]);
    let _ = sender.expire();
    assert_eq!(sender.congestions()[1].flight_octets, 20 * MSS);
}

#[test]
fn an_hour_of_silence_confuses_no_32_bit_time() {
    for minutes in [1, 20, 36, 50, 71, 72, 90] {
        let mut sender = Sender::new();
        sender.send(10).pass(100);
        let _ = sender.sack(1, &[(2, 4)]);
        assert_eq!(sender.resend(), [1]);
        let _ = sender.pass(100).ack(11);
        sender.pass(minutes * 60_000).send(10);
        assert_eq!(sender.wait(), 200);
        let outcome = { sender.pass(100).sack(11, &[(12, 14)]) };
        assert!(outcome.entered_recovery, "after {minutes} minutes");
        assert_eq!(outcome.rtt, Some(ms(100)));
        assert_eq!(sender.resend(), [11]);
        let _ = sender.pass(100).ack(21);
        assert_eq!(sender.recovery.rto(), ms(300));
    }
}

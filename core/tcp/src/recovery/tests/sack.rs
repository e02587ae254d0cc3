//! The scoreboard: RFC 2018, 2883, 6675.

use super::*;

// proves 2018-7
#[test]
fn nonsense_blocks_are_ignored() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.ack(3);
    let nonsense = [
        (seq(5), seq(5)),
        (seq(7), seq(6)),
        (seq(9), seq(12)),
        (seq(4), seq(4) + (1 << 31)),
        (START - 50_000, seq(5)),
    ];
    for block in nonsense {
        let outcome = sender.give(&sender.input(seq(3), &[block]));
        assert_eq!((outcome.newly_sacked_octets, outcome.duplicate), (0, false), "{block:?}");
    }
    assert!(sender.recovery.board.sacked_ranges().is_empty());
}

// proves 2018-5, 2018-6, AT-14
#[test]
fn a_reneging_peer_costs_one_timeout() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 10)]);
    assert_eq!(sender.resend(), [1]);
    sender.pass(100);
    let _ = sender.ack(2);
    assert_eq!(sender.recovery.in_flight(), 0, "the peer claimed all the rest");
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
    assert_eq!(sender.recovery.board.sums().sacked, 0);
    sender.cc.window = 100 * MSS;
    assert_eq!(sender.resend(), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let _ = sender.pass(100).ack(11);
    assert_eq!(sender.recovery.counters().timeouts, 1);
}

// proves 2018-5
#[test]
fn a_timeout_alone_keeps_the_marks() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(5, 6)]);
    sender.pass(1000);
    while sender.fire() != (TimerOutcome::Timeout { count: 1 }) {}
    assert_eq!(sender.recovery.board.sums().sacked, 2 * MSS);
}

// proves 2883-3
#[test]
fn both_forms_of_a_reported_duplicate_are_recognised() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.ack(4);
    assert!(sender.sack(4, &[(2, 2)]).dsack);
    let outcome = sender.sack(4, &[(7, 7), (6, 8)]);
    assert!(outcome.dsack);
    assert_eq!(outcome.newly_sacked_octets, 3 * MSS);
    assert!(!sender.sack(4, &[(9, 9), (6, 8)]).dsack);
    assert_eq!(sender.recovery.counters().duplicates_reported, 2);
}

// proves AT-6
#[test]
fn edges_inside_a_segment_are_rounded_inward() {
    let mut sender = Sender::new();
    sender.send_merged(10);
    sender.pass(100);
    let outcome = sender.give(&sender.input(START, &[(seq(3) - 1, seq(5) + 999)]));
    assert_eq!(outcome.newly_sacked_octets, 2 * MSS);
    assert_eq!(sender.recovery.board.sacked_ranges(), [(seq(3), seq(5))]);
    let outcome = sender.give(&sender.input(START, &[(seq(8) + 1, seq(8) + 900)]));
    assert_eq!(outcome.newly_sacked_octets, 0);
}

// proves AT-6: boundaries are those of the wire even after a partial acknowledgement.
#[test]
fn boundaries_survive_an_acknowledgement_inside_a_segment() {
    let mut sender = Sender::new();
    sender.send_merged(10);
    sender.pass(100);
    let _ = sender.give(&sender.input(START + 1500, &[]));
    let _ = sender.give(&sender.input(START + 1500, &[(seq(3), seq(4))]));
    assert_eq!(sender.recovery.board.sacked_ranges(), [(seq(3), seq(4))]);
}

// proves AT-6
#[test]
fn hostile_blocks_never_make_more_than_two_records_per_segment() {
    let mut sender = Sender::new();
    for _ in 0..20 {
        sender.send_merged(40);
    }
    sender.pass(100);
    let mut prng = Prng::from_seed(7);
    for _ in 0..5000 {
        let left = START + prng.below(800_000) as u32;
        let right = left + prng.below(3000) as u32;
        let _ = sender.give(&sender.input(START, &[(left, right)]));
    }
    assert!(sender.recovery.board.record_count() <= 2 * 800);
}

// proves AT-6: the number of ranges is bounded.
#[test]
fn ranges_beyond_the_limit_are_ignored_until_some_merge() {
    let mut sender = Sender::with(|settings, _| settings.sack_ranges = 3);
    sender.send(20).pass(1);
    for number in [3, 5, 7, 9, 11] {
        let _ = sender.sack(1, &[(number, number)]);
    }
    assert_eq!(sender.recovery.board.sacked_ranges().len(), 3);
    let _ = sender.sack(1, &[(4, 4)]);
    let _ = sender.sack(1, &[(9, 9)]);
    assert_eq!(
        sender.recovery.board.sacked_ranges(),
        [(seq(3), seq(6)), (seq(7), seq(8)), (seq(9), seq(10)),]
    );
}

// proves AT-8: a repeated block finds nothing new.
#[test]
fn a_repeated_block_delivers_nothing() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    assert_eq!(sender.sack(1, &[(3, 9)]).delivered_octets, 7 * MSS);
    let outcome = sender.sack(1, &[(4, 6), (3, 9)]);
    assert_eq!((outcome.delivered_octets, outcome.duplicate), (0, false));
    let _ = sender.sack(1, &[(2, 10)]);
    assert_eq!(sender.recovery.delivered(), u64::from(9 * MSS));
}

// proves 6675-2: an octet sent again without being lost counts twice.
#[test]
fn a_probe_counts_twice() {
    let mut sender = Sender::new();
    sender.send(5);
    let _ = sender.expire();
    assert_eq!(sender.resend(), [5]);
    assert_eq!(sender.recovery.in_flight(), 6 * MSS);
}

// proves 6675-3, 6675-5
#[test]
fn a_lost_tail_is_rescued_once() {
    let mut sender = Sender::new();
    sender.cc.window = 12 * MSS;
    sender.send(12).pass(100);
    let _ = sender.sack(1, &[(2, 8)]);
    assert_eq!(sender.resend(), [1]);
    let edge = START + 100_000;
    let (from, octets) = sender.recovery.next_rescue(edge).unwrap();
    assert_eq!((from, octets), (seq(12), MSS));
    let pending = sender.recovery.next_retransmission(edge);
    let cause = sender.recovery.on_retransmitted(sender.now, from, octets);
    sender.recovery.check();
    assert_eq!(cause, RetransmitCause::Recovery);
    assert_eq!(sender.recovery.next_rescue(edge), None);
    assert_eq!(sender.recovery.next_retransmission(edge), pending);
    // The rescue's answer shows what else was lost before it.
    sender.pass(100);
    let outcome = sender.sack(9, &[(12, 12)]);
    assert_eq!(outcome.lost_octets, 3 * MSS);
    assert_eq!(sender.recovery.counters().timeouts, 0);
}

#[test]
fn what_was_sent_in_recovery_is_not_rescued() {
    let mut sender = Sender::new();
    sender.cc.window = 12 * MSS;
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 8)]);
    assert_eq!(sender.resend(), [1]);
    sender.send(1);
    assert_eq!(sender.recovery.next_rescue(START + 100_000), None);
}

#[test]
fn a_retransmission_may_span_records_and_cut_them() {
    let mut sender = Sender::new();
    sender.send_merged(4).send_merged(4).pass(100);
    let _ = sender.send(3).pass(100).sack(1, &[(9, 11)]);
    assert_eq!(sender.recovery.next_retransmission(START + 90_000), Some((START, 8 * MSS)));
    let _ = sender.recovery.on_retransmitted(sender.now, START, 5 * MSS + 300);
    sender.recovery.check();
    let rest = 3 * MSS - 300;
    assert_eq!(sender.recovery.next_retransmission(START + 90_000), Some((seq(6) + 300, rest)));
    let _ = sender.pass(100).ack(12);
}

#[test]
fn an_idle_or_short_exchange_keeps_no_heap() {
    let mut sender = Sender::new();
    sender.send_merged(44).send(1);
    assert!(!sender.recovery.board.holds_heap());
    let _ = sender.pass(100).ack(46);
    sender.send(100).pass(100);
    let _ = sender.sack(46, &[(50, 60)]);
    let _ = sender.ack(146);
    assert!(!sender.recovery.board.holds_heap());
}

#[test]
fn an_old_acknowledgement_counts_for_its_blocks_only() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.ack(5);
    let outcome = sender.sack(3, &[(8, 8)]);
    assert_eq!(outcome.newly_acked_octets, 0);
    assert_eq!(outcome.newly_sacked_octets, MSS);
    assert!(!outcome.duplicate);
    assert_eq!(sender.recovery.una(), seq(5));
}

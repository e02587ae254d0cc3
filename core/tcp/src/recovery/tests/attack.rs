//! Hostile acknowledgements.

use super::super::records::work;
use super::*;

// proves AT-11
#[test]
fn an_acknowledgement_of_what_was_never_sent_changes_nothing() {
    let mut sender = Sender::new();
    sender.send(5).pass(100);
    for ahead in [1, 1000, 1 << 20, (1 << 31) - 5001] {
        let outcome = sender.give(&sender.input(sender.recovery.nxt() + ahead, &[]));
        assert_eq!(outcome, AckOutcome::default());
    }
    assert!(sender.cc.calls.is_empty());
    assert_eq!(sender.recovery.outstanding(), 5 * MSS);
}

// proves AT-12, 5681-8
#[test]
fn split_acknowledgements_count_octets_once_and_give_one_sample() {
    let mut sender = Sender::new();
    sender.send(2).pass(100);
    let mut samples = 0;
    for octet in 1..=MSS {
        let outcome = sender.give(&sender.input(START + octet, &[]));
        samples += u32::from(outcome.rtt.is_some());
    }
    assert_eq!(samples, 1);
    let delivered: u32 = sender.samples().iter().map(|sample| sample.delivered_octets).sum();
    assert_eq!(delivered, MSS);
}

// proves AT-13
#[test]
fn duplicates_without_news_count_nothing_with_sack() {
    let mut sender = Sender::new();
    sender.cc.window = 20 * MSS;
    sender.send(20).pass(10);
    for _ in 0..10_000 {
        assert!(!sender.ack(1).duplicate);
        assert_eq!((sender.allowance(), sender.resend().len()), (0, 0));
    }
    assert!(sender.cc.calls.is_empty());
}

// proves AT-14
#[test]
fn a_peer_that_claims_everything_and_never_acknowledges_meets_the_timeout() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(1, 10)]);
    assert_eq!(sender.recovery.in_flight(), 0);
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
    assert_eq!(sender.recovery.board.sums().sacked, 0);
    assert_eq!(sender.resend(), [1]);
}

// proves AT-8 (by count; `usertcp-bench -- micro` has the nanoseconds): four random blocks in each
// acknowledgement, a hundred thousand segments in flight. Where a record stands for several segments,
// splitting it moves its neighbours, which BG-2's worst case does not allow: that row is open.
#[test]
fn random_blocks_on_a_hundred_thousand_segments_cost_few_records_each() {
    for merged in [1, 10, 44] {
        let (looked_at, moved) = work_of_random_blocks(100_000, merged);
        let mean = looked_at.iter().sum::<usize>() / looked_at.len();
        let worst = looked_at.iter().max().copied().unwrap_or(0);
        std::println!("merged {merged}: looked at {mean}, {worst} at most, moved {moved:?}");
        assert!(mean <= 64 && worst <= 2048, "looked at {mean}, {worst} at most");
        assert!(moved.0 <= if merged == 1 { 0 } else { 40_000 }, "moved {moved:?}");
    }
}

/// Records looked at by each of 20,000 acknowledgements, and moved at most and in all.
fn work_of_random_blocks(segments: u32, merged: u32) -> (Vec<usize>, (usize, usize)) {
    let mut sender = Sender::new();
    for _ in 0..segments / merged {
        sender.recovery.on_sent(sender.now, merged * MSS, MSS, false);
    }
    let (mut prng, mut draw) = (Prng::from_seed(1), Prng::from_seed(2));
    sender.pass(100);
    let (mut looked_at, mut most_moved, mut moved) = (Vec::new(), 0, 0);
    for _ in 0..20_000 {
        let mut blocks = [(START, START); 4];
        for block in &mut blocks {
            let left = 1 + prng.below(u64::from(segments) - 10) as u32;
            *block = (START + left * MSS, START + (left + 1 + prng.below(4) as u32) * MSS);
        }
        let input = sender.input(START, &blocks);
        let _ = work::take();
        let _ = sender.recovery.on_ack(sender.now, &input, &mut sender.cc, &mut draw);
        let (looks, moves) = work::take();
        looked_at.push(looks);
        most_moved = most_moved.max(moves);
        moved += moves;
    }
    (looked_at, (most_moved, moved))
}

#[test]
fn made_up_duplicate_reports_neither_undo_nor_overflow() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(2, 4)]);
    let _ = sender.resend();
    for _ in 0..300 {
        let far = (START - (1 << 29), START - (1 << 28));
        assert!(!sender.give(&sender.input(seq(1), &[far])).spurious);
    }
    assert_eq!(
        sender.recovery.rack.window(sender.recovery.latest, &sender.recovery.rtt, false, 0),
        ms(50)
    );
}

use super::{BASES, UNBOUNDED, chain, pool, stream};
use crate::recv::reassembly::Reassembly;
use crate::recv::receiver::{DataOutcome, Intake, Receiver};
use crate::recv::sack::{SackBlocks, SackReport};
use std::vec::Vec;
use usertcp_base::Seq;
use usertcp_frame::FramePool;

const UNIT: u32 = 100;

/// Segments of 100 octets by number, from 0 on, and the numbers that blocks cover.
struct Peer {
    base: Seq,
    receiver: Receiver,
    pool: FramePool,
}

impl Peer {
    fn new(base: u32) -> Peer {
        Peer { base: Seq(base), receiver: Receiver::new(Seq(base)), pool: pool() }
    }
    fn send(&mut self, number: u32) -> DataOutcome {
        self.send_octets(number * UNIT, UNIT)
    }
    fn send_octets(&mut self, from: u32, len: u32) -> DataOutcome {
        let mut copied = 0;
        let mut intake = Intake {
            edge: self.base + 100_000,
            buffer: 100_000,
            ranges: 512,
            pool: &self.pool,
            copied: &mut copied,
        };
        let chain = chain(&self.pool, &stream(u64::from(from), len as usize));
        self.receiver.on_data(self.base + from, chain, false, &mut intake)
    }
    fn blocks(&mut self, room: usize) -> Vec<(u32, u32)> {
        let blocks = self.receiver.take_sack_blocks(room);
        let offset = |seq: Seq| seq.0.wrapping_sub(self.base.0);
        blocks.iter().map(|block| (offset(block.0), offset(block.1))).collect()
    }
}

fn unit(number: u32) -> (u32, u32) {
    (number * UNIT, (number + 1) * UNIT)
}

// proves 2018-4: arrivals 3, 5, 7, 9 are listed 9, 7, 5 beside timestamps, and 3 too without
#[test]
fn the_latest_arrival_comes_first() {
    for base in BASES {
        let mut peer = Peer::new(base);
        for number in [3, 5, 7, 9] {
            assert_eq!(peer.send(number), DataOutcome::OutOfOrder);
        }
        assert_eq!(peer.blocks(3), [unit(9), unit(7), unit(5)]);
        assert_eq!(peer.blocks(4), [unit(9), unit(7), unit(5), unit(3)]);
        // a range that grows comes first, and a merged one is told once
        assert_eq!(peer.send(4), DataOutcome::OutOfOrder);
        assert_eq!(peer.blocks(3), [(300, 600), unit(9), unit(7)]);
        assert_eq!(peer.send(8), DataOutcome::OutOfOrder);
        assert_eq!(peer.blocks(4), [(700, 1000), (300, 600)]);
    }
}

// proves 2018-3: while something is held every acknowledgement says so; after that none does
#[test]
fn blocks_are_told_until_nothing_is_held() {
    let mut peer = Peer::new(u32::MAX - 150);
    let _ = peer.send(2);
    for _ in 0..3 {
        assert_eq!(peer.blocks(3), [unit(2)]);
    }
    let _ = peer.send(0);
    assert_eq!(peer.blocks(3), [unit(2)]);
    let _ = peer.send(1);
    assert!(peer.blocks(3).is_empty());
}

// proves 2018-2: never more than there is room for
#[test]
fn no_more_than_fit() {
    let mut peer = Peer::new(7);
    for number in (1..20).step_by(2) {
        let _ = peer.send(number);
    }
    assert_eq!(peer.blocks(0).len(), 0);
    assert_eq!(peer.blocks(3).len(), 3);
    assert_eq!(peer.blocks(9).len(), 4);
}

// proves 2883-1: a duplicate below the cumulative acknowledgement, once
#[test]
fn a_duplicate_below_is_told_once() {
    for base in BASES {
        let mut peer = Peer::new(base);
        for number in 0..5 {
            let _ = peer.send(number);
        }
        assert_eq!(peer.send(0), DataOutcome::Duplicate);
        assert_eq!(peer.blocks(3), [unit(0)]);
        assert!(peer.blocks(3).is_empty());
        // beside a held range
        let _ = peer.send(7);
        assert_eq!(peer.send(1), DataOutcome::Duplicate);
        assert_eq!(peer.blocks(3), [unit(1), unit(7)]);
        assert_eq!(peer.blocks(3), [unit(7)]);
        // partly old: the old part is the duplicate
        let outcome = peer.send_octets(450, 100);
        assert!(matches!(outcome, DataOutcome::Delivered { octets: 50, filled_gap: true, .. }));
        assert_eq!(peer.blocks(3), [(450, 500), unit(7)]);
        // one that the window check refused
        peer.receiver.on_old(Seq(base), 30);
        assert_eq!(peer.blocks(3), [(0, 30), unit(7)]);
    }
}

// proves 2883-2: a duplicate inside a held range: the duplicate, then the range around it
#[test]
fn a_duplicate_inside_is_followed_by_its_range() {
    let mut peer = Peer::new(u32::MAX - 250);
    for number in [2, 3, 4, 8] {
        let _ = peer.send(number);
    }
    assert_eq!(peer.send(3), DataOutcome::Duplicate);
    assert_eq!(peer.blocks(3), [unit(3), (200, 500), unit(8)]);
    let _ = peer.send(3);
    assert_eq!(peer.blocks(1), [unit(3)]);
    assert_eq!(peer.blocks(3), [(200, 500), unit(8)]);
    // the whole range again: the same block twice
    assert_eq!(peer.send(8), DataOutcome::Duplicate);
    assert_eq!(peer.blocks(3), [unit(8), unit(8), (200, 500)]);
    // partly held, partly new
    let _ = peer.send_octets(450, 100);
    assert_eq!(peer.blocks(3), [(450, 500), (200, 550), unit(8)]);
}

// data next in order that reach into a held range: what both have is a duplicate
#[test]
fn next_data_that_overlap_are_told() {
    let mut peer = Peer::new(u32::MAX - 50);
    let _ = peer.send(1);
    let _ = peer.send(5);
    let outcome = peer.send_octets(0, 150);
    assert!(matches!(outcome, DataOutcome::Delivered { octets: 200, .. }));
    assert_eq!(peer.blocks(3), [(100, 150), unit(5)]);
    assert_eq!(peer.blocks(3), [unit(5)]);
}

// duplicates that follow each other before an acknowledgement are told together
#[test]
fn touching_duplicates_merge() {
    let mut peer = Peer::new(1);
    for number in 0..6 {
        let _ = peer.send(number);
    }
    for number in [1, 2, 3] {
        let _ = peer.send(number);
    }
    assert_eq!(peer.blocks(3), [(100, 400)]);
    for number in [0, 4] {
        let _ = peer.send(number);
    }
    assert_eq!(peer.blocks(3), [unit(4)]);
}

// after reneging nothing is claimed any more
#[test]
fn reneged_ranges_are_not_told() {
    let mut peer = Peer::new(1);
    for number in [2, 5] {
        let _ = peer.send(number);
    }
    assert_eq!(peer.receiver.renege(), 2 * UNIT);
    assert!(peer.blocks(3).is_empty());
    let _ = peer.send(7);
    assert_eq!(peer.blocks(3), [unit(7)]);
}

// ranges that fell out of the short memory are still told when there is room
#[test]
fn forgotten_ranges_fill_the_rest() {
    let pool = pool();
    let (mut held, mut report) = (Reassembly::new(), SackReport::new());
    for seq in [10u32, 20, 30] {
        let _ = held.insert(Seq(seq), chain(&pool, &[1]), &UNBOUNDED, None);
    }
    report.on_held(Seq(20), &held);
    let blocks: SackBlocks = report.take_blocks(&held, 4);
    let starts: Vec<u32> = blocks.iter().map(|block| block.0.0).collect();
    assert_eq!(starts, [20, 30, 10]);
}

use super::{UNBOUNDED, chain, octet, pool, stream};
use crate::recv::compact::Compactor;
use crate::recv::reassembly::{Filed, Quota, Reassembly};
use core::cell::Cell;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;
use usertcp_base::{DropReason, Seq};
use usertcp_frame::Chain;

std::thread_local! {
    /// Slices that were moved because ranges became one, by this thread.
    static MOVES: Cell<usize> = const { Cell::new(0) };
}

/// So many slices move.
pub(in crate::recv) fn count_moves(slices: usize) {
    MOVES.set(MOVES.get() + slices);
}

/// What is held, octet by octet.
#[derive(Default)]
struct Model {
    octets: BTreeMap<u32, u8>,
}

impl Model {
    fn insert(&mut self, at: u32, octets: &[u8]) -> u32 {
        let before = self.octets.len();
        for (offset, octet) in octets.iter().enumerate() {
            self.octets.entry(at + offset as u32).or_insert(*octet);
        }
        (self.octets.len() - before) as u32
    }
    fn ranges(&self) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for at in self.octets.keys() {
            match ranges.last_mut() {
                Some(last) if last.1 == *at => last.1 += 1,
                _ => ranges.push((*at, *at + 1)),
            }
        }
        ranges
    }
    fn first_shared(&self, from: u32, to: u32) -> Option<(u32, u32)> {
        let start = *self.octets.range(from..to).next()?.0;
        let end = (start..to).find(|at| !self.octets.contains_key(at)).unwrap_or(to);
        Some((start, end))
    }
    fn take(&mut self, nxt: u32) -> Vec<u8> {
        self.octets = self.octets.split_off(&nxt);
        let mut out = Vec::new();
        while let Some(octet) = self.octets.remove(&(nxt + out.len() as u32)) {
            out.push(octet);
        }
        out
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert { at: u32, len: usize, mark: u8 },
    Take { at: u32 },
    Shed,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0u32..600, 1usize..120, any::<u8>())
            .prop_map(|(at, len, mark)| Op::Insert { at, len, mark }),
        12 => (0u32..600, 1usize..6, any::<u8>())
            .prop_map(|(at, len, mark)| Op::Insert { at, len, mark }),
        1 => (0u32..600).prop_map(|at| Op::Take { at }),
        1 => Just(Op::Shed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    // proves SHLD-31: any overlap, any order, against a map of octets; what was there stays
    #[test]
    fn it_agrees_with_a_map(
        base in prop_oneof![Just(0u32), Just(u32::MAX - 300), any::<u32>()],
        compact: bool,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let pool = pool();
        let (mut held, mut model, mut copied) = (Reassembly::new(), Model::default(), 0);
        let base = Seq(base);
        let mut consumed = 0;
        for op in ops {
            match op {
                Op::Insert { at, len, mark } if at >= consumed => {
                    let octets: Vec<u8> = (0..len).map(|n| mark ^ octet(n as u64)).collect();
                    // cut in three frames, as a merged segment may be
                    let mut parts = Chain::new();
                    for part in octets.chunks(len.div_ceil(3)) {
                        parts.append(chain(&pool, part));
                    }
                    let shared = model.first_shared(at, at + len as u32);
                    let added = model.insert(at, &octets);
                    let mut compactor = Compactor::tight(&pool, &mut copied);
                    let filed = held.insert(
                        base + at, parts, &UNBOUNDED, compact.then_some(&mut compactor),
                    );
                    match filed {
                        Filed::Held { octets, duplicate } => {
                            prop_assert_eq!(octets, added);
                            let shared = shared.map(|edges| (base + edges.0, base + edges.1));
                            prop_assert_eq!(duplicate, shared);
                        }
                        Filed::Known => prop_assert_eq!(added, 0),
                        Filed::Full(_) => prop_assert!(false),
                    }
                }
                Op::Insert { .. } => {}
                Op::Take { at } => {
                    consumed = consumed.max(at);
                    let ready = held.take_ready(base + consumed).map(|c| c.to_vec());
                    let expected = model.take(consumed);
                    consumed += expected.len() as u32;
                    prop_assert_eq!(ready.unwrap_or_default(), expected);
                }
                Op::Shed => {
                    held.shed(held.charge() / 2);
                    let highest = held.highest().map_or(0, |seq| seq.since(base));
                    model.octets.split_off(&highest);
                }
            }
            let ranges: Vec<_> = held.ranges().map(|r| (r.0.since(base), r.1.since(base))).collect();
            prop_assert_eq!(&ranges, &model.ranges());
            prop_assert_eq!(held.octets() as usize, model.octets.len());
            prop_assert_eq!(held.is_empty(), model.octets.is_empty());
            prop_assert!(held.charge() >= held.octets());
            for at in 0..720u32 {
                let range = held.containing(base + at).map(|r| (r.0.since(base), r.1.since(base)));
                let expected = ranges.iter().find(|r| r.0 <= at && at < r.1).copied();
                prop_assert_eq!(range, expected);
            }
        }
        held.clear();
        prop_assert_eq!(held.charge(), 0);
        drop(held);
        prop_assert_eq!(pool.stats().used_octets, 0);
    }
}

// the account of real octets is exact while segments neither overlap nor share frames
#[test]
fn the_charge_is_what_the_frames_take() {
    let pool = pool();
    let mut held = Reassembly::new();
    let one = chain(&pool, &[1]).charge();
    for index in [9u32, 1, 5, 3, 7] {
        let _ = held.insert(Seq(index), chain(&pool, &[1]), &UNBOUNDED, None);
    }
    assert_eq!((held.charge(), held.range_count()), (5 * one, 5));
    for index in [2u32, 4, 6, 8] {
        let _ = held.insert(Seq(index), chain(&pool, &[1]), &UNBOUNDED, None);
    }
    assert_eq!((held.charge(), held.range_count()), (9 * one, 1));
    // what goes takes its own share along, no more
    let _ = held.insert(Seq(20), chain(&pool, &[1]), &UNBOUNDED, None);
    assert_eq!(held.take_ready(Seq(1)).map(|chain| chain.charge()), Some(9 * one));
    assert_eq!((held.charge(), held.is_empty()), (one, false));
    assert_eq!((held.shed(0), held.charge(), held.is_empty()), (1, 0, true));
}

#[test]
fn limits_refuse_and_change_nothing() {
    let pool = pool();
    let mut held = Reassembly::new();
    let quota = Quota { ranges: 2, charge: 3 * chain(&pool, &[1]).charge() };
    let none = Quota { ranges: 0, ..quota };
    let refused = held.insert(Seq(1), chain(&pool, &[1]), &none, None);
    assert_eq!(refused, Filed::Full(DropReason::ReassemblyLimit));
    for seq in [10u32, 20] {
        let filed = held.insert(Seq(seq), chain(&pool, &[1]), &quota, None);
        assert!(matches!(filed, Filed::Held { octets: 1, .. }));
    }
    let refused = held.insert(Seq(30), chain(&pool, &[1]), &quota, None);
    assert_eq!(refused, Filed::Full(DropReason::ReassemblyLimit));
    // one that touches needs no new range, but memory
    let filed = held.insert(Seq(11), chain(&pool, &[1]), &quota, None);
    assert!(matches!(filed, Filed::Held { octets: 1, .. }));
    let refused = held.insert(Seq(12), chain(&pool, &[1]), &quota, None);
    assert_eq!(refused, Filed::Full(DropReason::ReceiveMemory));
    assert_eq!(held.octets(), 3);
}

// proves E-21: the first FIN stays, and none lies before what is held
#[test]
fn the_fin_is_remembered() {
    let pool = pool();
    let mut held = Reassembly::new();
    let _ = held.insert(Seq(10), chain(&pool, &stream(0, 5)), &UNBOUNDED, None);
    assert!(!held.note_fin(Seq(14)));
    assert!(held.note_fin(Seq(15)));
    assert!(held.note_fin(Seq(15)));
    assert!(!held.note_fin(Seq(16)));
    assert_eq!(held.fin(), Some(Seq(15)));
}

// proves AT-7: arrival in any order merges without quadratic work. 40,000 single octets that
// arrive backwards, evens before odds, or inside out: each slice moves log n times at most.
#[test]
fn tiny_segments_in_hostile_order_stay_cheap() {
    let pool = super::pool_of(256 << 20);
    let count = 40_000u32;
    let backwards = (0..count).rev().collect::<Vec<_>>();
    let evens_first = (0..count).step_by(2).chain((1..count).step_by(2)).collect::<Vec<_>>();
    let inside_out =
        (0..count / 2).flat_map(|n| [count / 2 + n, count / 2 - 1 - n]).collect::<Vec<_>>();
    for order in [backwards, evens_first, inside_out] {
        let mut held = Reassembly::new();
        MOVES.set(0);
        for at in order {
            let _ = held.insert(Seq(at), chain(&pool, &[octet(u64::from(at))]), &UNBOUNDED, None);
        }
        let most = count.ilog2() as usize + 1;
        assert!(MOVES.get() <= count as usize * most, "{} moves", MOVES.get());
        assert_eq!(held.range_count(), 1);
        let all = held.take_ready(Seq(0)).map(|chain| chain.to_vec());
        assert_eq!(all, Some(stream(0, count as usize)));
    }
}

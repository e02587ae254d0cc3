//! Whose turn it is, as the list of turns that were had.

use super::*;
use crate::anchor::{Body, Owner};
use alloc::vec::Vec;
use usertcp_base::observe::CloseReason;
use usertcp_base::{FlowKey, Rate};

/// The list, and the records it is about: of each the index is its slot.
struct Lab {
    turns: Turns,
    anchors: Anchors,
}

impl Lab {
    fn id(&self, index: u32) -> ConnId {
        self.anchors.id_at(index).unwrap()
    }
    fn push(&mut self, index: u32) {
        self.turns.push_at(self.id(index), &mut self.anchors);
    }
    fn push_ahead(&mut self, index: u32) {
        let id = self.id(index);
        self.turns.push_ahead(id, self.anchors.get_mut(id).unwrap());
    }
    fn press(&mut self, index: u32, press: Press) {
        self.turns.press(self.id(index), &mut self.anchors, press);
    }
    /// Whose turn it is; those who left are passed over.
    fn pop(&mut self) -> Option<u32> {
        while !self.turns.is_empty() {
            if let Some(Some((id, _))) = self.turns.pop(&mut self.anchors) {
                return Some(id.slot);
            }
        }
        None
    }
    fn again(&mut self, index: u32) {
        self.turns.again(self.id(index), &mut self.anchors);
    }
    fn remove(&mut self, index: u32) {
        self.turns.remove(self.id(index), &mut self.anchors);
    }
    fn contains(&self, index: u32) -> bool {
        self.turns.contains(self.id(index), &self.anchors)
    }
    fn begin_batch(&mut self) -> u32 {
        self.turns.begin_batch()
    }
}

/// Lets `count` have their turns; each has more to send.
fn turns(list: &mut Lab, count: usize) -> Vec<u32> {
    let one = |_| {
        let index = list.pop();
        index.into_iter().for_each(|index| list.again(index));
        index
    };
    (0..count).map_while(one).collect()
}

/// The same in short: who, and how often in a row.
fn runs(list: &mut Lab, count: usize) -> Vec<(u32, usize)> {
    let mut runs: Vec<(u32, usize)> = Vec::new();
    for index in turns(list, count) {
        match runs.last_mut() {
            Some((last, times)) if *last == index => *times += 1,
            _ => runs.push((index, 1)),
        }
    }
    runs
}

fn with(super_segments: bool, indices: impl IntoIterator<Item = u32>) -> Lab {
    let mut anchors = Anchors::new(1000);
    for index in 0..1000 {
        let body = Body::Ended(CloseReason::Aborted, None);
        let id = anchors.add(&FlowKey::default(), Owner::Nobody, body);
        assert_eq!(id.map(|id| id.slot), Some(index));
    }
    let mut list = Lab { turns: Turns::new(super_segments, 512), anchors };
    indices.into_iter().for_each(|index| list.push(index));
    list
}

const RUN: usize = RUN_SEGMENTS as usize;

#[test]
fn without_super_segments_one_decision_is_a_turn() {
    let mut list = with(false, [3, 1, 2]);
    assert_eq!(turns(&mut list, 7), [3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn who_goes_on_does_so_in_runs_and_all_alike() {
    let mut list = with(true, [3, 1, 2]);
    let first = [(3, 1), (1, 1), (2, 1)];
    assert_eq!(runs(&mut list, 3), first, "each once, before anybody goes on");
    let round = [(3, RUN), (1, RUN), (2, RUN)];
    assert_eq!(runs(&mut list, 3 * RUN), round);
    assert_eq!(runs(&mut list, 3 * RUN), round);
}

#[test]
fn who_comes_anew_does_not_wait_for_the_end_of_a_run() {
    let mut list = with(true, [1, 2]);
    assert_eq!(turns(&mut list, 4), [1, 2, 1, 1]);
    list.push(9);
    assert_eq!(runs(&mut list, RUN + 1), [(9, 1), (1, RUN - 2), (2, 2)]);
    assert_eq!(runs(&mut list, 2 * RUN), [(2, RUN - 2), (9, RUN), (1, 2)]);
}

#[test]
fn those_who_go_on_are_served_however_many_come_anew() {
    let mut list = with(true, [7]);
    assert_eq!(turns(&mut list, 1), [7]);
    let mut had = Vec::new();
    for new in 100..400 {
        list.push(new);
        // Each of these sends all it has in one turn.
        let index = list.pop().unwrap();
        had.push(index == 7);
        if index == 7 {
            list.again(7);
        }
    }
    let mine = had.iter().filter(|seven| **seven).count();
    assert_eq!(mine, 300 / (MOST_AHEAD as usize + 1));
}

#[test]
fn nobody_is_there_twice_and_who_leaves_is_gone() {
    let mut list = with(true, [1, 1, 2]);
    assert_eq!(turns(&mut list, 3), [1, 2, 1]);
    // 1 is in the middle of its run, 2 goes on.
    for known in [1, 2] {
        assert!(list.contains(known));
        list.push(known);
    }
    assert_eq!(runs(&mut list, 2 * RUN - 1), [(1, RUN - 1), (2, RUN)]);
    list.remove(2);
    assert!(!list.contains(2));
    assert_eq!(runs(&mut list, 3), [(1, 3)]);
    list.remove(1);
    assert_eq!(list.pop(), None);
}

#[test]
fn whose_record_is_gone_has_no_turn_and_its_successor_only_its_own() {
    let mut list = with(false, [1, 2, 3]);
    let old = list.id(2);
    list.remove(2);
    list.anchors.discard(2);
    let body = Body::Ended(CloseReason::Aborted, None);
    let new = list.anchors.add(&FlowKey::default(), Owner::Nobody, body);
    assert_eq!(new.map(|id| (id.slot, id == old)), Some((2, false)));
    assert_eq!((list.turns.len(), list.contains(2)), (2, false));
    list.push(2);
    let order: Vec<u32> = core::iter::from_fn(|| list.pop()).collect();
    assert_eq!(order, [1, 3, 2]);
}

/// Those of limits of so many megabits, and how soon they have to leave.
fn press(megabits: u64) -> Press {
    Press::of(Rate::from_bits_per_second(megabits * 1_000_000)).unwrap()
}

#[test]
fn the_shorter_the_time_between_releases_the_more_pressing() {
    let of = |kilobits: u64| Press::of(Rate::from_bits_per_second(kilobits * 1000));
    assert_eq!((of(100), of(500), Press::of(Rate::UNLIMITED)), (None, None, None));
    let classes = [100_000, 10_000, 4_000, 600].map(|kilobits| of(kilobits).unwrap());
    assert!(classes.is_sorted() && classes.windows(2).all(|two| two[0] != two[1]));
    assert_eq!(of(10_000_000), of(100_000));
}

#[test]
fn who_presses_goes_before_thousands_but_never_keeps_them_waiting() {
    let mut list = with(true, 100..200);
    (0..6).for_each(|index| list.press(index, press(100)));
    list.press(6, press(1));
    let order: Vec<u32> = core::iter::from_fn(|| list.pop()).take(12).collect();
    // Three turns of four; the class that has more time has one after three of the other.
    assert_eq!(order, [0, 1, 2, 100, 6, 3, 4, 101, 5, 102, 103, 104]);
}

#[test]
fn who_waits_already_moves_ahead_when_it_presses_and_is_there_once() {
    let mut list = with(true, [1, 2, 3]);
    list.press(3, press(100));
    list.press(3, press(100));
    list.push(3);
    assert!(list.contains(3));
    let order: Vec<u32> = core::iter::from_fn(|| list.pop()).collect();
    assert_eq!(order, [3, 1, 2]);
    list.press(4, press(100));
    list.remove(4);
    assert!(!list.contains(4) && list.pop().is_none());
}

#[test]
fn who_goes_on_waits_for_who_presses_and_goes_on_after_it() {
    let mut list = with(true, [1]);
    assert_eq!(turns(&mut list, 2), [1, 1]);
    list.press(7, press(100));
    assert_eq!(list.pop(), Some(7));
    assert_eq!(turns(&mut list, 2), [1, 1]);
}

#[test]
fn batches_are_short_while_somebody_presses_and_some_time_after() {
    let mut list = with(true, [1]);
    assert_eq!(list.begin_batch(), 512);
    list.press(7, press(100));
    let short = (0..2 * SHORT_BATCHES).filter(|_| list.begin_batch() == SHORT_BATCH).count();
    assert_eq!((short, list.begin_batch()), (SHORT_BATCHES as usize, 512));
    list.press(7, press(100));
    list.turns.came_late();
    let shorter = (0..2 * SHORT_BATCHES).filter(|_| list.begin_batch() == SHORTER_BATCH).count();
    assert_eq!((shorter, list.begin_batch()), (SHORT_BATCHES as usize, 512));
    list.turns.came_late();
    assert_eq!(list.begin_batch(), 512, "nobody presses");
    list.press(7, press(100));
    list.turns.most = 5;
    assert_eq!(list.begin_batch(), 5, "never longer than it would be");
}

#[test]
fn few_of_a_batch_go_before_others() {
    let mut list = with(false, [1, 2]);
    list.turns.most = 8;
    list.begin_batch();
    (3..6).for_each(|index| list.push_ahead(index));
    assert!(list.contains(4) && !list.contains(5), "as many as a quarter of a batch");
    assert_eq!(list.turns.at_hand(), 2, "they are not fetched again");
    // Whoever is among them stays where it is, and who left is passed over.
    list.push(4);
    list.push_ahead(1);
    list.remove(3);
    list.push(5);
    let order: Vec<u32> = core::iter::from_fn(|| list.pop()).collect();
    assert_eq!(order, [4, 1, 2, 5]);
    assert_eq!(list.turns.at_hand(), 0);
    list.begin_batch();
    list.press(7, press(100));
    list.push_ahead(3);
    assert!(!list.contains(3), "nobody goes before who presses");
}

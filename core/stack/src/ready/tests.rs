//! The list against a plain queue.

use super::*;
use proptest::prelude::*;

#[test]
fn each_member_once_and_in_turn() {
    let mut list = ReadyList::new();
    for index in [5, 900, 5, 64, 900] {
        list.push(index);
    }
    assert_eq!(list.len(), 3);
    assert_eq!(list.pop(), Some(5));
    list.push(5);
    assert_eq!(list.pop(), Some(900));
    assert_eq!(list.pop(), Some(64));
    assert_eq!(list.pop(), Some(5));
    assert_eq!(list.pop(), None);
}

#[test]
fn removing_and_adding_does_not_grow_the_queue() {
    let mut list = ReadyList::new();
    list.push(8);
    for round in 0..100_000 {
        list.push(round % 7);
        list.remove(round % 7);
    }
    assert_eq!((list.pop(), list.pop()), (Some(8), None));
    assert!(list.is_empty());
    let mut entries = 0;
    while list.queue.pop().is_some() {
        entries += 1;
    }
    assert_eq!(entries, 7, "one for each record");
}

#[test]
fn a_record_far_away_costs_one_piece() {
    let mut list = ReadyList::new();
    list.push(5);
    assert_eq!(list.marks.iter().flatten().count(), 0, "one alone costs nothing");
    list.push(99_999_999);
    list.push(3);
    assert_eq!(list.marks.iter().flatten().count(), 2);
    assert!(!list.contains(99_999_998) && !list.contains(u32::MAX) && list.contains(3));
    let order: [Option<u32>; 4] = core::array::from_fn(|_| list.pop());
    assert_eq!(order, [Some(5), Some(99_999_999), Some(3), None]);
}

proptest! {
    #[test]
    fn has_the_members_of_a_set(steps in prop::collection::vec((0u8..4, 0u32..200), 1..600)) {
        let mut list = ReadyList::new();
        let mut model = Vec::<u32>::new();
        for (what, index) in steps {
            match what {
                0 | 1 => {
                    list.push(index);
                    if !model.contains(&index) {
                        model.push(index);
                    }
                }
                2 => {
                    list.remove(index);
                    model.retain(|other| *other != index);
                }
                _ => match list.pop() {
                    // What was removed and came back may keep its old place.
                    Some(popped) => {
                        prop_assert!(model.contains(&popped));
                        model.retain(|other| *other != popped);
                    }
                    None => prop_assert!(model.is_empty()),
                },
            }
            prop_assert_eq!(list.len() as usize, model.len());
        }
        for index in 0..200 {
            prop_assert_eq!(list.contains(index), model.contains(&index));
        }
    }
}

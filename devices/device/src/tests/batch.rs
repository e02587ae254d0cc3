//! A batch and a line beside plain queues.

use super::{number, packet, pool};
use crate::{Line, TxBatch};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;
use usertcp_frame::{FramePool, Packet};

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Ask,
    Fill(usize),
    Spare(usize),
    Pop,
    PopOfLine,
    MoveToLine,
    KeepOdd,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Push),
        1 => Just(Step::Ask),
        1 => (0usize..4).prop_map(Step::Fill),
        2 => (0usize..4).prop_map(Step::Spare),
        4 => Just(Step::Pop),
        3 => Just(Step::PopOfLine),
        3 => Just(Step::MoveToLine),
        1 => Just(Step::KeepOdd),
        1 => Just(Step::Clear),
    ]
}

/// Puts equal packets into places that are to be empty.
fn put_all(pool: &FramePool, number: u32, places: &mut [Packet]) -> usize {
    for place in places.iter_mut() {
        assert!(place.is_empty());
        *place = packet(pool, number);
    }
    places.len()
}

proptest! {
    // Places that served serve again, and go from one queue to the other: order, bounds and content stay those of
    // queues that move every packet.
    #[test]
    fn a_batch_and_a_line_agree_with_plain_queues(
        (capacity, line_capacity) in (1usize..6, 1usize..6),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let pool = pool();
        let (mut batch, mut line) = (TxBatch::new(capacity), Line::new(line_capacity));
        let (mut model, mut line_model) = (VecDeque::new(), VecDeque::new());
        for (count, step) in (0u32..).zip(steps) {
            match step {
                Step::Push => {
                    let pushed = batch.push(packet(&pool, count)).is_ok();
                    prop_assert_eq!(pushed, model.len() < capacity);
                    model.extend(pushed.then_some(count));
                }
                // Room that is not used is no packet.
                Step::Ask => prop_assert_eq!(batch.room_for_one().is_some(), model.len() < capacity),
                Step::Fill(most) => {
                    let room = most.min(capacity - model.len());
                    let filled = batch.fill(most, |places| put_all(&pool, count, places));
                    prop_assert_eq!(filled, room);
                    model.extend(vec![count; filled]);
                }
                // Fewer perhaps, but one at least.
                Step::Spare(most) => {
                    let room = most.min(capacity - model.len());
                    let filled = put_all(&pool, count, batch.spare(most));
                    batch.have_filled(filled);
                    prop_assert!(filled <= room && (filled > 0 || room == 0));
                    model.extend(vec![count; filled]);
                }
                Step::Pop => {
                    prop_assert_eq!(batch.pop().map(|packet| number(&packet)), model.pop_front());
                }
                Step::PopOfLine => {
                    prop_assert_eq!(line.pop().map(|packet| number(&packet)), line_model.pop_front());
                }
                Step::MoveToLine => {
                    let moved = model.len().min(line_capacity - line_model.len());
                    prop_assert_eq!(batch.move_to(&mut line), moved);
                    line_model.extend(model.drain(..moved));
                }
                Step::KeepOdd => {
                    batch.retain(|packet| number(packet) % 2 == 1);
                    model.retain(|number| number % 2 == 1);
                }
                Step::Clear => {
                    batch.clear();
                    model.clear();
                }
            }
            let all: (Vec<_>, Vec<_>) =
                (batch.iter().map(number).collect(), line.iter().map(number).collect());
            prop_assert_eq!(&all.0, &Vec::from_iter(model.iter().copied()));
            prop_assert_eq!(&all.1, &Vec::from_iter(line_model.iter().copied()));
            prop_assert_eq!((batch.is_full(), batch.room()), (model.len() == capacity, capacity - model.len()));
        }
    }
}

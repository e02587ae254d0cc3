//! Chains: what is done with their ends, what goes behind them, what is copied out.
mod cut;
mod model;

use super::*;
use crate::{Chain, Class};
use std::vec;

/// A chain of `count` slices of `each` octets, from frames of their own.
fn chain_of(pool: &FramePool, count: usize, each: usize) -> (Chain, Vec<u8>) {
    let mut model = Vec::new();
    let chain = (0..count)
        .map(|at| {
            let octets = pattern(at as u8, each);
            model.extend_from_slice(&octets);
            slice_of(pool, &octets)
        })
        .collect();
    (chain, model)
}

#[test]
fn neighbours_in_a_frame_become_one_slice() {
    let pool = pool(1);
    let slice = slice_of(&pool, b"0123456789");
    let mut chain = Chain::from(slice.slice(..3));
    chain.push_back(slice.slice(3..5));
    assert_eq!(chain.slice_count(), 1);
    chain.push_back(slice.slice(6..));
    assert_eq!((chain.slice_count(), chain.charge()), (2, 256));
    chain.push_back(slice.slice(..0));
    assert_eq!((chain.slice_count(), &chain.to_vec()[..]), (2, &b"012346789"[..]));
}

#[test]
fn the_next_slices_are_the_first_two_and_where_there_are_many_those_behind_what_was_found_last() {
    let pool = pool(1);
    for count in 0..3 {
        let (chain, model) = chain_of(&pool, count, 5);
        assert_eq!(
            chain.next_slices().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>(),
            model
        );
    }
    let (mut chain, model) = chain_of(&pool, 9, 5);
    assert_eq!(chain.slice(20, 5).to_vec(), model[20..25]);
    let next = chain.next_slices().map(|slice| slice.to_vec()).collect::<Vec<_>>();
    assert_eq!(next, [0, 5, 25, 30].map(|at| model[at..at + 5].to_vec()));
    chain.advance(40);
    assert_eq!(chain.next_slices().next().map(|slice| slice.to_vec()), Some(model[40..].to_vec()));
}

#[test]
fn the_first_slice_of_an_empty_chain_is_one_like_any_other() {
    let pool = pool(1);
    let mut chain = Chain::new();
    chain.begin_with(slice_of(&pool, b"01"));
    chain.push_back(slice_of(&pool, b"23"));
    assert_eq!((chain.slice_count(), &chain.to_vec()[..]), (2, &b"0123"[..]));
    chain.clear();
    chain.begin_with(slice_of(&pool, b"4"));
    assert_eq!((chain.len(), &chain.to_vec()[..]), (1, &b"4"[..]));
}

#[test]
fn what_is_behind_the_headers_of_one_slice_changes_chains_and_nothing_else_does() {
    let pool = pool(1);
    for (count, headers, taken) in
        [(0, 0, None), (1, 0, Some(5)), (1, 4, Some(1)), (1, 5, None), (2, 1, None), (5, 1, None)]
    {
        let (mut packet, model) = chain_of(&pool, count, 5);
        let out = pool.stats();
        let mut chain = Chain::new();
        let done = chain.begin_behind(&mut packet, headers);
        assert_eq!(done.then_some(chain.len()), taken, "{count} slices, {headers} octets");
        let (from, left) = if done { (headers, 0) } else { (model.len(), model.len()) };
        assert_eq!((&chain.to_vec()[..], packet.len()), (&model[from..], left));
        assert_eq!(pool.stats(), out, "no frame is another's, none comes home");
    }
}

#[test]
fn clearing_what_mostly_is_one_slice_clears_any_chain() {
    let pool = pool(1);
    let home = pool.stats();
    for count in 0..6 {
        let (mut chain, _) = chain_of(&pool, count, 5);
        chain.clear();
        assert_eq!((chain.len(), chain.slice_count(), chain.charge()), (0, 0, 0));
        assert_eq!(pool.stats().used_octets, home.used_octets, "{count} frames came home");
        chain.begin_with(slice_of(&pool, b"0"));
        assert_eq!(&chain.to_vec()[..], b"0");
    }
}

#[test]
fn charges_count_a_frame_once() {
    let pool = pool(2);
    let mut chain = Chain::from(slice_of(&pool, &[1; 1000]));
    chain.push_back(slice_of(&pool, &[2; 10]));
    assert_eq!(chain.charge(), 2112 + 256);
    assert_eq!(chain.split_to(500).charge(), 2112);
}

#[test]
fn the_ends_can_be_changed_in_place() {
    let pool = pool(2);
    for count in [1, 2, 5] {
        let (mut chain, mut model) = chain_of(&pool, count, 10);
        assert_eq!(chain.extend_back(b"tail"), 4);
        model.extend_from_slice(b"tail");
        chain.front_mut().unwrap().advance(3);
        model.drain(..3);
        chain.front_mut().unwrap().push_front(1).unwrap()[0] = b'>';
        model.insert(0, b'>');
        assert_eq!((chain.len(), chain.to_vec()), (model.len(), model.clone()));
        for offset in 0..model.len() {
            assert_eq!(chain.slice(offset, 4).to_vec(), model[offset..model.len().min(offset + 4)]);
        }
        chain.back_mut().unwrap().truncate(0);
        if let Some(mut front) = chain.front_mut() {
            front.truncate(0);
        }
        assert_eq!(chain.slice_count(), count.saturating_sub(2));
    }
}

#[test]
fn an_emptied_chain_gives_its_heap_and_its_frames_back() {
    let pool = pool(2);
    let (mut chain, model) = chain_of(&pool, 20, 100);
    assert_eq!(chain.slice_count(), 20);
    chain.advance(model.len() + 1);
    assert_eq!((chain.len(), chain.slice_count()), (0, 0));
    assert_all_home(&pool);
}

/// Long chains that were left, in whatever way, are the next ones: nothing of what they held is in them, and the pool goes
/// with the last slice, whoever has it.
#[test]
fn an_emptied_chain_is_the_next_one() {
    let pool = pool(9);
    for round in 0..40u8 {
        let (mut chain, model) = chain_of(&pool, 3 + usize::from(round % 7) * 20, 10);
        assert_eq!(chain.slice(15, 10).to_vec(), model[15..25]);
        let mut out = vec![0; model.len()];
        chain.take_to(&mut out[..usize::from(round % 3) * 12]);
        match round % 4 {
            0 => chain.clear(),
            1 => chain.advance(model.len()),
            2 => assert!(chain.take_to(&mut out) > 0),
            _ => {
                let (mut other, _) = chain_of(&pool, 4, 10);
                let before = chain.to_vec();
                other.append(chain);
                assert_eq!(other.to_vec()[40..], before);
                chain = other;
            }
        }
        if round % 4 != 3 {
            assert_eq!((chain.len(), chain.slice_count(), chain.charge()), (0, 0, 0));
        }
    }
    assert_all_home(&pool);
    // More at a time than are kept, and larger than are kept.
    let mut many: Vec<_> = (0..30).map(|_| chain_of(&pool, 5, 10).0).collect();
    many.iter_mut().for_each(Chain::clear);
    let (mut large, model) = chain_of(&pool, 300, 10);
    assert_eq!(large.take_to(&mut vec![0; model.len()]), model.len());
    let (mut last, _) = chain_of(&pool, 5, 10);
    drop((pool, many, large));
    last.clear();
}

/// Packets of every shape go behind chains of every length, without what is in front of each.
#[test]
fn what_is_behind_headers_is_put_behind_whatever_slices_it_lies_in() {
    let pool = pool(9);
    let shapes = [&[60][..], &[20, 50], &[20], &[7], &[30, 40], &[5, 50], &[5, 9], &[9, 11, 30, 2]];
    for count in [0, 1, 2, 5] {
        for first in 0..shapes.len() {
            let (mut chain, mut model) = chain_of(&pool, count, 10);
            let shapes = shapes.iter().cycle().skip(first).take(shapes.len());
            let mut packets: Vec<_> = shapes
                .map(|sizes| {
                    let slices =
                        sizes.iter().map(|size| slice_of(&pool, &pattern(*size as u8, *size)));
                    let packet: Chain = slices.collect();
                    model.extend_from_slice(packet.to_vec().get(20..).unwrap_or_default());
                    packet
                })
                .collect();
            chain.append_behind(20, packets.iter_mut());
            assert_eq!((chain.len(), chain.to_vec()), (model.len(), model));
            assert_eq!(chain.charge(), charge_of(&chain));
            assert!(packets.iter().all(|packet| packet.is_empty() && packet.slice_count() == 0));
        }
    }
    // Slices of one frame that lie behind each other become one.
    let whole = slice_of(&pool, &pattern(1, 200));
    let (mut chain, mut model) = chain_of(&pool, 3, 10);
    let packet = |range: core::ops::Range<usize>| {
        [slice_of(&pool, &[9; 20]), whole.slice(range)].into_iter().collect::<Chain>()
    };
    let mut packets = [packet(0..80), packet(80..150), packet(160..200)];
    chain.append_behind(20, packets.iter_mut());
    model.extend([&whole[..150], &whole[160..]].concat());
    assert_eq!((chain.slice_count(), chain.to_vec()), (5, model));
    drop((chain, whole));
    assert_all_home(&pool);
}

#[test]
fn octets_taken_are_copied_once_and_gone() {
    let pool = pool(20);
    for (count, each) in [(1, 90), (2, 90), (30, 70)] {
        for step in [1, 60, 90, 100, 250, 5000] {
            let (mut chain, mut model) = chain_of(&pool, count, each);
            let copied = pool.stats().octets_copied;
            while !model.is_empty() {
                let mut out = std::vec![0; step];
                let left = chain.charge() - chain.charge_of_first(step);
                let taken = chain.take_to(&mut out);
                assert_eq!(chain.charge(), left);
                assert_eq!((taken, &out[..taken]), (step.min(model.len()), &model[..taken]));
                model.drain(..taken);
                assert_eq!((chain.len(), chain.to_vec()), (model.len(), model.clone()));
                let charges = chain.slices().map(|slice| slice.charge()).sum::<u32>();
                assert_eq!(chain.charge(), charges);
            }
            assert_eq!(pool.stats().octets_copied - copied, (count * each) as u64);
        }
    }
    assert_all_home(&pool);
}

#[test]
fn long_chains_are_put_behind_long_chains() {
    let pool = pool(20);
    let (mut chain, mut model) = chain_of(&pool, 5, 100);
    let (other, more) = chain_of(&pool, 7, 100);
    chain.append(other);
    model.extend_from_slice(&more);
    assert_eq!((chain.to_vec(), chain.len(), chain.slice_count()), (model.clone(), 1200, 12));
    assert_eq!(
        (chain.charge(), chain.slice(450, 300).to_vec()),
        (12 * 256, model[450..750].to_vec())
    );
}

#[test]
fn segments_of_a_send_queue_follow_each_other() {
    let pool = pool(20);
    let (chain, model) = chain_of(&pool, 300, 2000);
    let mut at = 0;
    while at < model.len() {
        let part = chain.slice(at, 1448);
        assert!(part.slice_count() <= 2);
        assert_eq!(part.to_vec(), model[at..model.len().min(at + 1448)]);
        at += 1448;
    }
    assert!(chain.slice(at, 1).is_empty());
}

#[test]
fn copying_out_is_counted() {
    let pool = pool(1);
    let (chain, model) = chain_of(&pool, 3, 50);
    let before = pool.stats().octets_copied;
    let mut out = [0; 60];
    assert_eq!(chain.copy_to(45, &mut out), 60);
    assert_eq!(out, model[45..105]);
    assert_eq!(chain.copy_to(145, &mut out), 5);
    assert_eq!(pool.stats().octets_copied - before, 65);
}

/// The charge by its definition.
fn charge_of(chain: &Chain) -> u32 {
    let slices: Vec<_> = chain.slices().collect();
    let repeated = |at: usize| at > 0 && slices[at - 1].shares_frame(slices[at]);
    (0..slices.len()).filter(|at| !repeated(*at)).map(|at| slices[at].charge()).sum()
}

#[test]
fn a_full_frame_serves_many_writes() {
    let pool = pool(1);
    let mut chain = Chain::from(pool.take(Class::Full, 0).unwrap().into_slice());
    assert_eq!(chain.extend_back(b"x"), 0, "an empty slice is not kept");
    let mut frame = pool.take(Class::Full, 0).unwrap();
    frame.extend(b"a");
    chain.push_back(frame.into_slice());
    (0..100).for_each(|_| assert_eq!(chain.extend_back(b"0123456789"), 10));
    assert_eq!((chain.len(), chain.slice_count()), (1001, 1));
}

#[test]
fn what_lies_in_one_slice_is_taken_whole_or_not() {
    let pool = pool(2);
    let mut out = [0; 10];
    assert_eq!(Chain::new().take_only_to(&mut out), None);
    let (mut two, octets) = chain_of(&pool, 2, 5);
    assert_eq!((two.take_only_to(&mut out), two.to_vec()), (None, octets));
    let (mut one, octets) = chain_of(&pool, 1, 10);
    assert_eq!((one.take_only_to(&mut out[..9]), one.to_vec()), (None, octets.clone()));
    assert_eq!(one.take_only_to(&mut out), Some(10));
    assert_eq!((one.len(), one.slice_count(), &out[..]), (0, 0, &octets[..]));
}

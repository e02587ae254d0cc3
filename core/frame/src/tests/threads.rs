//! Frames on other threads, and pools that end before they are back.
use super::*;
use crate::{Class, Lent, LentFrame};
use std::sync::mpsc;
use std::thread;

#[test]
fn lent_slices_come_home_from_another_thread() {
    const ROUNDS: usize = 20_000;
    let pool = pool(8);
    let (to_reader, from_home) = mpsc::sync_channel::<(Lent, u8)>(64);
    let readers = thread::spawn(move || {
        for (lent, mark) in from_home {
            assert!(lent.iter().all(|octet| *octet == mark));
        }
    });
    let mut kept: Vec<FrameSlice> = Vec::new();
    for round in 0..ROUNDS {
        let (mark, len) = (round as u8, 1 + round % 400);
        let slice = loop {
            if let Some(slice) = pool.copy_of(&std::vec![mark; len], 0) {
                break slice;
            }
            thread::yield_now();
        };
        // Several references to one frame, some going home while others stay.
        for _ in 0..1 + round % 3 {
            to_reader.send((slice.clone().lend(), mark)).unwrap();
        }
        kept.push(slice);
        if round % 7 == 0 {
            kept.drain(..kept.len() / 2);
            pool.reclaim();
        }
    }
    drop((to_reader, kept));
    readers.join().unwrap();
    assert_all_home(&pool);
}

#[test]
fn two_threads_give_back_references_of_the_same_frames() {
    const ROUNDS: usize = 5_000;
    let pool = pool(4);
    let drains = [0, 1].map(|_| {
        let (sender, receiver) = mpsc::sync_channel::<Lent>(32);
        (sender, thread::spawn(move || receiver.iter().map(|lent| lent.len()).sum::<usize>()))
    });
    for _ in 0..ROUNDS {
        let Some(frame) = pool.take(Class::Full, 0) else {
            pool.reclaim();
            thread::yield_now();
            continue;
        };
        let slice = frame.into_slice();
        drains.iter().for_each(|(sender, _)| sender.send(slice.clone().lend()).unwrap());
    }
    for (sender, thread) in drains {
        drop(sender);
        thread.join().unwrap();
    }
    assert_all_home(&pool);
}

#[test]
fn the_home_thread_appends_while_another_reads() {
    let pool = pool(2);
    let mut slice = slice_of(&pool, &[1; 300]);
    let lent = slice.clone().lend();
    let reader = thread::spawn(move || (0..1000).all(|_| lent.iter().all(|octet| *octet == 1)));
    while slice.try_extend(&[2; 7]) > 0 {}
    assert!(reader.join().unwrap());
    assert_eq!(slice.len(), FramePool::data_octets(Class::Full));
    drop(slice);
    assert_all_home(&pool);
}

#[test]
fn another_thread_fills_a_frame() {
    let pool = pool(1);
    let (sender, receiver) = mpsc::channel::<LentFrame>();
    let (back, home) = mpsc::channel::<LentFrame>();
    let filler = thread::spawn(move || {
        for mut frame in receiver {
            frame.spare_mut()[..4].copy_from_slice(b"tail");
            frame.advance_len(4);
            if frame.len() == 8 {
                back.send(frame).unwrap();
            }
        }
    });
    for head in [&b"head"[..], b"lost far away"] {
        let mut frame = pool.take(Class::Small, 32).unwrap();
        frame.extend(head);
        sender.send(frame.lend_mut()).unwrap();
    }
    drop(sender);
    filler.join().unwrap();
    let frame = home.recv().unwrap().into_frame(&pool);
    assert_eq!((frame.bytes(), frame.headroom()), (&b"headtail"[..], 32));
    drop(frame);
    assert_all_home(&pool);
}

#[test]
fn a_pool_closed_while_frames_are_away_is_freed_by_the_last() {
    for round in 0..300 {
        let pool = pool(1);
        let lent: Vec<Lent> = (0..8)
            .flat_map(|_| {
                let slice = slice_of(&pool, b"away");
                [slice.clone().lend(), slice.lend()]
            })
            .collect();
        let mut halves = lent.into_iter();
        let one: Vec<_> = halves.by_ref().take(round % 16).collect();
        let other: Vec<_> = halves.collect();
        let threads = [thread::spawn(move || drop(one)), thread::spawn(move || drop(other))];
        let keep = (round % 3 == 0).then(|| slice_of(&pool, b"kept at home"));
        drop(pool);
        drop(keep);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn frames_dropped_elsewhere_are_taken_again_without_asking() {
    let pool = pool(1);
    let large = pool.take(Class::Large, 0).unwrap().into_slice().lend();
    assert!(pool.take(Class::Small, 0).is_none());
    thread::spawn(move || drop(large)).join().unwrap();
    assert!(pool.take(Class::Small, 0).is_some());
}

//! The pool: budget, classes, reserve, figures.
use super::*;
use crate::Class;
use proptest::prelude::*;

const CLASSES: [Class; 3] = [Class::Small, Class::Full, Class::Large];

#[test]
fn a_large_frame_holds_the_largest_packet_and_headers() {
    assert!(FramePool::data_octets(Class::Large) >= 65_535 + 128);
    assert!(FramePool::data_octets(Class::Full) >= 1500 + 128);
    assert_eq!(FramePool::data_octets(Class::Small), 224);
}

#[test]
fn every_class_uses_the_whole_budget_and_gives_it_back() {
    let pool = pool(3);
    for (class, frames) in [(Class::Small, 3 * 264), (Class::Full, 3 * 32), (Class::Large, 3)] {
        let taken: Vec<_> = core::iter::from_fn(|| pool.take(class, 0)).collect();
        assert_eq!(taken.len(), frames, "{class:?}");
        assert!(CLASSES.iter().all(|class| pool.take(*class, 0).is_none()));
        assert!(pool.is_tight());
        drop(taken);
        assert_all_home(&pool);
        assert!(!pool.is_tight());
    }
    assert_eq!(pool.stats().refused, 3 * 4);
    assert_eq!(pool.stats().peak_octets, 4 * 67_584);
}

#[test]
fn an_empty_pool_still_gives_control_frames() {
    let pool = pool(1);
    let data: Vec<_> = core::iter::from_fn(|| pool.take(Class::Small, 0)).collect();
    let control: Vec<_> = core::iter::from_fn(|| pool.take_control(64)).collect();
    assert_eq!((data.len(), control.len()), (264, 264));
    assert_eq!(pool.stats().reserve_out, 264);
    assert_eq!(control[0].headroom(), 64);
    drop(control);
    assert!(pool.take(Class::Small, 0).is_none(), "data may not eat the reserve");
    assert!(pool.take_control(0).is_some());
    drop(data);
    assert_all_home(&pool);
}

#[test]
fn whether_there_is_a_control_frame_is_told_as_it_is() {
    let pool = pool(1);
    let mut taken = Vec::new();
    while pool.has_control() {
        taken.push(pool.take_control(0).unwrap());
    }
    assert_eq!((taken.len(), pool.stats().reserve_out), (2 * 264, 264));
    assert!(pool.take_control(0).is_none());
    taken.pop();
    assert!(pool.has_control() && pool.take_control(0).is_some());
    drop(taken);
    assert_all_home(&pool);
}

#[test]
fn a_few_octets_are_copied_into_a_small_frame_or_not_at_all() {
    let pool = pool(1);
    let most = FramePool::data_octets(Class::Small) - 100;
    let data: Vec<u8> = (0..=most).map(|at| at as u8).collect();
    for octets in [0, 1, 64, most] {
        let copied = pool.stats().octets_copied;
        let mut copy = pool.copy_of_few(&data[..octets], 100).unwrap();
        assert_eq!((&copy[..], copy.headroom()), (&data[..octets], 100));
        assert_eq!(pool.stats().octets_copied - copied, octets as u64);
        // It goes on where it is filled.
        assert_eq!(copy.try_extend(&[7; 200]), most - octets);
    }
    assert!(pool.copy_of_few(&data, 100).is_none());
    let taken: Vec<_> = core::iter::from_fn(|| pool.copy_of_few(&data[..9], 100)).collect();
    assert_eq!((taken.len(), pool.stats().reserve_out), (264, 0), "the reserve is not for data");
    drop(taken);
    assert_all_home(&pool);
}

#[test]
fn control_frames_come_from_the_common_store_while_it_lasts() {
    let pool = pool(1);
    let frame = pool.take_control(0).unwrap();
    assert_eq!((pool.stats().small_out, pool.stats().reserve_out), (1, 0));
    drop(frame);
}

#[test]
fn a_pool_without_reserve_works() {
    let pool = FramePool::new(&PoolConfig { octets: 0, reserve_small: 0 });
    let large = pool.take(Class::Large, 0).unwrap();
    assert!(pool.take_control(0).is_none());
    drop(large);
    assert_all_home(&pool);
}

#[test]
fn the_frame_given_back_last_is_taken_first() {
    let pool = pool(2);
    let frames: Vec<_> = (0..8).map(|_| pool.take(Class::Full, 0).unwrap()).collect();
    let mut addresses: Vec<_> = frames.iter().map(|frame| frame.bytes().as_ptr()).collect();
    drop(frames); // in order: the last of them is the warmest
    let again: Vec<_> = (0..8).map(|_| pool.take(Class::Full, 0).unwrap()).collect();
    addresses.reverse();
    assert_eq!(addresses, again.iter().map(|frame| frame.bytes().as_ptr()).collect::<Vec<_>>());
}

#[test]
fn one_empty_block_is_kept_and_lent_to_other_classes_in_need() {
    let pool = pool(1);
    drop(pool.take(Class::Small, 0).unwrap());
    // The only block stays cut for small frames, until a large frame needs it.
    drop(pool.take(Class::Large, 0).unwrap());
    drop(pool.take(Class::Full, 0).unwrap());
    assert_all_home(&pool);
}

#[test]
fn memory_outlives_the_pool() {
    let one = pool(2);
    let another = one.clone();
    let slice = slice_of(&one, b"still here");
    let rest = slice.slice(6..);
    drop((one, another));
    assert_eq!((&slice[..], &rest[..]), (&b"still here"[..], &b"here"[..]));
}

#[test]
fn a_huge_budget_costs_nothing_until_it_is_used() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0)
    };
    let before = resident();
    let pool = FramePool::new(&PoolConfig { octets: 4 << 30, reserve_small: 1000 });
    let frames: Vec<_> = (0..100).map(|_| pool.take(Class::Full, 0).unwrap()).collect();
    assert_eq!(frames.len(), 100);
    // Other tests run beside this one: allow them 512 MiB.
    assert!(resident().saturating_sub(before) < (512 << 20) / 4096);
}

proptest! {
    /// Any order of taking and giving back: contents stay apart, figures add up.
    #[test]
    fn frames_never_overlap(steps in prop::collection::vec((0..6usize, 0..300usize), 1..400)) {
        let pool = pool(4);
        let mut held: Vec<(FrameSlice, u8)> = Vec::new();
        for (at, (what, pick)) in steps.into_iter().enumerate() {
            let mark = at as u8;
            if what < 4 {
                // Class 3 stands for a control frame.
                let frame = match CLASSES.get(what) {
                    Some(class) => pool.take(*class, pick),
                    None => pool.take_control(pick),
                };
                if let Some(mut frame) = frame {
                    let room = frame.tailroom();
                    frame.spare_mut().fill(mark);
                    frame.advance_len(room);
                    held.push((frame.into_slice(), mark));
                }
            } else if !held.is_empty() {
                let (slice, mark) = held.swap_remove(pick % held.len());
                prop_assert!(slice.iter().all(|octet| *octet == mark));
            }
            let charged: u32 = held.iter().map(|(slice, _)| slice.charge()).sum();
            prop_assert_eq!(pool.stats().used_octets, charged as usize);
        }
        prop_assert!(held.iter().all(|(slice, mark)| slice.iter().all(|octet| octet == mark)));
        held.clear();
        assert_all_home(&pool);
    }
}

#[test]
fn frames_are_found_in_the_region_by_their_offsets() {
    let (pool, other) = (pool(4), pool(1));
    let region = pool.region();
    assert_eq!(region.len(), pool.stats().budget_octets);
    assert_eq!(region.cast::<u8>().as_ptr() as usize % 4096, 0);
    for class in CLASSES {
        let frames: Vec<_> = (0..3).map(|_| pool.take(class, 10).unwrap()).collect();
        let stride = FramePool::frame_octets(class);
        let mut numbers: Vec<_> = frames.iter().map(|f| f.region_offset() / stride).collect();
        for mut frame in frames {
            frame.extend(b"abc");
            let offset = frame.region_offset();
            assert!(offset + FramePool::data_octets(class) <= region.len());
            let mut slice = frame.into_slice();
            slice.advance(1);
            assert_eq!(slice.region_offset(), offset + 11);
            let address = region.cast::<u8>().as_ptr() as usize + slice.region_offset();
            assert_eq!(address, slice.as_ptr() as usize);
            assert!(slice.is_of(&pool) && !slice.is_of(&other));
        }
        numbers.dedup();
        assert_eq!(numbers.len(), 3, "{class:?}");
    }
    assert_all_home(&pool);
}

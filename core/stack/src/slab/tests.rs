//! The slab against a map.

use super::*;
use alloc::collections::{BTreeMap, BTreeSet};
use proptest::prelude::*;

/// Records of a chunk, when they are small.
const CHUNK: usize = 1 << CHUNK_SHIFT;

#[test]
fn memory_follows_need_in_chunks() {
    let mut slab: Slab<_> = Slab::new(1_000_000);
    assert_eq!(slab.committed(), 0);
    for value in 0..=CHUNK as u32 {
        slab.insert(value).unwrap();
    }
    assert_eq!(slab.committed() as usize, 2 * CHUNK);
    assert_eq!(Slab::<u8>::new(10).capacity(), 10);
}

#[test]
fn the_promise_is_kept_exactly() {
    let capacity = CHUNK as u32 + 6;
    let mut slab: Slab<u32> = Slab::new(capacity);
    let ids = (0..capacity).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    assert_eq!(slab.insert(0), None);
    slab.remove(ids[7]);
    assert_eq!(slab.insert(0), Some(ConnId { slot: 7, generation: 1 }));
    assert_eq!(slab.insert(0), None);
}

#[test]
fn a_stale_handle_is_recognised() {
    let mut slab: Slab<_> = Slab::new(4);
    let old = slab.insert('a').unwrap();
    assert_eq!(slab.remove(old), Some('a'));
    assert_eq!(slab.remove(old), None);
    let new = slab.insert_with(|id| if id.generation == 1 { 'b' } else { 'c' }).unwrap();
    assert_eq!(new.slot, old.slot);
    assert_eq!(slab.get(old), None);
    assert_eq!(slab.get_mut(old), None);
    assert_eq!(slab.get(new), Some(&'b'));
    assert_eq!(slab.id_at(new.slot), Some(new));
    assert_eq!(slab.at(3), None);
}

#[test]
fn a_slot_that_was_not_looked_at_has_what_is_there() {
    let mut slab: Slab<u32, u32> = Slab::new(4);
    let (wide, narrow) = (slab.insert_wide(5, 7).unwrap(), slab.insert(6).unwrap());
    let seen = |slab: &Slab<u32, u32>, index| {
        let unseen = slab.unseen(index)?;
        Some((unseen.record().copied(), unseen.touch(), unseen.touch_all(|a| a << 8, |b| b << 16)))
    };
    assert_eq!(seen(&slab, wide.slot), Some((Some(5), 1, 5 << 8 | 7 << 16)));
    assert_eq!(seen(&slab, narrow.slot), Some((Some(6), 1, 6 << 8)));
    slab.remove(narrow);
    assert_eq!(seen(&slab, narrow.slot).map(|(record, used, _)| (record, used)), Some((None, 0)));
    assert_eq!(seen(&slab, u32::MAX), None);
}

#[test]
fn records_without_handles_lie_as_they_are_aligned_and_nothing_beside_them() {
    #[derive(Debug, PartialEq)]
    #[repr(align(64))]
    struct Line(bool);
    assert_eq!(size_of::<Entry<Line, ()>>(), 64);
    let mut slab: Slab<Line, (), ()> = Slab::new(4);
    let old = slab.insert(Line(true)).unwrap();
    assert!(slab.discard(old.slot));
    let new = slab.insert(Line(false)).unwrap();
    assert_eq!((new, slab.at(new.slot)), (old, Some(&Line(false))));
    assert!(core::ptr::from_ref(slab.at(0).unwrap()).addr().is_multiple_of(64));
}

#[test]
fn the_slot_freed_last_is_used_first() {
    let mut slab: Slab<_> = Slab::new(8);
    let ids = (0..4).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    slab.remove(ids[1]);
    slab.remove(ids[3]);
    assert_eq!(slab.insert(9).unwrap().slot, 3);
    assert_eq!(slab.insert(9).unwrap().slot, 1);
    assert_eq!(slab.insert(9).unwrap().slot, 4);
}

#[test]
fn what_is_far_up_is_told_by_how_many_there_are() {
    let mut slab: Slab<u32, u8> = Slab::new(1000);
    let ids = (0..20 * CHUNK as u32).map(|n| slab.insert_wide(n, 1).unwrap()).collect::<Vec<_>>();
    assert!(ids.iter().all(|id| !slab.is_far_up(id.slot)));
    for id in &ids[2 * CHUNK..] {
        slab.discard(id.slot);
    }
    let near = (0..20).filter(|chunk| !slab.is_far_up((chunk * CHUNK) as u32)).count();
    assert_eq!(near, 2 * 2 + 2);
    let (record, annex) = slab.wide_mut(ids[3].slot).unwrap();
    (*record, *annex) = (7, 9);
    assert_eq!((slab.at(3), slab.annex(3)), (Some(&7), Some(&9)));
    assert_eq!(slab.wide_mut(ids[3 * CHUNK].slot), None);
}

#[test]
fn after_a_peak_of_which_the_upper_records_stay_new_ones_begin_below() {
    let mut slab: Slab<u32> = Slab::new(1000);
    let ids = (0..20 * CHUNK as u32).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    // Those that came first go first, and their chunks with them; of the last ones every other stays.
    let (first, last) = ids.split_at(16 * CHUNK);
    assert!(first.iter().all(|id| slab.discard(id.slot)));
    assert!(last.iter().step_by(2).all(|id| slab.discard(id.slot)));
    assert!(last.iter().all(|id| slab.is_far_up(id.slot)));
    let new = (0..2 * CHUNK as u32).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    assert!(new.iter().all(|id| !slab.is_far_up(id.slot)));
    let committed = slab.committed() as usize;
    assert!(committed <= 7 * CHUNK, "{committed}: those that stay, new ones, and a spare chunk");
    // The upper ones go at last, and leave the lower chunks.
    assert!(last.iter().skip(1).step_by(2).all(|id| slab.discard(id.slot)));
    assert_eq!(slab.committed() as usize, 3 * CHUNK);
    assert!(new.iter().zip(0..).all(|(id, n)| slab.get(*id) == Some(&n)));
}

#[test]
fn memory_comes_back_after_a_peak_but_for_one_chunk_of_each_width() {
    let mut slab: Slab<u32, u8> = Slab::new(1000);
    let narrow = (0..300).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    let wide = (0..300).map(|n| slab.insert_wide(n, 1).unwrap()).collect::<Vec<_>>();
    assert_eq!(slab.committed() as usize, 2 * 300_usize.next_multiple_of(CHUNK));
    for id in narrow.iter().chain(&wide) {
        assert!(slab.discard(id.slot));
    }
    assert_eq!(slab.committed() as usize, 2 * CHUNK);
    // Around a whole chunk nothing is asked for or given back.
    for _ in 0..3 {
        let again = (0..CHUNK as u32).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
        assert_eq!(slab.committed() as usize, 2 * CHUNK);
        again.iter().for_each(|id| assert!(slab.discard(id.slot)));
    }
    // What comes back may be of the other width, and knows the handles it gave out.
    let again = (0..500).map(|n| slab.insert_wide(n, 2).unwrap()).collect::<Vec<_>>();
    for old in narrow.iter().chain(&wide) {
        assert_eq!(slab.get(*old), None);
        assert!(again.iter().all(|new| new != old));
    }
}

#[test]
fn the_lowest_chunk_with_a_free_slot_is_filled_first() {
    let mut slab: Slab<usize> = Slab::new(1000);
    let ids = (0..4 * CHUNK).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    let free = [3 * CHUNK, CHUNK + 2, CHUNK + 1, 2 * CHUNK];
    free.iter().for_each(|place| assert!(slab.discard(ids[*place].slot)));
    let filled = free.map(|_| slab.insert(0).unwrap().slot as usize);
    assert_eq!(filled, [CHUNK + 1, CHUNK + 2, 2 * CHUNK, 3 * CHUNK]);
    assert_eq!(slab.insert(0).unwrap().slot as usize, 4 * CHUNK);
}

/// What is done to slab and model.
#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    InsertWide(u16, u8),
    Remove(u16),
    Discard(u16),
    Renew(u16),
    /// All but every so manieth.
    Thin(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<u16>().prop_map(Step::Insert),
        5 => any::<(u16, u8)>().prop_map(|(value, annex)| Step::InsertWide(value, annex)),
        2 => any::<u16>().prop_map(Step::Remove),
        2 => any::<u16>().prop_map(Step::Discard),
        1 => any::<u16>().prop_map(Step::Renew),
        1 => (1_u16..40).prop_map(Step::Thin),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..400)) {
        const CAPACITY: u32 = 100;
        let mut slab: Slab<u16, u8> = Slab::new(CAPACITY);
        let mut model = BTreeMap::<ConnId, (u16, Option<u8>)>::new();
        let mut stale = BTreeSet::new();
        for step in steps {
            let nth = |nth: u16| model.keys().nth(usize::from(nth) % model.len().max(1)).copied();
            match step {
                Step::Insert(value) | Step::InsertWide(value, _) => {
                    let annex = match step {
                        Step::InsertWide(_, annex) => Some(annex),
                        _ => None,
                    };
                    let id = match annex {
                        Some(annex) => slab.insert_wide(value, annex),
                        None => slab.insert(value),
                    };
                    match id {
                        Some(id) => {
                            prop_assert!(!stale.contains(&id), "given out twice");
                            prop_assert!(model.insert(id, (value, annex)).is_none());
                        }
                        None => prop_assert_eq!(model.len(), CAPACITY as usize),
                    }
                }
                Step::Remove(which) => if let Some(id) = nth(which) {
                    let record = model.remove(&id).map(|record| record.0);
                    prop_assert_eq!(slab.remove(id), record);
                    prop_assert_eq!(slab.remove(id), None);
                    stale.insert(id);
                },
                Step::Discard(which) => if let Some(id) = nth(which) {
                    model.remove(&id);
                    prop_assert!(slab.discard(id.slot) && !slab.discard(id.slot));
                    stale.insert(id);
                },
                Step::Renew(which) => if let Some(id) = nth(which) {
                    let renewed = slab.renew(id.slot).unwrap();
                    let record = model.remove(&id).unwrap();
                    prop_assert!(renewed.slot == id.slot && !stale.contains(&renewed));
                    prop_assert!(model.insert(renewed, record).is_none());
                    stale.insert(id);
                },
                Step::Thin(every) => {
                    let all = model.keys().copied().zip(0_u16..).collect::<Vec<_>>();
                    for (id, _) in all.into_iter().filter(|(_, nth)| nth % every != 0) {
                        model.remove(&id);
                        prop_assert!(slab.discard(id.slot));
                        stale.insert(id);
                    }
                }
            }
            prop_assert_eq!(slab.len() as usize, model.len());
            let chunks = model.keys().map(|id| id.slot as usize / CHUNK).collect::<BTreeSet<_>>();
            prop_assert!(slab.committed() as usize <= (chunks.len() + 2) * CHUNK);
            prop_assert!(model.keys().all(|id| id.slot < slab.end()));
        }
        for id in stale {
            prop_assert_eq!(slab.get(id), None);
        }
        for (id, (value, annex)) in &model {
            prop_assert_eq!(slab.get(*id), Some(value));
            prop_assert_eq!(slab.annex(id.slot), annex.as_ref());
        }
        let seen = slab.iter().map(|(id, value)| (id, *value)).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(seen, model.into_iter().map(|(id, (value, _))| (id, value)).collect());
    }
}

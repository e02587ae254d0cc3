//! A part against a list, with places as bad as can be.

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

#[test]
fn the_place_of_an_entry_can_be_told_from_where_it_is() {
    for buckets in (1_usize..200).chain([1023, 1024, 1025]) {
        let bits = 8 + buckets.ilog2();
        let places =
            (0..1_u32 << bits).step_by(1 + (buckets / 8)).map(|bits_of| bits_of << (32 - bits));
        for place in places {
            let home = Home::of(place, buckets, scale(buckets));
            assert!(home.bucket < buckets);
            assert_eq!(home.place(buckets), place, "{buckets}");
        }
    }
}

#[test]
fn what_matches_first_is_right_and_nothing_is_missed() {
    for tags in [[0x0100_0001, 0, 0x8000_FF00], [u32::MAX, 0x0102_0304, 0x0101_0101], [0, 0, 0]] {
        let mut bucket = [7; WORDS];
        bucket[TAGS..NOTE].copy_from_slice(&tags);
        for wanted in [0, 1, 2, 0x80, 0xFF] {
            let mut found = matches(&bucket, wanted);
            let found = core::iter::from_fn(|| next_match(&mut found)).collect::<Vec<_>>();
            let right = (0..SLOTS).filter(|slot| tag(&bucket, *slot) == wanted).collect::<Vec<_>>();
            assert!(right.iter().all(|slot| found.contains(slot)), "{tags:x?} {wanted}");
            assert!(found.iter().all(|slot| *slot < SLOTS));
            assert_eq!(found.is_empty(), right.is_empty());
            assert!(found.first().is_none_or(|slot| right.contains(slot)));
        }
    }
}

#[test]
fn every_slot_is_found_by_its_own_tag() {
    for slot in 0..SLOTS {
        let mut bucket = [0; WORDS];
        (0..SLOTS).for_each(|slot| set_tag(&mut bucket, slot, 100 + 8 * slot as u8));
        assert_eq!(tag(&bucket, slot), 100 + 8 * slot as u8);
        let mut found = matches(&bucket, 100 + 8 * slot as u8);
        assert_eq!(next_match(&mut found), Some(slot));
        assert_eq!(next_match(&mut found), None);
    }
}

#[test]
fn buckets_begin_with_cache_lines() {
    for entries in [1, 30, 400] {
        let part = Part::for_entries(entries);
        let address = part.bucket(0).unwrap().as_ptr() as usize;
        assert_eq!(address % 16, 0, "as allocators of this machine give memory");
        assert_eq!(address % 64, 0);
        assert!(part.bucket(part.buckets() - 1).is_some());
        assert!(part.bucket(part.buckets()).is_none());
    }
}

proptest! {
    // Places of few values: what has one home and one fingerprint is searched in many buckets, and found.
    #[test]
    fn agrees_with_a_list(
        steps in prop::collection::vec((0u8..5, any::<u32>()), 1..500),
        spread in prop_oneof![Just(1), Just(3), Just(40), Just(u32::MAX)],
    ) {
        let mut part = Part::default();
        let mut model = Vec::<(u32, u32)>::new();
        let mut places = Vec::new();
        for (what, number) in steps {
            if what < 3 {
                let (place, index) = ((number % spread).wrapping_mul(0x9E37_79B9), places.len() as u32);
                places.push(place);
                if let Some(buckets) = part.wants_more(false) {
                    part.resize(buckets, |index| places[index as usize]);
                }
                part.insert(place, index);
                model.push((place, index));
            } else if !model.is_empty() {
                let (place, index) = model.swap_remove(number as usize % model.len());
                prop_assert!(part.remove(place, index));
                prop_assert!(!part.remove(place, index));
                if let Some(buckets) = part.wants_less(false) {
                    part.resize(buckets, |index| places[index as usize]);
                }
            }
            prop_assert_eq!(part.len() as usize, model.len());
            prop_assert!(part.buckets() <= 1 + model.len() / 9 + 1);
        }
        for (place, index) in &model {
            let found = part.find(*place, |other| (other == *index).then_some(other));
            prop_assert_eq!(found, Some(*index));
        }
        let mut all = part.indices().collect::<Vec<_>>();
        all.sort_unstable();
        let mut expected = model.iter().map(|entry| entry.1).collect::<Vec<_>>();
        expected.sort_unstable();
        prop_assert_eq!(all, expected);
        // Nothing is left of what passed when all are gone.
        for (place, index) in model {
            prop_assert!(part.remove(place, index));
        }
        for bucket in 0..part.buckets() {
            let mut empty = [NONE; WORDS];
            empty[TAGS..].fill(0);
            prop_assert_eq!(*part.bucket(bucket).unwrap(), empty);
        }
    }
}

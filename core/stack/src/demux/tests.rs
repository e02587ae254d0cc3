//! The table against a map, and its chains.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use proptest::prelude::*;
use usertcp_base::{LocalIndex, RemoteAddr};

fn secrets(seed: u8) -> Secrets {
    Secrets::from_seed([seed; 32]).unwrap()
}

fn key(number: u32) -> FlowKey {
    let mut remote = [0; 16];
    remote[10..12].copy_from_slice(&[0xFF; 2]);
    remote[12..].copy_from_slice(&number.to_be_bytes());
    FlowKey { remote: RemoteAddr(remote), local: LocalIndex(0), remote_port: 1024, local_port: 80 }
}

#[test]
fn one_record_per_key() {
    let keys = [key(1), key(2), key(1)];
    let of = |index: u32| keys[index as usize];
    let mut demux = Demux::new(&secrets(1));
    assert!(demux.insert(&keys[0], 0, of));
    assert!(demux.insert(&keys[1], 1, of));
    assert!(!demux.insert(&keys[2], 2, of));
    assert_eq!(demux.find(&key(1), |index| (of(index) == key(1)).then_some(index)), Some(0));
    assert!(!demux.remove(&key(1), 2, of));
    assert!(demux.remove(&key(1), 0, of));
    assert_eq!(demux.find(&key(1), |index| (of(index) == key(1)).then_some(index)), None);
    assert_eq!(demux.len(), 1);
}

// proves BG-1: the work of a packet of no connection is counted, in records looked at: as few among a
// million connections as among a thousand. `usertcp-bench -- micro` has the nanoseconds.
#[test]
fn a_stranger_costs_as_little_among_a_million_as_among_a_thousand() {
    let [few, many] = [1000, 1_000_000].map(|count| {
        let mut demux = Demux::new(&secrets(1));
        for index in 0..count {
            assert!(demux.insert(&key(index), index, key));
        }
        let looked_at = core::cell::Cell::new(0u32);
        let mut worst = 0;
        for stranger in 0..100_000 {
            let before = looked_at.get();
            let found = demux.find(&key(u32::MAX - stranger), |index| {
                looked_at.set(looked_at.get() + 1);
                (key(index) == key(u32::MAX - stranger)).then_some(index)
            });
            assert_eq!(found, None);
            worst = worst.max(looked_at.get() - before);
        }
        // Fingerprints keep nearly all of them from any record.
        assert!(looked_at.get() < 20_000 && worst <= 6, "{count}: {looked_at:?}, {worst} at most");
        looked_at.get()
    });
    assert!(many * 2 <= few * 3, "{few} among a thousand, {many} among a million");
}

/// AT-23: a set of keys chosen against one secret is ordinary under another.
#[test]
fn colliding_keys_of_one_secret_do_not_collide_under_another() {
    let known = FlowHash::new(&secrets(1));
    let aimed = (0..100_000).map(key).filter(|key| known.of(key) % 1024 == 7).collect::<Vec<_>>();
    assert!(aimed.len() > 50);
    let other = FlowHash::new(&secrets(2));
    let mut chains = BTreeMap::new();
    for key in &aimed {
        *chains.entry(other.of(key) % 1024).or_insert(0) += 1;
    }
    assert!(chains.values().all(|length| *length <= 5));
}

/// Enters a record under the key of its index.
fn enter(demux: &mut Demux, index: u32) {
    demux.insert_fresh(demux.hash_of(&key(index)), &key(index), index, key);
}

proptest! {
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..200), 1..400)) {
        let mut demux = Demux::new(&secrets(3));
        let mut model = BTreeMap::new();
        for (insert, number) in steps {
            // The record's index is its number, so the key can be told from the index.
            if insert {
                let fresh = model.insert(number, ()).is_none();
                prop_assert_eq!(demux.insert(&key(number), number, key), fresh);
            } else {
                let there = model.remove(&number).is_some();
                prop_assert_eq!(demux.remove(&key(number), number, key), there);
            }
            prop_assert_eq!(demux.len() as usize, model.len());
        }
        for number in 0..200 {
            let expected = model.contains_key(&number).then_some(number);
            prop_assert_eq!(demux.find(&key(number), |index| (key(index) == key(number)).then_some(index)), expected);
        }
    }
}

/// So many entries no call may move: those of one part that has twice its share and a little more.
const MOST_MOVED: u32 = 800;

// proves AT-23 for growth: no packet waits for a table to be built anew.
#[test]
fn it_grows_and_shrinks_without_a_pause_and_gives_its_memory_back() {
    let mut demux = Demux::new(&secrets(1));
    let count = 200_000;
    let (mut worst, mut moved) = (0, 0_u64);
    for index in 0..count {
        enter(&mut demux, index);
        worst = worst.max(demux.moved);
        moved += u64::from(demux.moved);
        if index >= 20_000 && index % 1000 == 0 {
            let octets = demux.octets() as f64 / f64::from(demux.len());
            assert!((6.4..7.3).contains(&octets), "{octets} for each of {index}");
        }
    }
    assert!(worst <= MOST_MOVED, "{worst} moved at once");
    assert!(moved < 25 * u64::from(count), "{moved} moved in all");
    for index in 0..count {
        let found = demux.find(&key(index), |other| (other == index).then_some(other));
        assert_eq!(found, Some(index));
    }
    for index in 0..count {
        assert!(demux.remove(&key(index), index, key));
        assert!(demux.moved <= MOST_MOVED, "{} moved at once", demux.moved);
        if index % 1000 == 0 && demux.len() >= 20_000 {
            let octets = demux.octets() as f64 / f64::from(demux.len());
            assert!(octets < 8.3, "{octets} for each of {}", demux.len());
        }
    }
    assert!(demux.is_empty());
    assert!(demux.octets() < 1200, "{} octets are left", demux.octets());
}

#[test]
fn a_small_table_is_built_anew_seldom() {
    let mut demux = Demux::new(&secrets(1));
    let moved: u32 = (0..2500)
        .map(|index| {
            enter(&mut demux, index);
            demux.moved
        })
        .sum();
    // Each of its parts twice, the second time with forty entries.
    assert_eq!(moved, FIRST_PARTS * (10 + 40));
    let moved: u32 = (0..2400)
        .map(|index| {
            assert!(demux.remove(&key(index), index, key));
            demux.moved
        })
        .sum();
    assert!(moved <= FIRST_PARTS * 30, "{moved}");
}

#[test]
fn a_number_of_connections_that_goes_up_and_down_a_little_moves_little() {
    let mut demux = Demux::new(&secrets(1));
    (0..5000).for_each(|index| enter(&mut demux, index));
    let mut moved = 0;
    for _ in 0..1000 {
        for index in 5000..5010 {
            enter(&mut demux, index);
            moved += demux.moved;
        }
        for index in 5000..5010 {
            assert!(demux.remove(&key(index), index, key));
            moved += demux.moved;
        }
    }
    assert!(moved < 10 * MOST_MOVED, "{moved}");
}

/// What nobody outside can bring about: one hash for all keys.
#[test]
fn entries_of_one_hash_cost_time_and_nothing_else() {
    let one = |_: u32| key(7);
    let mut demux = Demux::new(&secrets(1));
    for index in 0..3000 {
        demux.insert_fresh(demux.hash_of(&key(7)), &key(7), index, one);
    }
    assert_eq!(demux.len(), 3000);
    for index in (0..3000).step_by(7) {
        assert_eq!(demux.find(&key(7), |other| (other == index).then_some(other)), Some(index));
    }
    assert_eq!(demux.find(&key(8), Some).map(|_: u32| ()), None);
    for index in 0..3000 {
        assert!(demux.remove(&key(7), index, one));
    }
    assert!(demux.is_empty() && demux.octets() < 1200);
}

#[test]
fn a_guess_is_right_nearly_always() {
    let mut demux = Demux::new(&secrets(1));
    (0..20_000).for_each(|index| enter(&mut demux, index));
    let right = (0..20_000).filter(|i| demux.guess(demux.hash_of(&key(*i))) == Some(*i)).count();
    assert!(right > 19_000, "{right} of 20,000");
    // Of those at home it is known at once, and the same.
    let hashes = || (0..20_000).map(|index| demux.hash_of(&key(index)));
    let at_home = hashes().filter_map(|hash| Some((hash, demux.guess_at_home(hash).ok()?)));
    let at_home: Vec<_> = at_home.collect();
    assert!((18_000..20_000).contains(&at_home.len()), "{}", at_home.len());
    assert!(at_home.iter().all(|(hash, index)| demux.guess(*hash) == Some(*index)));
}

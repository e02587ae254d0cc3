//! The slab against a map.

use super::*;
use alloc::collections::BTreeMap;
use proptest::prelude::*;

#[test]
fn memory_follows_need_in_chunks() {
    let mut slab = Slab::new(1_000_000);
    assert_eq!(slab.committed(), 0);
    for value in 0..1025_u32 {
        slab.insert(value).unwrap();
    }
    assert_eq!(slab.committed(), 2048);
    assert_eq!(Slab::<u8>::new(10).capacity(), 10);
}

#[test]
fn the_promise_is_kept_exactly() {
    let mut slab = Slab::new(1030);
    let ids = (0..1030).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    assert_eq!(slab.insert(0), None);
    assert_eq!(slab.committed(), 1030);
    slab.remove(ids[700]);
    assert_eq!(slab.insert(0), Some(ConnId { slot: 700, generation: 1 }));
    assert_eq!(slab.insert(0), None);
}

#[test]
fn a_stale_handle_is_recognised() {
    let mut slab = Slab::new(4);
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
fn the_slot_freed_last_is_used_first() {
    let mut slab = Slab::new(8);
    let ids = (0..4).map(|n| slab.insert(n).unwrap()).collect::<Vec<_>>();
    slab.remove(ids[1]);
    slab.remove(ids[3]);
    assert_eq!(slab.insert(9).unwrap().slot, 3);
    assert_eq!(slab.insert(9).unwrap().slot, 1);
    assert_eq!(slab.insert(9).unwrap().slot, 4);
}

proptest! {
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 1..300)) {
        let mut slab = Slab::new(64);
        let mut model = BTreeMap::new();
        let mut stale = Vec::new();
        for (insert, value) in steps {
            if insert {
                match slab.insert(value) {
                    Some(id) => prop_assert!(model.insert(id, value).is_none()),
                    None => prop_assert_eq!(model.len(), 64),
                }
            } else if let Some(id) = model.keys().nth(usize::from(value) % model.len().max(1)) {
                let id = *id;
                let record = model.remove(&id);
                if value % 2 == 0 {
                    prop_assert_eq!(slab.remove(id), record);
                } else {
                    prop_assert!(slab.discard(id.slot) && !slab.discard(id.slot));
                }
                stale.push(id);
            }
            prop_assert_eq!(slab.len() as usize, model.len());
        }
        for id in stale {
            prop_assert_eq!(slab.get(id), None);
        }
        let seen = slab.iter().map(|(id, value)| (id, *value)).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(seen, model);
    }
}

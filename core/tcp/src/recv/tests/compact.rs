use super::{chain, pool, stream};
use crate::recv::compact::{Compactor, append_counted};
use usertcp_frame::{Chain, Class, FramePool};

fn in_frame(pool: &FramePool, class: Class, len: usize) -> Chain {
    let mut frame = pool.take(class, 0).unwrap();
    assert_eq!(frame.extend(&stream(0, len)), len);
    Chain::from(frame.into_slice())
}

#[test]
fn only_waste_is_copied() {
    let pool = pool();
    for (class, len, tight, thorough) in [
        (Class::Small, 1, false, false),
        (Class::Full, 1, true, true),
        (Class::Full, 200, true, true),
        // wasteful, but alone it needs a frame of the same class
        (Class::Full, 511, false, false),
        (Class::Large, 2000, true, true),
        (Class::Large, 16_000, true, true),
        (Class::Large, 20_000, false, true),
        (Class::Large, 40_000, false, false),
    ] {
        for (expected, hard) in [(tight, false), (thorough, true)] {
            let data = in_frame(&pool, class, len);
            let (before, mut copied) = (data.charge(), 0);
            let mut compactor = if hard {
                Compactor::thorough(&pool, &mut copied)
            } else {
                Compactor::tight(&pool, &mut copied)
            };
            let out = compactor.compacted(data);
            assert_eq!(out.to_vec(), stream(0, len));
            assert_eq!(copied, if expected { len as u64 } else { 0 }, "{class:?} {len} {hard}");
            assert_eq!(out.charge() < before, expected);
        }
    }
}

// what is appended is counted once for each frame, in either way
#[test]
fn the_added_charge_is_exact() {
    let (pool, mut copied) = (pool(), 0);
    let mut queue = Chain::new();
    let mut charge = 0;
    for len in [1400usize, 10, 1, 700, 1, 1448, 3, 3] {
        charge +=
            Compactor::tight(&pool, &mut copied).append(&mut queue, chain(&pool, &stream(0, len)));
        assert_eq!(charge, queue.charge());
    }
    let mut slices = chain(&pool, &stream(0, 100));
    let whole = slices.pop_front().unwrap();
    for range in [0..10, 20..30, 30..40, 50..60] {
        charge += append_counted(&mut queue, Chain::from(whole.slice(range)));
        assert_eq!(charge, queue.charge());
    }
    assert_eq!(append_counted(&mut queue, Chain::new()), 0);
}

// without a free frame nothing is lost
#[test]
fn an_empty_pool_leaves_things_as_they_are() {
    let pool = super::pool_of(256 << 10);
    let mut hog = Chain::new();
    while let Some(frame) = pool.take(Class::Full, 0) {
        let mut frame = frame;
        assert_eq!(frame.extend(&[0]), 1);
        hog.push_back(frame.into_slice());
    }
    while let Some(mut frame) = pool.take(Class::Small, 0) {
        assert_eq!(frame.extend(&[0]), 1);
        hog.push_back(frame.into_slice());
    }
    let (count, mut copied) = (hog.slice_count(), 0);
    let out = Compactor::thorough(&pool, &mut copied).compacted(hog);
    assert_eq!(out.len(), count);
}

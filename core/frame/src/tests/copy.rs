use crate::copy::{STEP, copy};
use crate::{Chain, Class, FramePool, PoolConfig};
use alloc::vec;
use alloc::vec::Vec;

fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at * 7 / 3) as u8).collect()
}

#[test]
fn a_copy_is_what_was_copied() {
    for octets in [0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP, 2 * STEP + 1, 65_536] {
        let source = pattern(octets);
        let mut target = vec![0; octets];
        copy(&mut target, &source);
        assert_eq!(target, source, "{octets}");
    }
}

#[test]
#[should_panic(expected = "one is longer")]
fn a_long_one_must_fit() {
    copy(&mut vec![0; 2 * STEP], &pattern(2 * STEP + 1));
}

#[test]
fn frames_are_filled_and_read_in_steps() {
    let pool = FramePool::new(&PoolConfig::default());
    let source = pattern(3 * STEP + 5);
    let mut frame = pool.take(Class::Large, 64).unwrap();
    assert_eq!(frame.extend(&source), source.len());
    let mut chain = Chain::from(frame.into_slice());
    assert_eq!(chain.to_vec(), source);
    let mut read = vec![0; source.len()];
    assert_eq!(chain.copy_to(0, &mut read), source.len());
    assert_eq!(read, source);
    read.fill(0);
    assert_eq!(chain.take_to(&mut read), source.len());
    assert_eq!((read, chain.is_empty()), (source, true));
}

//! Tests of the whole crate through its public face.
extern crate std;

mod chain;
mod copy;
mod pool;
mod slice;
mod threads;

use crate::{FramePool, FrameSlice, PoolConfig};
use std::vec::Vec;

/// A pool of `blocks` blocks and a reserve of one more.
fn pool(blocks: usize) -> FramePool {
    let octets = (blocks + 1) * crate::blocks::BLOCK_OCTETS;
    FramePool::new(&PoolConfig { octets, reserve_small: 16 })
}

/// `len` octets that differ from their neighbours, counting from `seed`.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed.wrapping_add((at % 251) as u8)).collect()
}

fn slice_of(pool: &FramePool, octets: &[u8]) -> FrameSlice {
    pool.copy_of(octets, 0).expect("room in the pool")
}

/// Nothing is out.
fn assert_all_home(pool: &FramePool) {
    pool.reclaim();
    let stats = pool.stats();
    let out = (stats.small_out, stats.full_out, stats.large_out, stats.reserve_out);
    assert_eq!((stats.used_octets, stats.lent, out), (0, 0, (0, 0, 0, 0)));
}

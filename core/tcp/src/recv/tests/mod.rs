//! Tests of the receive side, one file per subject.

mod ack_check;
mod ack_policy;
mod advertise;
mod autotune;
mod challenge;
mod compact;
mod paws;
pub(super) mod reassembly;
mod receiver;
mod sack;
mod stream;
mod urgent;
mod window_check;

use crate::recv::reassembly::Quota;
use std::vec::Vec;
use usertcp_frame::{Chain, Class, FramePool, PoolConfig};

/// Bases that put what is tested before, on and after the wrap.
pub const BASES: [u32; 6] = [0, 1, 1_000_000, 0x7FFF_FFFF, u32::MAX - 5, u32::MAX];

/// No limit.
pub const UNBOUNDED: Quota = Quota { ranges: u32::MAX, charge: u32::MAX };

pub fn pool_of(octets: usize) -> FramePool {
    FramePool::new(&PoolConfig { octets, reserve_small: 16 })
}

pub fn pool() -> FramePool {
    pool_of(64 << 20)
}

/// A chain with a frame of its own for every 1448 octets, as a device would bring them.
pub fn chain(pool: &FramePool, octets: &[u8]) -> Chain {
    let mut chain = Chain::new();
    for part in octets.chunks(1448) {
        let mut frame = pool.take(Class::Full, 66).unwrap();
        assert_eq!(frame.extend(part), part.len());
        chain.push_back(frame.into_slice());
    }
    chain
}

/// The octet at a stream position.
pub fn octet(position: u64) -> u8 {
    (position.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Octets of the stream from `position` on.
pub fn stream(position: u64, len: usize) -> Vec<u8> {
    (position..position + len as u64).map(octet).collect()
}

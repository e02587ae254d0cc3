//! The memory packets and queues are made of.
//!
//! Owns: the frame pool (one budget per shard), frames, counted slices of them, chains of slices,
//! packets. Must not know: protocols, devices, clocks, what a thread is.
//!
//! ```text
//! FramePool ── take ──> Frame (one owner, writable) ── into_slice ──> FrameSlice (shared)
//!                         │ lend_mut                                    │ lend     │ push_back
//!                         v                                             v          v
//!                       LentFrame (another thread fills)              Lent       Chain, Packet
//! ```
//!
//! A pool and everything taken from it belong to one thread, without atomics; [`Lent`] and
//! [`LentFrame`] travel. Dropping anything gives it back.
#![no_std]

extern crate alloc;

mod blocks;
mod chain;
mod copy;
mod frame;
mod lent;
mod packet;
mod pool;
mod raw;
mod slice;
mod spill;

pub use chain::{Chain, Entries, Pieces, SliceMut, Slices, Slots, Uncut, Whole};
pub use copy::copy;
pub use frame::Frame;
pub use lent::{Lent, LentFrame};
pub use packet::{ChecksumState, Gso, GsoKind, Offload, Packet};
pub use pool::{Class, FramePool, PoolConfig, PoolStats};
pub use slice::{Behind, FrameSlice};

#[cfg(test)]
mod tests;

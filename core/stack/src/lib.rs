//! The shard: a device queue's worth of connections on one core, with no locks.
//!
//! Owns: which connection a packet belongs to, listeners, local ports, the timer wheel, admission,
//! and the order of work in a turn.
//! Must not know: threads, sockets, clocks, operating systems; nor the rules of a single
//! connection, which are the `tcp` crate's.
//! Implements: RFC 9293 §3.9.1 (calls), §3.10.7.1-2 (CLOSED, LISTEN), RFC 4987, 6056, 6528.
#![no_std]

extern crate alloc;

pub mod cookies;
pub mod demux;
pub mod isn;
pub mod listener;
pub mod ports;
pub mod ready;
pub mod replies;
pub mod slab;
pub mod wheel;

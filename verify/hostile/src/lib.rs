//! Hostile peers.
//!
//! Owns: packets made to hurt, an arena with one shard and scripted peers, programs of operations
//! decoded from bytes (for the fuzzer and for property tests), and a judge of what the shard sends
//! that expects nothing of the peer.
//! Must not know: any clock, any thread.

pub mod arena;
pub mod choice;
pub mod forge;
pub mod judge;
pub mod parsers;
pub mod peer;
pub mod program;

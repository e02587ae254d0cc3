//! Requirement rows proven on the wire: one shard, and a peer whose packets are made by hand.
//! Owns: what no test beside the code proves. Must not know: the inside of the stack.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails panics

mod bursts;
mod capture;
mod forge;
mod opening;
mod options;
mod synchronised;

#[path = "../../../../core/stack/tests/shard/hand.rs"]
#[allow(dead_code)]
mod hand;
#[path = "../../../../core/stack/tests/shard/pair.rs"]
#[allow(dead_code)]
mod pair;

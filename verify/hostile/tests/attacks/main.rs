//! Attack scripts of requirement ledger F2, with their numbers where they are cheap.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails panics

mod connections;
mod floods;
mod heap;
mod packets;
mod reassembly;
mod sacks;

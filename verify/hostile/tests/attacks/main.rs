//! Attack scripts of requirement ledger F2, with their numbers where they are cheap.

mod connections;
mod floods;
mod heap;
mod packets;
mod reassembly;
mod sacks;

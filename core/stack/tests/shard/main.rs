//! The shard over memory: two of them at the ends of a pipe, or one and packets made by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails panics

mod application;
mod auth;
mod balance;
mod closing_early;
mod cut;
mod ethernet;
mod fast_open;
mod flood;
mod gate;
mod gathering;
mod hand;
mod handshake;
mod messages;
mod pacing;
mod pair;
mod parking;
mod peer_window;
mod recent;
mod runs;
mod scarce;
mod short_opening;
mod short_way;
mod signals;
mod slow_peers;
mod steering;
mod strays;
mod time_wait;
mod together;
mod turn;

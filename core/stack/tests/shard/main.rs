//! The shard over memory: two of them at the ends of a pipe, or one and packets made by hand.

mod application;
mod balance;
mod closing_early;
mod flood;
mod hand;
mod handshake;
mod pair;
mod peer_window;
mod strays;
mod time_wait;

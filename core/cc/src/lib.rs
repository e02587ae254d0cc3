//! Congestion controllers behind one trait.
//!
//! Owns: what a controller is told (`Sent`, `AckSample`, `Congestion`, `PathChange`), what it answers
//! (`Budget`), and the built-in controllers.
//! Must not know: queues, segments, clocks, connections. Windows are octets; integers only.
//! Implements: RFC 5681, 6928, 3465, 7661, 9406, 9438 (see each file).
#![no_std]

mod api;

pub use api::*;

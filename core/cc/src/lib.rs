//! Congestion controllers behind one trait.
//!
//! Owns: what a controller is told (`Sent`, `AckSample`, `Congestion`, `PathChange`), what it answers
//! (`Budget`), and the built-in controllers.
//! Must not know: queues, segments, clocks, connections. Windows are octets; integers only.
//! Implements: RFC 5681, 6928, 3465, 7661, 9406, 9438 (see each file).
#![no_std]

mod any;
mod api;
mod cubic;
mod curve;
mod fixed;
mod hystart;
mod pacing;
mod pipe_ack;
mod reno;
mod residue;
mod window;

pub use any::{Algorithm, AnyController, UnknownAlgorithm};
pub use api::*;
pub use cubic::Cubic;
pub use fixed::FixedWindow;
pub use reno::Reno;
pub use window::initial_window;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

//! Facts that every part of usertcp shares.
//!
//! Owns: instants and ticks, sequence numbers, windows, rates, identities, generators, limits,
//! and what may be observed (events, drop reasons, counters).
//! Must not know: packets, connections, devices, operating systems.
//! Implements: RFC 9293 §3.4 (sequence arithmetic), RFC 7323 §2 (window scale bounds).
#![no_std]

mod hint;
mod identity;
mod limits;
pub mod observe;
mod random;
mod rate;
mod seq;
mod siphash;
mod time;
mod window;

pub use hint::seldom;
pub use identity::{ConnId, Ecn, FlowKey, ListenerId, LocalIndex, RateGroupId, RemoteAddr};
pub use limits::{Limits, Parking};
pub use observe::{CloseReason, Counters, DropReason, Event, Limiter, Observer, RetransmitCause};
pub use random::{Prng, Purpose, Secrets, SharedKey};
pub use rate::Rate;
pub use seq::Seq;
pub use time::{Instant, Span, Stamp, TICK_SHIFT, Tick};
pub use window::{Scale, WireWindow};

#[cfg(test)]
mod tests;

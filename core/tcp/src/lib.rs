//! One TCP connection: segment in, effects out.
//!
//! # Contract
//! * Time is an argument (`Env::now`) and never goes back.
//! * After any `handle_*` or application call, act on the returned [`Effects`], drain
//!   [`Tcb::poll_segment`] when `transmit` is set, then read [`Tcb::next_deadline`].
//! * Nothing calls outward, blocks, reads a clock or draws entropy.
//! * A connection is born as a [`Handshake`], lives as a [`Tcb`] while it has work, and ends as a
//!   [`TimeWait`] record or as nothing.
//!
//! Owns: everything RFC 9293 says of one connection.
//! Must not know: addresses, ports, IP versions, devices, tables of connections.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod app;
mod arrive;
mod burden;
mod close;
mod ecn;
mod effects;
mod env;
mod halves;
mod info;
mod keepalive;
mod mtu;
mod open;
pub mod pace;
mod park;
mod predicted;
mod rare;
pub mod recovery;
pub mod recv;
mod segment;
mod send;
mod settings;
mod shelf;
mod signal;
mod tcb;
#[cfg(test)]
mod tests;
mod timers;
mod transition;
mod user_timeout;

pub use app::ReadOutcome;
pub use close::{TimeWait, TimeWaitOutcome, TimeWaitTimestamps};
pub use ecn::{MarkReport, Marked, Reading};
pub use effects::{Effects, Ended, LastWord};
pub use env::Env;
pub use halves::{Halves, RecvHalf, SendHalf, StateName};
pub use info::{AccurateInfo, Info, Stopwatches};
pub use mtu::PathMtu;
pub use open::{
    AccurateStart, Agreed, AgreedTimestamps, EcnAgreed, Greeting, Handshake, HandshakeDeadline,
    HandshakeOutcome, HandshakePhase, Offer, Opening, OptionPath, Shaken, UsualSyn, asked_ecn,
    timestamp_clock,
};
pub use pace::{Ceiling, LEAST_RELEASE_OCTETS, Lags, Quantum, release_octets};
pub use park::{Moulds, Parked, ParkedArrival, ParkedDue};
pub use predicted::{
    Answered, Closing, Given, HeaderFacts, Last, Single, UsualEffects, UsualOutgoing, UsualSegment,
};
pub use recovery::RecoveryState;
pub use segment::{Outgoing, Reply, Segment};
pub use send::{HEADROOM_OCTETS, PollSegment, SendRoom, WriteEnd};
pub use settings::{
    EcnLevel, EcnMode, EcnOption, HostFacts, KeepAlive, LearnedPath, LeastProgress, Manner,
    MtuProbing, PathFacts, Settings, Shares, UserTimeoutOption,
};
pub use shelf::SettingsShelf;
pub use signal::{Signal, SignalKind, SoftErrors};
pub use tcb::Tcb;

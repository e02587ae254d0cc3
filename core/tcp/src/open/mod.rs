//! Opening a connection. Owns: what is offered, what was agreed, the handshake record.
//! Must not know: listeners, tables, how a handshake record is found.
//! Implements: RFC 9293 §3.5, §3.10.7.2–3.10.7.4 (SYN-RECEIVED), RFC 7323 §2–3, RFC 2018 §2,
//! RFC 3168 §6.1.1, RFC 9768 §3.1, RFC 7413 §4.2 (payload on SYNs), RFC 6298 §5.7 and RFC 6928 §2 (what
//! a lost handshake segment means).

mod accurate;
mod arrive;
mod ecn;
mod fast_open;
mod handshake;
mod negotiate;
mod usual;

pub use accurate::{AccurateStart, OptionPath};
pub(crate) use accurate::{ace_flags, ace_of, code_of};
pub use ecn::{EcnAgreed, asked_ecn};
pub use handshake::{
    Handshake, HandshakeDeadline, HandshakeOutcome, HandshakePhase, Opening, timestamp_clock,
};
pub use negotiate::{Agreed, AgreedTimestamps, Offer};
pub use usual::{Greeting, Shaken, UsualSyn};

/// The counter of marked packets begins here (RFC 9768 §3.2.1).
pub(crate) const INITIAL_CEP: u8 = 5;

#[cfg(test)]
mod tests;

//! Opening a connection. Owns: what is offered, what was agreed, the handshake record.
//! Must not know: listeners, tables, how a handshake record is found.
//! Implements: RFC 9293 §3.5, §3.10.7.2–3.10.7.4 (SYN-RECEIVED), RFC 7323 §2–3, RFC 2018 §2,
//! RFC 7413 §4.2 (payload on SYNs), RFC 6298 §5.7 and RFC 6928 §2 (what a lost handshake segment means).

mod arrive;
mod ecn;
mod fast_open;
mod handshake;
mod negotiate;

pub use ecn::EcnAgreed;
pub use handshake::{
    Handshake, HandshakeDeadline, HandshakeOutcome, HandshakePhase, Opening, timestamp_clock,
};
pub use negotiate::{Agreed, AgreedTimestamps, Offer};

#[cfg(test)]
mod tests;

//! TCP Fast Open: data on a SYN, for those who ask for it (RFC 7413).
//!
//! Owns: what an application sets, and the parts below: the cookies we give out (`keys`), those we
//! were given (`cache`), how many fast opens are pending at a listener (`pending`), and what becomes
//! of a SYN with data that arrives (`server`) or is sent (`client`).
//! Must not know: how a connection handles data, where an option stands in a header.
//! Implements: RFC 7413 §3, §4; 7413-1 to -7, AT-33.
//!
//! It is off until switched on, per listener and per active open, because a SYN with data may arrive
//! twice and its data then twice, too (RFC 7413 §2.1, §6.1): only the application knows whether
//! that does harm. While SYN cookies answer, at listeners whose gate asks, and where segments are
//! signed, it is off as well.

pub(crate) mod cache;
mod client;
pub(crate) mod keys;
pub(crate) mod pending;
mod server;

pub(crate) use client::Attempt;
pub use client::FirstData;
pub(crate) use server::{EarlyConnection, SynAnswer};

/// How a listener takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FastOpenListen {
    /// Fast opens that may be pending: accepted, their SYN-ACK not acknowledged. Beyond it, SYNs get
    /// ordinary handshakes (RFC 7413 §5.1). Each costs a connection.
    pub pending: u32,
    /// Data is accepted without a cookie: for networks where nobody forges addresses only.
    pub without_cookie: bool,
}

impl Default for FastOpenListen {
    fn default() -> Self {
        FastOpenListen { pending: 128, without_cookie: false }
    }
}

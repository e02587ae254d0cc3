//! The layer below TCP: IP version 4 and 6.
//!
//! Owns: which packets are for us and sound, fragments, ICMP (echo, errors both ways), the header
//! in front of what leaves, our addresses, the buckets that bound what we send unasked.
//! Must not know: connections, ports that are open, devices, clocks.
//! Implements: RFC 1122 §3.2 and §3.3.2, RFC 8200, RFC 792, RFC 4443, RFC 5722, RFC 6864,
//! requirement ledger B2 and B3 (as far as they need no connection).
//!
//! ```text
//! packet ──> Ip::input ──> Tcp(TcpInput)      to the demultiplexer
//!                     ├──> Signal(PathSignal) to the connection it names, to be doubted there
//!                     ├──> Reply(packet)      to the device; then poll_reply until None
//!                     ├──> Consumed           a fragment, kept
//!                     └──> Drop(reason)       to be counted
//! ```
//!
//! What the caller owes: after a `Reply`, [`Ip::poll_reply`] until `None`; after any `input` or
//! `expire`, now and then, [`Ip::poll_drop`]; [`Ip::expire`] at [`Ip::next_deadline`].
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod bucket;
mod contiguous;
mod echo;
mod envelope;
mod input;
mod ip;
mod link;
mod output;
mod reassembly;
mod refusal;
mod signal;

pub use address::{Cidr, CidrError, ip_address, remote_address};
pub use bucket::TokenBucket;
pub use input::{Input, TcpInput};
pub use ip::{Ip, IpConfig, IpStats};
pub use link::{LINK_HEADROOM, Link, LinkConfig, LinkInput, LinkOutput, LinkStats, Reachability};
pub use output::{NotWritten, Outgoing};
pub use signal::{PathSignal, SignalKind};

/// Time to live, or hop limit, where nobody asks for another (I-5).
pub const DEFAULT_TTL: u8 = 64;

#[cfg(test)]
mod tests;

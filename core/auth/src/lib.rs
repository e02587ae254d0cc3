//! Authenticated segments: TCP-AO, and the older MD5 option.
//!
//! # Contract
//! * [`Auth`] holds the keys and one session per protected connection. While it holds no key, nothing
//!   of it is called for a packet.
//! * Out: [`Auth::reserve`] says which option a segment needs, so that the header is written with room
//!   for it; [`Auth::sign`] fills it in when header and payload stand.
//! * In: [`Auth::verify`] judges a segment before anything else looks at it.
//!
//! Owns: key tuples and whom they are for, derived keys, sequence-number extensions, message
//! authentication codes.
//! Must not know: states, timers, queues, packets; segments are octets with two addresses.
//! Implements: RFC 5925, RFC 5926 (both mandatory algorithms), RFC 2385.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod auth;
mod key;
mod mac;
mod message;
mod sequence;
mod session;
#[cfg(test)]
mod tests;

pub use auth::{Auth, AuthInfo, Refusal};
pub use key::{AuthKey, KeyError, KeyHandle, KeyKind, MasterKey, Scope};
pub use mac::{Algorithm, MAC_OCTETS, MD5_OCTETS};
pub use message::Ends;

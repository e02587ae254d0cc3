//! Streams and listeners for other threads, with Tokio's traits.
//!
//! Owns: the sockets an application holds, the cells they share with the worker, and the handler
//! that serves them there. Must not know: the shard; it is reached through the native face only.
//!
//! ```text
//! application's threads                      the stack's thread
//! TcpStream ── Cell (one lock) ───────────── Driver ── Context ── shard
//!              in:  slices lent  <──────────  read_slice
//!              out: frames filled ─────────>  write_chain
//! empty frames: Stash  <──────────────────── fill
//! ```

mod cell;
pub(crate) mod driver;
pub(crate) mod error;
pub(crate) mod hub;
mod idle;
mod inbound;
mod listener;
pub(crate) mod options;
mod outbound;
mod owned;
mod relay;
mod split;
mod stash;
mod stream;
mod transfer;
pub(crate) mod wakers;

pub use error::Ended;
pub use idle::{IdleStreams, ParkError, ParkRefusal, Parked, Resumed};
pub use listener::TcpListener;
pub use owned::{LARGEST_BUFFER_OCTETS, Outgoing, ReadBuffer, WriteBuffer};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::{StreamCounters, TcpStream};

#[cfg(test)]
mod tests;

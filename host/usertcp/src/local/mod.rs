//! Streams and listeners of this thread: plain calls on the shard, for tasks that need not be `Send`.
//!
//! Owns: a shard driven inside a current-thread Tokio runtime, and the sockets that call it.
//! Must not know: protocols; other threads, but for the doorbell that a memory device rings.
//!
//! ```text
//! one thread, one runtime
//! LocalDriver: receive ── events ── wake tasks ── yield ─┐   sleeps on the device's descriptor
//!      ↑                                                 ↓   and one timer
//!    flush ←──────── tasks run: LocalStream ── State ── shard
//! ```
//! The tasks run between the receipt of a burst and the flush, so what they answer carries the
//! acknowledgements, as a native handler's answers do. There is no lock, no atomic and no queue here;
//! the wakers' own counts, which are Tokio's, are all that is left of threads.

mod connection;
mod driver;
mod idle;
mod listener;
mod split;
mod stack;
mod state;
mod stream;
mod timer;
mod watch;

pub use driver::LocalDriver;
pub use idle::LocalIdleStreams;
pub use listener::LocalListener;
pub use split::{
    LocalOwnedReadHalf, LocalOwnedWriteHalf, LocalReadHalf, LocalReuniteError, LocalWriteHalf,
};
pub use stack::LocalStack;
pub use stream::LocalStream;

//! The threads a stack runs on. Owns: the clock, the doorbell, the inbox, the wait, the worker, the rings
//! between workers.
//! Must not know: sockets; what a handler does with events.

pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod doorbell;
pub(crate) mod launch;
pub(crate) mod mates;
pub(crate) mod mesh;
pub(crate) mod pin;
pub(crate) mod reply;
pub(crate) mod wait;
pub(crate) mod worker;

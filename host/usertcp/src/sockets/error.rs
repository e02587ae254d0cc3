//! Ends and refusals as `std::io::Error`.
//! Owns: which kind of error each end of a connection is. Must not know: who asked.

use std::io::{Error, ErrorKind};
use usertcp_base::observe::CloseReason;

/// Why a connection is over, as found inside the [`std::io::Error`] that reports it
/// (`error.get_ref()` and a downcast).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended(pub CloseReason);

impl Ended {
    /// Why a connection is over that is, by the error of a call on it.
    pub(crate) fn told_by(error: Option<Error>) -> CloseReason {
        let ended = error.as_ref().and_then(|error| error.get_ref()?.downcast_ref::<Ended>());
        ended.map_or(CloseReason::Aborted, |ended| ended.0)
    }

    /// The kind of error a caller sees.
    pub fn kind(self) -> ErrorKind {
        match self.0 {
            CloseReason::Normal => ErrorKind::NotConnected,
            CloseReason::Reset => ErrorKind::ConnectionReset,
            CloseReason::Refused => ErrorKind::ConnectionRefused,
            CloseReason::TimedOut | CloseReason::KeepAlive => ErrorKind::TimedOut,
            CloseReason::Unreachable => ErrorKind::HostUnreachable,
            CloseReason::Aborted => ErrorKind::ConnectionAborted,
            CloseReason::Limit => ErrorKind::OutOfMemory,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            CloseReason::Normal => "the connection is closed",
            CloseReason::Reset => "the peer reset the connection",
            CloseReason::Refused => "the peer refused the connection",
            CloseReason::TimedOut => "the peer did not acknowledge in time",
            CloseReason::KeepAlive => "the peer did not answer keep-alive probes",
            CloseReason::Unreachable => "the network says that the peer cannot be reached",
            CloseReason::Aborted => "the connection was aborted on this side",
            CloseReason::Limit => "a limit of the stack ended the connection",
        })
    }
}

impl std::error::Error for Ended {}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Error {
        Error::new(ended.kind(), ended)
    }
}

/// The error of a connection that ended for `reason`.
pub(crate) fn ended(reason: CloseReason) -> Error {
    Ended(reason).into()
}

const STACK_GONE: &str = "the stack was shut down, or its device is gone";

/// The stack this belonged to was shut down, or its device is gone.
pub(crate) fn stack_gone() -> Error {
    Error::new(ErrorKind::ConnectionAborted, STACK_GONE)
}

/// The same, told by a listener. Not `ConnectionAborted`: of `accept` that is one connection's misfortune
/// (`accept(2)`), and loops that accept go on at once.
pub(crate) fn listener_gone() -> Error {
    Error::new(ErrorKind::NetworkDown, STACK_GONE)
}

/// No number is free for another set of idle streams.
pub(crate) fn too_many_lots() -> Error {
    Error::new(ErrorKind::OutOfMemory, "the stack has as many lots as it may")
}

/// A write after the sending side was closed.
pub(crate) fn shut() -> Error {
    Error::new(ErrorKind::BrokenPipe, "the sending side is closed")
}

/// A write to a peer that closed, and whose reset said since that it takes nothing: what a kernel tells too.
pub(crate) fn reset_after_close() -> Error {
    Error::new(ErrorKind::BrokenPipe, Ended(CloseReason::Reset))
}

/// This handle has no such connection or listener any more.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::NotConnected, "the connection is over")
}

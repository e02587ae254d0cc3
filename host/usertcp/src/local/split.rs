//! A local stream as two halves that may be used by two tasks at once.
//! Owns: borrowed and owned halves. Must not know: how data moves.

use crate::local::connection::Connection;
use crate::local::stream::{LocalStream, reads, writes};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The reading half of a borrowed local stream.
#[derive(Debug)]
pub struct LocalReadHalf<'a>(&'a LocalStream);

/// The writing half of a borrowed local stream.
#[derive(Debug)]
pub struct LocalWriteHalf<'a>(&'a LocalStream);

/// The reading half of a local stream that is shared.
#[derive(Debug)]
pub struct LocalOwnedReadHalf {
    stream: Rc<LocalStream>,
}

/// The writing half of a local stream that is shared. Dropping it sends FIN after everything written,
/// unless it was [forgotten](LocalOwnedWriteHalf::forget).
#[derive(Debug)]
pub struct LocalOwnedWriteHalf {
    stream: Rc<LocalStream>,
    shut_on_drop: bool,
}

/// The halves were not of one stream; here they are again.
#[derive(Debug)]
pub struct LocalReuniteError(pub LocalOwnedReadHalf, pub LocalOwnedWriteHalf);

impl std::fmt::Display for LocalReuniteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl std::error::Error for LocalReuniteError {}

impl LocalStream {
    /// Two halves, for as long as the stream is borrowed. No cost.
    pub fn split(&mut self) -> (LocalReadHalf<'_>, LocalWriteHalf<'_>) {
        (LocalReadHalf(self), LocalWriteHalf(self))
    }

    /// Two halves that can go to two tasks.
    pub fn into_split(self) -> (LocalOwnedReadHalf, LocalOwnedWriteHalf) {
        let stream = Rc::new(self);
        let write = LocalOwnedWriteHalf { stream: Rc::clone(&stream), shut_on_drop: true };
        (LocalOwnedReadHalf { stream }, write)
    }
}

impl LocalOwnedReadHalf {
    /// The stream again.
    ///
    /// # Errors
    /// The halves, when they are not of one stream.
    pub fn reunite(self, mut other: LocalOwnedWriteHalf) -> Result<LocalStream, LocalReuniteError> {
        if !Rc::ptr_eq(&self.stream, &other.stream) {
            return Err(LocalReuniteError(self, other));
        }
        other.shut_on_drop = false;
        drop(other);
        Rc::try_unwrap(self.stream).map_err(|stream| {
            // Two halves hold two references, and one was just dropped.
            let write = LocalOwnedWriteHalf { stream: Rc::clone(&stream), shut_on_drop: true };
            LocalReuniteError(LocalOwnedReadHalf { stream }, write)
        })
    }
}

impl LocalOwnedWriteHalf {
    /// Drops this half without closing the sending side; it closes with the reading half.
    pub fn forget(mut self) {
        self.shut_on_drop = false;
    }
}

impl Drop for LocalOwnedWriteHalf {
    fn drop(&mut self) {
        if self.shut_on_drop {
            // A connection that is over needs no FIN.
            let _ = self.stream.connection.shut();
        }
    }
}

macro_rules! half {
    ($name:ty, $self:ident, $stream:expr) => {
        impl $name {
            fn connection(&$self) -> &Connection {
                &$stream.connection
            }
            /// The peer's address.
            ///
            /// # Errors
            /// None; the signature is that of every other stream.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.connection().remote)
            }
            /// Our address.
            ///
            /// # Errors
            /// None; the signature is that of every other stream.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.connection().local)
            }
        }
    };
}

half!(LocalReadHalf<'_>, self, self.0);
half!(LocalWriteHalf<'_>, self, self.0);
half!(LocalOwnedReadHalf, self, self.stream);
half!(LocalOwnedWriteHalf, self, self.stream);
reads!(LocalReadHalf<'_>);
reads!(LocalOwnedReadHalf);
writes!(LocalWriteHalf<'_>);
writes!(LocalOwnedWriteHalf);

//! A stream as two halves that may be used by two tasks at once.
//!
//! Owns: borrowed and owned halves. Must not know: how data moves.

use crate::sockets::cell::Cell;
use crate::sockets::stream::{self, Handle, TcpStream};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The reading half of a borrowed stream.
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half of a borrowed stream.
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The reading half of a stream that is shared.
pub struct OwnedReadHalf {
    handle: Arc<Handle>,
}

/// The writing half of a stream that is shared. Dropping it sends FIN after everything written,
/// unless it was [forgotten](OwnedWriteHalf::forget).
pub struct OwnedWriteHalf {
    handle: Arc<Handle>,
    shut_on_drop: bool,
}

/// The halves were not of one stream; here they are again.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl std::fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl std::error::Error for ReuniteError {}

impl TcpStream {
    /// Two halves, for as long as the stream is borrowed. No cost.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Two halves that can go to two tasks.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let handle = Arc::new(self.handle);
        let write = OwnedWriteHalf { handle: Arc::clone(&handle), shut_on_drop: true };
        (OwnedReadHalf { handle }, write)
    }
}

impl OwnedReadHalf {
    /// The stream again.
    ///
    /// # Errors
    /// The halves, when they are not of one stream.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.handle, &other.handle) {
            return Err(ReuniteError(self, other));
        }
        other.shut_on_drop = false;
        drop(other);
        match Arc::try_unwrap(self.handle) {
            Ok(handle) => Ok(TcpStream::new(handle)),
            // Two halves hold two references, and one was just dropped.
            Err(handle) => {
                let write = OwnedWriteHalf { handle: Arc::clone(&handle), shut_on_drop: true };
                Err(ReuniteError(OwnedReadHalf { handle }, write))
            }
        }
    }
}

impl OwnedWriteHalf {
    /// Drops this half without closing the sending side; it closes with the reading half.
    pub fn forget(mut self) {
        self.shut_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shut_on_drop {
            self.handle.cell.shut();
        }
    }
}

macro_rules! half {
    ($name:ty, $self:ident, $cell:expr) => {
        impl $name {
            fn cell(&$self) -> &Arc<Cell> {
                $cell
            }
            /// The peer's address.
            ///
            /// # Errors
            /// None; the signature is that of every other stream.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.cell().remote)
            }
            /// Our address.
            ///
            /// # Errors
            /// None; the signature is that of every other stream.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.cell().local)
            }
        }
    };
}

macro_rules! reading_half {
    ($name:ty) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                stream::poll_read(self.cell(), context, buffer)
            }
        }
    };
}

macro_rules! writing_half {
    ($name:ty) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                octets: &[u8],
            ) -> Poll<io::Result<usize>> {
                stream::poll_write(self.cell(), context, &[IoSlice::new(octets)])
            }
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                stream::poll_write(self.cell(), context, slices)
            }
            fn is_write_vectored(&self) -> bool {
                true
            }
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.cell().poll_shut(context.waker())
            }
        }
    };
}

half!(ReadHalf<'_>, self, &self.0.handle.cell);
half!(WriteHalf<'_>, self, &self.0.handle.cell);
half!(OwnedReadHalf, self, &self.handle.cell);
half!(OwnedWriteHalf, self, &self.handle.cell);
reading_half!(ReadHalf<'_>);
reading_half!(OwnedReadHalf);
writing_half!(WriteHalf<'_>);
writing_half!(OwnedWriteHalf);

impl std::fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnedReadHalf").field("peer", &self.cell().remote).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnedWriteHalf").field("peer", &self.cell().remote).finish_non_exhaustive()
    }
}

impl OwnedReadHalf {
    pub(crate) fn shared_cell(&self) -> &Arc<Cell> {
        self.cell()
    }
}

impl OwnedWriteHalf {
    pub(crate) fn shared_cell(&self) -> &Arc<Cell> {
        self.cell()
    }
}

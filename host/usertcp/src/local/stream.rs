//! The stream a task of this thread holds.
//!
//! Owns: [`LocalStream`], its options, and what dropping it means. Must not know: how octets move.

use crate::engine::{ConnInfo, FirstData};
use crate::local::connection::Connection;
use crate::local::stack::LocalStack;
use crate::local::state::{Shared, State};
use crate::native::ConnectOptions;
use crate::sockets::error;
use crate::sockets::options::stream_options;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use usertcp_base::{ConnId, Instant};
use usertcp_frame::{Chain, FrameSlice};
use usertcp_tcp::Settings;

/// An open connection of a [`LocalStack`]: reads and writes are plain calls on the stack.
///
/// Dropping it closes it: what was written is delivered. If data was received that nobody read, the peer
/// gets a reset instead (RFC 9293 §3.6.1, RFC 2525 §2.17).
pub struct LocalStream {
    pub(crate) connection: Connection,
}

/// An active open under way: dropped, it gives up.
struct Attempt {
    shared: Rc<Shared>,
    id: Option<ConnId>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let slot = self.shared.call(|state, now| {
                state.acted = true;
                state.engine.abort(now, id);
                state.release(id)
            });
            drop(slot);
        }
    }
}

impl Attempt {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<LocalStream>> {
        let Some(id) = self.id else { return Poll::Ready(Err(error::gone())) };
        let (answer, crowd) = self.shared.call(|state, _| {
            let over = state.is_over();
            match state.slot(id) {
                _ if over => (Some(Err(error::stack_gone())), Default::default()),
                None => (Some(Err(error::gone())), Default::default()),
                Some(slot) => match slot.end {
                    Some(reason) if !slot.connected => {
                        (Some(Err(error::ended(reason))), Default::default())
                    }
                    _ if slot.connected => (Some(Ok(slot.end)), Default::default()),
                    _ => (None, slot.writers.add(context.waker())),
                },
            }
        });
        crowd.wake();
        match answer {
            None => Poll::Pending,
            // What it leaves, dropping the attempt clears.
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(end)) => {
                let connection = Connection::adopt(&self.shared, id).ok_or_else(error::gone);
                if connection.is_ok() {
                    self.id = None;
                    self.shared.call(|state, _| {
                        if let Some(slot) = state.slot(id) {
                            slot.end = end;
                        }
                    });
                }
                Poll::Ready(connection.map(|connection| LocalStream { connection }))
            }
        }
    }
}

impl LocalStream {
    /// Opens a connection from `stack` to `remote`. Dropping the future gives up.
    ///
    /// # Errors
    /// As [`TcpStream::connect`](crate::TcpStream::connect).
    pub async fn connect(stack: &LocalStack, remote: SocketAddr) -> io::Result<LocalStream> {
        LocalStream::connect_with(stack, remote, ConnectOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`TcpStream::connect_with`](crate::TcpStream::connect_with).
    pub async fn connect_with(
        stack: &LocalStack,
        remote: SocketAddr,
        options: ConnectOptions,
    ) -> io::Result<LocalStream> {
        let opened = LocalStream::open(stack, |state, now| {
            state.engine.connect(now, remote, &options).map(|id| (id, 0))
        });
        opened.await.map(|(stream, _)| stream)
    }

    /// The same with data that goes with the SYN if the peer gave the stack a cookie on an earlier
    /// occasion (TCP Fast Open, RFC 7413); else it is asked for one, and the data follows the handshake.
    /// How many octets of it were taken: write the rest. A peer that accepts fast opens may see the data
    /// twice, in two connections: for requests that may be repeated only.
    ///
    /// # Errors
    /// As [`LocalStream::connect_with`].
    pub async fn connect_with_data(
        stack: &LocalStack,
        remote: SocketAddr,
        options: ConnectOptions,
        data: &[u8],
    ) -> io::Result<(LocalStream, usize)> {
        let opened = LocalStream::open(stack, |state, now| {
            let first = FirstData { octets: data, without_cookie: false };
            state.engine.connect_with(now, remote, &options, first)
        });
        opened.await
    }

    async fn open(
        stack: &LocalStack,
        begin: impl FnOnce(&mut State, Instant) -> io::Result<(ConnId, usize)>,
    ) -> io::Result<(LocalStream, usize)> {
        let shared = Rc::clone(stack.shared());
        let (id, taken) = shared.call(|state, now| {
            if state.is_over() {
                return Err(error::stack_gone());
            }
            let (id, taken) = begin(state, now)?;
            state.acted = true;
            state.adopt(id, false);
            Ok((id, taken))
        })?;
        let mut attempt = Attempt { shared, id: Some(id) };
        let stream = poll_fn(|context| attempt.poll(context)).await?;
        Ok((stream, taken))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// None; the signature is that of every other stream.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.remote)
    }

    /// Our address. For a stream accepted at any address and port, where the peer meant to go.
    ///
    /// # Errors
    /// None; the signature is that of every other stream.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.local)
    }

    /// Reads what there is now.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; else as a read.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        ready_or_block(self.connection.poll_read(&mut ReadBuf::new(buffer), None))
    }

    /// Writes what there is room for now.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else as a write.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(octets)])
    }

    /// Writes what there is room for now, out of several buffers.
    ///
    /// # Errors
    /// As [`LocalStream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        ready_or_block(self.connection.poll_write(slices, None))
    }

    /// Waits until a read would find something: data, the end of the stream, or an error.
    ///
    /// # Errors
    /// None; what is wrong is told by the read.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.connection.poll_readable(context.waker())).await
    }

    /// Waits until a write would find room, or an error.
    ///
    /// # Errors
    /// None; what is wrong is told by the write.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.connection.poll_writable(context.waker())).await
    }

    /// Takes what was received next as it lies in its frame, without a copy. `None`: the end of the
    /// stream. A frame that is kept is memory the stack lacks.
    ///
    /// # Errors
    /// As a read.
    pub async fn read_slice(&self) -> io::Result<Option<FrameSlice>> {
        poll_fn(|context| self.connection.poll_slice(Some(context.waker()))).await
    }

    /// Sends frames without a copy: those of [`LocalStack::frame`], or slices that were received. Waits
    /// until there is any room, and then hands over all of them. If the future is dropped before, nothing
    /// of them was sent.
    ///
    /// # Errors
    /// As a write.
    pub async fn write_chain(&self, chain: Chain) -> io::Result<()> {
        let mut chain = chain;
        poll_fn(|context| self.connection.poll_write_chain(&mut chain, context.waker())).await
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.connection.settings()
    }

    /// Changes settings. They hold for what is written from now on; of a connection that is over they change
    /// nothing.
    ///
    /// # Errors
    /// `InvalidInput` when they name a rate group that is not there.
    pub fn set_settings(&self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        self.connection.set_settings(change)
    }

    stream_options!();

    /// Shares a group's rate from now on, by `weight` among the members that have something to send, and leaves
    /// the group it was in; [`usertcp_base::RateGroupId::NONE`]: no group's.
    /// [`Context::create_rate_group`](crate::Context::create_rate_group) makes one, through
    /// [`LocalStack::run`](crate::LocalStack::run).
    ///
    /// # Errors
    /// `InvalidInput` when there is no such group.
    pub fn join_rate_group(&self, group: usertcp_base::RateGroupId, weight: u16) -> io::Result<()> {
        self.set_settings(|settings| {
            (settings.shares.group, settings.shares.weight) = (group, weight.max(1));
        })
    }

    /// What the connection tells about itself: state, windows, round trips, what limits it.
    ///
    /// # Errors
    /// The connection's end, if it is over.
    pub fn info(&self) -> io::Result<ConnInfo> {
        let connection = &self.connection;
        connection.shared.call(|state, now| {
            state.engine.info(now, connection.id).ok_or_else(|| {
                let end = state.slot(connection.id).and_then(|slot| slot.end);
                end.map_or_else(error::gone, error::ended)
            })
        })
    }

    /// Resets the connection: what was written may be lost, the peer sees `ConnectionReset`.
    pub fn abort(self) {
        self.connection.abort();
    }

    /// Sends FIN after everything written. The same as `AsyncWriteExt::shutdown`, for those who have
    /// only a reference; it never waits.
    ///
    /// # Errors
    /// The connection's end, if it is over.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.connection.shut()
    }
}

fn ready_or_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The traits of `tokio::io` for what has a `connection()`.
macro_rules! reads {
    ($name:ty) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.connection().poll_read(buffer, Some(context.waker())).map_ok(drop)
            }
        }
    };
}

macro_rules! writes {
    ($name:ty) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                octets: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.connection().poll_write(&[IoSlice::new(octets)], Some(context.waker()))
            }
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.connection().poll_write(slices, Some(context.waker()))
            }
            fn is_write_vectored(&self) -> bool {
                true
            }
            /// Nothing is held back here: what was written leaves with the turn.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.connection().shut())
            }
        }
    };
}

pub(crate) use {reads, writes};

impl LocalStream {
    fn connection(&self) -> &Connection {
        &self.connection
    }
}

reads!(LocalStream);
writes!(LocalStream);

impl std::fmt::Debug for LocalStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connection = &self.connection;
        let mut out = f.debug_struct("LocalStream");
        out.field("local", &connection.local)
            .field("peer", &connection.remote)
            .finish_non_exhaustive()
    }
}

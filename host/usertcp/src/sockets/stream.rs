//! The stream an application holds.
//!
//! Owns: [`TcpStream`], its options, and what dropping it means.
//! Must not know: the worker; everything goes through the stream's cell.

use crate::engine::shard::Elsewhere;
use crate::engine::{ConnInfo, FirstData};
use crate::native::ConnectOptions;
use crate::runtime::reply::{Answer, question};
use crate::sockets::cell::{Cell, Release};
use crate::sockets::driver::Attempt;
use crate::sockets::error;
use crate::sockets::hub::{Hub, Task, Ticket};
use crate::sockets::options::stream_options;
use crate::sockets::transfer::Scatter;
use crate::stack::Stack;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use usertcp_tcp::Settings;

/// The application's end of a cell: dropping it lets the connection go.
pub(crate) struct Handle {
    pub(crate) cell: Arc<Cell>,
    /// Another has the cell now.
    forgotten: bool,
}

impl Handle {
    pub(crate) fn new(cell: Arc<Cell>) -> Handle {
        Handle { cell, forgotten: false }
    }
    /// Drops this end without letting go.
    pub(crate) fn forget(mut self) {
        self.forgotten = true;
    }
    pub(crate) fn abort(&self) {
        self.cell.release(Release::Abort);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.forgotten {
            self.cell.release(Release::Close);
        }
    }
}

/// An open connection.
///
/// It reads and writes through Tokio's traits, under any runtime that polls futures; reading and
/// writing without a copy are in [`TcpStream::read_owned`] and [`TcpStream::reserve`].
///
/// Dropping it closes it: what was written is delivered. If data was received that nobody read,
/// the peer gets a reset instead, so that it does not take that data for processed
/// (RFC 9293 §3.6.1, RFC 2525 §2.17).
pub struct TcpStream {
    pub(crate) handle: Handle,
}

/// Octets that passed a stream so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamCounters {
    /// Read by the application.
    pub octets_read: u64,
    /// Written by it.
    pub octets_written: u64,
    /// Received and lent to this stream, not read yet. More may wait in the connection.
    pub octets_to_read: usize,
    /// Written and not taken by the connection yet.
    pub octets_to_send: usize,
}

/// Gives up an attempt to connect whose future was dropped.
struct GiveUp {
    hub: Arc<Hub>,
    ticket: Option<Ticket>,
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let _ = self.hub.inbox.push(Task::Forget(ticket));
        }
    }
}

/// The stream that `call`, given to `hub`, answers with.
async fn answered(
    hub: Arc<Hub>,
    ticket: Ticket,
    call: Task,
    answer: Answer<io::Result<Handle>>,
) -> io::Result<TcpStream> {
    hub.inbox.push(call).map_err(|_| error::stack_gone())?;
    let mut give_up = GiveUp { hub, ticket: Some(ticket) };
    let handle = answer.await;
    give_up.ticket = None;
    handle.unwrap_or_else(|| Err(error::stack_gone())).map(TcpStream::new)
}

/// The shard that must open the connection, if that is why another did not: its local port was given,
/// and decides.
fn elsewhere(stack: &Stack, error: io::Error) -> Result<Arc<Hub>, io::Error> {
    match Elsewhere::of(&error) {
        Some(Elsewhere { shard }) => stack.hub_at(usize::from(shard)).map(Arc::clone),
        None => Err(error),
    }
}

impl TcpStream {
    pub(crate) fn new(handle: Handle) -> TcpStream {
        TcpStream { handle }
    }

    /// Opens a connection from `stack` to `remote`. Dropping the future gives up.
    ///
    /// # Errors
    /// `ConnectionRefused` when nothing listens there, `TimedOut`, `HostUnreachable`,
    /// `AddrNotAvailable` when no address of the stack reaches there, `AddrInUse` when no local
    /// port is free, `InvalidInput` when nobody can be at `remote`, `ConnectionAborted` when the
    /// stack was shut down, `Unsupported` when it runs a native handler.
    pub async fn connect(stack: &Stack, remote: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_with(stack, remote, ConnectOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; `AddrNotAvailable` also when the local address is not the
    /// stack's, `AddrInUse` when the local port is taken.
    pub async fn connect_with(
        stack: &Stack,
        remote: SocketAddr,
        options: ConnectOptions,
    ) -> io::Result<TcpStream> {
        let at_shard = |hub: Arc<Hub>| async move {
            let ticket = hub.ticket();
            let (reply, answer) = question();
            let call = Task::Call(Box::new(move |driver, context| {
                driver.connect(context, remote, &options, ticket, reply);
            }));
            answered(hub, ticket, call, answer).await
        };
        match at_shard(Arc::clone(stack.hub()?)).await.map_err(|error| elsewhere(stack, error)) {
            Ok(stream) => Ok(stream),
            Err(Ok(owner)) => at_shard(owner).await,
            Err(Err(error)) => Err(error),
        }
    }

    /// The same with data that goes with the SYN if the peer gave the stack a cookie on an earlier
    /// occasion (TCP Fast Open, RFC 7413); else it is asked for one, and the data follows the
    /// handshake. How many octets of it were taken: write the rest. A peer that accepts fast opens
    /// may see the data twice, in two connections: for requests that may be repeated only.
    ///
    /// # Errors
    /// As [`TcpStream::connect_with`].
    pub async fn connect_with_data(
        stack: &Stack,
        remote: SocketAddr,
        options: ConnectOptions,
        data: &[u8],
    ) -> io::Result<(TcpStream, usize)> {
        let taken = Arc::new(AtomicUsize::new(0));
        let at_shard = |hub: Arc<Hub>| {
            let (told, data) = (Arc::clone(&taken), data.to_vec());
            async move {
                let ticket = hub.ticket();
                let (reply, answer) = question();
                let call = Task::Call(Box::new(move |driver, context| {
                    let first = FirstData { octets: &data, without_cookie: false };
                    let attempt = Attempt { ticket, reply };
                    driver.connect_with_data(context, remote, &options, first, &told, attempt);
                }));
                answered(hub, ticket, call, answer).await
            }
        };
        // One peer's connections open at one shard: it is the one that remembers the peer's cookie.
        let hub = stack.hub_for(remote)?;
        let stream = match at_shard(Arc::clone(hub)).await.map_err(|e| elsewhere(stack, e)) {
            Ok(stream) => stream,
            Err(Ok(owner)) => at_shard(owner).await?,
            Err(Err(error)) => return Err(error),
        };
        Ok((stream, taken.load(Ordering::Acquire)))
    }

    fn cell(&self) -> &Arc<Cell> {
        &self.handle.cell
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.cell().hub
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.cell().remote
    }

    /// The peer's address.
    ///
    /// # Errors
    /// None; the signature is that of every other stream.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.cell().remote)
    }

    /// Our address. For a stream accepted at any address and port, where the peer meant to go.
    ///
    /// # Errors
    /// None; the signature is that of every other stream.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.cell().local)
    }

    /// Reads what there is now.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; else as a read.
    pub fn try_read(&self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        ready_or_block(self.cell().poll_read(&mut buffer, None))?;
        Ok(room - buffer.len())
    }

    /// Reads what there is now into several buffers.
    ///
    /// # Errors
    /// As [`TcpStream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut scatter = Scatter { buffers, at: (0, 0) };
        let room = crate::sockets::transfer::Sink::room(&scatter);
        ready_or_block(self.cell().poll_read(&mut scatter, None))?;
        Ok(room - crate::sockets::transfer::Sink::room(&scatter))
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
    /// As [`TcpStream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        ready_or_block(self.cell().poll_write(slices, None))
    }

    /// Waits until a read would find something: data, the end of the stream, or an error.
    ///
    /// # Errors
    /// None; what is wrong is told by the read.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.cell().poll_readable(context.waker())).await;
        Ok(())
    }

    /// Waits until a write would find room, or an error. (A write may still find that the stack is
    /// short of frames at that moment.)
    ///
    /// # Errors
    /// None; what is wrong is told by the write.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.cell().poll_writable(context.waker())).await;
        Ok(())
    }

    /// The settings as they were last set here.
    pub fn settings(&self) -> Settings {
        self.cell().lock().settings
    }

    /// Changes settings. They hold for what is written from now on; of a connection that is over they change
    /// nothing.
    ///
    /// # Errors
    /// None; the signature is that of every other stream.
    pub fn set_settings(&self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        self.cell().change(change);
        Ok(())
    }

    stream_options!();

    /// What the connection tells about itself: state, windows, round trips, what limits it.
    ///
    /// # Errors
    /// The connection's end, if it is over.
    pub async fn info(&self) -> io::Result<ConnInfo> {
        let (reply, answer) = question();
        let conn = self.cell().conn;
        let call = Task::Call(Box::new(move |_, context| {
            let _ = reply.send(context.info(conn));
        }));
        let asked = self.cell().hub.inbox.push(call);
        let info = if asked.is_ok() { answer.await.flatten() } else { None };
        info.ok_or_else(|| self.cell().ended().map_or_else(error::stack_gone, error::ended))
    }

    /// Octets that passed so far.
    pub fn counters(&self) -> StreamCounters {
        let state = self.cell().lock();
        StreamCounters {
            octets_read: state.totals.0,
            octets_written: state.totals.1,
            octets_to_read: state.inbound.octets(),
            octets_to_send: state.outbound.queued(),
        }
    }

    /// Resets the connection: what was written may be lost, the peer sees `ConnectionReset`.
    pub fn abort(self) {
        self.handle.abort();
    }

    /// Sends FIN after everything written; ready when the connection has the data and the order.
    /// The same as `AsyncWriteExt::shutdown`, for those who have only a reference.
    ///
    /// # Errors
    /// The connection's end, if it is over.
    pub async fn shutdown_write(&self) -> io::Result<()> {
        poll_fn(|context| self.cell().poll_shut(context.waker())).await
    }
}

fn ready_or_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The traits' read, for the stream and its halves.
pub(crate) fn poll_read(
    cell: &Arc<Cell>,
    context: &Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    cell.poll_read(buffer, Some(context.waker())).map_ok(|_| ())
}

/// The traits' write, for the stream and its halves.
pub(crate) fn poll_write(
    cell: &Arc<Cell>,
    context: &Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    cell.poll_write(slices, Some(context.waker()))
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read(self.cell(), context, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_write(self.cell(), context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write(self.cell(), context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back here: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cell().poll_shut(context.waker())
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cell = self.cell();
        let mut out = f.debug_struct("TcpStream");
        out.field("local", &cell.local).field("peer", &cell.remote).finish_non_exhaustive()
    }
}

//! Streams that own nothing: parked by their tasks, given back when there is something to read.
//!
//! Owns: [`IdleStreams`], and the lot it shares with each worker. Must not know: how the worker finds
//! what belongs to a connection (`driver/idle`).
//!
//! A parked stream is its connection in the shard, whose record keeps the tag, and one octet here that
//! says in which lot it is: no task, no waker, no cell. Parking rides on the stream's own way to the worker,
//! behind all that was written; so does nothing else, and the worker, which alone sees what arrives, decides
//! whether there is something to read before it gives the cell up. Nothing can fall in between.

use crate::lots;
use crate::runtime::commands::lock;
use crate::runtime::reply::question;
use crate::sockets::cell::Unfit;
use crate::sockets::error;
use crate::sockets::hub::{Hub, Task};
use crate::sockets::relay::{self, Roundup, Waiting};
use crate::sockets::stream::{Handle, TcpStream};
use crate::stack::Stack;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use usertcp_base::ConnId;

/// Streams that are ready to be taken, in one lot at most. Others that woke stay parked until there is room:
/// a stream that waits there costs eight octets instead of a cell.
const READY: usize = 64;

/// Idle streams that own no task and no memory but their connection's record.
///
/// A task that has nothing to do for its stream [parks](IdleStreams::park) it and ends. When there is
/// something to read, [`next`](IdleStreams::next) gives the stream back with its tag, and a task can be made
/// for it: like a listener, for streams that were there before. What a parked stream costs here is one octet;
/// its connection's settings, keep-alive and the user timeout among them, stay in force.
///
/// ```no_run
/// # async fn serve(stream: &mut usertcp::TcpStream) -> std::io::Result<()> { Ok(()) }
/// # async fn example(stack: usertcp::Stack, listener: usertcp::TcpListener) -> std::io::Result<()> {
/// use std::sync::Arc;
/// use usertcp::IdleStreams;
///
/// let idle = Arc::new(IdleStreams::new(&stack)?);
/// loop {
///     let mut stream = tokio::select! {
///         accepted = listener.accept() => accepted?.0,
///         resumed = idle.next() => resumed?.stream,
///     };
///     let idle = Arc::clone(&idle);
///     tokio::spawn(async move {
///         // Answers what has come, until there is no more.
///         if serve(&mut stream).await.is_ok() {
///             let _ = idle.park(stream, 0);
///         }
///     });
/// }
/// # }
/// ```
///
/// Dropping it closes its streams in good order, as dropping each would: a stream with data that nobody read
/// is reset.
pub struct IdleStreams {
    /// One for each shard.
    lots: Vec<Arc<Lot>>,
    /// Which is asked first.
    turn: AtomicUsize,
}

/// A stream that was parked and is back.
#[derive(Debug)]
pub struct Resumed<S = TcpStream> {
    /// The stream. Its settings are as before; its [counters](TcpStream::counters) begin anew.
    pub stream: S,
    /// What was given with it.
    pub tag: u32,
}

/// Names a parked stream, whenever it is parked; never another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Parked {
    pub(crate) conn: ConnId,
    pub(crate) shard: u16,
}

/// Why a stream cannot be parked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParkRefusal {
    /// One side has closed: the peer, so that a read finds the end when it has found all data; or this one.
    HalfClosed,
    /// The connection is over. The stream tells why.
    Over,
    /// It is a stream of another stack.
    Foreign,
}

impl std::fmt::Display for ParkRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ParkRefusal::HalfClosed => "one side of the stream has closed",
            ParkRefusal::Over => "the connection is over",
            ParkRefusal::Foreign => "it is a stream of another stack",
        })
    }
}

/// The stream that cannot be parked, as it was.
#[derive(Debug)]
pub struct ParkError<S = TcpStream> {
    /// The stream.
    pub stream: S,
    /// Why.
    pub refusal: ParkRefusal,
}

impl<S> std::fmt::Display for ParkError<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.refusal.fmt(f)
    }
}

impl<S: std::fmt::Debug> std::error::Error for ParkError<S> {}

impl IdleStreams {
    /// A lot for streams of `stack`.
    ///
    /// # Errors
    /// `Unsupported` when the stack runs a native handler; `OutOfMemory` with more than 127 at once;
    /// `ConnectionAborted` when the stack was shut down.
    pub fn new(stack: &Stack) -> io::Result<IdleStreams> {
        IdleStreams::at(stack.hubs()?)
    }

    pub(crate) fn at(hubs: Vec<&Arc<Hub>>) -> io::Result<IdleStreams> {
        let mut idle = IdleStreams { lots: Vec::new(), turn: AtomicUsize::new(0) };
        for hub in hubs {
            let lot = Arc::new(Lot::new(Arc::clone(hub))?);
            let known = hub.inbox.push(Task::Idle(Arc::clone(&lot)));
            known.map_err(|_| error::stack_gone())?;
            idle.lots.push(lot);
        }
        Ok(idle)
    }

    /// Parks a stream. What was written is still delivered. With data unread, or data, an end or a reset that
    /// comes on the way, it is back at once by [`IdleStreams::next`], and nothing is lost.
    ///
    /// Costs one message to the stack's thread, none when a write just before sent one.
    ///
    /// # Errors
    /// The stream, as far as it is known here to be half-closed or over: see [`ParkRefusal`].
    pub fn park(&self, stream: TcpStream, tag: u32) -> Result<Parked, ParkError> {
        let cell = &stream.handle.cell;
        let found = self.lots.iter().zip(0..).find(|(lot, _)| Arc::ptr_eq(&lot.hub, &cell.hub));
        let Some((lot, shard)) = found else {
            return Err(ParkError { stream, refusal: ParkRefusal::Foreign });
        };
        let parked = Parked { conn: cell.conn, shard };
        // Before the worker can give it back.
        lot.streams.fetch_add(1, Ordering::Relaxed);
        match lot.admit(stream.handle, tag) {
            Ok(()) => Ok(parked),
            Err((handle, unfit)) => {
                lot.streams.fetch_sub(1, Ordering::Relaxed);
                let refusal = match unfit {
                    Unfit::HalfClosed => ParkRefusal::HalfClosed,
                    Unfit::Over => ParkRefusal::Over,
                };
                Err(ParkError { stream: TcpStream::new(handle), refusal })
            }
        }
    }

    /// The next stream with something to read: data, the end, or the error its first read tells (a peer that
    /// does not answer keep-alive probes is such a one). May be dropped at any time: no stream is lost. Any
    /// number of tasks may wait.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn next(&self) -> io::Result<Resumed> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same for hand-written futures.
    ///
    /// # Errors
    /// As [`IdleStreams::next`].
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<Resumed>> {
        let count = self.lots.len();
        let first = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % count } else { 0 };
        let (behind, ahead) = self.lots.split_at(first);
        for lot in ahead.iter().chain(behind) {
            if let Poll::Ready(ready) = lot.poll(context) {
                return Poll::Ready(ready);
            }
        }
        Poll::Pending
    }

    /// Brings a stream back, to write to it. `None`: it is back, or on its way to [`IdleStreams::next`]. May
    /// be dropped at any time: then the stream stays.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn take(&self, parked: Parked) -> io::Result<Option<Resumed>> {
        let Some(lot) = self.lots.get(usize::from(parked.shard)) else { return Ok(None) };
        let (reply, answer) = question::<Option<Taken>>();
        let asked = Arc::clone(lot);
        let call = Task::Call(Box::new(move |driver, context| {
            let taken = driver.take_idle(context, parked.conn, &asked);
            let taken = taken.map(|(handle, tag)| Taken { handle: Some(handle), tag, lot: asked });
            // If nobody waits any more, it comes back here, and parks the stream again.
            drop(reply.send(taken));
        }));
        lot.hub.inbox.push(call).map_err(|_| error::stack_gone())?;
        let taken = answer.await.ok_or_else(error::stack_gone)?;
        Ok(taken.and_then(Taken::give))
    }

    /// Streams parked, those included that [`IdleStreams::next`] has ready.
    pub fn len(&self) -> usize {
        self.lots.iter().map(|lot| lot.streams.load(Ordering::Relaxed)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for IdleStreams {
    fn drop(&mut self) {
        self.lots.iter().for_each(Lot::release);
    }
}

impl std::fmt::Debug for IdleStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdleStreams").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A stream on its way to who asked for it. Dropped on the way, it is parked again.
struct Taken {
    handle: Option<Handle>,
    tag: u32,
    lot: Arc<Lot>,
}

impl Taken {
    fn give(mut self) -> Option<Resumed> {
        let stream = TcpStream::new(self.handle.take()?);
        self.lot.streams.fetch_sub(1, Ordering::Relaxed);
        Some(Resumed { stream, tag: self.tag })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            let mut woken = Roundup::default();
            if let Err((handle, _)) = self.lot.admit(handle, self.tag) {
                self.lot.put(handle, self.tag, &mut woken);
            }
            woken.wake_all();
        }
    }
}

/// What the streams of one shard in one [`IdleStreams`] share with its worker.
pub(crate) struct Lot {
    pub(crate) hub: Arc<Hub>,
    /// No other lot of this shard has it.
    pub(crate) number: u8,
    streams: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<(Handle, u32)>,
    waiting: Waiting,
    /// The worker stopped at `READY`: more streams may be due.
    held_back: bool,
    /// The application let go.
    released: bool,
    /// The worker is gone.
    ended: bool,
}

/// A stream is to be parked: in which lot, with which tag.
#[derive(Debug)]
pub(crate) struct ParkOrder {
    pub(crate) lot: Arc<Lot>,
    pub(crate) tag: u32,
}

impl Lot {
    pub(crate) fn new(hub: Arc<Hub>) -> io::Result<Lot> {
        let number = hub.lot_numbers.take().ok_or_else(error::too_many_lots)?;
        Ok(Lot { hub, number, streams: AtomicUsize::new(0), state: Mutex::default() })
    }

    /// Orders a stream to be parked here.
    pub(crate) fn admit(self: &Arc<Self>, handle: Handle, tag: u32) -> Result<(), (Handle, Unfit)> {
        match handle.cell.park(ParkOrder { lot: Arc::clone(self), tag }) {
            Ok(()) => {
                handle.forget();
                Ok(())
            }
            Err(unfit) => Err((handle, unfit)),
        }
    }

    // The worker's side.

    /// Whether the application let go.
    pub(crate) fn is_released(&self) -> bool {
        lock(&self.state).released
    }

    /// Whether one more may be put.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = lock(&self.state);
        state.held_back = state.ready.len() >= READY;
        !state.held_back
    }

    /// A stream is back.
    pub(crate) fn put(&self, handle: Handle, tag: u32, woken: &mut Roundup) {
        let waiting = {
            let mut state = lock(&self.state);
            if state.released {
                drop(state);
                // Dropping it closes it.
                return drop(handle);
            }
            state.ready.push_back((handle, tag));
            state.waiting.take()
        };
        woken.add(waiting);
    }

    /// A stream could not be brought back: it is gone.
    pub(crate) fn lose(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// No more will come.
    pub(crate) fn end(&self, woken: &mut Roundup) {
        let waiting = {
            let mut state = lock(&self.state);
            state.ended = true;
            state.waiting.take()
        };
        woken.add(waiting);
    }

    // The application's side.

    pub(crate) fn poll(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<io::Result<Resumed>> {
        let mut state = lock(&self.state);
        let Some((handle, tag)) = state.ready.pop_front() else {
            if state.ended {
                return Poll::Ready(Err(error::stack_gone()));
            }
            relay::wait(&self.hub, state, context.waker(), |state| &mut state.waiting);
            return Poll::Pending;
        };
        let wants = state.ready.len() <= READY / 2 && std::mem::take(&mut state.held_back);
        drop(state);
        if wants {
            let _ = self.hub.inbox.push(Task::Idle(Arc::clone(self)));
        }
        self.streams.fetch_sub(1, Ordering::Relaxed);
        Poll::Ready(Ok(Resumed { stream: TcpStream::new(handle), tag }))
    }

    fn release(self: &Arc<Self>) {
        let ready = {
            let mut state = lock(&self.state);
            state.released = true;
            std::mem::take(&mut state.ready)
        };
        drop(ready);
        let _ = self.hub.inbox.push(Task::Idle(Arc::clone(self)));
    }
}

impl Drop for Lot {
    fn drop(&mut self) {
        self.hub.lot_numbers.give_back(self.number);
    }
}

impl std::fmt::Debug for Lot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lot").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Which numbers lots have: 1 to 127.
#[derive(Debug, Default)]
pub(crate) struct LotNumbers(Mutex<u128>);

impl LotNumbers {
    /// One that nobody has.
    pub(crate) fn take(&self) -> Option<u8> {
        let mut taken = lock(&self.0);
        let number = (1..=lots::MOST).find(|number| *taken >> number & 1 == 0)?;
        *taken |= 1 << number;
        Some(number)
    }

    /// It is free again.
    pub(crate) fn give_back(&self, number: u8) {
        *lock(&self.0) &= !(1 << number);
    }
}

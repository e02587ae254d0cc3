//! Streams of this thread that own nothing: parked by their tasks, given back when there is something to
//! read.
//!
//! Owns: [`LocalIdleStreams`]. Must not know: how the stack finds what belongs to a connection
//! (`state/idle`).
//!
//! To park is a plain call on the shard's own thread, so there is nothing on the way: what was written is
//! the connection's already, and whether there is something to read is known at once.

use crate::local::connection::Connection;
use crate::local::stack::LocalStack;
use crate::local::state::Shared;
use crate::local::stream::LocalStream;
use crate::sockets::error;
use crate::sockets::{ParkError, ParkRefusal, Parked, Resumed};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use usertcp_base::ConnId;

/// Idle streams of a [`LocalStack`] that own no task and no memory but their connection's record: what
/// [`IdleStreams`](crate::IdleStreams) is for streams that are `Send`, in the same words.
///
/// A parked stream costs one octet here, and half a one of the index of those that are not.
///
/// ```no_run
/// # async fn serve(stream: &mut usertcp::LocalStream) -> std::io::Result<()> { Ok(()) }
/// # async fn example(stack: usertcp::LocalStack, listener: usertcp::LocalListener) -> std::io::Result<()> {
/// use std::rc::Rc;
/// use usertcp::LocalIdleStreams;
///
/// let idle = Rc::new(LocalIdleStreams::new(&stack)?);
/// loop {
///     let mut stream = tokio::select! {
///         accepted = listener.accept() => accepted?.0,
///         resumed = idle.next() => resumed?.stream,
///     };
///     let idle = Rc::clone(&idle);
///     tokio::task::spawn_local(async move {
///         // Answers what has come, until there is no more.
///         if serve(&mut stream).await.is_ok() {
///             let _ = idle.park(stream, 0);
///         }
///     });
/// }
/// # }
/// ```
///
/// Dropping it closes its streams in good order, as dropping each would, a part in each round of the
/// driver: a stream with data that nobody read is reset. It is no handle of the stack.
pub struct LocalIdleStreams {
    shared: Rc<Shared>,
    number: u8,
}

impl LocalIdleStreams {
    /// A lot for streams of `stack`.
    ///
    /// # Errors
    /// `OutOfMemory` with more than 127 at once; `ConnectionAborted` when the stack was shut down.
    pub fn new(stack: &LocalStack) -> io::Result<LocalIdleStreams> {
        let shared = Rc::clone(stack.shared());
        let number = shared.call(|state, _| {
            if state.is_over() {
                return Err(error::stack_gone());
            }
            state.idle.open().ok_or_else(error::too_many_lots)
        })?;
        Ok(LocalIdleStreams { shared, number })
    }

    /// Parks a stream. What was written is still delivered. With data unread it is back at once by
    /// [`LocalIdleStreams::next`]. No message and no system call.
    ///
    /// # Errors
    /// The stream, when it is half-closed or over: see [`ParkRefusal`].
    pub fn park(&self, stream: LocalStream, tag: u32) -> Result<Parked, ParkError<LocalStream>> {
        let conn = stream.connection.id;
        if !Rc::ptr_eq(&self.shared, &stream.connection.shared) {
            return Err(ParkError { stream, refusal: ParkRefusal::Foreign });
        }
        match self.shared.call(|state, now| state.park(now, conn, self.number, tag)) {
            Err(refusal) => Err(ParkError { stream, refusal }),
            Ok(left) => {
                // The connection has no slot any more, so this closes nothing.
                drop((stream, left.slot));
                left.told.unwrap_or_default().wake();
                Ok(Parked { conn, shard: 0 })
            }
        }
    }

    /// The next stream with something to read: data, the end, or the error its first read tells. May be
    /// dropped at any time: no stream is lost. Any number of tasks may wait.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn next(&self) -> io::Result<Resumed<LocalStream>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same for hand-written futures.
    ///
    /// # Errors
    /// As [`LocalIdleStreams::next`].
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<Resumed<LocalStream>>> {
        loop {
            let (next, crowd) = self.shared.call(|state, _| {
                if state.is_over() {
                    return (Some(Err(error::stack_gone())), Default::default());
                }
                match state.next_due(self.number) {
                    Some(due) => (Some(Ok(due)), Default::default()),
                    None => (None, state.idle.wait(self.number, context.waker())),
                }
            });
            crowd.wake();
            match next {
                None => return Poll::Pending,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok((conn, tag))) => {
                    if let Some(resumed) = self.resume(conn, tag) {
                        return Poll::Ready(Ok(resumed));
                    }
                }
            }
        }
    }

    /// Brings a stream back, to write to it. `None`: it is back, or [`LocalIdleStreams::next`] has it
    /// ready.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub fn take(&self, parked: Parked) -> io::Result<Option<Resumed<LocalStream>>> {
        let tag = self.shared.call(|state, _| {
            if state.is_over() {
                return Err(error::stack_gone());
            }
            Ok(state.take_idle(parked.conn, self.number))
        })?;
        Ok(tag.and_then(|tag| self.resume(parked.conn, tag)))
    }

    fn resume(&self, conn: ConnId, tag: u32) -> Option<Resumed<LocalStream>> {
        let Some(connection) = Connection::adopt(&self.shared, conn) else {
            self.shared.call(|state, now| state.engine.abort(now, conn));
            return None;
        };
        self.shared.call(|state, now| state.recall_end(now, conn));
        Some(Resumed { stream: LocalStream { connection }, tag })
    }

    /// Streams parked, those included that [`LocalIdleStreams::next`] has ready.
    pub fn len(&self) -> usize {
        self.shared.call(|state, _| state.idle.count(self.number))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for LocalIdleStreams {
    fn drop(&mut self) {
        let waiting = self.shared.call(|state, _| {
            state.acted = true;
            state.idle.release(self.number)
        });
        // Nobody waits who does not borrow this, but for hand-written futures, which are let go of.
        drop(waiting);
    }
}

impl std::fmt::Debug for LocalIdleStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalIdleStreams").field("len", &self.len()).finish_non_exhaustive()
    }
}

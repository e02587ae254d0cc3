//! Passive opens on other threads.
//!
//! Owns: [`TcpListener`], and the pool of accepted streams it shares with each worker.
//! Must not know: how streams move data.

use crate::native::{self, ListenAt, ListenOptions};
use crate::rates::{self, loans::SharedRate};
use crate::runtime::commands::lock;
use crate::runtime::reply::question;
use crate::sockets::error;
use crate::sockets::hub::{Hub, Task};
use crate::sockets::relay::{self, Roundup, Waiting};
use crate::sockets::stream::{Handle, TcpStream};
use crate::stack::Stack;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use usertcp_base::{ListenerId, Rate};

/// Accepted streams a listener holds ready at most. The rest of the backlog waits in the shard,
/// where it costs less.
const READY: usize = 64;

/// Accepted streams on their way to the application.
pub(crate) struct Pool {
    hub: Arc<Hub>,
    pub(crate) listener: ListenerId,
    local: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Handle>,
    waiting: Waiting,
    /// The worker stopped at `READY`: the shard may hold more.
    held_back: bool,
    /// It is in the worker's inbox.
    announced: bool,
    /// The application let go.
    released: bool,
    /// The worker is gone.
    ended: bool,
}

impl Pool {
    pub(crate) fn new(hub: Arc<Hub>, listener: ListenerId, local: SocketAddr) -> Pool {
        Pool { hub, listener, local, state: Mutex::default() }
    }

    // The worker's side.

    /// The worker looks; whether the application let go.
    pub(crate) fn collect(&self) -> bool {
        let mut state = lock(&self.state);
        state.announced = false;
        state.released
    }

    /// Whether one more may be put.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = lock(&self.state);
        state.held_back = state.ready.len() >= READY;
        !state.held_back && !state.released
    }

    /// Puts one.
    pub(crate) fn put(&self, handle: Handle, woken: &mut Roundup) {
        let waiting = {
            let mut state = lock(&self.state);
            if state.released {
                drop(state);
                // As for those that were ready when the application let go.
                return handle.abort();
            }
            state.ready.push_back(handle);
            state.waiting.take()
        };
        woken.add(waiting);
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

    /// Runs `call` on the worker.
    async fn ask(
        &self,
        call: impl FnOnce(&mut native::Context<'_>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (reply, answer) = question::<io::Result<()>>();
        let call = Task::Call(Box::new(move |_, context| drop(reply.send(call(context)))));
        self.hub.inbox.push(call).map_err(|_| error::stack_gone())?;
        answer.await.unwrap_or_else(|| Err(error::stack_gone()))
    }

    fn poll(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<io::Result<Handle>> {
        let mut state = lock(&self.state);
        let Some(handle) = state.ready.pop_front() else {
            if state.ended {
                return Poll::Ready(Err(error::listener_gone()));
            }
            relay::wait(&self.hub, state, context.waker(), |state| &mut state.waiting);
            return Poll::Pending;
        };
        let wants = state.held_back && state.ready.len() <= READY / 2 && !state.announced;
        state.announced |= wants;
        drop(state);
        if wants {
            let _ = self.hub.inbox.push(Task::Listener(Arc::clone(self)));
        }
        Poll::Ready(Ok(handle))
    }

    fn release(self: &Arc<Self>) {
        let (ready, first) = {
            let mut state = lock(&self.state);
            state.released = true;
            (std::mem::take(&mut state.ready), !std::mem::replace(&mut state.announced, true))
        };
        // Nobody will read them: reset, as a kernel does.
        ready.iter().for_each(Handle::abort);
        drop(ready);
        if first {
            let _ = self.hub.inbox.push(Task::Listener(Arc::clone(self)));
        }
    }
}

/// Waits for connections.
///
/// Dropping it ends the listening, and resets what was not accepted. Accepted streams live on.
pub struct TcpListener {
    /// One for each shard of the stack.
    pools: Vec<Arc<Pool>>,
    local: SocketAddr,
    /// The shard that is asked first.
    turn: AtomicUsize,
}

impl TcpListener {
    /// Listens at `address` of `stack`. An unspecified address (`0.0.0.0`, `[::]`) stands for all
    /// of the stack's, of both families; port 0 for one that is free.
    ///
    /// # Errors
    /// `AddrInUse`; `AddrNotAvailable` when the address is not the stack's; `ConnectionAborted`
    /// when the stack was shut down; `Unsupported` when it runs a native handler.
    pub async fn bind(stack: &Stack, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with(stack, address, ListenOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub async fn bind_with(
        stack: &Stack,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<TcpListener> {
        TcpListener::listen(stack, ListenAt::from(address), address, options).await
    }

    /// Listens at what only [`ListenAt`] can say: every port of an address, or of all. Each
    /// stream's [`local_addr`](TcpStream::local_addr) tells where its peer meant to go.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub async fn bind_at(
        stack: &Stack,
        at: ListenAt,
        options: ListenOptions,
    ) -> io::Result<TcpListener> {
        let address = at.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let shown = SocketAddr::new(address, at.port.unwrap_or(0));
        TcpListener::listen(stack, at, shown, options).await
    }

    async fn listen(
        stack: &Stack,
        at: ListenAt,
        shown: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<TcpListener> {
        let hubs = stack.hubs()?;
        let backlog = options.backlog.div_ceil(hubs.len() as u32);
        let whole = options.shared_rate;
        let shared_rate = whole.map(|rate| rates::part(rate, hubs.len()));
        let options = ListenOptions { backlog, shared_rate, ..options };
        let mut listener =
            TcpListener { pools: Vec::new(), local: shown, turn: AtomicUsize::new(0) };
        let mut at = at;
        // The first shard chooses the port, if there is one to choose, and refuses it to who comes second:
        // all ask it first.
        for hub in hubs {
            let (reply, answer) = question::<io::Result<TcpListener>>();
            let call = Task::Call(Box::new(move |driver, context| {
                let pool = driver.listen(context, at, shown, &options);
                // An answer that nobody waits for is dropped here, and the listener with it.
                drop(reply.send(pool.map(TcpListener::of)));
            }));
            hub.inbox.push(call).map_err(|_| error::stack_gone())?;
            let mut one = answer.await.unwrap_or_else(|| Err(error::stack_gone()))?;
            listener.local = one.local;
            at.port = at.port.map(|_| one.local.port());
            listener.pools.append(&mut one.pools);
        }
        if let Some(rate) = whole.filter(|_| listener.pools.len() > 1) {
            listener.share(rate).await?;
        }
        Ok(listener)
    }

    fn of(pool: Arc<Pool>) -> TcpListener {
        let local = pool.local;
        TcpListener { pools: vec![pool], local, turn: AtomicUsize::new(0) }
    }

    /// The next connection, and the peer's address. May be dropped at any time: no connection is
    /// lost.
    ///
    /// # Errors
    /// `NetworkDown` when the stack was shut down.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// The next connection, for hand-written futures. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        // Another first each time, so that no shard's connections wait for those of others.
        let count = self.pools.len();
        let first = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % count } else { 0 };
        let (behind, ahead) = self.pools.split_at(first);
        for pool in ahead.iter().chain(behind) {
            // One that has none remembers whom to wake; more than is needed is woken for nothing.
            if let Poll::Ready(handle) = pool.poll(context) {
                return Poll::Ready(handle.map(|handle| {
                    let stream = TcpStream::new(handle);
                    let peer = stream.peer();
                    (stream, peer)
                }));
            }
        }
        Poll::Pending
    }

    /// What all streams that it accepts may send together from now on, in octets per second; those that it has
    /// accepted already too. `None`: no bound.
    ///
    /// Of listeners that have no rate yet 32 at one time are ready for one; of a further one the first call counts for
    /// what it accepts later. [`ListenOptions::shared_rate`] makes ready whoever has it, also if it says
    /// [`Rate::UNLIMITED`].
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn set_shared_rate(&self, octets_per_second: Option<u64>) -> io::Result<()> {
        self.share(rates::rate_of(octets_per_second)).await
    }

    async fn share(&self, rate: Rate) -> io::Result<()> {
        let most = rates::part(rate, self.pools.len());
        for pool in self.pools.iter().filter(|_| self.pools.len() > 1) {
            let what = SharedRate::Listener(pool.listener);
            pool.ask(move |context| rates::hold(context, what, most)).await?;
        }
        let purse = rates::purse_of(rate, self.pools.len());
        for pool in &self.pools {
            let (what, purse) = (SharedRate::Listener(pool.listener), purse.clone());
            pool.ask(move |context| rates::fund(context, what, rate, purse)).await?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn rates(&self) -> Vec<SharedRate> {
        self.pools.iter().map(|pool| SharedRate::Listener(pool.listener)).collect()
    }

    /// Where it listens; port zero when it listens at every port.
    ///
    /// # Errors
    /// None; the signature is that of every other listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.pools.iter().for_each(Pool::release);
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").field("local", &self.local).finish_non_exhaustive()
    }
}

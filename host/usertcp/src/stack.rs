//! A running stack, as its user holds it.
//!
//! Owns: the handle, its questions to the worker, the end of the thread.
//! Must not know: how the worker does what it is asked.

use crate::builder::Builder;
use crate::metrics::{self, ConnectionRow, Snapshot};
use crate::native::Context;
use crate::runtime::commands::lock;
use crate::runtime::reply::{Answer, question, wait};
use crate::runtime::worker::Control;
use crate::sockets::error;
use crate::sockets::hub::Hub;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use usertcp_base::Counters;

use usertcp_cc::AnyController;
use usertcp_device::DeviceFacts;

/// A running stack: a cheap handle, to be cloned and sent at will.
///
/// The stack ends when [`Stack::shutdown`] is called or the last handle is dropped; both wait for
/// its thread, at most a little longer than the linger time. It also ends when its device is gone, as a TUN
/// interface that was removed: [`Stack::is_running`] tells. Streams and listeners are not
/// handles: streams fail with `ConnectionAborted` then, listeners with `NetworkDown`.
#[derive(Clone, Debug)]
pub struct Stack {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shards: Vec<Held>,
    device: DeviceFacts,
    /// Where the next open without a local port goes.
    turn: AtomicUsize,
}

/// A worker that runs.
pub(crate) struct Seated {
    pub(crate) control: Arc<Control>,
    pub(crate) hub: Option<Arc<Hub>>,
    pub(crate) thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    control: Arc<Control>,
    hub: Option<Arc<Hub>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Stack {
    /// A stack to be described: device, addresses, limits.
    pub fn builder() -> Builder<AnyController, ()> {
        Builder::new()
    }

    /// Of at least one worker.
    pub(crate) fn new(seated: Vec<Seated>, device: DeviceFacts) -> Stack {
        let held = |Seated { control, hub, thread }| Held {
            control,
            hub,
            thread: Mutex::new(Some(thread)),
        };
        let shards = seated.into_iter().map(held).collect();
        Stack { inner: Arc::new(Inner { shards, device, turn: AtomicUsize::new(0) }) }
    }

    /// How many shards it has, each with a thread of its own: see
    /// [`Builder::shards`](crate::Builder::shards).
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Ends the stack: open streams are sent FIN, and reset when their peers take longer than the
    /// linger time. Blocks until the threads have ended. Further calls do nothing.
    pub fn shutdown(&self) {
        self.inner.stop();
    }

    /// Gets [`Handler::on_wake`](crate::Handler::on_wake) called, on every shard.
    pub fn wake(&self) {
        for shard in &self.inner.shards {
            shard.control.wake.store(true, Ordering::Release);
            shard.control.doorbell.ring();
        }
    }

    /// Runs `call` on the stack's thread; of several, on the first shard's.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        self.ask(0, call)?.await.ok_or_else(error::stack_gone)
    }

    /// Runs `call` on the thread of the shard at `index`: a [`Context`] knows the connections of one shard.
    ///
    /// # Errors
    /// As [`Stack::run`]; `InvalidInput` when there is no such shard.
    pub async fn run_on<T: Send + 'static>(
        &self,
        index: usize,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        self.ask(index, call)?.await.ok_or_else(error::stack_gone)
    }

    /// Runs `call` on every shard's thread. What each returned, in their order.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub async fn run_each<T: Send + 'static>(
        &self,
        call: impl Fn(&mut Context<'_>) -> T + Clone + Send + 'static,
    ) -> io::Result<Vec<T>> {
        let asked = (0..self.shards()).map(|index| self.ask(index, call.clone()));
        let asked = asked.collect::<io::Result<Vec<_>>>()?;
        let mut results = Vec::with_capacity(asked.len());
        for answer in asked {
            results.push(answer.await.ok_or_else(error::stack_gone)?);
        }
        Ok(results)
    }

    /// [`Stack::run`], waiting with the calling thread. Not for a handler: the thread would wait for
    /// itself.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub fn run_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        wait(self.ask(0, call)?).ok_or_else(error::stack_gone)
    }

    /// [`Stack::run_each`], waiting with the calling thread. Not for a handler.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub fn run_each_blocking<T: Send + 'static>(
        &self,
        call: impl Fn(&mut Context<'_>) -> T + Clone + Send + 'static,
    ) -> io::Result<Vec<T>> {
        wait(self.run_each(call))
    }

    /// All connections, half-open ones and those in TIME-WAIT too; at most `most`.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub async fn connections(&self, most: usize) -> io::Result<Vec<ConnectionRow>> {
        let mut all = Vec::new();
        for index in 0..self.shards() {
            let left = most - all.len();
            all.extend(self.run_on(index, move |shard| metrics::rows(shard, index, left)).await?);
        }
        Ok(all)
    }

    /// What the stack counted since its start, all shards together; at most 50 ms old.
    pub fn counters(&self) -> Counters {
        self.snapshot().counters
    }

    /// Counters and memory, of all shards together; at most 50 ms old.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::sum(self.inner.shards.iter().map(|shard| shard.control.published.read()))
    }

    /// The same of each shard.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.inner.shards.iter().map(|shard| shard.control.published.read()).collect()
    }

    /// What the device can do, its MTU among it.
    pub fn device(&self) -> DeviceFacts {
        self.inner.device
    }

    /// Whether the stack's threads are all still there.
    pub fn is_running(&self) -> bool {
        let runs =
            |shard: &Held| lock(&shard.thread).as_ref().is_some_and(|thread| !thread.is_finished());
        self.inner.shards.iter().all(runs)
    }

    /// The shard that sockets of this hub reach; `None`: another stack's.
    pub(crate) fn shard_of(&self, hub: &Arc<Hub>) -> Option<usize> {
        let is_it = |held: &Held| held.hub.as_ref().is_some_and(|other| Arc::ptr_eq(other, hub));
        self.inner.shards.iter().position(is_it)
    }

    /// Where sockets reach the workers, in the order of shards.
    pub(crate) fn hubs(&self) -> io::Result<Vec<&Arc<Hub>>> {
        let hubs: Option<Vec<_>> =
            self.inner.shards.iter().map(|shard| shard.hub.as_ref()).collect();
        hubs.ok_or_else(not_for_sockets)
    }

    /// Where to open a connection: at each shard in turn.
    pub(crate) fn hub(&self) -> io::Result<&Arc<Hub>> {
        let turn = match self.shards() {
            1 => 0,
            shards => self.inner.turn.fetch_add(1, Ordering::Relaxed) % shards,
        };
        self.hub_at(turn)
    }

    /// Where to open connections to `remote` that are to have what is remembered of it: always the same shard.
    pub(crate) fn hub_for(&self, remote: SocketAddr) -> io::Result<&Arc<Hub>> {
        let mut hasher = DefaultHasher::new();
        remote.ip().hash(&mut hasher);
        self.hub_at((hasher.finish() % self.shards() as u64) as usize)
    }

    /// Where sockets reach the shard at `index`.
    pub(crate) fn hub_at(&self, index: usize) -> io::Result<&Arc<Hub>> {
        self.inner.shards.get(index).and_then(|s| s.hub.as_ref()).ok_or_else(not_for_sockets)
    }

    fn ask<T: Send + 'static>(
        &self,
        index: usize,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<Answer<T>> {
        let shard = self.inner.shards.get(index);
        let shard = shard.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the stack has no such shard")
        })?;
        let (reply, answer) = question();
        let call = Box::new(move |context: &mut Context<'_>| {
            drop(reply.send(call(context)));
        });
        // If nobody takes it, the reply is dropped with it, which is an answer.
        let _ = shard.control.calls.push(call);
        Ok(answer)
    }
}

fn not_for_sockets() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this stack runs a native handler; sockets need one made by Builder::start",
    )
}

impl Inner {
    fn stop(&self) {
        for shard in &self.shards {
            shard.control.stop.store(true, Ordering::Release);
            shard.control.doorbell.ring();
        }
        for shard in &self.shards {
            let Some(thread) = lock(&shard.thread).take() else { continue };
            // The last handle may go in a handler, or in a waker the worker calls.
            if thread.thread().id() != std::thread::current().id() {
                // A panic of the thread was printed when it happened.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

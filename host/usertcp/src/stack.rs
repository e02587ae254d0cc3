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
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use usertcp_base::Counters;

use usertcp_cc::AnyController;
use usertcp_device::DeviceFacts;

/// A running stack: a cheap handle, to be cloned and sent at will.
///
/// The stack ends when [`Stack::shutdown`] is called or the last handle is dropped; both wait for
/// its thread, at most a little longer than the linger time. Streams and listeners are not
/// handles: they fail with `ConnectionAborted` then.
#[derive(Clone, Debug)]
pub struct Stack {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    control: Arc<Control>,
    hub: Option<Arc<Hub>>,
    device: DeviceFacts,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Stack {
    /// A stack to be described: device, addresses, limits.
    pub fn builder() -> Builder<AnyController, ()> {
        Builder::new()
    }

    pub(crate) fn new(
        control: Arc<Control>,
        hub: Option<Arc<Hub>>,
        device: DeviceFacts,
        thread: JoinHandle<()>,
    ) -> Stack {
        let thread = Mutex::new(Some(thread));
        Stack { inner: Arc::new(Inner { control, hub, device, thread }) }
    }

    /// Ends the stack: open streams are sent FIN, and reset when their peers take longer than the
    /// linger time. Blocks until the thread has ended. Further calls do nothing.
    pub fn shutdown(&self) {
        self.inner.stop();
    }

    /// Gets [`Handler::on_wake`](crate::Handler::on_wake) called.
    pub fn wake(&self) {
        self.inner.control.wake.store(true, Ordering::Release);
        self.inner.control.doorbell.ring();
    }

    /// Runs `call` on the stack's thread.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        self.ask(call).await.ok_or_else(error::stack_gone)
    }

    /// The same, waiting with the calling thread. Not for a handler: the thread would wait for
    /// itself.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub fn run_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        wait(self.ask(call)).ok_or_else(error::stack_gone)
    }

    /// All connections, half-open ones and those in TIME-WAIT too; at most `most`.
    ///
    /// # Errors
    /// As [`Stack::run`].
    pub async fn connections(&self, most: usize) -> io::Result<Vec<ConnectionRow>> {
        self.run(move |context| metrics::rows(context, most)).await
    }

    /// What the stack counted since its start; at most 50 ms old.
    pub fn counters(&self) -> Counters {
        self.snapshot().counters
    }

    /// Counters and memory; at most 50 ms old.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.control.published.read()
    }

    /// What the device can do, its MTU among it.
    pub fn device(&self) -> DeviceFacts {
        self.inner.device
    }

    /// Whether the stack's thread is still there.
    pub fn is_running(&self) -> bool {
        lock(&self.inner.thread).as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Where sockets reach the worker.
    pub(crate) fn hub(&self) -> io::Result<&Arc<Hub>> {
        self.inner.hub.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "this stack runs a native handler; sockets need one made by Builder::start",
            )
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = question();
        let call = Box::new(move |context: &mut Context<'_>| {
            drop(reply.send(call(context)));
        });
        // If nobody takes it, the reply is dropped with it, which is an answer.
        let _ = self.inner.control.calls.push(call);
        answer
    }
}

impl Inner {
    fn stop(&self) {
        self.control.stop.store(true, Ordering::Release);
        self.control.doorbell.ring();
        let Some(thread) = lock(&self.thread).take() else { return };
        // The last handle may go in a handler, or in a waker the worker calls.
        if thread.thread().id() != std::thread::current().id() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

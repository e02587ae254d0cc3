//! A local stack, as its tasks hold it.
//! Owns: the handle, its questions, its end. Must not know: how it is driven.

use crate::builder::Local;
use crate::local::driver::LocalDriver;
use crate::local::state::Shared;
use crate::metrics::{self, ConnectionRow, Snapshot};
use crate::native::Context;
use std::io;
use std::rc::Rc;
use usertcp_base::Counters;
use usertcp_device::DeviceFacts;
use usertcp_frame::{Class, Frame};

/// A stack that runs inside a current-thread Tokio runtime, on the thread of the tasks that use it: their
/// reads and writes are plain calls, without a lock, a queue or another thread.
///
/// Made by [`Builder::start_local`](crate::Builder::start_local) together with its [`LocalDriver`]. Use
/// Tokio's `LocalRuntime` (`#[tokio::main(flavor = "local")]`), or a `LocalSet`.
///
/// ```no_run
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use usertcp::{LocalListener, Stack, TunConfig};
///
/// # fn parse<T: std::str::FromStr>(text: &str) -> T { text.parse().ok().unwrap() }
/// #[tokio::main(flavor = "local")]
/// async fn main() -> std::io::Result<()> {
///     let kernel_side = vec![parse("10.77.0.1/24")];
///     let (stack, driver) = Stack::builder()
///         .address(parse("10.77.0.2/24"))
///         .tun(TunConfig { addresses: kernel_side, ..TunConfig::default() })
///         .start_local()?;
///     tokio::task::spawn_local(driver);
///     let listener = LocalListener::bind(&stack, ([0, 0, 0, 0], 80).into())?;
///     loop {
///         let (mut stream, _peer) = listener.accept().await?;
///         tokio::task::spawn_local(async move {
///             let mut request = [0; 1024];
///             let _ = stream.read(&mut request).await?;
///             stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n").await
///         });
///     }
/// }
/// ```
///
/// The stack ends when [`LocalStack::shutdown`] is called or the last handle is dropped, or when its device is
/// gone, as a TUN interface that was removed. Streams and listeners are not handles: streams fail with
/// `ConnectionAborted` then, listeners with `NetworkDown`.
pub struct LocalStack {
    shared: Rc<Shared>,
}

impl LocalStack {
    /// Both ends of a local stack. Inside of a Tokio runtime.
    pub(crate) fn start(local: Local) -> io::Result<(LocalStack, LocalDriver)> {
        let Local { engine, clock, doorbell, device, manners } = local;
        let shared = Rc::new(Shared::new(engine, clock, doorbell, device, manners.linger));
        let driver = LocalDriver::new(Rc::clone(&shared), manners.busy_poll)?;
        Ok((LocalStack { shared }, driver))
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Ends the stack: open streams are sent FIN after what was written, and reset when their peers take
    /// longer than the linger time. It does not wait: the [`LocalDriver`] ends when this is done.
    pub fn shutdown(&self) {
        self.shared.stop();
    }

    /// Runs `call` on the stack. Connections begun and listeners opened by it have no stream, and nobody
    /// is told of them.
    pub fn run<T>(&self, call: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.shared.call(|state, now| {
            state.acted = true;
            let engine = &mut *state.engine;
            call(&mut Context { engine, now, state: &mut state.context })
        })
    }

    /// All connections, half-open ones and those in TIME-WAIT too; at most `most`.
    pub fn connections(&self, most: usize) -> Vec<ConnectionRow> {
        self.run(|context| metrics::rows(context, 0, most))
    }

    /// What the stack counted since its start.
    pub fn counters(&self) -> Counters {
        self.shared.call(|state, _| state.engine.counters().clone())
    }

    /// Counters and memory.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.call(|state, _| metrics::snapshot(&*state.engine))
    }

    /// An empty frame to be filled and sent by [`LocalStream::write_chain`](crate::LocalStream::write_chain),
    /// with room for headers before its octets. `None`: memory is used up.
    pub fn frame(&self, class: Class) -> Option<Frame> {
        self.shared.call(|state, _| state.engine.pool().take(class, usertcp_tcp::HEADROOM_OCTETS))
    }

    /// What the device can do, its MTU among it.
    pub fn device(&self) -> DeviceFacts {
        self.shared.device
    }
}

impl Clone for LocalStack {
    fn clone(&self) -> LocalStack {
        self.shared.handles.set(self.shared.handles.get() + 1);
        LocalStack { shared: Rc::clone(&self.shared) }
    }
}

impl Drop for LocalStack {
    fn drop(&mut self) {
        let left = self.shared.handles.get() - 1;
        self.shared.handles.set(left);
        if left == 0 {
            self.shared.stop();
        }
    }
}

impl std::fmt::Debug for LocalStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStack").field("device", &self.shared.device).finish_non_exhaustive()
    }
}

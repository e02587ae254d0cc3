//! Starting a worker. Owns: the thread's birth, and the report of what went wrong in it.
//! Must not know: what device, what handler.

use crate::engine::Engine;
use crate::metrics::Published;
use crate::native::Handler;
use crate::runtime::clock::Clock;
use crate::runtime::commands::Inbox;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::reply::{question, wait};
use crate::runtime::worker::{Control, Manners, Worker};
use crate::sockets::hub::Hub;
use crate::stack::Stack;
use std::io;
use std::sync::Arc;
use usertcp_device::DeviceFacts;

/// What a thread needs to run a stack. Made on that thread, because frames and shards stay there.
pub(crate) struct Parts<H> {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) device: DeviceFacts,
    pub(crate) handler: H,
}

/// What is shared between the worker and everybody else.
pub(crate) fn control() -> io::Result<Arc<Control>> {
    let doorbell = Arc::new(Doorbell::new()?);
    Ok(Arc::new(Control {
        calls: Inbox::new(Arc::clone(&doorbell)),
        wake: false.into(),
        stop: false.into(),
        published: Published::new(),
        clock: Clock::start(),
        doorbell,
    }))
}

/// Starts a thread named `name`, makes the parts there, and waits until they run or do not.
pub(crate) fn launch<H: Handler>(
    name: String,
    control: Arc<Control>,
    hub: Option<Arc<Hub>>,
    manners: Manners,
    make: impl FnOnce(&Control) -> io::Result<Parts<H>> + Send + 'static,
) -> io::Result<Stack> {
    let (reply, answer) = question::<io::Result<DeviceFacts>>();
    let shared = Arc::clone(&control);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let parts = match make(&shared) {
            Ok(parts) => parts,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut worker = Worker::new(parts.engine, parts.handler, shared, manners);
        drop(reply.send(Ok(parts.device)));
        worker.run();
    })?;
    match wait(answer) {
        Some(Ok(device)) => Ok(Stack::new(control, hub, device, thread)),
        Some(Err(error)) => {
            let _ = thread.join();
            Err(error)
        }
        None => Err(io::Error::other("the stack's thread died at its start")),
    }
}

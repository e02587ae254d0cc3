//! Starting workers. Owns: the threads' birth, and the report of what went wrong in it.
//! Must not know: what device, what handler.

use crate::engine::Engine;
use crate::metrics::Published;
use crate::native::Handler;
use crate::runtime::clock::Clock;
use crate::runtime::commands::Inbox;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::mates::Mates;
use crate::runtime::reply::{Answer, question, wait};
use crate::runtime::worker::{Control, Manners, Worker};
use crate::sockets::hub::Hub;
use crate::stack::{Seated, Stack};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use usertcp_device::DeviceFacts;

/// What a thread needs to run a shard. Made on that thread, because frames and shards stay there.
pub(crate) struct Parts<H> {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) device: DeviceFacts,
    pub(crate) handler: H,
}

/// What is shared between the workers of a stack of `shards` and everybody else, for each of them.
pub(crate) fn controls(shards: usize) -> io::Result<Vec<Arc<Control>>> {
    let bells = (0..shards).map(|_| Doorbell::new().map(Arc::new));
    let bells = bells.collect::<io::Result<Vec<_>>>()?;
    let mates = Arc::new(Mates::new(bells.clone()));
    let clock = Clock::start();
    let control = |doorbell: Arc<Doorbell>| {
        Arc::new(Control {
            calls: Inbox::new(Arc::clone(&doorbell)),
            wake: false.into(),
            stop: false.into(),
            published: Published::new(),
            clock,
            mates: Arc::clone(&mates),
            doorbell,
        })
    };
    Ok(bells.into_iter().map(control).collect())
}

/// One of the workers to start.
pub(crate) struct Seat<F> {
    /// Its thread's name.
    pub(crate) name: String,
    pub(crate) control: Arc<Control>,
    pub(crate) hub: Option<Arc<Hub>>,
    /// Makes its parts, on its thread.
    pub(crate) make: F,
}

/// Starts a thread for each of `seats`, makes the parts there, and waits until all run or one does not.
pub(crate) fn launch<H, F>(seats: Vec<Seat<F>>, manners: Manners) -> io::Result<Stack>
where
    H: Handler,
    F: FnOnce(&Control) -> io::Result<Parts<H>> + Send + 'static,
{
    let mut born = Vec::with_capacity(seats.len());
    let mut failure = None;
    for seat in seats {
        match spawn(seat, manners) {
            Ok(worker) => born.push(worker),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let mut device = None;
    let mut seated = Vec::with_capacity(born.len());
    for (worker, answer) in born {
        match wait(answer) {
            Some(Ok(facts)) => device = device.or(Some(facts)),
            Some(Err(error)) => failure = failure.or(Some(error)),
            None => {
                let died = || io::Error::other("the stack's thread died at its start");
                failure = Some(failure.unwrap_or_else(died));
            }
        }
        seated.push(worker);
    }
    // Dropped without a device or after a failure, the stack ends those that run.
    match (failure, device) {
        (None, Some(device)) => Ok(Stack::new(seated, device)),
        (failure, _) => {
            abandon(seated);
            Err(failure.unwrap_or_else(|| io::Error::other("a stack needs a shard")))
        }
    }
}

fn abandon(seated: Vec<Seated>) {
    for worker in &seated {
        worker.control.stop.store(true, Ordering::Release);
        worker.control.doorbell.ring();
    }
    for worker in seated {
        let _ = worker.thread.join();
    }
}

type Birth = (Seated, Answer<io::Result<DeviceFacts>>);

fn spawn<H, F>(seat: Seat<F>, manners: Manners) -> io::Result<Birth>
where
    H: Handler,
    F: FnOnce(&Control) -> io::Result<Parts<H>> + Send + 'static,
{
    let Seat { name, control, hub, make } = seat;
    let (reply, answer) = question::<io::Result<DeviceFacts>>();
    let shared = Arc::clone(&control);
    let thread: JoinHandle<()> = std::thread::Builder::new().name(name).spawn(move || {
        let parts = match make(&shared) {
            Ok(parts) => parts,
            Err(error) => {
                // The others need not wait for it.
                shared.mates.leave();
                return drop(reply.send(Err(error)));
            }
        };
        let mut worker = Worker::new(parts.engine, parts.handler, shared, manners);
        drop(reply.send(Ok(parts.device)));
        worker.run();
    })?;
    Ok((Seated { control, hub, thread }, answer))
}

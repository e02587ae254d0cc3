//! One transfer over one path: makes both hosts, runs the wire between them, takes all of it down.
//! Owns: the threads of a trial. Must not know: what is compared with what.

use crate::capture::Capture;
use crate::end::{self, Job, ReceiverReport, SenderReport};
use crate::namespace::{self, HostConfig, Side, StackKind};
use crate::path::{Path, PathConfig};
use crate::wire::{Seen, Wire};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a trial is determined by.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Who sends and who receives.
    pub stacks: [StackKind; 2],
    /// The hosts.
    pub host: HostConfig,
    /// The path of the data, and the one back.
    pub paths: [PathConfig; 2],
    /// What happens to which packet.
    pub seed: u64,
    /// Time that is measured.
    pub seconds: Duration,
    /// How long an end waits for the other.
    pub patience: Duration,
    /// Where to write the packets at the sender's device.
    pub capture: Option<PathBuf>,
    /// Whether to sample the sender's state.
    pub sampled: bool,
}

/// What it showed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The sender's word.
    pub sender: SenderReport,
    /// The receiver's.
    pub receiver: ReceiverReport,
    /// What the wire saw.
    pub seen: Seen,
    /// Packets that did not reach the emulator because it was too slow.
    pub device_drops: u64,
}

/// Messages of a host's thread, in this order.
enum Told {
    Device(File),
    Ready,
}

/// A host's thread.
struct Host<T> {
    thread: JoinHandle<Result<(T, u64), String>>,
    told: Receiver<Told>,
    go: Sender<()>,
}

impl Trial {
    /// Runs it.
    ///
    /// # Errors
    /// What went wrong at which end, in words.
    pub fn run(&self) -> Result<Shown, String> {
        let job = Job {
            host: self.host,
            seconds: self.seconds,
            patience: self.patience,
            sampled: self.sampled,
            origin: Instant::now(),
        };
        let [sends, receives] = self.stacks;
        let receiver = start_host(Side::Receiver, receives, &job, receive);
        let sender = start_host(Side::Sender, sends, &job, send);
        let devices = (device(&sender), device(&receiver));
        let (Some(sender_device), Some(receiver_device)) = devices else {
            return Err(first_error(sender, receiver));
        };
        let stop = Arc::new(AtomicBool::new(false));
        let wire = self.start_wire([sender_device, receiver_device], Arc::clone(&stop))?;
        // Both wait for permission, so that the wire is there first; the sender waits for the
        // receiver too.
        let _ = receiver.go.send(());
        let _ = receiver.told.recv();
        let _ = sender.go.send(());
        let sent = join(sender.thread, "sender");
        let received = join(receiver.thread, "receiver");
        // The last acknowledgements are on their way.
        stop.store(true, Ordering::Release);
        let seen = wire.join().map_err(|_| "the emulator panicked".to_owned())?;
        let seen = seen.map_err(|error| format!("emulator: {error}"))?;
        let ((sender, drops_a), (receiver, drops_b)) = both(sent, received)?;
        Ok(Shown { sender, receiver, seen, device_drops: drops_a + drops_b })
    }

    fn start_wire(
        &self,
        devices: [File; 2],
        stop: Arc<AtomicBool>,
    ) -> Result<JoinHandle<std::io::Result<Seen>>, String> {
        let capture = match &self.capture {
            Some(path) => Some(
                Capture::create(path).map_err(|error| format!("{}: {error}", path.display()))?,
            ),
            None => None,
        };
        // Chances of the two directions are independent of each other.
        let paths = [Path::new(self.paths[0], self.seed), Path::new(self.paths[1], !self.seed)];
        spawn("emulator", move || Wire::new(devices, paths, capture).run(&stop))
    }
}

fn send(stack: StackKind, job: &Job, ready: impl FnOnce()) -> Result<SenderReport, String> {
    ready();
    match stack {
        StackKind::Kernel => end::kernel::send(job),
        StackKind::Usertcp => end::usertcp::send(job),
    }
}

fn receive(stack: StackKind, job: &Job, ready: impl FnOnce()) -> Result<ReceiverReport, String> {
    match stack {
        StackKind::Kernel => end::kernel::receive(job, ready),
        StackKind::Usertcp => end::usertcp::receive(job, ready),
    }
}

/// What a host does, once there is a path. It calls the closure when it is ready for the other.
type Act<T> = fn(StackKind, &Job, Box<dyn FnOnce()>) -> Result<T, String>;

fn start_host<T: Send + 'static>(side: Side, stack: StackKind, job: &Job, act: Act<T>) -> Host<T> {
    let (tell, told) = channel();
    let (go, may_go) = channel();
    let job = job.clone();
    let body = move || {
        let device = namespace::enter(side, stack, &job.host)?;
        let _ = tell.send(Told::Device(device));
        may_go.recv().map_err(|_| "the other host did not start".to_owned())?;
        let ready = Box::new(move || drop(tell.send(Told::Ready)));
        let report = act(stack, &job, ready)?;
        Ok((report, namespace::device_drops().unwrap_or(0)))
    };
    let name = match side {
        Side::Sender => "sender",
        Side::Receiver => "receiver",
    };
    let thread = thread::Builder::new().name(name.into()).spawn(body);
    match thread {
        Ok(thread) => Host { thread, told, go },
        // As everywhere in std: a process that gets no thread has no way on.
        Err(error) => panic!("no thread: {error}"),
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    thread::Builder::new().name(name.into()).spawn(body).map_err(|error| error.to_string())
}

fn device<T>(host: &Host<T>) -> Option<File> {
    // It ends with the thread at the latest.
    match host.told.recv() {
        Ok(Told::Device(file)) => Some(file),
        _ => None,
    }
}

fn first_error<S, R>(sender: Host<S>, receiver: Host<R>) -> String {
    drop((sender.go, receiver.go));
    let sent = join(sender.thread, "sender").err();
    let received = join(receiver.thread, "receiver").err();
    sent.into_iter().chain(received).collect::<Vec<_>>().join("; ")
}

fn join<T>(thread: JoinHandle<Result<T, String>>, who: &str) -> Result<T, String> {
    match thread.join() {
        Ok(outcome) => outcome.map_err(|error| format!("{who}: {error}")),
        Err(_) => Err(format!("{who}: panicked")),
    }
}

fn both<S, R>(sent: Result<S, String>, received: Result<R, String>) -> Result<(S, R), String> {
    match (sent, received) {
        (Ok(sent), Ok(received)) => Ok((sent, received)),
        (Err(one), Err(other)) => Err(format!("{one}; {other}")),
        (Err(one), Ok(_)) | (Ok(_), Err(one)) => Err(one),
    }
}

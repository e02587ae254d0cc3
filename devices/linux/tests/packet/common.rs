//! Hosts and cables between them, frames by hand, waiting.

#[path = "../common/mod.rs"]
mod shared;

pub use shared::*;

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use usertcp_device::{Packet as Octets, Queue, RxBatch};
use usertcp_device_linux::OpenError;
use usertcp_device_linux::packet::{Packet, PacketConfig, PacketQueue};
use usertcp_frame::FramePool;

pub const KERNEL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Whether these tests cannot run here; then it says so.
pub fn skipped() -> bool {
    let config = PacketConfig { interface: "lo".into(), ..PacketConfig::default() };
    let Err(error @ OpenError::NoPermission { .. }) = Packet::open(&config) else { return false };
    say_skipped(&error);
    true
}

/// Runs `test` on a thread with a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !skipped() {
        in_new_namespace(test);
    }
}

/// Another host: a thread in a namespace of its own, which does what it is told, in order.
pub struct Host {
    /// Its thread's number: what `ip link set … netns` takes.
    pub number: i32,
    tell: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    thread: JoinHandle<()>,
}

impl Host {
    pub fn new() -> Host {
        let (tell, told) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (say, number) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            leave_namespace();
            say.send(thread_number()).unwrap();
            told.iter().for_each(|act| act());
        });
        Host { number: number.recv().unwrap(), tell, thread }
    }

    /// Has it do something, later.
    pub fn tell(&self, act: impl FnOnce() + Send + 'static) {
        self.tell.send(Box::new(act)).unwrap();
    }

    /// Has it do something now: what came of it.
    pub fn ask<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let (say, said) = mpsc::channel();
        self.tell(move || drop(say.send(act())));
        said.recv().unwrap()
    }

    /// Whether it did everything.
    pub fn join(self) {
        drop(self.tell);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }

    /// No more is told; it ends when all is done.
    pub fn end(self) -> JoinHandle<()> {
        self.thread
    }
}

/// A host at the other end of a cable from this namespace: `ours` here with `OUR_MAC`, `theirs` there
/// with `address`.
pub fn cable(host: &Host, ours: &str, theirs: &'static str, address: &'static str) {
    let mac = "02:00:00:00:00:02";
    run(&format!("link add {ours} address {mac} type veth peer name {theirs}"));
    run(&format!("link set {theirs} netns {}", host.number));
    run(&format!("link set {ours} up"));
    host.ask(move || {
        run(&format!("link set {theirs} address 02:00:00:00:00:01"));
        let nodad = if address.contains(':') { " nodad" } else { "" };
        run(&format!("addr add {address} dev {theirs}{nodad}"));
        run(&format!("link set {theirs} up"));
        run("link set lo up");
        wait_until_up(theirs);
    });
    wait_until_up(ours);
}

/// Until then the kernel drops what is sent: it brings a queueing discipline up when it gets to it.
fn wait_until_up(interface: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !run(&format!("link show dev {interface}")).contains("state UP") {
        assert!(Instant::now() < deadline, "{interface} does not come up");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The usual: a kernel at 10.9.0.1, and ours at 10.9.0.2, which it knows.
pub fn with_kernel(test: impl FnOnce(&Host) + Send + 'static) {
    in_namespace(|| {
        let host = Host::new();
        cable(&host, "b0", "a0", "10.9.0.1/24");
        host.ask(|| run("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev a0"));
        test(&host);
        host.join();
    });
}

pub fn config() -> PacketConfig {
    PacketConfig { interface: "b0".into(), addresses: vec![OURS.into()], ..PacketConfig::default() }
}

pub fn open(config: &PacketConfig) -> PacketQueue {
    let mut device = Packet::open(config).unwrap_or_else(|error| panic!("{error}"));
    device.handles.remove(0).into_queue()
}

/// The first frame that `wanted` accepts, or a panic after two seconds.
pub fn wait_for(
    queue: &mut PacketQueue,
    pool: &FramePool,
    wanted: impl FnMut(&[u8]) -> bool,
) -> Octets {
    first(queue, pool, wanted).unwrap_or_else(|| panic!("the frame did not come"))
}

/// Everything that comes within a moment.
pub fn all(queue: &mut PacketQueue, pool: &FramePool) -> Vec<Vec<u8>> {
    std::thread::sleep(Duration::from_millis(50));
    let mut batch = RxBatch::new(4096);
    queue.receive(pool, &mut batch);
    std::iter::from_fn(|| batch.pop()).map(|packet| packet.octets.to_vec()).collect()
}

/// Whether it is an IPv4 frame of that protocol.
pub fn is(frame: &[u8], protocol: u8) -> bool {
    frame.get(12..14) == Some(&[8, 0]) && is_ipv4(&frame[14..], protocol)
}

/// An IPv4 frame from us to the kernel.
pub fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    [&KERNEL_MAC[..], &OUR_MAC, &[8, 0], &ipv4(protocol, payload)].concat()
}

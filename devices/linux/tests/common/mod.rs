//! What the suites of all devices need: namespaces, packets by hand, waiting.
//! Must not know: any device; each suite adds its own.
#![allow(unsafe_code)]

pub mod bulk;

use std::fmt::Display;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};
use usertcp_device::{Packet, Queue, RxBatch, TxBatch};
use usertcp_frame::{FramePool, PoolConfig};

pub const KERNEL: [u8; 4] = [10, 9, 0, 1];
pub const OURS: [u8; 4] = [10, 9, 0, 2];
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Says that a test cannot run, and why.
pub fn say_skipped(error: &impl Display) {
    let what = error.to_string();
    // Past the capture of output: a test that did not run must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {}", what.lines().next().unwrap_or(""));
}

/// Runs `test` on a thread with a network namespace of its own.
pub fn in_new_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        leave_namespace();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Gives this thread an empty network namespace.
pub fn leave_namespace() {
    // Not safely: std knows no namespaces.
    // SAFETY: it changes this thread's namespace and nothing in memory.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
}

/// The number `ip link set … netns` finds this thread's namespace by.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn thread_number() -> i32 {
    // Not safely: std does not tell.
    // SAFETY: no memory is involved.
    unsafe { libc::gettid() }
}

/// Gives up root on this thread only: std's and libc's calls would do so for all of them.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn become_nobody() {
    // Not safely: a bare system call.
    // SAFETY: it changes this thread's credentials and nothing in memory.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
    assert_eq!(result, 0);
}

pub fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 32 << 20, reserve_small: 64 })
}

/// What `ip` prints.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn ip(arguments: &str) -> String {
    said_by_ip(arguments).1
}

/// What `ip` must be able to do, and prints.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn run(arguments: &str) -> String {
    let (succeeded, text) = said_by_ip(arguments);
    assert!(succeeded, "ip {arguments}: {text}");
    text
}

fn said_by_ip(arguments: &str) -> (bool, String) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into();
    (output.status.success(), text)
}

/// The first packet that `wanted` accepts, if it comes within two seconds. Others are dropped: the
/// kernel speaks of itself on a new interface.
pub fn first(
    queue: &mut impl Queue,
    pool: &FramePool,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Option<Packet> {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut batch = RxBatch::new(1);
    while Instant::now() < deadline {
        queue.receive(pool, &mut batch);
        if let Some(packet) = batch.pop()
            && wanted(&packet.octets.to_vec())
        {
            return Some(packet);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}

pub fn send(queue: &mut impl Queue, packet: Packet) -> usize {
    let mut batch = TxBatch::new(1);
    batch.push(packet).unwrap();
    queue.transmit(&mut batch)
}

/// Whether it is an IPv4 packet of that protocol.
pub fn is_ipv4(packet: &[u8], protocol: u8) -> bool {
    packet.first() == Some(&0x45) && packet.get(9) == Some(&protocol)
}

/// The ones' complement sum of `octets`, not inverted.
pub fn sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u64 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// An IPv4 packet from us to the kernel.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(OURS.iter().chain(&KERNEL));
    let checksum = !sum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

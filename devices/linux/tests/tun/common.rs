//! Namespaces, packets by hand, waiting.
#![allow(unsafe_code)]

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};
use usertcp_device::{Packet, Queue, RxBatch, TxBatch};
use usertcp_device_linux::tun::{Tun, TunConfig, TunQueue, check_permission};
use usertcp_frame::{FramePool, PoolConfig};

pub const KERNEL: [u8; 4] = [10, 9, 0, 1];
pub const OURS: [u8; 4] = [10, 9, 0, 2];
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Whether tests with devices cannot run here; then it says so.
pub fn skipped() -> bool {
    let Err(error) = check_permission() else { return false };
    let what = error.to_string();
    // Past the capture of output: a test that did not run must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {}", what.lines().next().unwrap_or(""));
    true
}

/// Runs `test` on a thread with a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if skipped() {
        return;
    }
    let thread = std::thread::spawn(|| {
        // Not safely: std knows no namespaces.
        // SAFETY: it changes this thread's namespace and nothing in memory.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Gives up root on this thread only: std's and libc's calls would do so for all of them.
pub fn become_nobody() {
    // Not safely: a bare system call.
    // SAFETY: it changes this thread's credentials and nothing in memory.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
    assert_eq!(result, 0);
}

pub fn config() -> TunConfig {
    TunConfig { addresses: vec!["10.9.0.1/24".parse().unwrap()], ..TunConfig::default() }
}

pub fn open(config: &TunConfig) -> TunQueue {
    let mut tun = Tun::open(config).unwrap_or_else(|error| panic!("{error}"));
    tun.handles.remove(0).into_queue()
}

pub fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 32 << 20, reserve_small: 64 })
}

/// What `ip` prints.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into()
}

/// The first packet that `wanted` accepts, or a panic after two seconds. Others are dropped: the
/// kernel speaks of itself on a new interface.
pub fn wait_for(
    queue: &mut TunQueue,
    pool: &FramePool,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Packet {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut batch = RxBatch::new(1);
    while Instant::now() < deadline {
        queue.receive(pool, &mut batch);
        if let Some(packet) = batch.pop()
            && wanted(&packet.octets.to_vec())
        {
            return packet;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    panic!("the packet did not come");
}

pub fn send(queue: &mut TunQueue, packet: Packet) -> usize {
    let mut batch = TxBatch::new(1);
    batch.push(packet).unwrap();
    queue.transmit(&mut batch)
}

/// Whether it is an IPv4 packet of that protocol.
pub fn is(packet: &[u8], protocol: u8) -> bool {
    packet.first() == Some(&0x45) && packet.get(9) == Some(&protocol)
}

/// The ones' complement sum of `octets`, not inverted.
pub fn sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    ((sum & 0xFFFF) + (sum >> 16)) as u16
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

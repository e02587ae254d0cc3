//! Namespaces, veth pairs, packets by hand, waiting.
#![allow(unsafe_code)]

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};
use usertcp_device::{Packet, Queue, QueueHandle as _, RxBatch, TxBatch};
use usertcp_device_linux::xdp::{Take, Xdp, XdpConfig, XdpQueue, check_permission};
use usertcp_frame::{FramePool, PoolConfig};

pub const KERNEL: [u8; 4] = [10, 9, 0, 1];
pub const OURS: [u8; 4] = [10, 9, 0, 2];
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ETHERNET: usize = 14;
/// Of the kernel's end of the pair, and of ours.
pub const KERNEL_MAC: [u8; 6] = [2, 0, 0, 0, 9, 1];
pub const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];

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
pub fn thread_number() -> i32 {
    // Not safely: std does not tell.
    // SAFETY: no memory is involved.
    unsafe { libc::gettid() }
}

/// As [`in_namespace`], with the pair `kern0` – `ours0`: the kernel is at `KERNEL` on one end and
/// knows where `OURS` is, on the other.
pub fn on_veth(test: impl FnOnce() + Send + 'static) {
    in_namespace(move || {
        make_veth();
        test();
    });
}

pub fn make_veth() {
    ip("link add kern0 type veth peer name ours0");
    ip("link set kern0 address 02:00:00:00:09:01");
    ip("link set ours0 address 02:00:00:00:09:02");
    ip("link set kern0 up");
    ip("link set ours0 up");
    ip("address add 10.9.0.1/24 dev kern0");
    ip("-6 address add fd00:9::1/64 dev kern0 nodad");
    ip("neigh replace 10.9.0.2 lladdr 02:00:00:00:09:02 dev kern0");
}

/// Gives up root on this thread only: std's and libc's calls would do so for all of them.
pub fn become_nobody() {
    // Not safely: a bare system call.
    // SAFETY: it changes this thread's credentials and nothing in memory.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
    assert_eq!(result, 0);
}

pub fn config() -> XdpConfig {
    XdpConfig {
        interface: "ours0".into(),
        take: Take::Addresses(vec![OURS.into(), "fd00:9::2".parse().unwrap()]),
        ..XdpConfig::default()
    }
}

/// A bound queue.
pub fn open(config: &XdpConfig, pool: &FramePool) -> XdpQueue {
    let mut xdp = Xdp::open(config).unwrap_or_else(|error| panic!("{error}"));
    let mut queue = xdp.handles.remove(0).into_queue();
    queue.bind(pool).unwrap_or_else(|error| panic!("{error}"));
    queue
}

pub fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 32 << 20, reserve_small: 64 })
}

/// What `ip` prints.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into()
}

/// Sends a TCP segment to us as it is, behind an IP header of the kernel's.
pub fn send_raw(segment: &[u8]) {
    // Not safely: std has no raw sockets.
    // SAFETY: the descriptor is closed once; the octets and the address are read at their true
    // lengths during the call; all-zero octets are a valid address.
    let sent = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP);
        let mut to: libc::sockaddr_in = std::mem::zeroed();
        to.sin_family = libc::AF_INET as u16;
        to.sin_addr.s_addr = u32::from_ne_bytes(OURS);
        let length = size_of::<libc::sockaddr_in>() as u32;
        let to = (&raw const to).cast();
        let sent = libc::sendto(socket, segment.as_ptr().cast(), segment.len(), 0, to, length);
        libc::close(socket);
        sent
    };
    assert_eq!(sent, segment.len() as isize);
}

/// The first packet that `wanted` accepts, or a panic after two seconds. Others are dropped.
pub fn wait_for(
    queue: &mut XdpQueue,
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
    panic!("the packet did not come: {queue:?} {:?}", queue.kernel_stats());
}

pub fn send(queue: &mut XdpQueue, packet: Packet) -> usize {
    let mut batch = TxBatch::new(1);
    batch.push(packet).unwrap();
    queue.transmit(&mut batch)
}

/// Whether it is an Ethernet frame with an IPv4 packet of that protocol.
pub fn is(frame: &[u8], protocol: u8) -> bool {
    frame.get(12..15) == Some(&[8, 0, 0x45]) && frame.get(ETHERNET + 9) == Some(&protocol)
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

/// An Ethernet frame with an IPv4 packet from us to the kernel.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    let mut header = vec![0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend(OURS.iter().chain(&KERNEL));
    let checksum = !sum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = [&KERNEL_MAC[..], &OUR_MAC, &[8, 0]].concat();
    frame.extend(header);
    frame.extend(payload);
    frame
}

/// The sum of an IPv4 packet's pseudo header and transport octets: all ones when it is complete.
pub fn transport_sum(frame: &[u8]) -> u16 {
    let length = u16::from_be_bytes([frame[ETHERNET + 2], frame[ETHERNET + 3]]);
    let packet = &frame[ETHERNET..ETHERNET + usize::from(length)];
    let pseudo = [&packet[12..20], &[0, packet[9]], &(length - 20).to_be_bytes()].concat();
    sum(&[&pseudo, &packet[20..]].concat())
}

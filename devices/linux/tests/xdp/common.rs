//! Veth pairs, frames by hand, waiting.
#![allow(unsafe_code)]

#[path = "../common/mod.rs"]
mod shared;

pub use shared::*;

use usertcp_device::{Packet, Queue as _, QueueHandle as _};
use usertcp_device_linux::xdp::{Take, Xdp, XdpConfig, XdpQueue, check_permission};
use usertcp_frame::FramePool;

pub const ETHERNET: usize = 14;
/// Of the kernel's end of the pair, and of ours.
pub const KERNEL_MAC: [u8; 6] = [2, 0, 0, 0, 9, 1];
pub const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];

/// Whether tests with devices cannot run here; then it says so.
pub fn skipped() -> bool {
    let Err(error) = check_permission() else { return false };
    say_skipped(&error);
    true
}

/// Runs `test` on a thread with a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !skipped() {
        in_new_namespace(test);
    }
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

/// Waits until a packet does, half a second at most, by the call that sends as well.
pub fn sleep(queue: &XdpQueue) {
    let handle = queue.wait_handle().unwrap();
    let mut waited = libc::pollfd { fd: handle.0, events: libc::POLLIN, revents: 0 };
    // Not safely: std does not poll.
    // SAFETY: one structure, as said.
    unsafe { libc::poll(&raw mut waited, 1, 500) };
}

/// The first packet that `wanted` accepts, or a panic after two seconds.
pub fn wait_for(
    queue: &mut XdpQueue,
    pool: &FramePool,
    wanted: impl FnMut(&[u8]) -> bool,
) -> Packet {
    first(queue, pool, wanted)
        .unwrap_or_else(|| panic!("the packet did not come: {queue:?} {:?}", queue.kernel_stats()))
}

/// Whether it is an Ethernet frame with an IPv4 packet of that protocol.
pub fn is(frame: &[u8], protocol: u8) -> bool {
    frame.get(12..14) == Some(&[8, 0]) && is_ipv4(&frame[ETHERNET..], protocol)
}

/// An Ethernet frame with an IPv4 packet from us to the kernel.
pub fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    [&KERNEL_MAC[..], &OUR_MAC, &[8, 0], &ipv4(protocol, payload)].concat()
}

/// The sum of an IPv4 packet's pseudo header and transport octets: all ones when it is complete.
pub fn transport_sum(frame: &[u8]) -> u16 {
    let length = u16::from_be_bytes([frame[ETHERNET + 2], frame[ETHERNET + 3]]);
    let packet = &frame[ETHERNET..ETHERNET + usize::from(length)];
    let pseudo = [&packet[12..20], &[0, packet[9]], &(length - 20).to_be_bytes()].concat();
    sum(&[&pseudo, &packet[20..]].concat())
}

//! Bulk data between two kernels, with our queues as the wire between them: super-packets in both
//! directions, octet by octet.
use crate::common::bulk::{receiver, sender, wire};
use crate::common::*;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Instant;
use usertcp_device::{ChecksumState, Packet};
use usertcp_device_linux::tun::{Tun, TunConfig, TunHandle, TunQueue};

const OCTETS: usize = 32 << 20;

/// A host of its own: runs `host` beside the device that leads to it.
fn host(
    address: &str,
    offload: bool,
    host: impl FnOnce() + Send + 'static,
) -> (TunHandle, std::thread::JoinHandle<()>) {
    let (give, handle) = mpsc::channel();
    let config =
        TunConfig { addresses: vec![address.parse().unwrap()], offload, ..TunConfig::default() };
    let thread = std::thread::spawn(move || {
        in_namespace(move || {
            let mut tun = Tun::open(&config).unwrap_or_else(|error| panic!("{error}"));
            give.send(tun.handles.remove(0)).unwrap();
            host();
        });
    });
    (handle.recv().unwrap(), thread)
}

/// What one kernel left unfinished the other may finish: both sum the same pseudo header.
fn onward(mut packet: Packet) -> Packet {
    let start = match packet.octets.front().and_then(|octets| octets.first()) {
        Some(0x45) => 20,
        _ => 40,
    };
    let mut next_header = [0; 41];
    packet.octets.copy_to(0, &mut next_header);
    let protocol = if start == 20 { next_header[9] } else { next_header[6] };
    if packet.offload.checksum == ChecksumState::Verified && protocol == TCP {
        packet.offload.checksum = ChecksumState::Partial { start, offset: 16 };
    }
    packet
}

fn transfer(near: &str, far: &str, offload: bool) -> Option<(usize, [TunQueue; 2])> {
    if skipped() {
        return None;
    }
    let listen = SocketAddr::new(far.split('/').next()?.parse().unwrap(), 5001);
    let (near, one) = host(near, offload, move || sender(listen, OCTETS));
    let (far, other) = host(far, offload, move || receiver(listen, OCTETS));
    let mut queues = [near.into_queue(), far.into_queue()];
    let start = Instant::now();
    let longest = wire(&pool(), &mut queues, onward, || one.is_finished() && other.is_finished());
    let mebibytes = OCTETS >> 20;
    println!("{mebibytes} MiB in {:?}: {:?}", start.elapsed(), queues[0].stats());
    for thread in [one, other] {
        thread.join().unwrap();
    }
    Some((longest, queues))
}

#[test]
fn super_packets_of_ipv4_pass() {
    let Some((longest, queues)) = transfer("10.9.0.1/24", "10.9.0.2/24", true) else { return };
    assert!(longest > 32_000, "{longest}");
    assert_eq!((queues[0].stats().refused, queues[1].stats().refused), (0, 0));
}

#[test]
fn super_packets_of_ipv6_pass() {
    let Some((longest, queues)) = transfer("fd00:9::1/64", "fd00:9::2/64", true) else { return };
    assert!(longest > 32_000, "{longest}");
    assert_eq!((queues[0].stats().refused, queues[1].stats().refused), (0, 0));
}

#[test]
fn without_offload_packets_are_whole_and_summed() {
    let Some((longest, _)) = transfer("10.9.0.1/24", "10.9.0.2/24", false) else { return };
    assert_eq!(longest, 1500);
}

//! Bulk data between two kernels, with our queues as the wire between them: super-packets in both
//! directions, octet by octet.
use crate::common::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use usertcp_device::{ChecksumState, Packet, Queue, RxBatch, TxBatch};
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

/// What the sender writes at `at`.
fn octet(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 13) as u8
}

fn sender(to: SocketAddr) {
    // The other host may not listen yet.
    let mut stream = loop {
        match TcpStream::connect(to) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let octets: Vec<u8> = (0..OCTETS).map(octet).collect();
    stream.write_all(&octets).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the receiver is content");
}

fn receiver(at: SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut octets = Vec::with_capacity(OCTETS);
    stream.read_to_end(&mut octets).unwrap();
    assert_eq!(octets.len(), OCTETS);
    assert!(octets.iter().enumerate().all(|(at, value)| *value == octet(at)));
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

/// Moves packets between the two until both hosts are done. The longest packet.
fn wire(queues: &mut [TunQueue; 2], done: impl Fn() -> bool) -> usize {
    let pool = pool();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut longest = 0;
    let mut incoming = RxBatch::new(64);
    let mut outgoing = [TxBatch::new(256), TxBatch::new(256)];
    while !done() {
        assert!(Instant::now() < deadline, "the transfer hangs");
        let mut moved = 0;
        for from in 0..2 {
            if outgoing[1 - from].room() >= 64 {
                moved += queues[from].receive(&pool, &mut incoming);
            }
            while let Some(packet) = incoming.pop() {
                longest = longest.max(packet.len());
                outgoing[1 - from].push(onward(packet)).unwrap();
            }
            queues[1 - from].transmit(&mut outgoing[1 - from]);
        }
        if moved == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    longest
}

fn transfer(near: &str, far: &str, offload: bool) -> Option<(usize, [TunQueue; 2])> {
    if skipped() {
        return None;
    }
    let listen = SocketAddr::new(far.split('/').next()?.parse().unwrap(), 5001);
    let (near, one) = host(near, offload, move || sender(listen));
    let (far, other) = host(far, offload, move || receiver(listen));
    let mut queues = [near.into_queue(), far.into_queue()];
    let start = Instant::now();
    let longest = wire(&mut queues, || one.is_finished() && other.is_finished());
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

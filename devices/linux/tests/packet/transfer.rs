//! Bulk data between two kernels, with our queues as the wire between their cables: super-packets in
//! both directions, octet by octet.
use crate::common::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use usertcp_device::{ChecksumState, Packet as Octets, Queue, RxBatch, TxBatch};
use usertcp_device_linux::packet::{PacketConfig, PacketQueue};

const OCTETS: usize = 32 << 20;

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

/// What one kernel left unfinished the other may finish: both sum the same pseudo header. From
/// another cable, to the host there.
fn onward(mut packet: Octets) -> Octets {
    let frame = packet.octets.front().unwrap();
    let (start, protocol) = match frame[12..14] {
        [8, 0] => (34, frame[23]),
        _ => (54, frame[20]),
    };
    if packet.offload.checksum == ChecksumState::Verified && protocol == 6 {
        packet.offload.checksum = ChecksumState::Partial { start, offset: 16 };
    }
    let mut front = packet.octets.front_mut().unwrap();
    front.bytes_mut().unwrap()[..12].copy_from_slice(&[KERNEL_MAC, OUR_MAC].concat());
    drop(front);
    packet
}

/// Moves packets between the two until both hosts are done. The longest packet.
fn wire(queues: &mut [PacketQueue; 2], done: impl Fn() -> bool) -> usize {
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

fn transfer(near: &'static str, far: &'static str, bypass_queueing: bool) {
    in_namespace(move || {
        let hosts = [Host::new(), Host::new()];
        cable(&hosts[0], "b0", "a0", near);
        cable(&hosts[1], "c0", "d0", far);
        let address =
            |cidr: &str| -> std::net::IpAddr { cidr.split('/').next().unwrap().parse().unwrap() };
        for (host, other, name) in [(&hosts[0], far, "a0"), (&hosts[1], near, "d0")] {
            let other = address(other);
            let mac = "02:00:00:00:00:02";
            host.ask(move || run(&format!("neigh add {other} lladdr {mac} dev {name}")));
        }
        // Each socket takes what is for the host on the other cable.
        let queue = |interface: &str, other| {
            open(&PacketConfig {
                interface: interface.into(),
                addresses: vec![address(other)],
                bypass_queueing,
                ..PacketConfig::default()
            })
        };
        let mut queues = [queue("b0", far), queue("c0", near)];
        let listen = SocketAddr::new(address(far), 5001);
        hosts[0].tell(move || sender(listen));
        hosts[1].tell(move || receiver(listen));
        let threads = hosts.map(Host::end);
        let start = Instant::now();
        let longest = wire(&mut queues, || threads.iter().all(|thread| thread.is_finished()));
        let mebibytes = OCTETS >> 20;
        println!("{mebibytes} MiB in {:?}: {:?}", start.elapsed(), queues[0].stats());
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(longest > 32_000, "{longest}");
        assert_eq!((queues[0].stats().refused, queues[1].stats().refused), (0, 0));
    });
}

#[test]
fn super_packets_of_ipv4_pass() {
    transfer("10.9.0.1/24", "10.9.0.2/24", false);
}

#[test]
fn super_packets_of_ipv6_pass() {
    transfer("fd00:9::1/64", "fd00:9::2/64", false);
}

#[test]
fn super_packets_pass_by_the_queueing_discipline() {
    transfer("10.9.0.1/24", "10.9.0.2/24", true);
}

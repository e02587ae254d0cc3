//! Bulk data between two kernels, with our queues as the wire between them, octet by octet; and
//! beside a kernel that keeps what is its own.
use crate::common::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use usertcp_device::{ChecksumState, Packet, Queue, RxBatch, TxBatch};
use usertcp_device_linux::xdp::{Take, XdpConfig, XdpQueue};
use usertcp_frame::FramePool;

const OCTETS: usize = 16 << 20;

/// A host of its own: runs `host` when its end of a pair, `name`, has arrived there with `set_up`.
fn host(
    name: &'static str,
    peer: &str,
    address: &'static str,
    host: impl FnOnce() + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let (tell, number) = mpsc::channel();
    let (go, ready) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        leave_namespace();
        tell.send(thread_number()).unwrap();
        ready.recv().unwrap();
        ip("link set lo up");
        ip(&format!("link set {name} up"));
        ip(&format!("address add {address} dev {name}"));
        host();
    });
    ip(&format!("link add {name} type veth peer name {peer}"));
    ip(&format!("link set {peer} up"));
    let number = number.recv().unwrap();
    let said = ip(&format!("link set {name} netns {number}"));
    assert_eq!(said, "");
    go.send(()).unwrap();
    thread
}

/// What the sender writes at `at`.
fn octet(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 13) as u8
}

fn connect(to: SocketAddr) -> TcpStream {
    // The other host may not listen yet.
    loop {
        match TcpStream::connect(to) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn sender(to: SocketAddr) {
    let mut stream = connect(to);
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

/// What one kernel left unfinished is finished here: the other cannot be told of it.
fn onward(mut packet: Packet) -> Packet {
    if packet.offload.checksum == ChecksumState::Verified {
        let mut front = packet.octets.pop_front().unwrap();
        let mut frame = front.to_vec();
        packet.octets.slices().for_each(|slice| frame.extend_from_slice(slice));
        let at = ETHERNET + 20 + 16;
        frame[at..at + 2].fill(0);
        let checksum = !transport_sum(&frame);
        front.bytes_mut().unwrap()[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet.octets.push_front_slice(front);
        packet.offload.checksum = ChecksumState::Unverified;
    }
    packet
}

/// Moves packets between the two until both hosts are done.
fn wire(pool: &FramePool, queues: &mut [XdpQueue; 2], done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut incoming = RxBatch::new(64);
    let mut outgoing = [TxBatch::new(256), TxBatch::new(256)];
    while !done() {
        assert!(Instant::now() < deadline, "the transfer hangs: {queues:?}");
        let mut moved = 0;
        for from in 0..2 {
            if outgoing[1 - from].room() >= 64 {
                moved += queues[from].receive(pool, &mut incoming);
            }
            while let Some(packet) = incoming.pop() {
                outgoing[1 - from].push(onward(packet)).unwrap();
            }
            queues[1 - from].transmit(&mut outgoing[1 - from]);
        }
        if moved == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

fn transfer(mtu: u32) {
    in_namespace(move || {
        let listen = SocketAddr::from(([10, 9, 0, 2], 5001));
        let one = host("one0", "us1", "10.9.0.1/24", move || {
            ip(&format!("link set one0 mtu {mtu}"));
            sender(listen);
        });
        let other = host("other0", "us2", "10.9.0.2/24", move || {
            ip(&format!("link set other0 mtu {mtu}"));
            receiver(listen);
        });
        // Both queues share the pool: what one received the other sends, in the same frame.
        let pool = pool();
        let mut queues = ["us1", "us2"].map(|interface| {
            ip(&format!("link set {interface} mtu {mtu}"));
            let take = Take::Everything;
            open(&XdpConfig { interface: interface.into(), take, ..XdpConfig::default() }, &pool)
        });
        let start = Instant::now();
        wire(&pool, &mut queues, || one.is_finished() && other.is_finished());
        for thread in [one, other] {
            thread.join().unwrap();
        }
        let [near, far] = queues.each_ref().map(XdpQueue::stats);
        println!("{} MiB in {:?}: {near:?} {far:?}", OCTETS >> 20, start.elapsed());
        for stats in [near, far] {
            assert_eq!((stats.octets_copied, stats.refused, stats.strange), (0, 0, 0));
            assert!(stats.kicks < stats.sent, "{stats:?}");
        }
        assert_eq!(pool.stats().octets_copied, 0, "no octet was copied on the way");
        drop(queues);
        assert_eq!(pool.stats().used_octets, 0);
    });
}

#[test]
fn bulk_passes_without_a_copy() {
    transfer(1500);
}

#[test]
fn bulk_in_packets_of_several_buffers_passes_without_a_copy() {
    transfer(9000);
}

#[test]
fn the_kernel_keeps_what_is_its_own() {
    in_namespace(|| {
        let theirs = SocketAddr::from(([10, 9, 0, 2], 5001));
        let peer = host("peer0", "us0", "10.9.0.1/24", move || sender(theirs));
        ip("address add 10.9.0.2/24 dev us0");
        let pool = pool();
        let ours = Take::Addresses(vec![[10, 9, 0, 9].into()]);
        let config = XdpConfig { interface: "us0".into(), take: ours, ..XdpConfig::default() };
        let mut queue = open(&config, &pool);
        receiver(theirs);
        peer.join().unwrap();
        assert_eq!(queue.receive(&pool, &mut RxBatch::new(1)), 0, "nothing of it came our way");
    });
}

//! Bulk data from one kernel to another, octet by octet, and the wire between them.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use usertcp_device::{Packet, Queue, RxBatch, TxBatch};
use usertcp_frame::FramePool;

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

/// Sends so many octets.
pub fn sender(to: SocketAddr, octets: usize) {
    let mut stream = connect(to);
    let octets: Vec<u8> = (0..octets).map(octet).collect();
    stream.write_all(&octets).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the receiver is content");
}

/// Receives so many octets and no other.
pub fn receiver(at: SocketAddr, expected_octets: usize) {
    let listener = TcpListener::bind(at).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut octets = Vec::with_capacity(expected_octets);
    stream.read_to_end(&mut octets).unwrap();
    assert_eq!(octets.len(), expected_octets);
    assert!(octets.iter().enumerate().all(|(at, value)| *value == octet(at)));
}

/// Moves packets between the two until both hosts are done, each as `onward` makes it. The longest
/// packet.
pub fn wire(
    pool: &FramePool,
    queues: &mut [impl Queue + Debug; 2],
    onward: impl Fn(Packet) -> Packet,
    done: impl Fn() -> bool,
) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut longest = 0;
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

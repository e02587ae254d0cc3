//! Bulk data between two kernels, with our queues as the wire between them, octet by octet; and
//! beside a kernel that keeps what is its own.
use crate::common::bulk::{receiver, sender, wire};
use crate::common::*;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Instant;
use usertcp_device::{ChecksumState, Packet, Queue, RxBatch};
use usertcp_device_linux::xdp::{Take, XdpConfig, XdpQueue};

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

fn transfer(mtu: u32) {
    in_namespace(move || {
        let listen = SocketAddr::from(([10, 9, 0, 2], 5001));
        let one = host("one0", "us1", "10.9.0.1/24", move || {
            ip(&format!("link set one0 mtu {mtu}"));
            sender(listen, OCTETS);
        });
        let other = host("other0", "us2", "10.9.0.2/24", move || {
            ip(&format!("link set other0 mtu {mtu}"));
            receiver(listen, OCTETS);
        });
        // Both queues share the pool: what one received the other sends, in the same frame.
        let pool = pool();
        let mut queues = ["us1", "us2"].map(|interface| {
            ip(&format!("link set {interface} mtu {mtu}"));
            let take = Take::Everything;
            open(&XdpConfig { interface: interface.into(), take, ..XdpConfig::default() }, &pool)
        });
        let start = Instant::now();
        wire(&pool, &mut queues, onward, || one.is_finished() && other.is_finished());
        for thread in [one, other] {
            thread.join().unwrap();
        }
        let [near, far] = queues.each_ref().map(XdpQueue::stats);
        println!("{} MiB in {:?}: {near:?} {far:?}", OCTETS >> 20, start.elapsed());
        for stats in [near, far] {
            assert_eq!((stats.octets_copied, stats.refused, stats.strange), (0, 0, 0));
            // How many go by one call is the kernels' doing here: `frames` has it with our own.
            assert_eq!(stats.kicks_failed, 0, "{stats:?}");
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
        let peer = host("peer0", "us0", "10.9.0.1/24", move || sender(theirs, OCTETS));
        ip("address add 10.9.0.2/24 dev us0");
        let pool = pool();
        let ours = Take::Addresses(vec![[10, 9, 0, 9].into()]);
        let config = XdpConfig { interface: "us0".into(), take: ours, ..XdpConfig::default() };
        let mut queue = open(&config, &pool);
        receiver(theirs, OCTETS);
        peer.join().unwrap();
        assert_eq!(queue.receive(&pool, &mut RxBatch::new(1)), 0, "nothing of it came our way");
    });
}

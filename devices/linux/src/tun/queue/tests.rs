//! Bursts, from files that give what a device would.

use super::*;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use usertcp_device::Medium;
use usertcp_frame::PoolConfig;

fn queue(file: impl Into<OwnedFd>) -> TunQueue {
    TunQueue::new(File::from(file.into()), DeviceFacts::offloading(Medium::Ip, 1500))
}

fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 8 << 20, ..PoolConfig::default() })
}

/// Octets of the packets of a burst.
fn lengths(batch: &mut RxBatch) -> Vec<usize> {
    core::iter::from_fn(|| batch.pop()).map(|packet| packet.len()).collect()
}

/// A device that always has another packet, and long ones: zeros are a header that asks for nothing, and as
/// many octets as there is room for.
#[test]
fn a_burst_of_long_packets_ends_by_its_octets() {
    let (pool, mut batch) = (pool(), RxBatch::new(256));
    let mut queue = queue(File::open("/dev/zero").unwrap());
    for burst in 1..4 {
        let count = queue.receive(&pool, &mut batch);
        let lengths = lengths(&mut batch);
        let (last, before) = lengths.split_last().unwrap();
        assert_eq!(count, lengths.len());
        assert!(lengths.iter().all(|octets| *octets > 65_535), "{lengths:?}");
        let before: usize = before.iter().sum();
        assert!(before < BURST_OCTETS && before + last >= BURST_OCTETS, "{lengths:?}");
        assert!(queue.has_waiting(), "nothing said that it was empty");
        assert_eq!(queue.stats().received, (burst * count) as u64);
    }
    // A burst that ends by the room for it is not one that ended by its octets: the caller knows.
    assert_eq!((queue.receive(&pool, &mut RxBatch::new(3)), queue.has_waiting()), (3, false));
    assert_eq!(queue.receive(&pool, &mut batch), lengths(&mut batch).len());
    assert!(queue.has_waiting());
}

/// A device that is found empty has nothing waiting, whatever it gave before.
#[test]
fn a_burst_of_short_packets_ends_when_the_device_is_empty() {
    let (pool, mut batch) = (pool(), RxBatch::new(256));
    let (near, far) = UnixDatagram::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let mut queue = queue(far);
    for octets in [[60, 1500, 40_000], [52, 52, 52]] {
        for octets in octets {
            near.send(&vec![0; HEADER_OCTETS + octets]).unwrap();
        }
        assert_eq!((queue.receive(&pool, &mut batch), queue.has_waiting()), (3, false));
        assert_eq!(lengths(&mut batch), octets);
    }
    assert_eq!((queue.receive(&pool, &mut batch), queue.has_waiting()), (0, false));
}

/// After a short packet the next one is read in one piece, whatever it is: none loses an octet by that.
#[test]
fn packets_of_all_lengths_in_any_order_arrive_as_they_are() {
    let (pool, mut batch) = (pool(), RxBatch::new(256));
    let (near, far) = UnixDatagram::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let mut queue = queue(far);
    for octets in [52, 1500, 60, 40_000, 128, 129, 52, 52, 15_000, 52, 65_535, 1, 2048] {
        let packet: Vec<u8> = (0..octets).map(|at| (at * 7 % 251) as u8).collect();
        near.send(&[&[0; HEADER_OCTETS][..], &packet].concat()).unwrap();
        assert_eq!(queue.receive(&pool, &mut batch), 1);
        assert_eq!(batch.pop().unwrap().octets.to_vec(), packet);
    }
    drop(batch);
    let stats = queue.stats();
    assert_eq!((stats.received, stats.no_frame, stats.unreadable), (13, 0, 0));
    // A frame of each of two kinds waits for the next packet.
    drop(queue);
    assert_eq!(pool.stats().used_octets, 0);
}

#[test]
fn a_packet_read_in_one_piece_without_a_header_it_knows_is_dropped() {
    let (pool, mut batch) = (pool(), RxBatch::new(256));
    let (near, far) = UnixDatagram::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let mut queue = queue(far);
    near.send(&[0; HEADER_OCTETS + 52]).unwrap();
    // A super-packet of UDP, a header alone, and less than that.
    near.send(&[&[0, 3], &[0; 60][..]].concat()).unwrap();
    near.send(&[0; HEADER_OCTETS]).unwrap();
    near.send(&[0; 4]).unwrap();
    assert_eq!(queue.receive(&pool, &mut batch), 1);
    assert_eq!(queue.stats().unreadable, 3);
}

/// Short ones in one piece, long ones in parts: the kernel sees the same.
#[test]
fn what_is_sent_is_a_header_and_the_octets() {
    let (pool, mut batch) = (pool(), TxBatch::new(8));
    let (near, far) = UnixDatagram::pair().unwrap();
    let mut queue = queue(far);
    for (slices, octets) in [(1, 52), (2, 128), (3, 85), (1, 256), (1, 257), (2, 1500), (50, 100)] {
        let mut chain = Chain::new();
        for slice in 0..slices {
            chain.push_back(pool.copy_of(&vec![slice + 1; octets], 0).unwrap());
        }
        let whole = chain.to_vec();
        assert!(batch.push(Packet::plain(chain)).is_ok());
        assert_eq!(queue.transmit(&mut batch), 1);
        let mut seen = vec![0; 70_000];
        let count = near.recv(&mut seen).unwrap();
        assert_eq!(seen[..HEADER_OCTETS], offload::encode(&Offload::default(), &whole));
        assert_eq!(seen[HEADER_OCTETS..count], whole);
    }
    assert_eq!((queue.stats().sent, queue.stats().gathered), (7, 1));
}

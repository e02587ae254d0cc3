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

//! Whose frames are whose, and when they come home.
use crate::common::*;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use usertcp_device::{Packet, Queue, RxBatch, TxBatch};
use usertcp_device_linux::xdp::XdpConfig;
use usertcp_frame::{Class, FramePool, PoolConfig};

fn datagram(message: &[u8]) -> Vec<u8> {
    let [l0, l1] = (8 + message.len() as u16).to_be_bytes();
    frame(UDP, &[&[0, 7, 0, 7, l0, l1, 0, 0], message].concat())
}

#[test]
fn frames_sent_come_home_and_frames_received_are_replaced() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&XdpConfig { ring_entries: 64, ..config() }, &pool);
        assert_eq!(pool.stats().full_out, 64);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut kept = Vec::new();
        for round in 0..10_u8 {
            // More than the ring holds, with what is under way.
            let mut batch = TxBatch::new(100);
            for number in 0..100 {
                let frame = pool.copy_of(&datagram(&[round, number]), 0).unwrap();
                batch.push(Packet::plain(frame.into())).unwrap();
            }
            let mut sent = 0;
            for _ in 0..1000 {
                sent += queue.transmit(&mut batch);
                if batch.is_empty() {
                    break;
                }
            }
            assert_eq!(sent, 100);
            for number in 0..100 {
                let mut answer = [0; 9];
                assert_eq!(socket.recv(&mut answer).unwrap(), 2);
                assert_eq!(answer[..2], [round, number], "in order, each once");
            }
            queue.transmit(&mut batch);
            assert_eq!(pool.stats().small_out, 0, "all sent, all home");
            socket.send_to(&[round; 500], SocketAddr::from((OURS, 7))).unwrap();
            kept.push(wait_for(&mut queue, &pool, |frame| is(frame, UDP)));
        }
        assert_eq!(pool.stats().full_out, 64 + 10);
        for (round, packet) in kept.iter().enumerate() {
            assert!(packet.octets.to_vec()[42..].iter().all(|octet| *octet == round as u8));
        }
        assert_eq!((queue.stats().octets_copied, queue.stats().strange), (0, 0));
        let kicks = queue.stats().kicks;
        assert!((20..=40).contains(&kicks), "about one call for 64 packets: {kicks}");
        drop(queue);
        assert_eq!(pool.stats().full_out, 10, "what we were given stays ours");
        drop(kept);
        assert_eq!(pool.stats().used_octets, 0);
    });
}

#[test]
fn packets_of_another_pool_are_copied_and_counted() {
    on_veth(|| {
        let (pool, other) = (pool(), pool());
        let mut queue = open(&config(), &pool);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let frame = datagram(b"from elsewhere");
        send(&mut queue, Packet::plain(other.copy_of(&frame, 0).unwrap().into()));
        let mut answer = [0; 100];
        let count = socket.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], b"from elsewhere");
        assert_eq!(queue.stats().gathered, 1);
        assert_eq!(queue.stats().octets_copied, frame.len() as u64);
        assert_eq!(other.stats().used_octets, 0);
    });
}

#[test]
fn what_cannot_be_sent_is_dropped_and_counted() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        assert_eq!(send(&mut queue, Packet::plain(pool.copy_of(&[0; 13], 0).unwrap().into())), 1);
        assert_eq!(send(&mut queue, Packet::default()), 1);
        assert_eq!((queue.stats().refused, queue.stats().sent), (2, 0));
        // While the interface is down packets stay in the ring, and then in front of it.
        ip("link set ours0 down");
        let packet = || Packet::plain(pool.copy_of(&datagram(b"late"), 0).unwrap().into());
        assert_eq!(send(&mut queue, packet()), 1);
        assert_eq!(queue.stats().kicks_failed, 1);
        ip("link set ours0 up");
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        queue.transmit(&mut TxBatch::new(1));
        let mut answer = [0; 10];
        assert_eq!(socket.recv(&mut answer).unwrap(), 4);
    });
}

#[test]
fn small_packets_come_through_when_the_pool_is_empty() {
    on_veth(|| {
        let pool = FramePool::new(&PoolConfig { octets: 8 * 67_584, reserve_small: 10 });
        let mut queue = open(&config(), &pool);
        let stock = pool.stats().full_out;
        assert_eq!(stock, 64, "a quarter of the pool");
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        let send =
            |len| socket.send_to(&vec![len as u8; len], SocketAddr::from((OURS, 7))).unwrap();
        let hog: Vec<_> = std::iter::from_fn(|| pool.take(Class::Large, 0)).collect();
        let more: Vec<_> = std::iter::from_fn(|| pool.take(Class::Full, 0)).collect();
        send(1000);
        send(100);
        let packet = wait_for(&mut queue, &pool, |octets| is(octets, UDP));
        assert_eq!((packet.len(), pool.stats().reserve_out), (142, 1));
        assert!(packet.octets.to_vec()[42..].iter().all(|octet| *octet == 100));
        assert_eq!((queue.stats().no_frame, queue.stats().detours), (1, 1));
        assert_eq!(queue.stats().octets_copied, 142);
        let kept: Vec<_> = (0..200)
            .filter_map(|_| {
                send(100);
                let mut batch = RxBatch::new(1);
                queue.receive(&pool, &mut batch);
                batch.pop()
            })
            .collect();
        assert_eq!(kept.len(), 131, "half of the reserve stays for what must be sent");
        drop((hog, more, kept, packet));
        assert_eq!(pool.stats().full_out, stock, "the kernel has as many as before");
        send(1000);
        let packet = wait_for(&mut queue, &pool, |octets| octets.len() > 1000);
        assert_eq!(packet.len(), 1042);
    });
}

#[test]
fn a_queue_can_be_dropped_amid_traffic_and_opened_again() {
    on_veth(|| {
        let pool = pool();
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        for _ in 0..5 {
            let mut queue = open(&config(), &pool);
            for _ in 0..300 {
                socket.send_to(&[7; 700], SocketAddr::from((OURS, 7))).unwrap();
            }
            let packet = wait_for(&mut queue, &pool, |frame| is(frame, UDP));
            drop(queue);
            assert!(packet.octets.to_vec()[42..].iter().all(|octet| *octet == 7));
            drop(packet);
            assert_eq!(pool.stats().used_octets, 0);
        }
    });
}

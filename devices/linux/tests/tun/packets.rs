//! Single packets, both ways.
use crate::common::*;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use usertcp_device::{ChecksumState, Packet, Queue, RxBatch};
use usertcp_device_linux::tun::TunConfig;
use usertcp_frame::{Chain, Class, FramePool, PoolConfig};

#[test]
fn the_kernels_connection_attempt_arrives() {
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        let attempt = std::thread::spawn(|| {
            let to = SocketAddr::from((OURS, 80));
            TcpStream::connect_timeout(&to, Duration::from_millis(300)).is_err()
        });
        let packet = wait_for(&mut queue, &pool, |octets| is_ipv4(octets, TCP));
        let octets = packet.octets.to_vec();
        assert_eq!((&octets[16..20], &octets[22..24]), (&OURS[..], &[0, 80][..]));
        assert_eq!(octets[33] & 0x3F, 2, "a SYN");
        assert_eq!((packet.offload.checksum, packet.offload.gso), (ChecksumState::Verified, None));
        assert_eq!(packet.octets.charge(), 256, "a short packet takes a small frame");
        assert!(attempt.join().unwrap());
    });
}

#[test]
fn an_echo_request_by_hand_is_answered_by_the_kernel() {
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        let mut echo = vec![8, 0, 0, 0, 1, 2, 3, 4];
        echo.extend((0..400).map(|at| at as u8));
        let checksum = !sum(&echo);
        echo[2..4].copy_from_slice(&checksum.to_be_bytes());
        let request = pool.copy_of(&ipv4(ICMP, &echo), 0).unwrap();
        assert_eq!(send(&mut queue, Packet::plain(request.into())), 1);
        let reply = wait_for(&mut queue, &pool, |octets| is_ipv4(octets, ICMP));
        let octets = reply.octets.to_vec();
        assert_eq!((octets[20], &octets[24..]), (0, &echo[4..]));
        assert_eq!(sum(&octets[20..]), 0xFFFF);
        assert_eq!(reply.octets.charge(), 2112);
        assert_eq!(queue.stats().sent, 1);
    });
}

/// Turns a datagram round. Sums do not change when addresses and ports change places, so what the
/// kernel left for us to complete, we leave for the kernel to complete.
fn turned_round(pool: &FramePool, packet: &Packet) -> Packet {
    let mut octets = packet.octets.to_vec();
    let (from, to) = octets[12..20].split_at_mut(4);
    from.swap_with_slice(to);
    let (from, to) = octets[20..24].split_at_mut(2);
    from.swap_with_slice(to);
    let mut back = Packet::plain(Chain::from(pool.copy_of(&octets, 0).unwrap()));
    back.offload.checksum = ChecksumState::Partial { start: 20, offset: 6 };
    back
}

#[test]
fn datagrams_come_back_with_a_checksum_the_kernel_completed() {
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        for len in [1, 100, 101, 1000, 1472] {
            let message = vec![len as u8; len];
            socket.send_to(&message, SocketAddr::from((OURS, 7))).unwrap();
            let packet = wait_for(&mut queue, &pool, |octets| is_ipv4(octets, UDP));
            assert_eq!(
                (packet.len(), packet.offload.checksum),
                (28 + len, ChecksumState::Verified)
            );
            // One that is hardly longer than those before it moves to a small frame too.
            assert_eq!(packet.octets.charge(), if len <= 101 { 256 } else { 2112 });
            send(&mut queue, turned_round(&pool, &packet));
            let mut answer = [0; 2000];
            assert_eq!(socket.recv(&mut answer).unwrap(), len);
            assert_eq!(&answer[..len], message);
        }
        assert_eq!((queue.stats().refused, queue.stats().sent), (0, 5));
        drop(queue);
        assert_eq!(pool.stats().used_octets, 0, "spare frames go home with the queue");
    });
}

#[test]
fn packets_wait_in_the_kernel_until_they_are_read() {
    const PACKETS: usize = 4000;
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        for _ in 0..PACKETS {
            socket.send_to(&[0; 64], SocketAddr::from((OURS, 7))).unwrap();
        }
        let (mut batch, mut datagrams) = (RxBatch::new(64), 0);
        while queue.receive(&pool, &mut batch) > 0 {
            assert!(batch.len() <= 64);
            while let Some(packet) = batch.pop() {
                datagrams += usize::from(is_ipv4(&packet.octets.to_vec(), UDP));
            }
        }
        assert_eq!(datagrams, PACKETS);
    });
}

#[test]
fn many_slices_make_one_packet() {
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        for slices in [2, 39, 40, 41, 100] {
            let message: Vec<u8> = (0..10 * slices).map(|at| at as u8).collect();
            let [l0, l1] = (8 + message.len() as u16).to_be_bytes();
            let header = ipv4(UDP, &[&[0, 7, 0, 7, l0, l1, 0, 0], &message[..]].concat());
            let mut packet = Packet::plain(pool.copy_of(&header[..28], 0).unwrap().into());
            for part in message.chunks(10) {
                packet.octets.push_back(pool.copy_of(part, 0).unwrap());
            }
            assert_eq!(packet.octets.slice_count(), slices + 1);
            send(&mut queue, packet);
            let mut answer = [0; 2000];
            let count = socket.recv(&mut answer).unwrap();
            assert_eq!(&answer[..count], message);
        }
        assert_eq!(queue.stats().gathered, 3);
    });
}

#[test]
fn a_packet_the_kernel_refuses_is_dropped_and_counted() {
    in_namespace(|| {
        let (mut queue, pool) = (open(&config()), pool());
        ip("link set utcp0 down");
        let packet = Packet::plain(pool.copy_of(&ipv4(ICMP, &[0; 8]), 0).unwrap().into());
        assert_eq!(send(&mut queue, packet), 1);
        assert_eq!((queue.stats().refused, queue.stats().sent), (1, 0));
    });
}

#[test]
fn small_packets_come_through_when_the_pool_is_empty() {
    in_namespace(|| {
        let mut queue = open(&TunConfig { mtu: 9000, ..config() });
        let pool = FramePool::new(&PoolConfig { octets: 0, reserve_small: 10 });
        let hog = pool.take(Class::Large, 0).unwrap();
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        let send = |len| socket.send_to(&vec![7; len], SocketAddr::from((OURS, 7))).unwrap();
        send(1000);
        send(8000);
        send(100);
        let packet = wait_for(&mut queue, &pool, |octets| is_ipv4(octets, UDP));
        assert_eq!((packet.len(), pool.stats().reserve_out), (128, 1));
        let kept: Vec<_> = (0..200)
            .filter_map(|_| {
                send(100);
                let mut batch = RxBatch::new(1);
                queue.receive(&pool, &mut batch);
                batch.pop()
            })
            .collect();
        assert_eq!(kept.len(), 131, "half of the reserve stays for what must be sent");
        assert!(queue.stats().no_frame >= 2 + 69);
        drop((hog, kept, packet));
        send(8000);
        let packet = wait_for(&mut queue, &pool, |octets| octets.len() > 8000);
        assert_eq!(packet.len(), 8028);
    });
}

//! Single packets, both ways.
use crate::common::*;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use usertcp_device::{ChecksumState, Packet, Queue, RxBatch};
use usertcp_device_linux::xdp::{PartialChecksums, XdpConfig, XdpQueue};
use usertcp_frame::FramePool;

/// The kernel's SYN to us, and whether its sum was complete.
fn syn(queue: &mut XdpQueue, pool: &FramePool) -> (Packet, bool) {
    let attempt = std::thread::spawn(|| {
        let to = SocketAddr::from((OURS, 80));
        TcpStream::connect_timeout(&to, Duration::from_millis(50)).is_err()
    });
    let packet = wait_for(queue, pool, |octets| is(octets, TCP));
    let octets = packet.octets.to_vec();
    assert_eq!(&octets[..12], [OUR_MAC, KERNEL_MAC].concat());
    assert_eq!((&octets[30..34], &octets[36..38]), (&OURS[..], &[0, 80][..]));
    assert_eq!(octets[47] & 0x3F, 2, "a SYN");
    assert!(attempt.join().unwrap());
    (packet, transport_sum(&octets) == 0xFFFF)
}

#[test]
fn unfinished_checksums_are_vouched_for_on_veth() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let (packet, complete) = syn(&mut queue, &pool);
        assert!(!complete, "the kernel left it unfinished");
        assert_eq!(packet.offload.checksum, ChecksumState::Verified);
        assert_eq!(packet.offload.gso, None);
        assert_eq!(packet.octets.charge(), 2112, "it lies where the kernel put it");
        assert!(queue.stats().unfinished_checksums >= 1);
        assert_eq!((queue.stats().octets_copied, pool.stats().octets_copied), (0, 0));
        assert_eq!((queue.stats().kicks, queue.stats().polls), (0, 0), "no system call");
    });
}

#[test]
fn unfinished_checksums_are_wrong_where_they_are_refused() {
    on_veth(|| {
        let pool = pool();
        let refuse = PartialChecksums::Refuse;
        let mut queue = open(&XdpConfig { partial_checksums: refuse, ..config() }, &pool);
        let (packet, complete) = syn(&mut queue, &pool);
        assert!(!complete);
        assert_eq!(packet.offload.checksum, ChecksumState::Unverified, "the stack will drop it");
        assert_eq!(queue.stats().unfinished_checksums, 0);
    });
}

#[test]
fn other_checksums_are_left_to_the_stack_right_or_wrong() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let mut segment = [0, 7, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 2, 0xFF, 0xFF, 0, 0, 0, 0];
        let pseudo = [&KERNEL[..], &OURS, &[0, TCP, 0, 20]].concat();
        let right = !sum(&[&pseudo[..], &segment].concat());
        for (checksum, complete) in [(right, true), (right ^ 0x0400, false), (0, false)] {
            segment[16..18].copy_from_slice(&checksum.to_be_bytes());
            send_raw(&segment);
            let packet = wait_for(&mut queue, &pool, |frame| is(frame, TCP));
            assert_eq!(packet.offload.checksum, ChecksumState::Unverified);
            assert_eq!(transport_sum(&packet.octets.to_vec()) == 0xFFFF, complete);
        }
    });
}

#[test]
fn an_echo_request_by_hand_is_answered_by_the_kernel() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let mut echo = vec![8, 0, 0, 0, 1, 2, 3, 4];
        echo.extend((0..1400).map(|at| at as u8));
        let checksum = !sum(&echo);
        echo[2..4].copy_from_slice(&checksum.to_be_bytes());
        let request = pool.copy_of(&frame(ICMP, &echo), 0).unwrap();
        assert_eq!(send(&mut queue, Packet::plain(request.into())), 1);
        let reply = wait_for(&mut queue, &pool, |octets| is(octets, ICMP));
        let octets = reply.octets.to_vec();
        assert_eq!((octets[34], &octets[38..]), (0, &echo[4..]));
        let stats = queue.stats();
        assert_eq!((stats.sent, stats.kicks, stats.octets_copied), (1, 1, 0));
        assert_eq!(stats.strange, 0);
    });
}

#[test]
fn a_sleep_sends_what_was_left_to_it() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let mut echo = [8, 0, 0, 0, 1, 2, 3, 4];
        let checksum = !sum(&echo);
        echo[2..4].copy_from_slice(&checksum.to_be_bytes());
        let request = || Packet::plain(pool.copy_of(&frame(ICMP, &echo), 0).unwrap().into());
        let is_reply = |octets: &[u8]| is(octets, ICMP) && octets[34] == 0;
        queue.defer_sends();
        assert_eq!(send(&mut queue, request()), 1);
        // On veth the kernel answers within the call that sends.
        let mut batch = RxBatch::new(64);
        queue.receive(&pool, &mut batch);
        assert!(!batch.iter().any(|packet| is_reply(&packet.octets.to_vec())), "not sent yet");
        sleep(&queue);
        wait_for(&mut queue, &pool, is_reply);
        assert_eq!((queue.stats().sent, queue.stats().kicks), (1, 0), "no call of its own");
        // Who does not sleep sends it off, once.
        assert_eq!(send(&mut queue, request()), 1);
        queue.send_off();
        wait_for(&mut queue, &pool, is_reply);
        queue.send_off();
        assert_eq!((queue.stats().sent, queue.stats().kicks), (2, 1));
    });
}

#[test]
fn only_what_is_ours_arrives() {
    on_veth(|| {
        let pool = pool();
        ip("neigh del 10.9.0.2 dev kern0");
        let mut queue = open(&config(), &pool);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        let six = UdpSocket::bind("[fd00:9::1]:0").unwrap();
        // Nobody answers, so each sends a question for the address.
        for at in ["10.9.0.3:7", "10.9.0.2:7"] {
            socket.send_to(b"?", at).unwrap();
        }
        for at in ["[fd00:9::3]:7", "[fd00:9::2]:7"] {
            six.send_to(b"?", at).unwrap();
        }
        let arp = wait_for(&mut queue, &pool, |frame| frame[12..14] == [8, 6]);
        assert_eq!(&arp.octets.to_vec()[38..42], &OURS, "the question for us alone");
        let solicitation = wait_for(&mut queue, &pool, |frame| frame[12..14] == [0x86, 0xdd]);
        assert_eq!(solicitation.octets.to_vec()[62 + 15], 2);
        // Then to our place, one for us and one for another.
        for address in ["10.9.0.2", "10.9.0.3"] {
            ip(&format!("neigh replace {address} lladdr 02:00:00:00:09:02 dev kern0"));
        }
        socket.send_to(b"other", "10.9.0.3:7").unwrap();
        socket.send_to(b"ours", "10.9.0.2:7").unwrap();
        let datagram = wait_for(&mut queue, &pool, |frame| is(frame, UDP) && frame.len() > 43);
        assert_eq!(&datagram.octets.to_vec()[42..46], b"ours");
    });
}

#[test]
fn many_slices_make_one_packet() {
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        for slices in [1, 2, 15, 16, 100] {
            let message: Vec<u8> = (0..10 * slices).map(|at| at as u8).collect();
            let [l0, l1] = (8 + message.len() as u16).to_be_bytes();
            let frame = frame(UDP, &[&[0, 7, 0, 7, l0, l1, 0, 0], &message[..]].concat());
            let mut packet = Packet::plain(pool.copy_of(&frame[..42], 0).unwrap().into());
            for part in message.chunks(10) {
                packet.octets.push_back(pool.copy_of(part, 0).unwrap());
            }
            assert_eq!(packet.octets.slice_count(), slices + 1);
            assert_eq!(send(&mut queue, packet), 1);
            let mut answer = [0; 2000];
            let count = socket.recv(&mut answer).unwrap();
            assert_eq!(&answer[..count], message);
        }
        let stats = queue.stats();
        assert_eq!((stats.sent, stats.gathered, stats.refused), (5, 2, 0), "16 parts and no more");
        assert_eq!(stats.octets_copied, 42 + 160 + 42 + 1000);
    });
}

#[test]
fn packets_longer_than_a_buffer_pass_both_ways_in_parts() {
    on_veth(|| {
        for end in ["kern0", "ours0"] {
            ip(&format!("link set {end} mtu 9000"));
        }
        let pool = pool();
        let mut queue = open(&config(), &pool);
        assert_eq!(queue.facts().mtu, 9000);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 7))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let message: Vec<u8> = (0..8900_u32).map(|at| ((at * 7) >> 3) as u8).collect();
        socket.send_to(&message, SocketAddr::from((OURS, 7))).unwrap();
        let packet = wait_for(&mut queue, &pool, |frame| is(frame, UDP));
        assert_eq!((packet.len(), packet.octets.slice_count()), (8942, 5));
        assert_eq!(&packet.octets.to_vec()[42..], message);
        // And back, from one large frame.
        let [l0, l1] = (8 + message.len() as u16).to_be_bytes();
        let frame = frame(UDP, &[&[0, 7, 0, 7, l0, l1, 0, 0], &message[..]].concat());
        let copied = pool.stats().octets_copied;
        let large = pool.copy_of(&frame, 0).unwrap();
        assert_eq!(large.charge(), 67_584);
        send(&mut queue, Packet::plain(large.into()));
        let mut answer = vec![0; 10_000];
        let count = socket.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], message);
        assert_eq!((queue.stats().octets_copied, queue.stats().gathered), (0, 0));
        assert_eq!(pool.stats().octets_copied - copied, frame.len() as u64, "our own copy_of");
    });
}

#[test]
fn packets_wait_in_the_ring_until_they_are_read_and_the_rest_is_counted() {
    const PACKETS: usize = 3000;
    on_veth(|| {
        let pool = pool();
        let mut queue = open(&config(), &pool);
        let socket = UdpSocket::bind(SocketAddr::from((KERNEL, 0))).unwrap();
        for _ in 0..PACKETS {
            socket.send_to(&[0; 64], SocketAddr::from((OURS, 7))).unwrap();
        }
        assert!(queue.has_waiting());
        let (mut batch, mut datagrams) = (RxBatch::new(64), 0);
        while queue.receive(&pool, &mut batch) > 0 {
            assert!(batch.len() <= 64);
            while let Some(packet) = batch.pop() {
                datagrams += usize::from(is(&packet.octets.to_vec(), UDP));
            }
        }
        assert!((2000..=2048).contains(&datagrams), "{datagrams}");
        assert!(!queue.has_waiting());
        // The ring is as usable as before.
        socket.send_to(b"again", SocketAddr::from((OURS, 7))).unwrap();
        wait_for(&mut queue, &pool, |frame| is(frame, UDP) && &frame[42..47] == b"again");
        assert_eq!(queue.stats().polls, 0, "not one system call for {datagrams} packets");
    });
}

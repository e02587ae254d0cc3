//! Single frames, and which of them come.
#![allow(unsafe_code)]

use crate::common::*;
use std::net::UdpSocket;
use usertcp_device::{ChecksumState, Device, FlowEnd, Offload, Packet as Octets, Queue, SteerRule};
use usertcp_device_linux::packet::{Packet, PacketConfig, PacketHandle};
use usertcp_frame::{Chain, Class, FramePool, PoolConfig};

/// An echo request from us.
fn ping(pool: &FramePool) -> Octets {
    let mut echo = vec![8, 0, 0, 0, 0, 7, 0, 1, b'h', b'i'];
    let checksum = !sum(&echo);
    echo[2..4].copy_from_slice(&checksum.to_be_bytes());
    Octets::plain(Chain::from(pool.copy_of(&frame(ICMP, &echo), 0).unwrap()))
}

#[test]
fn the_kernel_asks_for_us_and_answers_us() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&config()), pool());
        host.ask(|| run("neigh del 10.9.0.2 dev a0"));
        host.ask(|| drop(UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "10.9.0.2:7")));
        let question = wait_for(&mut queue, &pool, |frame| frame[12..14] == [8, 6]).octets.to_vec();
        assert_eq!((&question[..6], &question[38..42]), (&[0xFF; 6][..], &OURS[..]));
        host.ask(|| run("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev a0"));
        assert_eq!(send(&mut queue, ping(&pool)), 1);
        let reply = wait_for(&mut queue, &pool, |frame| is(frame, ICMP)).octets.to_vec();
        assert_eq!(reply[..14], [&OUR_MAC[..], &KERNEL_MAC, &[8, 0]].concat());
        assert_eq!((reply[34], &reply[42..44]), (0, &b"hi"[..]));
        let stats = queue.stats();
        assert_eq!((stats.sent, stats.refused, stats.overflowed), (1, 0, 0), "{stats:?}");
    });
}

#[test]
fn datagrams_come_vouched_for_and_go_with_a_checksum_the_kernel_completes() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&config()), pool());
        let port = host.ask(|| {
            let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
            socket.send_to(b"to us", "10.9.0.2:7").unwrap();
            let port = socket.local_addr().unwrap().port();
            // It stays open: what comes back is to be read.
            SOCKET.set(socket).unwrap();
            port
        });
        let packet = wait_for(&mut queue, &pool, |frame| is(frame, UDP));
        // A checksum that this host never finished was never on a wire.
        assert_eq!(packet.offload.checksum, ChecksumState::Verified);
        assert_eq!(packet.octets.to_vec()[42..], *b"to us");
        let [p0, p1] = port.to_be_bytes();
        let mut datagram = vec![0, 7, p0, p1, 0, 13, 0, 0];
        let pseudo = [&OURS[..], &KERNEL, &[0, UDP, 0, 13]].concat();
        datagram[6..8].copy_from_slice(&sum(&pseudo).to_be_bytes());
        datagram.extend(b"reply");
        let checksum = ChecksumState::Partial { start: 34, offset: 6 };
        let offload = Offload { checksum, gso: None, header_octets: 42 };
        let octets = pool.copy_of(&frame(UDP, &datagram), 0).unwrap().into();
        assert_eq!(send(&mut queue, Octets { offload, octets }), 1);
        let came = host.ask(|| {
            let socket = SOCKET.get().unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
            let mut octets = [0; 16];
            let count = socket.recv(&mut octets).unwrap();
            octets[..count].to_vec()
        });
        assert_eq!(came, b"reply");
    });
}

static SOCKET: std::sync::OnceLock<UdpSocket> = std::sync::OnceLock::new();

/// Sends a datagram of one octet to each.
fn datagrams(host: &Host, to: &'static [&'static str]) {
    host.ask(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for to in to {
            socket.send_to(b"x", to).unwrap();
        }
    });
}

#[test]
fn frames_for_others_do_not_come() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&config()), pool());
        host.ask(|| {
            run("neigh add 10.9.0.3 lladdr 02:00:00:00:00:02 dev a0");
            run("neigh add 10.9.0.4 lladdr 02:00:00:00:00:04 dev a0");
        });
        all(&mut queue, &pool);
        datagrams(host, &["10.9.0.3:7", "10.9.0.4:7", "10.9.0.2:7"]);
        let came: Vec<_> = all(&mut queue, &pool).into_iter().filter(|f| is(f, UDP)).collect();
        assert_eq!(came.len(), 1);
        assert_eq!(came[0][30..34], OURS);
    });
}

#[test]
fn frames_of_a_vlan_do_not_come() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&config()), pool());
        all(&mut queue, &pool);
        host.ask(|| {
            let other = PacketConfig { interface: "a0".into(), ..PacketConfig::default() };
            let (mut queue, pool) = (open(&other), self::pool());
            let mut plain = frame(UDP, &[0, 9, 0, 7, 0, 8, 0, 0]);
            plain[..12].copy_from_slice(&[OUR_MAC, KERNEL_MAC].concat());
            plain[26..34].copy_from_slice(&[KERNEL, OURS].concat());
            let mut tagged = plain.clone();
            tagged.splice(12..12, [0x81, 0, 0, 5]);
            for octets in [tagged, plain] {
                let octets = pool.copy_of(&octets, 0).unwrap();
                assert_eq!(send(&mut queue, Octets::plain(octets.into())), 1);
            }
            assert_eq!(queue.stats().refused, 0);
        });
        let came: Vec<_> = all(&mut queue, &pool).into_iter().filter(|f| is(f, UDP)).collect();
        // The kernel takes tags off: had it come, nobody could tell it from the other.
        assert_eq!(came.len(), 1, "{came:?}");
    });
}

#[test]
fn what_this_host_sends_does_not_come() {
    with_kernel(|_| {
        run("addr add 10.9.0.5/24 dev b0");
        run("neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev b0");
        let (mut queue, pool) = (open(&config()), pool());
        UdpSocket::bind("10.9.0.5:0").unwrap().send_to(b"x", "10.9.0.2:7").unwrap();
        let came = all(&mut queue, &pool);
        assert!(!came.iter().any(|frame| is(frame, UDP)), "{came:?}");
    });
}

#[test]
fn an_address_of_our_own_on_the_link_is_heard() {
    with_kernel(|host| {
        let mac = Some([2, 0, 0, 0, 0, 7]);
        let (mut queue, pool) = (open(&PacketConfig { mac, ..config() }), pool());
        host.ask(|| run("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:07 dev a0"));
        datagrams(host, &["10.9.0.2:7"]);
        let frame = wait_for(&mut queue, &pool, |frame| is(frame, UDP)).octets.to_vec();
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 7]);
    });
}

#[test]
fn many_frames_come_and_go_in_few_calls() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&config()), pool());
        all(&mut queue, &pool);
        let calls = |stats: usertcp_device_linux::packet::PacketStats| {
            (stats.receive_calls, stats.send_calls)
        };
        let before = calls(queue.stats());
        let mut batch = usertcp_device::TxBatch::new(64);
        (0..64).for_each(|_| batch.push(ping(&pool)).unwrap());
        assert_eq!(queue.transmit(&mut batch), 64);
        host.ask(|| ());
        let replies = all(&mut queue, &pool).iter().filter(|frame| is(frame, ICMP)).count();
        assert_eq!(replies, 64);
        let after = calls(queue.stats());
        assert_eq!(after.1 - before.1, 4);
        // Twice as many each time, from two to sixteen.
        assert!(after.0 - before.0 <= 8, "{} calls", after.0 - before.0);
    });
}

#[test]
fn small_frames_come_through_when_the_pool_is_empty() {
    with_kernel(|host| {
        let mut queue = open(&config());
        let pool = FramePool::new(&PoolConfig { octets: 1 << 20, reserve_small: 64 });
        let held: Vec<_> = std::iter::from_fn(|| pool.take(Class::Full, 0)).collect();
        datagrams(host, &["10.9.0.2:7"]);
        wait_for(&mut queue, &pool, |frame| is(frame, UDP));
        assert!(queue.stats().detours > 0, "{:?}", queue.stats());
        drop(held);
    });
}

#[test]
fn what_found_no_room_is_counted() {
    with_kernel(|host| {
        let (mut queue, pool) = (open(&PacketConfig { buffer_octets: 1, ..config() }), pool());
        host.ask(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            (0..200).for_each(|_| drop(socket.send_to(&[0; 1400], "10.9.0.2:7")));
        });
        let came = all(&mut queue, &pool).iter().filter(|frame| is(frame, UDP)).count() as u64;
        let stats = queue.stats();
        assert!(came > 0 && stats.overflowed > 0, "{came} {stats:?}");
        assert!(came + stats.overflowed >= 200, "{came} {stats:?}");
        assert_eq!(queue.stats().overflowed, stats.overflowed, "told twice");
    });
}

#[test]
fn flows_are_spread_over_queues_and_stay_there() {
    with_kernel(|host| {
        let device = Packet::open(&config().queues(2)).unwrap();
        spread(host, device.handles, None);
    });
}

/// With the stack's rule as a program every flow comes by its shard's queue.
#[test]
fn the_kernel_leads_connections_to_their_shard() {
    with_kernel(|host| {
        let rule = SteerRule::new([7, 11], 2);
        let handles = config().open(&rule).unwrap();
        spread(host, handles, Some(rule));
    });
}

fn spread(host: &Host, handles: Vec<PacketHandle>, rule: Option<SteerRule>) {
    assert_eq!(handles.len(), 2);
    let mut queues: Vec<_> = handles.into_iter().map(PacketHandle::into_queue).collect();
    let pool = pool();
    // Attempts to connect, which nobody answers.
    host.ask(|| {
        let attempt = || {
            // Not safely: std's own calls wait for the answer.
            // SAFETY: a socket of our own; the address outlives the call.
            unsafe {
                let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
                let socket = libc::socket(libc::AF_INET, kind, 0);
                let address = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: 7u16.to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(OURS) },
                    sin_zero: [0; 8],
                };
                let octets = size_of::<libc::sockaddr_in>() as u32;
                libc::connect(socket, (&raw const address).cast(), octets);
                libc::close(socket);
            }
        };
        (0..64).for_each(|_| attempt());
    });
    let mut came = Vec::new();
    for (index, queue) in (0u16..).zip(&mut queues) {
        let frames = all(queue, &pool);
        let mut ports: Vec<_> =
            frames.iter().filter(|frame| is(frame, TCP)).map(|f| [f[34], f[35]]).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in &ports {
            let remote = FlowEnd { address: KERNEL.into(), port: u16::from_be_bytes(*port) };
            let local = FlowEnd { address: OURS.into(), port: 7 };
            assert!(rule.is_none_or(|rule| rule.owner(remote, local) == index));
        }
        came.push(ports);
    }
    assert_eq!(came[0].len() + came[1].len(), 64);
    assert!(came.iter().all(|ports| ports.len() > 8), "{} {}", came[0].len(), came[1].len());
    assert!(came[0].iter().all(|port| came[1].binary_search(port).is_err()));
    // What is about neighbours every queue hears.
    host.ask(|| run("neigh del 10.9.0.2 dev a0"));
    host.ask(|| drop(UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "10.9.0.2:7")));
    for queue in &mut queues {
        wait_for(queue, &pool, |frame| frame[12..14] == [8, 6] && frame[38..42] == OURS);
    }
}

//! Bulk data between two kernels, with our queues as the wire between their cables: super-packets in
//! both directions, octet by octet.
use crate::common::bulk::{receiver, sender, wire};
use crate::common::*;
use std::net::SocketAddr;
use std::time::Instant;
use usertcp_device::{ChecksumState, Packet as Octets};
use usertcp_device_linux::packet::PacketConfig;

const OCTETS: usize = 32 << 20;

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
        hosts[0].tell(move || sender(listen, OCTETS));
        hosts[1].tell(move || receiver(listen, OCTETS));
        let threads = hosts.map(Host::end);
        let start = Instant::now();
        let longest = wire(&pool(), &mut queues, onward, || {
            threads.iter().all(|thread| thread.is_finished())
        });
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

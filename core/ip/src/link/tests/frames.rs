//! Which frames are for us, and what the header costs.
use super::*;
use usertcp_frame::{Gso, GsoKind};

#[test]
fn a_packet_for_us_loses_its_header() {
    let mut lab = Lab::new();
    let packet = ip_packet(OURS);
    let (taken, inside) = lab.arrives(&frame(OUR_MAC, PEER_MAC, Kind::Ipv4, &packet));
    assert!(matches!(taken, LinkInput::Network));
    assert_eq!(inside.octets.to_vec(), packet);
    let packet = ip_packet(OURS_6);
    let (taken, inside) = lab.arrives(&frame(OUR_MAC, PEER_MAC, Kind::Ipv6, &packet));
    assert!(matches!(taken, LinkInput::Network) && inside.octets.to_vec() == packet);
}

#[test]
fn other_frames_are_dropped_each_for_its_reason() {
    let mut lab = Lab::new();
    let four = ip_packet(OURS);
    let six = ip_packet(OURS_6);
    for (what, octets, reason) in [
        ("nothing", Vec::new(), DropReason::LinkMalformed),
        ("half a header", four[..13].to_vec(), DropReason::LinkMalformed),
        (
            "another station's",
            frame(OTHER_MAC, PEER_MAC, Kind::Ipv4, &four),
            DropReason::LinkNotOurs,
        ),
        ("a header alone", frame(OUR_MAC, PEER_MAC, Kind::Ipv4, &[]), DropReason::LinkMalformed),
        ("a VLAN's", frame(OUR_MAC, PEER_MAC, Kind::Vlan, &four), DropReason::LinkVlan),
        ("LLDP", frame(OUR_MAC, PEER_MAC, Kind::Other(0x88CC), &four), DropReason::LinkKind),
        (
            "TCP to all",
            frame(ethernet::BROADCAST, PEER_MAC, Kind::Ipv4, &four),
            DropReason::IpBroadcast,
        ),
        (
            "TCP to a group",
            frame([0x33, 0x33, 0, 0, 0, 1], PEER_MAC, Kind::Ipv6, &six),
            DropReason::IpBroadcast,
        ),
        (
            "ARP cut short",
            frame(OUR_MAC, PEER_MAC, Kind::Arp, &four[..27]),
            DropReason::LinkMalformed,
        ),
    ] {
        if octets.is_empty() {
            let nothing = lab.link.input(lab.now, &mut Packet::default(), &lab.pool);
            assert!(matches!(nothing, LinkInput::Drop(DropReason::LinkMalformed)));
        } else {
            assert_eq!(lab.refused(&octets), reason, "{what}");
        }
    }
}

#[test]
fn offsets_count_from_the_frames_start_outside_and_from_the_packets_inside() {
    let mut lab = Lab::new();
    lab.resolve(PEER, PEER_MAC);
    let octets = lab.pool.copy_of(&ip_packet(PEER), LINK_HEADROOM).unwrap();
    let gso = Some(Gso { kind: GsoKind::Tcp4, segment_octets: 1448 });
    let checksum = ChecksumState::Partial { start: 20, offset: 16 };
    let offload = Offload { checksum, gso, header_octets: 52 };
    let mut packet = Packet { offload, octets: octets.into() };
    let sent = lab.link.output(lab.now, &mut packet, &lab.pool);
    assert!(matches!(sent, LinkOutput::Send));
    let checksum = ChecksumState::Partial { start: 34, offset: 16 };
    assert_eq!(packet.offload, Offload { checksum, gso, header_octets: 66 });
    if let Some(mut front) = packet.octets.front_mut() {
        front.bytes_mut().unwrap()[..6].copy_from_slice(&OUR_MAC);
    }
    let taken = lab.link.input(lab.now, &mut packet, &lab.pool);
    assert!(matches!(taken, LinkInput::Network));
    assert_eq!(packet.offload, offload);
}

#[test]
fn a_shared_frame_gets_its_header_apart() {
    let mut lab = Lab::new();
    lab.resolve(PEER, PEER_MAC);
    let packet = ip_packet(PEER);
    let slice = lab.pool.copy_of(&packet, LINK_HEADROOM).unwrap();
    let shared = slice.clone();
    let mut sent = Packet::plain(slice.into());
    let outcome = lab.link.output(lab.now, &mut sent, &lab.pool);
    assert!(matches!(outcome, LinkOutput::Send));
    assert_eq!(sent.octets.to_vec()[HEADER_OCTETS..], packet);
    assert_eq!(&shared[..], packet);
    assert_eq!(lab.link.stats().headers_apart, 1);
}

#[test]
fn destinations_off_the_link_go_by_the_gateway_of_their_family() {
    let mut lab = Lab::new();
    for far in ["192.0.2.7", "2001:db8:7::7"] {
        let outcome = lab.output(&ip_packet(far));
        assert!(matches!(outcome, LinkOutput::Drop(DropReason::NeighbourUnreachable)));
    }
    let gateways = ["fe80::254", "10.0.0.254", "10.0.0.253"].map(|text| text.parse().unwrap());
    let mut lab = Lab::with(LinkConfig { gateways: gateways.to_vec(), ..config() });
    lab.resolve("fe80::254", OTHER_MAC);
    lab.resolve("10.0.0.254", PEER_MAC);
    for _ in 0..2 {
        assert_eq!(lab.sent("192.0.2.7"), PEER_MAC);
        assert_eq!(lab.sent("198.51.100.1"), PEER_MAC);
        assert_eq!(lab.sent("2001:db8:7::7"), OTHER_MAC);
    }
    assert_eq!(lab.link.stats().neighbours, 2);
    // Of our own networks nobody else is asked.
    lab.waits(PEER);
    assert_eq!(lab.arp().1.target, four(PEER));
}

#[test]
fn packets_that_are_none_are_not_sent() {
    let mut lab = Lab::new();
    for octets in [&[0x45; 10][..], &[0x75; 60]] {
        let outcome = lab.output(octets);
        assert!(matches!(outcome, LinkOutput::Drop(DropReason::IpMalformed)), "{outcome:?}");
    }
}

#[test]
fn without_a_frame_nothing_breaks_and_the_question_is_asked_again() {
    let mut lab = Lab::new();
    lab.pool = FramePool::new(&PoolConfig { octets: 0, reserve_small: 1 });
    let held: Vec<_> = core::iter::from_fn(|| lab.pool.take_control(0)).collect();
    let other = FramePool::new(&PoolConfig::default());
    let octets = other.copy_of(&ip_packet(PEER), LINK_HEADROOM).unwrap();
    let outcome = lab.link.output(lab.now, &mut Packet::plain(octets.into()), &lab.pool);
    assert!(matches!(outcome, LinkOutput::Waits));
    assert_eq!(lab.drops(), [(DropReason::PoolEmpty, 1)]);
    drop(held);
    lab.pass(Span::from_secs(1));
    assert_eq!(lab.arp().1.target, four(PEER));
}

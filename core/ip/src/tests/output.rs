//! Headers of what we send.

use super::*;
use proptest::prelude::*;
use usertcp_base::{FlowKey, LocalIndex};

fn flow(remote: &str, local: u16) -> FlowKey {
    FlowKey {
        remote: remote_address(ip(remote)),
        local: LocalIndex(local),
        remote_port: 1,
        local_port: 2,
    }
}

fn slice(pool: &FramePool) -> usertcp_frame::FrameSlice {
    pool.copy_of(&tcp_segment(5, 3), 60).unwrap()
}

#[test]
fn the_golden_ipv4_header() {
    let (layer, pool) = (layer(), pool());
    let mut slice = slice(&pool);
    let outgoing = Outgoing { ecn: Ecn::Capable0, dscp: 46, ttl: 0, flow_label: 7 };
    let flow = flow(PEER, 2);
    assert_eq!(layer.output(&flow, &outgoing, 1000, &mut slice), Ok(()));
    assert_eq!(layer.header_octets(&flow), 20);
    let (header, len) = ipv4::parse(&slice, 2000).unwrap();
    assert_eq!((len, slice.len()), (20, 43));
    assert_eq!(
        header,
        ipv4::Header {
            dscp: 46,
            ecn: Ecn::Capable0,
            total_octets: 1020,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: DEFAULT_TTL,
            protocol: 6,
            source: Ipv4Addr::new(10, 0, 0, 2),
            destination: Ipv4Addr::new(192, 0, 2, 9),
        }
    );
}

#[test]
fn the_golden_ipv6_header() {
    let (layer, pool) = (layer(), pool());
    let mut slice = slice(&pool);
    let outgoing = Outgoing { ecn: Ecn::Capable1, dscp: 1, ttl: 255, flow_label: 0xABCDE };
    let flow = flow(PEER_6, 1);
    assert_eq!(layer.output(&flow, &outgoing, 65_535, &mut slice), Ok(()));
    assert_eq!(layer.header_octets(&flow), 40);
    let header = ipv6::parse(&slice, 70_000).unwrap();
    assert_eq!((header.payload_octets, header.next_header), (65_535, 6));
    assert_eq!((header.flow_label, header.hop_limit), (0xABCDE, 255));
    assert_eq!((header.ecn, header.dscp), (Ecn::Capable1, 1));
    assert_eq!(IpAddr::V6(header.source), ip(OURS_6));
    assert_eq!(IpAddr::V6(header.destination), ip(PEER_6));
}

#[test]
fn mistakes_write_nothing() {
    let (layer, pool) = (layer(), pool());
    let outgoing = Outgoing::default();
    let mut good = slice(&pool);
    let mut try_with = |flow, octets| layer.output(&flow, &outgoing, octets, &mut good);
    assert_eq!(try_with(flow(PEER, 1), 20), Err(NotWritten::Address));
    assert_eq!(try_with(flow(PEER_6, 0), 20), Err(NotWritten::Address));
    assert_eq!(try_with(flow(PEER, 9), 20), Err(NotWritten::Address));
    assert_eq!(try_with(flow(PEER, 0), 65_516), Err(NotWritten::Length));
    assert_eq!(try_with(flow(PEER, 0), u32::MAX), Err(NotWritten::Length));
    assert_eq!(try_with(flow(PEER_6, 1), 65_536), Err(NotWritten::Length));
    let mut shared = good.clone();
    assert_eq!(layer.output(&flow(PEER, 0), &outgoing, 23, &mut shared), Err(NotWritten::Headroom));
    assert_eq!(good.len(), 23);
    let mut cramped = pool.copy_of(&[0; 20], 39).unwrap();
    assert_eq!(
        layer.output(&flow(PEER_6, 1), &outgoing, 20, &mut cramped),
        Err(NotWritten::Headroom)
    );
}

#[test]
fn the_pseudo_sum_is_that_of_the_packet() {
    let layer = layer();
    let four = checksum::pseudo_v4([10, 0, 0, 1], [192, 0, 2, 9], 6, 77);
    assert_eq!(layer.pseudo_sum(&flow(PEER, 0), 77), four);
    assert_eq!(layer.pseudo_sum(&flow(PEER_6, 1), 77), pseudo_6(OURS_6, PEER_6, 6, 77));
    assert_eq!(layer.pseudo_sum(&flow(PEER, 1), 77), 0);
}

#[test]
fn flow_labels_belong_to_flows() {
    let layer = layer();
    let (one, other) = (flow(PEER_6, 1), flow("2001:db8:9::a", 1));
    assert_eq!(layer.flow_label(&one, 0), layer.flow_label(&one, 0));
    assert_ne!(layer.flow_label(&one, 0), layer.flow_label(&other, 0));
    assert_ne!(layer.flow_label(&one, 0), layer.flow_label(&one, 1));
    assert!((1..1 << 20).contains(&layer.flow_label(&one, 0)));
}

#[test]
fn addresses_and_the_mtu_can_be_asked() {
    let mut layer = layer();
    assert_eq!(layer.local(LocalIndex(0)), Some(ip(OURS)));
    assert_eq!(layer.local_index(ip(OURS_6)), Some(LocalIndex(1)));
    assert_eq!(layer.source_for(ip(PEER_6)), Some(LocalIndex(1)));
    layer.set_mtu(9000);
    assert_eq!(layer.mtu(), 9000);
}

proptest! {
    #[test]
    fn what_leaves_arrives(six: bool, dscp in 0u8..64, ecn in 0u8..4, ttl in 1u8.., len in 0usize..1000) {
        let (layer, pool) = (layer(), pool());
        let mut peer = Ip::new(IpConfig {
            addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8:9::9".parse().unwrap()],
            mtu: 1500,
            limits: Limits::default(),
            secrets: Secrets::from_seed([6; 32]).unwrap(),
        });
        let flow = if six { flow(PEER_6, 1) } else { flow(PEER, 0) };
        let segment = tcp_segment(5, len);
        let mut slice = pool.copy_of(&segment, 60).unwrap();
        let outgoing = Outgoing { ecn: Ecn::from_bits(ecn), dscp, ttl, flow_label: 1 };
        layer.output(&flow, &outgoing, segment.len() as u32, &mut slice).unwrap();
        let input = peer.input(NOW, Packet::plain(slice.into()), &pool);
        let Input::Tcp(found) = input else { panic!("{input:?}") };
        prop_assert_eq!((found.ecn, found.dscp, found.ttl), (outgoing.ecn, dscp, ttl));
        prop_assert_eq!(found.partial_sum, layer.pseudo_sum(&flow, segment.len() as u32));
        prop_assert_eq!(ip_address(found.remote), ip(if six { OURS_6 } else { OURS }));
        prop_assert_eq!(found.octets.to_vec(), segment);
    }
}

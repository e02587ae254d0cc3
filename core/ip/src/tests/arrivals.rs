//! TCP segments pass, whole and with what IP knew.

use super::*;
use proptest::prelude::*;
use usertcp_base::LocalIndex;
use usertcp_frame::{ChecksumState, Gso, GsoKind, Offload};

fn tcp(input: Input) -> TcpInput {
    match input {
        Input::Tcp(segment) => segment,
        other => panic!("no segment: {other:?}"),
    }
}

#[test]
fn a_segment_passes_with_its_facts() {
    let (mut layer, pool) = (layer(), pool());
    let segment = tcp_segment(5, 100);
    for (given, local, pseudo) in [
        (v4(6), 0, checksum::pseudo_v4([192, 0, 2, 9], [10, 0, 0, 1], 6, 120)),
        (Given { destination: "10.0.0.2", ..v4(6) }, 2, {
            checksum::pseudo_v4([192, 0, 2, 9], [10, 0, 0, 2], 6, 120)
        }),
        (v6(6), 1, pseudo_6(PEER_6, OURS_6, 6, 120)),
    ] {
        let given = Given { ecn: Ecn::Capable0, ..given };
        let found = tcp(arrive(&mut layer, &given.octets(&segment), &pool));
        assert_eq!(found.remote, remote_address(ip(given.source)));
        assert_eq!(found.local, LocalIndex(local));
        assert_eq!((found.ecn, found.dscp, found.ttl), (Ecn::Capable0, 10, 7));
        assert_eq!(found.partial_sum, pseudo);
        assert!(!found.checksum_verified && found.gso_octets.is_none());
        assert_eq!(found.octets.to_vec(), segment);
    }
}

#[test]
fn padding_of_the_link_is_cut() {
    let (mut layer, pool) = (layer(), pool());
    for given in [v4(6), v6(6)] {
        let mut octets = given.octets(&tcp_segment(5, 0));
        octets.extend([0xEE; 6]);
        assert_eq!(tcp(arrive(&mut layer, &octets, &pool)).octets.len(), 20);
        let found = layer.input(NOW, packet_in_pieces(&octets, 50, &pool), &pool);
        assert_eq!(tcp(found).octets.len(), 20);
    }
}

#[test]
fn options_and_extension_headers_are_passed() {
    let (mut layer, pool) = (layer(), pool());
    let segment = tcp_segment(8, 9);
    let router_alert = Given { extra: vec![148, 4, 0, 0], ..v4(6) };
    let destination = vec![6, 0, 1, 4, 0, 0, 0, 0];
    let extension = Given { extra: destination, first_extension: 60, ..v6(6) };
    for given in [router_alert, extension] {
        let found = tcp(arrive(&mut layer, &given.octets(&segment), &pool));
        assert_eq!(found.octets.to_vec(), segment);
    }
}

#[test]
fn the_device_may_vouch() {
    let (mut layer, pool) = (layer(), pool());
    for (checksum, verified) in [
        (ChecksumState::Unverified, false),
        (ChecksumState::Verified, true),
        (ChecksumState::Partial { start: 20, offset: 16 }, true),
    ] {
        let mut packet = packet(&v4(6).octets(&tcp_segment(5, 9)), &pool);
        let gso = Some(Gso { kind: GsoKind::Tcp4, segment_octets: 5 });
        packet.offload = Offload { checksum, gso, header_octets: 40 };
        let found = tcp(layer.input(NOW, packet, &pool));
        assert_eq!((found.checksum_verified, found.gso_octets), (verified, Some(5)));
    }
}

#[test]
fn headers_are_made_contiguous_only_when_they_are_not() {
    let (mut layer, pool) = (layer(), pool());
    let octets = v4(6).octets(&tcp_segment(15, 1300));
    tcp(arrive(&mut layer, &octets, &pool));
    tcp(layer.input(NOW, packet_in_pieces(&octets, 200, &pool), &pool));
    assert_eq!(layer.stats().made_contiguous, 0);
    for piece in [1, 7, 20, 40, 79] {
        let found = tcp(layer.input(NOW, packet_in_pieces(&octets, piece, &pool), &pool));
        assert!(found.octets.front().unwrap().len() >= 60);
        assert_eq!(found.octets.to_vec(), octets[20..]);
    }
    assert_eq!(layer.stats().made_contiguous, 5);
}

#[test]
fn an_empty_pool_drops_only_what_needs_a_copy() {
    let mut layer = layer();
    let pool = FramePool::new(&PoolConfig { octets: 0, reserve_small: 0 });
    let octets = v4(6).octets(&tcp_segment(5, 100));
    let split = packet_in_pieces(&octets, 30, &pool);
    let whole = packet(&octets, &pool);
    let mut hoard = vec![];
    while let Some(frame) = pool.take_control(0) {
        hoard.push(frame);
    }
    assert_eq!(drop_reason(layer.input(NOW, split, &pool)), DropReason::PoolEmpty);
    tcp(layer.input(NOW, whole, &pool));
}

proptest! {
    #[test]
    fn nothing_panics(
        mut octets in prop::collection::vec(any::<u8>(), 0..200), version in 3u8..8,
        piece in 1usize..250, protocol in prop::sample::select(vec![1u8, 6, 17, 44, 58, 0, 60]),
    ) {
        let (mut layer, pool) = (layer(), pool());
        let _ = arrive(&mut layer, &octets, &pool);
        // The same octets under a header that gets them past the first checks.
        let four = v4(protocol).octets(&octets);
        let _ = layer.input(NOW, packet_in_pieces(&four, piece, &pool), &pool);
        let six = v6(protocol).octets(&octets);
        let _ = layer.input(NOW, packet_in_pieces(&six, piece, &pool), &pool);
        let fragment = Some((1, 0, true));
        let _ = arrive(&mut layer, &Given { fragment, ..v6(protocol) }.octets(&octets), &pool);
        if let Some(first) = octets.first_mut() {
            *first = version << 4 | 5;
        }
        let _ = arrive(&mut layer, &octets, &pool);
        layer.expire(Instant::FAR);
    }

    #[test]
    fn every_truncation_of_a_good_packet_is_survived(cut in 0usize..160, six: bool) {
        let (mut layer, pool) = (layer(), pool());
        let given = if six { v6(6) } else { v4(6) };
        let octets = given.octets(&tcp_segment(5, 100));
        let cut = cut.min(octets.len() - 1);
        prop_assert!(matches!(arrive(&mut layer, &octets[..cut], &pool), Input::Drop(_)));
    }
}

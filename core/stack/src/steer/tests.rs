use super::*;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use usertcp_base::Ecn;
use usertcp_frame::PoolConfig;

const RULE: SteerRule = SteerRule::new([7, 11], 64);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
const OURS_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 4 << 20, reserve_small: 16 })
}

/// `octets` as a packet in slices of at most `piece`.
fn packet(pool: &FramePool, octets: &[u8], piece: usize) -> Packet {
    let mut chain = Chain::new();
    for part in octets.chunks(piece.max(1)) {
        chain.push_back(pool.copy_of(part, 0).unwrap());
    }
    Packet::plain(chain)
}

fn place_whole(octets: &[u8]) -> Place {
    place(&RULE, &packet(&pool(), octets, 2000))
}

fn v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_part(source, destination, protocol, payload, (0, false))
}

fn v4_part(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
    (fragment_offset, more_fragments): (u16, bool),
) -> Vec<u8> {
    let header = ipv4::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        total_octets: (20 + payload.len()) as u16,
        identification: 77,
        dont_fragment: false,
        more_fragments,
        fragment_offset,
        ttl: 64,
        protocol,
        source,
        destination,
    };
    [&ipv4::emit(&header)[..], payload].concat()
}

fn v6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let header = ipv6::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        flow_label: 0,
        payload_octets: payload.len() as u16,
        next_header,
        hop_limit: 64,
        source,
        destination,
    };
    [&ipv6::emit(&header)[..], payload].concat()
}

fn segment(source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut octets = vec![0; 40];
    octets[..2].copy_from_slice(&source_port.to_be_bytes());
    octets[2..4].copy_from_slice(&destination_port.to_be_bytes());
    octets[12] = 0x50;
    octets
}

fn owner(remote: impl Into<IpAddr>, local: impl Into<IpAddr>) -> Place {
    let seat = Seat { rule: RULE, index: 0 };
    Place::Flow(seat.owner(remote.into(), 4000, local.into(), 80))
}

#[test]
fn a_segment_belongs_to_its_flow_in_both_directions() {
    let (there, back) = (segment(4000, 80), segment(80, 4000));
    assert_eq!(place_whole(&v4(PEER, OURS, 6, &there)), owner(PEER, OURS));
    assert_eq!(place_whole(&v4(OURS, PEER, 6, &back)), owner(PEER, OURS));
    assert_eq!(place_whole(&v6(PEER_6, OURS_6, 6, &there)), owner(PEER_6, OURS_6));
    assert_eq!(place_whole(&v6(OURS_6, PEER_6, 6, &back)), owner(PEER_6, OURS_6));
}

#[test]
fn extension_headers_are_passed() {
    // Destination options (a pad of four octets), then a fragment header that makes no fragment.
    let headers = [44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 9];
    let whole = [&headers[..], &segment(4000, 80)].concat();
    assert_eq!(place_whole(&v6(PEER_6, OURS_6, 60, &whole)), owner(PEER_6, OURS_6));
}

#[test]
fn an_error_belongs_to_the_flow_it_quotes() {
    let ours = v4(OURS, PEER, 6, &segment(80, 4000));
    let router = Ipv4Addr::new(203, 0, 113, 7);
    for (kind, code) in [(3, 4), (3, 1), (11, 0), (12, 0)] {
        let message = [&[kind, code, 0, 0, 0, 0, 5, 0][..], &ours].concat();
        assert_eq!(place_whole(&v4(router, OURS, 1, &message)), owner(PEER, OURS));
    }
    let ours = v6(OURS_6, PEER_6, 6, &segment(80, 4000));
    let message = [&[2, 0, 0, 0, 0, 0, 5, 0][..], &ours].concat();
    let router = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
    assert_eq!(place_whole(&v6(router, OURS_6, 58, &message)), owner(PEER_6, OURS_6));
}

#[test]
fn all_fragments_between_two_hosts_meet() {
    let meet = Place::Fragment(RULE.fragments_owner(PEER.into(), OURS.into()));
    let first = v4_part(PEER, OURS, 6, &segment(4000, 80), (0, true));
    let last = v4_part(PEER, OURS, 6, &[1; 40], (40, false));
    assert_eq!((place_whole(&first), place_whole(&last)), (meet, meet));
    let meet = Place::Fragment(RULE.fragments_owner(PEER_6.into(), OURS_6.into()));
    let part = |offset: u8| [&[6, 0, 0, offset | 1, 0, 0, 0, 9][..], &segment(4000, 80)].concat();
    for offset in [0, 40] {
        assert_eq!(place_whole(&v6(PEER_6, OURS_6, 44, &part(offset))), meet);
    }
}

#[test]
fn what_is_of_no_flow_stays() {
    let ping = [8, 0, 0, 0, 1, 2, 3, 4];
    let datagram = segment(4000, 80);
    let unquoted = [3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0];
    for octets in [
        v4(PEER, OURS, 1, &ping),
        v4(PEER, OURS, 17, &datagram),
        v4(PEER, OURS, 1, &unquoted),
        v4(PEER, OURS, 6, &[1, 2, 3]),
        vec![0x75; 60],
        vec![0x45],
        Vec::new(),
    ] {
        assert_eq!(place_whole(&octets), Place::Anywhere, "{octets:?}");
    }
}

proptest! {
    /// However a packet lies in its frames, its place is the same; and no octets make it panic.
    #[test]
    fn the_place_does_not_depend_on_slices(
        version in prop::sample::select(vec![0x45u8, 0x60, 0x4F, 0x00]),
        mut octets in prop::collection::vec(any::<u8>(), 0..400),
        next in prop::sample::select(vec![1u8, 6, 44, 58, 60]),
        piece in 1usize..300,
    ) {
        if let Some(first) = octets.first_mut() {
            *first = version;
        }
        let at = if version == 0x60 { 6 } else { 9 };
        if let Some(protocol) = octets.get_mut(at) {
            *protocol = next;
        }
        let pool = pool();
        let whole = place(&RULE, &packet(&pool, &octets, 1000));
        let split = place(&RULE, &packet(&pool, &octets, piece));
        // A chain of headers longer than the layer below accepts has no place of its own.
        if octets.len() <= HEAD_OCTETS {
            prop_assert_eq!(whole, split);
        }
    }
}

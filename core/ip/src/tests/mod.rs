//! Shared by the tests: a layer with two addresses, and packets as others would send them.

mod arrivals;
mod drops;
mod echo;
mod fragments;
mod limits;
mod output;
mod refusals;
mod signals;
mod usual;

use crate::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;
use usertcp_base::{DropReason, Ecn, Instant, Limits, Secrets};
use usertcp_frame::{Chain, FramePool, Packet, PoolConfig};
use usertcp_wire::{checksum, ipv4, ipv6};

pub(super) const NOW: Instant = Instant::from_millis(1000);
pub(super) const OURS: &str = "10.0.0.1";
pub(super) const PEER: &str = "192.0.2.9";
pub(super) const OURS_6: &str = "2001:db8::1";
pub(super) const PEER_6: &str = "2001:db8:9::9";

pub(super) fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 16 << 20, reserve_small: 64 })
}

pub(super) fn layer_with(limits: Limits) -> Ip {
    Ip::new(IpConfig {
        addresses: ["10.0.0.1/24", "2001:db8::1/64", "10.0.0.2/24"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        mtu: 1500,
        limits,
        secrets: Secrets::from_seed([5; 32]).unwrap(),
    })
}

pub(super) fn layer() -> Ip {
    layer_with(Limits::default())
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a test may change of a header.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) source: &'static str,
    pub(super) destination: &'static str,
    pub(super) protocol: u8,
    pub(super) ecn: Ecn,
    /// Identification, offset, more.
    pub(super) fragment: Option<(u32, usize, bool)>,
    /// Options (IPv4), or extension headers (IPv6) in front of the fragment header.
    pub(super) extra: Vec<u8>,
    /// Kind of the first extension header.
    pub(super) first_extension: u8,
}

pub(super) fn v4(protocol: u8) -> Given {
    Given {
        source: PEER,
        destination: OURS,
        protocol,
        ecn: Ecn::NotCapable,
        fragment: None,
        extra: vec![],
        first_extension: 0,
    }
}

pub(super) fn v6(protocol: u8) -> Given {
    Given { source: PEER_6, destination: OURS_6, ..v4(protocol) }
}

impl Given {
    /// The packet's octets with `payload` behind the headers.
    pub(super) fn octets(&self, payload: &[u8]) -> Vec<u8> {
        match (ip(self.source), ip(self.destination)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.octets_v4(source, destination, payload)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.octets_v6(source, destination, payload)
            }
            _ => panic!("two families"),
        }
    }

    fn octets_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let (identification, offset, more) = self.fragment.unwrap_or_default();
        let mut octets = ipv4::emit(&ipv4::Header {
            dscp: 10,
            ecn: self.ecn,
            total_octets: (20 + self.extra.len() + payload.len()) as u16,
            identification: identification as u16,
            dont_fragment: self.fragment.is_none(),
            more_fragments: more,
            fragment_offset: offset as u16,
            ttl: 7,
            protocol: self.protocol,
            source,
            destination,
        })
        .to_vec();
        octets.extend(&self.extra);
        octets[0] = 0x40 | (octets.len() / 4) as u8;
        fix_header_checksum(&mut octets);
        octets.extend(payload);
        octets
    }

    fn octets_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        let mut extensions = self.extra.clone();
        if let Some((identification, offset, more)) = self.fragment {
            let offset = offset as u16;
            let fragment = ipv6::Fragment { offset, more, identification };
            extensions.extend(ipv6::emit_fragment(self.protocol, &fragment));
        }
        let next_header = match (self.extra.is_empty(), self.fragment) {
            (false, _) => self.first_extension,
            (true, Some(_)) => ipv6::FRAGMENT,
            (true, None) => self.protocol,
        };
        let mut octets = ipv6::emit(&ipv6::Header {
            dscp: 10,
            ecn: self.ecn,
            flow_label: 0x12345,
            payload_octets: (extensions.len() + payload.len()) as u16,
            next_header,
            hop_limit: 7,
            source,
            destination,
        })
        .to_vec();
        octets.extend(extensions);
        octets.extend(payload);
        octets
    }
}

pub(super) fn fix_header_checksum(octets: &mut [u8]) {
    let header = usize::from(octets[0] & 0xF) * 4;
    octets[10..12].fill(0);
    let field = checksum::finish(checksum::sum(&octets[..header]));
    octets[10..12].copy_from_slice(&field.to_be_bytes());
}

/// The octets as a packet in one frame, or in frames of `piece` octets.
pub(super) fn packet_in_pieces(octets: &[u8], piece: usize, pool: &FramePool) -> Packet {
    let chain: Chain = octets.chunks(piece).map(|part| pool.copy_of(part, 0).unwrap()).collect();
    Packet::plain(chain)
}

pub(super) fn packet(octets: &[u8], pool: &FramePool) -> Packet {
    packet_in_pieces(octets, usize::MAX, pool)
}

pub(super) fn arrive(layer: &mut Ip, octets: &[u8], pool: &FramePool) -> Input {
    layer.input(NOW, packet(octets, pool), pool)
}

pub(super) fn drop_reason(input: Input) -> DropReason {
    match input {
        Input::Drop(reason) => reason,
        other => panic!("not dropped: {other:?}"),
    }
}

/// A TCP header of `words` words and `payload` octets of counting payload.
pub(super) fn tcp_segment(words: usize, payload: usize) -> Vec<u8> {
    let mut octets = vec![1; words * 4];
    octets[12] = (words << 4) as u8;
    octets.extend((0..payload).map(|at| at as u8));
    octets
}

/// An ICMP message with a right checksum; for IPv6 the addresses are those of [`v6`].
pub(super) fn icmp(six: bool, kind: u8, code: u8, field: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, code, 0, 0];
    octets.extend(field);
    octets.extend(rest);
    let len = octets.len();
    let pseudo = if six { pseudo_6(PEER_6, OURS_6, 58, len) } else { 0 };
    let sum = checksum::finish(pseudo + checksum::sum(&octets));
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    octets
}

pub(super) fn pseudo_6(source: &str, destination: &str, protocol: u8, len: usize) -> u32 {
    let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    checksum::pseudo_v6(octets(source), octets(destination), protocol, len as u32)
}

pub(super) fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

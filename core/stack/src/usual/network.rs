//! The IP header of a packet of the usual shape, and the checksum of what is behind it.
//!
//! Owns: one form for both versions; whether a checksum that nobody has looked at is right.
//! Must not know: connections, or what is in the segment.
//! Implements: checksums of segments (RFC 9293 §3.1; RFC 8200 §8.1), IPv4-mapped addresses (RFC 4291 §2.5.5.2).

use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{Ecn, FlowKey, LocalIndex, Observer, RemoteAddr};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, ChecksumState, Packet};
use usertcp_ip::remote_address;
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::tcp;
use usertcp_wire::usual::{self, IPV4_OCTETS, IPV6_OCTETS};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Reads the IP header. `None`: it is not of the usual shape, or not all of the packet is for TCP
    /// to look at (padding of a link, a packet cut short, keys).
    #[inline(always)] // its result is large
    pub(crate) fn read_network(&mut self, packet: &Packet) -> Option<Network> {
        let mut network = Network::read(packet.octets.front()?)?;
        network.local = self.local_of(network.destination)?;
        let octets = network.header_octets + usize::from(network.payload_octets);
        (packet.octets.len() == octets && self.auth.is_idle()).then_some(network)
    }
}

/// What the IP header says, in one form for both versions.
pub(crate) struct Network {
    pub source: RemoteAddr,
    destination: RemoteAddr,
    local: LocalIndex,
    pub header_octets: usize,
    pub payload_octets: u16,
    pub ecn: Ecn,
    /// The sum of the pseudo-header.
    pseudo: Running,
}

impl Network {
    /// Reads a header of the usual shape.
    #[inline]
    fn read(front: &[u8]) -> Option<Network> {
        if let Some((header, _)) = front.split_first_chunk::<IPV4_OCTETS>()
            && let Some(header) = usual::read_ipv4(header)
        {
            let octets = u32::from(header.payload_octets);
            let (source, destination) = (header.source, header.destination);
            return Some(Network {
                source: remote_address(IpAddr::V4(source.into())),
                destination: remote_address(IpAddr::V4(destination.into())),
                local: LocalIndex::default(),
                header_octets: IPV4_OCTETS,
                payload_octets: header.payload_octets,
                ecn: header.ecn,
                pseudo: Running::pseudo_v4(source, destination, tcp::PROTOCOL, octets),
            });
        }
        let header = usual::read_ipv6(front.first_chunk()?)?;
        let octets = u32::from(header.payload_octets);
        let (source, destination) = (header.source, header.destination);
        Some(Network {
            source: RemoteAddr(source),
            destination: RemoteAddr(destination),
            local: LocalIndex::default(),
            header_octets: IPV6_OCTETS,
            payload_octets: header.payload_octets,
            ecn: header.ecn,
            pseudo: Running::pseudo_v6(source, destination, tcp::PROTOCOL, octets),
        })
    }

    /// The flow, with the ports of the packet.
    #[inline]
    pub(crate) fn flow(&self, source_port: u16, destination_port: u16) -> FlowKey {
        FlowKey {
            remote: self.source,
            local: self.local,
            remote_port: source_port,
            local_port: destination_port,
        }
    }

    /// The checksum is right, or the device vouches for it.
    #[inline]
    pub(crate) fn is_intact(&self, engine: Engine, packet: &Packet) -> bool {
        if !is_unverified(packet) {
            return true;
        }
        let front = packet.octets.front().and_then(|front| front.get(self.header_octets..));
        let octets = usize::from(self.payload_octets);
        is_intact(engine, self.pseudo, front.unwrap_or_default(), octets, &packet.octets)
    }
}

/// Nobody has looked at the checksum.
#[inline]
pub(super) fn is_unverified(packet: &Packet) -> bool {
    matches!(packet.offload.checksum, ChecksumState::Unverified)
}

/// The checksum is right. `tcp`: what the first slice of `packet` has of the segment's `octets`.
#[inline(always)] // for each packet
pub(super) fn is_intact(
    engine: Engine,
    pseudo: Running,
    tcp: &[u8],
    octets: usize,
    packet: &Chain,
) -> bool {
    if tcp.len() == octets
        && let Some(complete) = pseudo.is_complete_with_short(tcp)
    {
        return complete;
    }
    is_all_intact(engine, pseudo, tcp, packet)
}

/// The same of a segment that is long or in several slices.
#[inline(never)]
fn is_all_intact(engine: Engine, pseudo: Running, tcp: &[u8], packet: &Chain) -> bool {
    let mut sum = pseudo;
    sum.add_by(engine, tcp);
    for slice in packet.slices().skip(1) {
        sum.add_by(engine, slice);
    }
    sum.finish() == 0
}

/// Whether a packet seems to be one of IPv6.
#[inline]
pub(super) fn is_v6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 6)
}

/// As [`remote_address`], put together as one number.
#[inline]
pub(super) fn mapped(address: [u8; 4]) -> RemoteAddr {
    const PREFIX: u128 = 0xFFFF << 32;
    RemoteAddr((PREFIX | u128::from(u32::from_be_bytes(address))).to_be_bytes())
}

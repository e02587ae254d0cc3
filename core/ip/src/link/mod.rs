//! Ethernet below IP.
//!
//! Owns: the Ethernet header of what comes and goes, the way to a destination (itself, or a
//! gateway), questions and answers about neighbours, what is told of our own addresses.
//! Must not know: connections; what is in a packet behind its IP header, neighbour discovery
//! excepted; devices, clocks.
//! Implements: RFC 894, RFC 2464, RFC 826, RFC 1122 §2.3.2, §3.3.1.1 and §3.3.6, RFC 5227 §1.1,
//! §2.3 and §2.4 (c), RFC 4861 §5.2, §7.2 and §7.3, RFC 4862 §5.4.2 (asks for duplicates, without
//! waiting for the answer).
//!
//! ```text
//! frame  ──> Link::input  ──> Network           a packet now, to Ip::input
//!                        ├──> Consumed          heard; answers wait in poll_frame
//!                        └──> Drop(reason)      to be counted
//! packet ──> Link::output ──> Send              a frame now, to the device
//!                        ├──> Waits             until its neighbour answers, then in poll_frame
//!                        └──> Drop(reason)
//! ```
//!
//! What the caller owes: after each of these, [`Link::poll_frame`] until `None`, as far as the
//! device takes more; now and then [`Link::poll_drop`] and [`Link::poll_unreachable`];
//! [`Link::expire`] at [`Link::next_deadline`].
//!
//! Not here: router advertisements (gateways are configured), redirects, group membership reports
//! (a switch that snoops them must not need ours), VLANs.

mod announce;
mod arp;
mod ndp;
mod neighbours;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::{DropReason, Instant, Limits, Secrets};
use usertcp_frame::{Chain, ChecksumState, FramePool, Offload, Packet};
use usertcp_wire::ethernet::{self, HEADER_OCTETS, Kind, Mac};
use usertcp_wire::ndp as wire_ndp;

use crate::address::{AddressTable, Cidr, is_link_local};
use crate::remote_address;
use announce::Announcer;
use neighbours::{Due, Neighbours};

pub use neighbours::Reachability;

/// Room that a packet needs in front of its IP header for the link's.
pub const LINK_HEADROOM: usize = 16;
/// Finished frames that may wait for the device.
const MOST_READY: usize = 512;
/// Packets of unreachable neighbours that may wait to be told of.
const MOST_UNREACHABLE: usize = 64;

/// What the link is told at start.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Our address on the link.
    pub mac: Mac,
    /// Our addresses; their networks are on the link.
    pub addresses: Vec<Cidr>,
    /// Who carries packets to other networks: the first of each family counts. It is taken to be
    /// on the link, whatever our networks are.
    pub gateways: Vec<IpAddr>,
    /// The fields that begin with `neighbour` count here.
    pub limits: Limits,
    /// Jitter is seeded by it.
    pub secrets: Secrets,
}

/// What became of a frame.
#[derive(Debug)]
#[must_use]
pub enum LinkInput {
    /// It is an IP packet now: its link header is gone.
    Network,
    /// About neighbours.
    Consumed,
    /// Gone.
    Drop(DropReason),
}

/// What became of a packet.
#[derive(Debug)]
#[must_use]
pub enum LinkOutput {
    /// It is a frame for the device now.
    Send,
    /// It waits for its neighbour's answer; what is left is empty.
    Waits,
    /// Gone.
    Drop(DropReason),
}

/// Figures of the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkStats {
    /// Neighbours known or looked for.
    pub neighbours: usize,
    /// Of these, looked for.
    pub incomplete: usize,
    /// Questions about neighbours sent.
    pub solicitations: u64,
    /// Answers about our addresses sent.
    pub answers: u64,
    /// Stations that claimed an address of ours.
    pub conflicts: u64,
    /// Headers that had to be put into a frame of their own.
    pub headers_apart: u64,
}

/// The link layer of one shard.
#[derive(Debug)]
pub struct Link {
    mac: Mac,
    addresses: AddressTable,
    networks: Vec<Cidr>,
    gateway_v4: Option<IpAddr>,
    gateway_v6: Option<IpAddr>,
    neighbours: Neighbours,
    announcer: Announcer,
    /// Finished frames.
    ready: VecDeque<Packet>,
    /// Packets whose neighbour did not answer.
    unreachable: VecDeque<Packet>,
    /// Drops that are not the answer of one call.
    crowded: u32,
    lost: u32,
    stats: LinkStats,
}

impl Link {
    /// A link on which our addresses are announced from `now` on.
    pub fn new(config: LinkConfig, now: Instant) -> Link {
        let gateway = |four: bool| config.gateways.iter().copied().find(|g| g.is_ipv4() == four);
        Link {
            mac: config.mac,
            gateway_v4: gateway(true),
            gateway_v6: gateway(false),
            neighbours: Neighbours::new(config.mac, &config.limits, config.secrets.prng()),
            announcer: Announcer::new(now),
            networks: config.addresses.clone(),
            addresses: AddressTable::new(config.addresses),
            ready: VecDeque::new(),
            unreachable: VecDeque::new(),
            crowded: 0,
            lost: 0,
            stats: LinkStats::default(),
        }
    }

    /// Our address on the link.
    pub const fn mac(&self) -> Mac {
        self.mac
    }

    /// Takes a frame at `now`. Never panics, whatever the frame.
    #[inline]
    pub fn input(&mut self, now: Instant, packet: &mut Packet, pool: &FramePool) -> LinkInput {
        let Some(front) = packet.octets.front() else {
            return LinkInput::Drop(DropReason::LinkMalformed);
        };
        let header = match ethernet::parse(front) {
            Ok(header) => header,
            Err(reason) => return LinkInput::Drop(reason),
        };
        let group = ethernet::is_group(header.destination);
        if header.destination != self.mac && !group {
            return LinkInput::Drop(DropReason::LinkNotOurs);
        }
        let network = match header.kind {
            Kind::Ipv4 => !group,
            Kind::Ipv6 => {
                let behind = front.get(HEADER_OCTETS..).unwrap_or_default();
                if wire_ndp::is_discovery(behind) {
                    return self.discovery(now, &packet.octets, header.source, pool);
                }
                !group
            }
            Kind::Arp => return self.arp(now, &packet.octets, pool),
            Kind::Vlan => return LinkInput::Drop(DropReason::LinkVlan),
            Kind::Other(_) => return LinkInput::Drop(DropReason::LinkKind),
        };
        if !network {
            // RFC 1122 §3.3.6: what the link brought to all is for none of us alone.
            return LinkInput::Drop(DropReason::IpBroadcast);
        }
        packet.octets.advance(HEADER_OCTETS);
        if packet.octets.is_empty() {
            return LinkInput::Drop(DropReason::LinkMalformed);
        }
        packet.offload = without_header(packet.offload);
        LinkInput::Network
    }

    /// Takes an IP packet to send at `now`.
    #[inline]
    pub fn output(&mut self, now: Instant, packet: &mut Packet, pool: &FramePool) -> LinkOutput {
        let Some(destination) = destination_of(packet) else {
            return LinkOutput::Drop(DropReason::IpMalformed);
        };
        let key = u128::from_be_bytes(remote_address(destination).0);
        if let Some(header) = self.neighbours.quick(now, key)
            && prepend(packet, header)
        {
            return LinkOutput::Send;
        }
        self.output_slowly(now, destination, key, packet, pool)
    }

    fn output_slowly(
        &mut self,
        now: Instant,
        destination: IpAddr,
        key: u128,
        packet: &mut Packet,
        pool: &FramePool,
    ) -> LinkOutput {
        let Some(neighbour) = self.next_hop(destination) else {
            return LinkOutput::Drop(DropReason::NeighbourUnreachable);
        };
        if let Some(header) = self.neighbours.header(now, key, neighbour) {
            return match self.with_header(packet, &header, pool) {
                Some(()) => LinkOutput::Send,
                None => LinkOutput::Drop(DropReason::PoolEmpty),
            };
        }
        let Some(source) = source_of(packet) else {
            return LinkOutput::Drop(DropReason::IpMalformed);
        };
        let begun = self.neighbours.wait(now, neighbour, source, core::mem::take(packet));
        self.crowded = self.crowded.saturating_add(u32::from(begun.replaced.is_some()));
        self.crowded = self.crowded.saturating_add(begun.abandoned.len() as u32);
        if begun.solicit {
            self.solicit(neighbour, source, None, pool);
        }
        LinkOutput::Waits
    }

    /// Whether there is a way to `destination`: it is of our networks, or there is a gateway.
    pub fn reaches(&self, destination: IpAddr) -> bool {
        self.next_hop(destination).is_some()
    }

    /// The station that carries a packet to `destination` (RFC 1122 §3.3.1.1, RFC 4861 §5.2).
    fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        let near = |network: &Cidr| network.contains(destination);
        if is_link_local(destination) || self.networks.iter().any(near) {
            return Some(destination);
        }
        if destination.is_ipv4() { self.gateway_v4 } else { self.gateway_v6 }
    }

    /// A finished frame: an answer, a question, or a packet that waited.
    pub fn poll_frame(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// Whether [`Link::poll_frame`] has one.
    pub fn has_frames(&self) -> bool {
        !self.ready.is_empty()
    }

    /// An IP packet that was to go to a neighbour who did not answer. It is to be counted as
    /// [`DropReason::NeighbourUnreachable`], and its sender to be told.
    pub fn poll_unreachable(&mut self) -> Option<Packet> {
        self.unreachable.pop_front()
    }

    /// Drops that were not the answer of one call, and how many.
    pub fn poll_drop(&mut self) -> Option<(DropReason, u32)> {
        for (count, reason) in [
            (&mut self.crowded, DropReason::NeighbourQueue),
            (&mut self.lost, DropReason::PoolEmpty),
        ] {
            if *count > 0 {
                return Some((reason, core::mem::take(count)));
            }
        }
        None
    }

    /// When [`Link::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.neighbours.next_deadline(), self.announcer.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Asks again, gives up, announces: whatever is due at `now`.
    pub fn expire(&mut self, now: Instant, pool: &FramePool) {
        while let Some(due) = self.neighbours.poll_due(now) {
            match due {
                Due::Solicit { address, source, at } => self.solicit(address, source, at, pool),
                Due::Failed(packets) => {
                    for packet in packets {
                        if self.unreachable.len() < MOST_UNREACHABLE {
                            self.unreachable.push_back(packet);
                        } else {
                            self.crowded = self.crowded.saturating_add(1);
                        }
                    }
                }
            }
        }
        self.announce(now, pool);
    }

    /// What is known of a neighbour.
    pub fn neighbour(&self, address: IpAddr) -> Option<(Reachability, Mac)> {
        self.neighbours.state(address)
    }

    /// The figures now.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            neighbours: self.neighbours.len(),
            incomplete: self.neighbours.incomplete(),
            ..self.stats
        }
    }

    /// Asks for `address`: everybody, or the station it is thought to be at.
    fn solicit(&mut self, address: IpAddr, source: IpAddr, at: Option<Mac>, pool: &FramePool) {
        self.stats.solicitations = self.stats.solicitations.wrapping_add(1);
        match (address, source) {
            (IpAddr::V4(address), IpAddr::V4(source)) => self.ask_v4(address, source, at, pool),
            (IpAddr::V6(address), IpAddr::V6(source)) => self.ask_v6(address, source, at, pool),
            _ => {}
        }
    }

    /// Packets that waited for a station may go, others went with who made room.
    fn release(&mut self, now: Instant, heard: neighbours::Heard, pool: &FramePool) -> LinkInput {
        match heard {
            neighbours::Heard::Stranger => LinkInput::Drop(DropReason::NeighbourIgnored),
            neighbours::Heard::Nothing => LinkInput::Consumed,
            neighbours::Heard::Learnt { released, lost } => {
                self.crowded = self.crowded.saturating_add(lost.len() as u32);
                for mut packet in released {
                    match self.output(now, &mut packet, pool) {
                        LinkOutput::Send => self.queue(packet),
                        LinkOutput::Waits => {}
                        LinkOutput::Drop(_) => self.lost = self.lost.saturating_add(1),
                    }
                }
                LinkInput::Consumed
            }
        }
    }

    /// Whether a station of our networks may have this address: one that is worth remembering.
    fn may_be_neighbour(&self, address: IpAddr, mac: Mac) -> bool {
        let gateway = Some(address) == self.gateway_v4 || Some(address) == self.gateway_v6;
        let single = match address {
            IpAddr::V4(four) => {
                !four.is_unspecified()
                    && !four.is_multicast()
                    && !four.is_loopback()
                    && !self.addresses.is_broadcast(four)
            }
            IpAddr::V6(six) => !six.is_unspecified() && !six.is_multicast() && !six.is_loopback(),
        };
        let near = gateway || self.next_hop(address) == Some(address);
        single && near && ethernet::is_station(mac) && mac != self.mac
    }

    /// A frame of our own, from the octets of its payload.
    fn send_own(&mut self, to: Mac, kind: Kind, payload: &[u8], pool: &FramePool) {
        let header = ethernet::emit(&ethernet::Header { destination: to, source: self.mac, kind });
        let Some(mut frame) = pool.take_control(0) else {
            self.lost = self.lost.saturating_add(1);
            return;
        };
        if frame.extend(&header) + frame.extend(payload) != header.len() + payload.len() {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.queue(Packet::plain(Chain::from(frame.into_slice())));
    }

    fn queue(&mut self, frame: Packet) {
        if self.ready.len() < MOST_READY {
            self.ready.push_back(frame);
        } else {
            self.crowded = self.crowded.saturating_add(1);
        }
    }

    /// Puts the header in front, in a frame of its own when there is no other way.
    fn with_header(
        &mut self,
        packet: &mut Packet,
        header: &[u8; HEADER_OCTETS],
        pool: &FramePool,
    ) -> Option<()> {
        if !prepend(packet, header) {
            let mut frame = pool.take_control(0)?;
            frame.extend(header);
            packet.octets.push_front_slice(frame.into_slice());
            packet.offload = with_header(packet.offload);
            self.stats.headers_apart = self.stats.headers_apart.wrapping_add(1);
        }
        Some(())
    }
}

/// Writes the header into the headroom. False: there is none, and nothing changed.
#[inline]
fn prepend(packet: &mut Packet, header: &[u8; HEADER_OCTETS]) -> bool {
    let Some(mut front) = packet.octets.front_mut() else { return false };
    let Some(place) = front.push_front(HEADER_OCTETS) else { return false };
    place.copy_from_slice(header);
    drop(front);
    packet.offload = with_header(packet.offload);
    true
}

/// The offload of a packet that has got a link header: its offsets are from the frame's start.
#[inline]
fn with_header(mut offload: Offload) -> Offload {
    const HEADER: u16 = HEADER_OCTETS as u16;
    if let ChecksumState::Partial { start, .. } = &mut offload.checksum {
        *start = start.saturating_add(HEADER);
    }
    if offload.header_octets != 0 {
        offload.header_octets = offload.header_octets.saturating_add(HEADER);
    }
    offload
}

/// The offload of a packet whose link header is gone.
#[inline]
fn without_header(mut offload: Offload) -> Offload {
    const HEADER: u16 = HEADER_OCTETS as u16;
    if let ChecksumState::Partial { start, .. } = &mut offload.checksum {
        *start = start.saturating_sub(HEADER);
    }
    offload.header_octets = offload.header_octets.saturating_sub(HEADER);
    offload
}

/// Where an IP packet of ours goes.
#[inline]
fn destination_of(packet: &Packet) -> Option<IpAddr> {
    let front = packet.octets.front()?;
    match front.first()? >> 4 {
        4 => Some(IpAddr::V4(Ipv4Addr::from(*front.get(16..)?.first_chunk::<4>()?))),
        6 => Some(IpAddr::V6(Ipv6Addr::from(*front.get(24..)?.first_chunk::<16>()?))),
        _ => None,
    }
}

/// Where it comes from: the address that asks for its neighbour (RFC 4861 §7.2.2).
fn source_of(packet: &Packet) -> Option<IpAddr> {
    let front = packet.octets.front()?;
    match front.first()? >> 4 {
        4 => Some(IpAddr::V4(Ipv4Addr::from(*front.get(12..)?.first_chunk::<4>()?))),
        6 => Some(IpAddr::V6(Ipv6Addr::from(*front.get(8..)?.first_chunk::<16>()?))),
        _ => None,
    }
}

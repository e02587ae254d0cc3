//! Which of a stack's shards a packet belongs to.
//!
//! Owns: reading as much of a packet as that takes; packets that belong elsewhere, until they are
//! fetched; datagrams that were put together here and belong elsewhere.
//! Must not know: threads, rings. Who fetches a packet here hands it to its owner's
//! [`Shard::handle_steered`].
//! Implements: DESIGN §9.1.
//!
//! A flow has one owner for ever: the rule is a function of its four-tuple. An ICMP error belongs to the
//! owner of the flow it quotes. Fragments of a datagram do not all tell the ports, so they meet at a
//! shard chosen by the addresses alone; whole, the datagram goes on to its owner. Everything else
//! (echo requests, what is malformed or for nobody) is handled where it arrives.
//!
//! A stack of one shard has no [`Seat`], and none of this runs.

use crate::shard::Shard;
use alloc::collections::VecDeque;
use core::net::IpAddr;
use usertcp_base::{DropReason, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::{FlowEnd, RxBatch, SteerRule};
use usertcp_frame::{Chain, FramePool, Packet};
use usertcp_ip::{Input, TcpInput, ip_address};
use usertcp_wire::icmp::{self, Message};
use usertcp_wire::usual::HeadersV4;
use usertcp_wire::{icmpv4, icmpv6, ipv4, ipv6, tcp};

/// As much of a packet as its owner can depend on: a header chain longer than that is not accepted by
/// the network layer either.
const HEAD_OCTETS: usize = 192;

/// Packets for other shards that are kept until they are fetched: more than the bursts of a turn.
const MOST_ELSEWHERE: usize = 4096;

/// One shard's place among those of its stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The rule, the same for all.
    pub rule: SteerRule,
    /// Which of them this one is.
    pub index: u16,
}

impl Seat {
    /// The shard of a flow.
    pub fn owner(&self, remote: IpAddr, remote_port: u16, local: IpAddr, local_port: u16) -> u16 {
        let remote = FlowEnd { address: remote, port: remote_port };
        self.rule.owner(remote, FlowEnd { address: local, port: local_port })
    }
}

/// Where a packet is to be handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this shard, as its flow's owner.
    Flow(u16),
    /// At this shard, where fragments between two hosts meet.
    Fragment(u16),
    /// Where it arrived: it is of no flow.
    Anywhere,
}

/// Where `packet`, received, is to be handled. Never panics, whatever the packet.
pub fn place(rule: &SteerRule, packet: &Packet) -> Place {
    let octets = &packet.octets;
    let Some(front) = octets.front() else { return Place::Anywhere };
    if front.len() >= HEAD_OCTETS.min(octets.len()) {
        return place_of(rule, front, octets);
    }
    let mut head = [0; HEAD_OCTETS];
    let count = octets.copy_to(0, &mut head);
    place_of(rule, head.get(..count).unwrap_or_default(), octets)
}

fn place_of(rule: &SteerRule, head: &[u8], octets: &Chain) -> Place {
    let place = match head.first().map(|octet| octet >> 4) {
        Some(4) => place_of_v4(rule, head, octets),
        Some(6) => place_of_v6(rule, head, octets),
        _ => None,
    };
    place.unwrap_or(Place::Anywhere)
}

fn place_of_v4(rule: &SteerRule, head: &[u8], octets: &Chain) -> Option<Place> {
    let (header, header_octets) = ipv4::parse_unverified(head).ok()?;
    let (source, destination) = (header.source.into(), header.destination.into());
    if header.is_fragment() {
        return Some(Place::Fragment(rule.fragments_owner(source, destination)));
    }
    match header.protocol {
        tcp::PROTOCOL => flow(rule, (source, destination), octets, header_octets),
        icmpv4::PROTOCOL => match icmpv4::parse(head.get(header_octets..)?).ok()? {
            Message::Error { quote, .. } => quoted(rule, &icmp::quote_v4(quote).ok()?),
            _ => None,
        },
        _ => None,
    }
}

fn place_of_v6(rule: &SteerRule, head: &[u8], octets: &Chain) -> Option<Place> {
    let header = ipv6::parse_unverified(head).ok()?;
    let (source, destination) = (header.source.into(), header.destination.into());
    let upper = ipv6::walk(header.next_header, head.get(ipv6::HEADER_OCTETS..)?).ok()?;
    if upper.fragment.is_some() {
        return Some(Place::Fragment(rule.fragments_owner(source, destination)));
    }
    let header_octets = ipv6::HEADER_OCTETS + upper.offset;
    match upper.protocol {
        tcp::PROTOCOL => flow(rule, (source, destination), octets, header_octets),
        icmpv6::PROTOCOL => match icmpv6::parse(head.get(header_octets..)?).ok()? {
            Message::Error { quote, .. } => quoted(rule, &icmp::quote_v6(quote).ok()?),
            _ => None,
        },
        _ => None,
    }
}

fn flow(
    rule: &SteerRule,
    (source, destination): (IpAddr, IpAddr),
    octets: &Chain,
    header_octets: usize,
) -> Option<Place> {
    let mut ports = [0; 4];
    if octets.copy_to(header_octets, &mut ports) < ports.len() {
        return None;
    }
    let [s0, s1, d0, d1] = ports;
    let source = FlowEnd { address: source, port: u16::from_be_bytes([s0, s1]) };
    let destination = FlowEnd { address: destination, port: u16::from_be_bytes([d0, d1]) };
    Some(Place::Flow(rule.owner(source, destination)))
}

fn quoted(rule: &SteerRule, quote: &icmp::Quote) -> Option<Place> {
    let source = FlowEnd { address: quote.source, port: quote.source_port };
    let destination = FlowEnd { address: quote.destination, port: quote.destination_port };
    Some(Place::Flow(rule.owner(source, destination)))
}

/// Packets on their way to other shards.
pub(crate) type Elsewhere = VecDeque<(u16, Packet)>;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// This shard's place among several; `None`: it is the only one.
    pub fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    /// A packet that arrived here and belongs to another shard, and which. Drain it after every
    /// `receive` or `handle_*`.
    pub fn poll_elsewhere(&mut self) -> Option<(u16, Packet)> {
        self.elsewhere.pop_front()
    }

    /// A packet from another shard's [`Shard::poll_elsewhere`].
    pub fn handle_steered(&mut self, now: Instant, mut packet: Packet) {
        let counters = &mut self.common.counters;
        counters.steered_in = counters.steered_in.wrapping_add(1);
        match self.seat {
            Some(Seat { rule, .. }) if matches!(place(&rule, &packet), Place::Fragment(_)) => {
                self.handle_fragment(now, packet);
            }
            _ => self.handle_packet(now, &mut packet),
        }
        self.handle_gathered(now);
    }

    /// A packet for another shard that could not be handed over: its ring is full, or it is gone.
    pub fn drop_elsewhere(&mut self, now: Instant) {
        let counters = &mut self.common.counters;
        counters.steered_out = counters.steered_out.wrapping_sub(1);
        self.common.drop_packet(None, now, DropReason::SteerFull);
    }

    /// A packet from another shard that found no memory here.
    pub fn drop_steered(&mut self, now: Instant) {
        self.common.drop_packet(None, now, DropReason::PoolEmpty);
    }

    /// Takes what belongs elsewhere out of the packets just received, and fragments.
    #[inline(never)]
    pub(crate) fn steer(&mut self, now: Instant, burst: &mut RxBatch) {
        let Some(seat) = self.seat else { return };
        let stays = |packet: &Packet| match place(&seat.rule, packet) {
            Place::Flow(owner) => owner == seat.index,
            Place::Fragment(_) => false,
            Place::Anywhere => true,
        };
        // The usual burst, where the device follows the rule: nothing moves.
        if burst.iter().all(|packet| self.is_of_here(packet) || stays(packet)) {
            return;
        }
        burst.retain(|packet| {
            match place(&seat.rule, packet) {
                Place::Flow(owner) | Place::Fragment(owner) if owner != seat.index => {
                    self.send_elsewhere(now, owner, core::mem::take(packet));
                }
                Place::Fragment(_) => self.handle_fragment(now, core::mem::take(packet)),
                Place::Flow(_) | Place::Anywhere => return true,
            }
            false
        });
    }

    /// Whether `packet` is of a connection of this shard's whose packets came lately: nothing has to be computed then.
    #[inline]
    fn is_of_here(&mut self, packet: &Packet) -> bool {
        let headers = packet.octets.front().and_then(|front| front.first_chunk());
        let Some(headers) = headers.and_then(HeadersV4::of) else { return false };
        let Some(local) = self.local_v4(headers.destination()) else { return false };
        self.table.find_recent_v4(headers.source(), local, headers.ports()).is_some()
    }

    fn send_elsewhere(&mut self, now: Instant, owner: u16, packet: Packet) {
        if self.elsewhere.len() >= MOST_ELSEWHERE {
            return self.common.drop_packet(None, now, DropReason::SteerFull);
        }
        let counters = &mut self.common.counters;
        counters.steered_out = counters.steered_out.wrapping_add(1);
        self.elsewhere.push_back((owner, packet));
    }

    /// A fragment that is kept here. The datagram it completes may belong elsewhere.
    fn handle_fragment(&mut self, now: Instant, mut packet: Packet) {
        let Some(seat) = self.seat else { return self.handle_packet(now, &mut packet) };
        self.common.count_packets_in(1);
        self.common.unusual = true;
        let input = self.ip.input(now, packet, &self.common.pool);
        let Input::Tcp(segment) = input else { return self.handle_input(now, input) };
        let whole = rebuild(&segment, self.ip.local(segment.local), &self.common.pool);
        match whole.map(|packet| (place(&seat.rule, &packet), packet)) {
            Some((Place::Flow(owner), packet)) if owner != seat.index => {
                self.send_elsewhere(now, owner, packet);
            }
            Some(_) => self.handle_input(now, Input::Tcp(segment)),
            None => self.common.drop_packet(None, now, DropReason::PoolEmpty),
        }
    }

    /// The shard that owns `flow`, when it is not this one.
    pub(crate) fn owner_elsewhere(&self, flow: &FlowKey) -> Option<u16> {
        let seat = self.seat?;
        let local = self.ip.local(flow.local)?;
        let remote = ip_address(flow.remote);
        let owner = seat.owner(remote, flow.remote_port, local, flow.local_port);
        (owner != seat.index).then_some(owner)
    }
}

/// A whole packet again, of a segment whose IP header is gone. `None`: no frame for a header.
fn rebuild(segment: &TcpInput, local: Option<IpAddr>, pool: &FramePool) -> Option<Packet> {
    let payload_octets = segment.octets.len();
    let mut octets = Chain::new();
    let header = match (ip_address(segment.remote), local?) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => pool.copy_of(
            &ipv4::emit(&ipv4::Header {
                dscp: segment.dscp,
                ecn: segment.ecn,
                total_octets: u16::try_from(ipv4::HEADER_OCTETS + payload_octets).ok()?,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: segment.ttl,
                protocol: tcp::PROTOCOL,
                source,
                destination,
            }),
            0,
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => pool.copy_of(
            &ipv6::emit(&ipv6::Header {
                dscp: segment.dscp,
                ecn: segment.ecn,
                flow_label: 0,
                payload_octets: u16::try_from(payload_octets).ok()?,
                next_header: tcp::PROTOCOL,
                hop_limit: segment.ttl,
                source,
                destination,
            }),
            0,
        ),
        _ => None,
    };
    octets.push_back(header?);
    octets.append(segment.octets.clone());
    Some(Packet::plain(octets))
}

#[cfg(test)]
mod tests;

//! Neighbour discovery, heard and said.
//!
//! Owns: what each message means for the cache and for our own addresses.
//! Must not know: the states of the cache, routers.
//! Implements: RFC 4861 §7.2.2 to §7.2.6, RFC 4862 §5.4.3 and §5.4.4 (answers to those who ask for
//! duplicates), RFC 6980 §5 (a message in fragments is none: it is not recognised).

use core::net::{IpAddr, Ipv6Addr};
use usertcp_base::{DropReason, Instant};
use usertcp_frame::{Chain, FramePool};
use usertcp_wire::ethernet::{self, HEADER_OCTETS, Kind, Mac};
use usertcp_wire::ndp::{self, ALL_NODES, LONGEST_OCTETS, Message, Packet};

use super::neighbours::Claim;
use super::{Link, LinkInput};

/// Octets of a message with options we do not know, at most. Longer ones are refused.
const MOST_OCTETS: usize = 512;

impl Link {
    /// Takes the frame with a message in it; `from` is its source on the link.
    pub(super) fn discovery(
        &mut self,
        now: Instant,
        frame: &Chain,
        from: Mac,
        pool: &FramePool,
    ) -> LinkInput {
        let mut octets = [0; MOST_OCTETS];
        let count = frame.copy_to(HEADER_OCTETS, &mut octets);
        let packet = match ndp::parse(octets.get(..count).unwrap_or_default()) {
            Ok(packet) => packet,
            Err(reason) => return LinkInput::Drop(reason),
        };
        if from == self.mac {
            // Our own, come back.
            return LinkInput::Drop(DropReason::NeighbourIgnored);
        }
        match packet.message {
            Message::Solicitation { target, source_mac } => {
                self.hear_solicitation(now, packet.source, target, source_mac, from, pool)
            }
            Message::Advertisement { target, target_mac, solicited, overrides } => {
                if self.is_ours_v6(target) {
                    self.defend(now, IpAddr::V6(target), pool);
                    return LinkInput::Drop(DropReason::NeighbourConflict);
                }
                let mac = target_mac.filter(|mac| ethernet::is_station(*mac));
                let stands = target_mac.is_none() || mac.is_some_and(|mac| mac != self.mac);
                if !stands {
                    return LinkInput::Drop(DropReason::NeighbourMalformed);
                }
                let claim = Claim::Answer { mac, solicited, overrides };
                let source = IpAddr::V6(packet.destination);
                let heard = self.neighbours.hear(now, IpAddr::V6(target), source, claim);
                self.release(now, heard, pool)
            }
        }
    }

    fn hear_solicitation(
        &mut self,
        now: Instant,
        source: Ipv6Addr,
        target: Ipv6Addr,
        source_mac: Option<Mac>,
        from: Mac,
        pool: &FramePool,
    ) -> LinkInput {
        if !self.is_ours_v6(target) {
            return LinkInput::Drop(DropReason::NeighbourIgnored);
        }
        if source.is_unspecified() {
            // Someone wants the address for itself: all are told that it is taken.
            self.advertise(target, ALL_NODES, ethernet::group_of(ALL_NODES), false, pool);
            return LinkInput::Consumed;
        }
        if self.is_ours_v6(source) {
            self.defend(now, IpAddr::V6(source), pool);
            return LinkInput::Drop(DropReason::NeighbourConflict);
        }
        let back = source_mac.unwrap_or(from);
        if !self.may_be_neighbour(IpAddr::V6(source), back) {
            return LinkInput::Drop(DropReason::NeighbourMalformed);
        }
        if let Some(mac) = source_mac {
            let claim = Claim::Asks { mac, overrides: true };
            let heard = self.neighbours.hear(now, IpAddr::V6(source), IpAddr::V6(target), claim);
            // Whatever it was, the question is answered.
            let _ = self.release(now, heard, pool);
        }
        self.advertise(target, source, back, true, pool);
        LinkInput::Consumed
    }

    /// Tells where `target`, an address of ours, is.
    pub(super) fn advertise(
        &mut self,
        target: Ipv6Addr,
        to: Ipv6Addr,
        at: Mac,
        solicited: bool,
        pool: &FramePool,
    ) {
        self.stats.answers = self.stats.answers.wrapping_add(1);
        let target_mac = Some(self.mac);
        let message = Message::Advertisement { target, target_mac, solicited, overrides: true };
        self.send_discovery(&Packet { source: target, destination: to, message }, at, pool);
    }

    /// Asks who has `address`, or whether `at` still has.
    pub(super) fn ask_v6(
        &mut self,
        address: Ipv6Addr,
        source: Ipv6Addr,
        at: Option<Mac>,
        pool: &FramePool,
    ) {
        let group = ndp::solicited_node(address);
        let destination = if at.is_some() { address } else { group };
        // Who does not say where it is cannot be answered, except by its packet's source.
        let source_mac = (!source.is_unspecified()).then_some(self.mac);
        let message = Message::Solicitation { target: address, source_mac };
        let at = at.unwrap_or(ethernet::group_of(group));
        self.send_discovery(&Packet { source, destination, message }, at, pool);
    }

    fn send_discovery(&mut self, packet: &Packet, to: Mac, pool: &FramePool) {
        let mut out = [0; LONGEST_OCTETS];
        let count = ndp::emit(&mut out, packet);
        self.send_own(to, Kind::Ipv6, out.get(..count).unwrap_or_default(), pool);
    }

    /// Tells all that `address` is ours (RFC 4861 §7.2.6).
    pub(super) fn announce_v6(&mut self, address: Ipv6Addr, pool: &FramePool) {
        self.advertise(address, ALL_NODES, ethernet::group_of(ALL_NODES), false, pool);
    }

    /// Asks whether `address` is taken, without saying who asks (RFC 4862 §5.4.2).
    pub(super) fn probe_v6(&mut self, address: Ipv6Addr, pool: &FramePool) {
        self.ask_v6(address, Ipv6Addr::UNSPECIFIED, None, pool);
    }

    pub(super) fn is_ours_v6(&self, address: Ipv6Addr) -> bool {
        self.addresses.index(IpAddr::V6(address)).is_some()
    }
}

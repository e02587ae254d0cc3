//! ARP, heard and said.
//!
//! Owns: what each packet means for the cache and for our own addresses.
//! Must not know: the states of the cache.
//! Implements: RFC 826 (packet reception), RFC 1122 §2.3.2.1, RFC 5227 §1.1, §2.3, §2.4 (c).
//!
//! RFC 826 lets any packet overwrite what is known. Here only an answer we asked for does; another
//! claim makes a reachable neighbour a doubtful one, as RFC 4861 §7.2.5 has it for advertisements
//! without the override flag. A station that moved is found when the old one does not answer: within
//! [`super::neighbours::DELAY`] and three seconds.

use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::{DropReason, Instant};
use usertcp_frame::{Chain, FramePool};
use usertcp_wire::arp::{self, Operation, Packet};
use usertcp_wire::ethernet::{BROADCAST, HEADER_OCTETS, Kind, Mac};

use super::neighbours::Claim;
use super::{Link, LinkInput};

impl Link {
    /// Takes the frame with an ARP packet in it.
    pub(super) fn arp(&mut self, now: Instant, frame: &Chain, pool: &FramePool) -> LinkInput {
        let mut octets = [0; arp::PACKET_OCTETS];
        let count = frame.copy_to(HEADER_OCTETS, &mut octets);
        match arp::parse(octets.get(..count).unwrap_or_default()) {
            Ok(packet) => self.hear_arp(now, &packet, pool),
            Err(reason) => LinkInput::Drop(reason),
        }
    }

    fn hear_arp(&mut self, now: Instant, packet: &Packet, pool: &FramePool) -> LinkInput {
        if packet.sender_mac == self.mac {
            // Our own, come back; or the kernel's on the same interface.
            return LinkInput::Drop(DropReason::NeighbourIgnored);
        }
        if self.is_ours_v4(packet.sender) {
            self.defend(now, IpAddr::V4(packet.sender), pool);
            return LinkInput::Drop(DropReason::NeighbourConflict);
        }
        let for_us = self.is_ours_v4(packet.target);
        let heard = self.hear_sender(now, packet, for_us, pool);
        if for_us && packet.operation == Operation::Request {
            self.answer_v4(packet, pool);
            return LinkInput::Consumed;
        }
        heard
    }

    /// What the packet says of who sent it.
    fn hear_sender(
        &mut self,
        now: Instant,
        packet: &Packet,
        for_us: bool,
        pool: &FramePool,
    ) -> LinkInput {
        let (sender, mac) = (IpAddr::V4(packet.sender), packet.sender_mac);
        if packet.sender.is_unspecified() {
            // A probe: it says nothing of anybody.
            return LinkInput::Drop(DropReason::NeighbourIgnored);
        }
        if !self.may_be_neighbour(sender, mac) {
            return LinkInput::Drop(DropReason::NeighbourMalformed);
        }
        let claim = match packet.operation {
            Operation::Request if for_us => Claim::Asks { mac, overrides: false },
            Operation::Reply if for_us && packet.target_mac == self.mac => {
                let asked = self.neighbours.is_asked(sender);
                Claim::Answer { mac: Some(mac), solicited: asked, overrides: asked }
            }
            _ => Claim::Answer { mac: Some(mac), solicited: false, overrides: false },
        };
        let heard = self.neighbours.hear(now, sender, IpAddr::V4(packet.target), claim);
        self.release(now, heard, pool)
    }

    /// We have that address (also to a probe, which ends it: RFC 5227 §2.1.1).
    fn answer_v4(&mut self, request: &Packet, pool: &FramePool) {
        if usertcp_wire::ethernet::is_group(request.sender_mac) {
            return;
        }
        self.stats.answers = self.stats.answers.wrapping_add(1);
        let reply = Packet {
            operation: Operation::Reply,
            sender_mac: self.mac,
            sender: request.target,
            target_mac: request.sender_mac,
            target: request.sender,
        };
        self.send_own(request.sender_mac, Kind::Arp, &arp::emit(&reply), pool);
    }

    /// Asks who has `address`, or whether `at` still has.
    pub(super) fn ask_v4(
        &mut self,
        address: Ipv4Addr,
        source: Ipv4Addr,
        at: Option<Mac>,
        pool: &FramePool,
    ) {
        let request = Packet {
            operation: Operation::Request,
            sender_mac: self.mac,
            sender: source,
            target_mac: [0; 6],
            target: address,
        };
        self.send_own(at.unwrap_or(BROADCAST), Kind::Arp, &arp::emit(&request), pool);
    }

    /// Tells all that `address` is ours (RFC 5227 §2.3).
    pub(super) fn announce_v4(&mut self, address: Ipv4Addr, pool: &FramePool) {
        self.ask_v4(address, address, None, pool);
    }

    /// Asks whether `address` is taken, without saying who asks (RFC 5227 §2.1.1).
    pub(super) fn probe_v4(&mut self, address: Ipv4Addr, pool: &FramePool) {
        self.ask_v4(address, Ipv4Addr::UNSPECIFIED, None, pool);
    }

    pub(super) fn is_ours_v4(&self, address: Ipv4Addr) -> bool {
        self.addresses.index(IpAddr::V4(address)).is_some()
    }
}

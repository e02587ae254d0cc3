//! Shared by the tests: a link with two addresses, frames as other stations send them.

mod announcing;
mod arp;
mod attacks;
mod frames;
mod ndp;

use super::neighbours::REACHABLE;
use super::*;
use std::vec::Vec;
use usertcp_base::Span;
use usertcp_frame::PoolConfig;
use usertcp_wire::arp::{Operation, Packet as Arp};
use usertcp_wire::ethernet::Header;
use usertcp_wire::ndp::{LONGEST_OCTETS, Message, Packet as Discovery};

const OUR_MAC: Mac = [2, 0, 0, 0, 0, 1];
const PEER_MAC: Mac = [2, 0, 0, 0, 0, 9];
const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 66];
const OURS: &str = "10.0.0.1";
const PEER: &str = "10.0.0.9";
const OURS_6: &str = "2001:db8::1";
const PEER_6: &str = "2001:db8::9";

/// A link, its memory and the time, past the announcements of the start.
struct Lab {
    link: Link,
    pool: FramePool,
    now: Instant,
}

fn config() -> LinkConfig {
    LinkConfig {
        mac: OUR_MAC,
        addresses: [OURS, OURS_6]
            .iter()
            .zip(["/24", "/64"])
            .map(|(address, prefix)| [*address, prefix].concat().parse().unwrap())
            .collect(),
        gateways: Vec::new(),
        limits: Limits::default(),
        secrets: Secrets::from_seed([5; 32]).unwrap(),
    }
}

impl Lab {
    fn new() -> Lab {
        Lab::with(config())
    }

    fn with(config: LinkConfig) -> Lab {
        let mut lab = Lab::at_start(config);
        lab.pass(Span::from_secs(2));
        lab.frames();
        lab
    }

    fn at_start(config: LinkConfig) -> Lab {
        let pool = FramePool::new(&PoolConfig { octets: 16 << 20, reserve_small: 64 });
        let now = Instant::from_millis(1000);
        Lab { link: Link::new(config, now), pool, now }
    }

    /// Lets time pass, from deadline to deadline.
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(next) = self.link.next_deadline().filter(|next| *next <= end) {
            assert!(next >= self.now, "a deadline goes back");
            self.now = next;
            self.link.expire(self.now, &self.pool);
            assert!(self.link.next_deadline().is_none_or(|again| again > next), "no progress");
        }
        self.now = end;
    }

    fn input(&mut self, frame: &[u8]) -> LinkInput {
        self.arrives(frame).0
    }

    /// The same, and what the frame is now.
    fn arrives(&mut self, frame: &[u8]) -> (LinkInput, Packet) {
        let octets = self.pool.copy_of(frame, 0).unwrap();
        let mut packet = Packet::plain(octets.into());
        (self.link.input(self.now, &mut packet, &self.pool), packet)
    }

    /// The reason why a frame was dropped.
    fn refused(&mut self, frame: &[u8]) -> DropReason {
        match self.input(frame) {
            LinkInput::Drop(reason) => reason,
            taken => panic!("taken: {taken:?}"),
        }
    }

    fn output(&mut self, packet: &[u8]) -> LinkOutput {
        self.leaves(packet).0
    }

    /// The same, and what the packet is now.
    fn leaves(&mut self, packet: &[u8]) -> (LinkOutput, Packet) {
        let octets = self.pool.copy_of(packet, LINK_HEADROOM).unwrap();
        let mut packet = Packet::plain(octets.into());
        (self.link.output(self.now, &mut packet, &self.pool), packet)
    }

    /// Where a packet to `remote` goes at once.
    fn sent(&mut self, remote: &str) -> Mac {
        let packet = ip_packet(remote);
        match self.leaves(&packet) {
            (LinkOutput::Send, frame) => {
                let octets = frame.octets.to_vec();
                assert_eq!(octets[HEADER_OCTETS..], packet);
                ethernet::parse(&octets).unwrap().destination
            }
            other => panic!("{other:?}"),
        }
    }

    fn waits(&mut self, remote: &str) {
        let outcome = self.output(&ip_packet(remote));
        assert!(matches!(outcome, LinkOutput::Waits), "{outcome:?}");
    }

    /// Finished frames.
    fn frames(&mut self) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| self.link.poll_frame()).map(|frame| frame.octets.to_vec()).collect()
    }

    /// The only one, an ARP packet: for whom on the link, and what it says.
    fn arp(&mut self) -> (Mac, Arp) {
        let frames = self.frames();
        assert_eq!(frames.len(), 1, "{frames:?}");
        let header = ethernet::parse(&frames[0]).unwrap();
        assert_eq!((header.source, header.kind), (OUR_MAC, Kind::Arp));
        (header.destination, usertcp_wire::arp::parse(&frames[0][HEADER_OCTETS..]).unwrap())
    }

    fn discovery(&mut self) -> (Mac, Discovery) {
        let frames = self.frames();
        assert_eq!(frames.len(), 1, "{frames:?}");
        let header = ethernet::parse(&frames[0]).unwrap();
        assert_eq!((header.source, header.kind), (OUR_MAC, Kind::Ipv6));
        (header.destination, wire_ndp::parse(&frames[0][HEADER_OCTETS..]).unwrap())
    }

    fn state(&self, address: &str) -> Option<(Reachability, Mac)> {
        self.link.neighbour(address.parse().unwrap())
    }

    /// Makes a neighbour known and reachable, by question and answer.
    fn resolve(&mut self, address: &str, mac: Mac) {
        self.waits(address);
        self.frames();
        let answer = match address.parse().unwrap() {
            IpAddr::V4(_) => reply(address, mac, OURS),
            IpAddr::V6(_) => advertisement(address, OURS_6, Some(mac), true, true),
        };
        assert!(matches!(self.input(&answer), LinkInput::Consumed));
        self.frames();
        assert_eq!(self.state(address), Some((Reachability::Reachable, mac)));
    }

    /// Until what is known of the neighbours is old.
    fn age(&mut self) {
        self.pass(REACHABLE.saturating_mul(2));
    }

    fn drops(&mut self) -> Vec<(DropReason, u32)> {
        core::iter::from_fn(|| self.link.poll_drop()).collect()
    }
}

fn four(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn six(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// An IP packet of ours to `remote`, as far as the link looks at it.
fn ip_packet(remote: &str) -> Vec<u8> {
    let mut packet = std::vec![0; 60];
    match remote.parse().unwrap() {
        IpAddr::V4(remote) => {
            packet[0] = 0x45;
            packet[9] = 6;
            packet[12..16].copy_from_slice(&four(OURS).octets());
            packet[16..20].copy_from_slice(&remote.octets());
        }
        IpAddr::V6(remote) => {
            packet[0] = 0x60;
            packet[6] = 6;
            packet[8..24].copy_from_slice(&six(OURS_6).octets());
            packet[24..40].copy_from_slice(&remote.octets());
        }
    }
    packet
}

fn frame(destination: Mac, source: Mac, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let header = ethernet::emit(&Header { destination, source, kind });
    [&header[..], payload].concat()
}

fn arp(operation: Operation, from: (&str, Mac), target: (&str, Mac), to: Mac) -> Vec<u8> {
    let packet = Arp {
        operation,
        sender_mac: from.1,
        sender: four(from.0),
        target_mac: target.1,
        target: four(target.0),
    };
    frame(to, from.1, Kind::Arp, &usertcp_wire::arp::emit(&packet))
}

/// "Who has `target`? Tell `sender`."
fn request(sender: &str, mac: Mac, target: &str) -> Vec<u8> {
    arp(Operation::Request, (sender, mac), (target, [0; 6]), ethernet::BROADCAST)
}

/// "`sender` is at `mac`", to us.
fn reply(sender: &str, mac: Mac, target: &str) -> Vec<u8> {
    arp(Operation::Reply, (sender, mac), (target, OUR_MAC), OUR_MAC)
}

fn discovery(packet: &Discovery, from: Mac, to: Mac) -> Vec<u8> {
    let mut out = [0; LONGEST_OCTETS];
    let count = wire_ndp::emit(&mut out, packet);
    frame(to, from, Kind::Ipv6, &out[..count])
}

/// "Who has `target`? Tell `source`."
fn solicitation(source: &str, source_mac: Option<Mac>, target: &str) -> Vec<u8> {
    let target = six(target);
    let group = wire_ndp::solicited_node(target);
    let message = Message::Solicitation { target, source_mac };
    let packet = Discovery { source: six(source), destination: group, message };
    discovery(&packet, PEER_MAC, ethernet::group_of(group))
}

/// "`target` is at `mac`".
fn advertisement(
    target: &str,
    to: &str,
    mac: Option<Mac>,
    solicited: bool,
    overrides: bool,
) -> Vec<u8> {
    let destination = six(to);
    let message =
        Message::Advertisement { target: six(target), target_mac: mac, solicited, overrides };
    let packet = Discovery { source: six(target), destination, message };
    let to = if destination.is_multicast() { ethernet::group_of(destination) } else { OUR_MAC };
    discovery(&packet, mac.unwrap_or(PEER_MAC), to)
}

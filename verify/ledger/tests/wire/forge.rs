//! Packets with option octets of any kind, packets as they leave, and a small listening shard.

use crate::hand::{Hand, Wire};
use usertcp_base::{Limits, ListenerId};
use usertcp_cc::Reno;
use usertcp_device::TxBatch;
use usertcp_stack::{Listen, Profile};
use usertcp_wire::{checksum, tcp};

/// A shard that listens on port 80.
pub fn listening() -> (Hand, ListenerId) {
    let limits = Limits { connections: 2048, hot_connections: 1024, ..Limits::default() };
    let mut hand = Hand::new(limits);
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 512, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    (hand, listener)
}

/// The packet of `segment`, which has no options of its own, with the option octets `area`.
pub fn with_area(segment: &Wire, area: &[u8]) -> Vec<u8> {
    let mut packet = segment.octets();
    let mut area = area.to_vec();
    area.resize(area.len().next_multiple_of(4), 0);
    packet.splice(40..40, area.iter().copied());
    packet[32] = ((5 + area.len() / 4) << 4) as u8;
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[10..12].fill(0);
    let field = checksum::finish(checksum::sum(&packet[..20]));
    packet[10..12].copy_from_slice(&field.to_be_bytes());
    packet[36..38].fill(0);
    let (source, destination) = (segment.source.octets(), segment.destination.octets());
    let pseudo = checksum::pseudo_v4(source, destination, tcp::PROTOCOL, u32::from(total) - 20);
    let field = checksum::finish(pseudo + checksum::sum(&packet[20..]));
    packet[36..38].copy_from_slice(&field.to_be_bytes());
    packet
}

/// Everything that leaves now, as octets.
pub fn raw(hand: &mut Hand) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut batch = TxBatch::new(64);
    loop {
        hand.shard.poll_transmit(hand.now, &mut batch);
        if batch.is_empty() {
            return packets;
        }
        while let Some(packet) = batch.pop() {
            packets.push(packet.octets.to_vec());
        }
    }
}

/// The kinds of the options of a packet, NOPs included.
pub fn kinds(packet: &[u8]) -> Vec<u8> {
    let end = 20 + usize::from(packet[32] >> 4) * 4;
    let (mut kinds, mut at) = (Vec::new(), 40);
    while at < end {
        kinds.push(packet[at]);
        at += match packet[at] {
            0 => break,
            1 => 1,
            _ => usize::from(packet[at + 1]),
        };
    }
    kinds
}

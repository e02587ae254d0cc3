//! What a sender does, seen on its wire: data sent once, data sent again.
//! Owns: the highest sequence number of a flow. Must not know: which stack sends, what was lost.
//!
//! The same eyes for every contender: neither the kernel's counters nor ours are believed.

use usertcp_base::Seq;
use usertcp_wire::{ipv4, ipv6, tcp};

/// Counts of one direction of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// Where new data goes on; none before the SYN.
    next: Option<Seq>,
    /// Packets with payload.
    pub data_packets: u64,
    /// Their payload, octets.
    pub data_octets: u64,
    /// Packets whose payload was all sent before.
    pub resent_packets: u64,
    /// Their payload, octets.
    pub resent_octets: u64,
    /// Largest IP packet with payload.
    pub largest_packet_octets: usize,
}

impl Watch {
    /// A packet of the sender's.
    pub fn observe(&mut self, packet: &[u8]) {
        let Some((segment, segment_octets)) = tcp_segment(packet) else { return };
        let Ok((header, _, header_octets)) = tcp::parse(segment, segment_octets) else { return };
        if header.flags.contains(tcp::Flags::SYN) {
            self.next = Some(header.seq + 1);
            return;
        }
        let octets = segment_octets.saturating_sub(header_octets) as u32;
        if octets == 0 {
            return;
        }
        self.data_packets += 1;
        self.data_octets += u64::from(octets);
        self.largest_packet_octets = self.largest_packet_octets.max(packet.len());
        let end = header.seq + octets;
        let next = self.next.unwrap_or(header.seq);
        if end.at_or_before(next) {
            self.resent_packets += 1;
            self.resent_octets += u64::from(octets);
        }
        self.next = Some(next.latest(end));
    }

    /// Packets sent again, of those with payload, in percent.
    #[allow(clippy::float_arithmetic)] // a figure for people
    pub fn resent_percent(&self) -> f64 {
        if self.data_packets == 0 {
            return 0.0;
        }
        self.resent_packets as f64 * 100.0 / self.data_packets as f64
    }
}

/// The TCP segment in an IP packet, and how many octets it has.
fn tcp_segment(packet: &[u8]) -> Option<(&[u8], usize)> {
    const TCP: u8 = 6;
    let (at, octets) = match packet.first()? >> 4 {
        4 => {
            let (header, at) = ipv4::parse_unverified(packet).ok()?;
            let octets = usize::from(header.total_octets).checked_sub(at)?;
            (header.protocol == TCP).then_some((at, octets))?
        }
        6 => {
            let header = ipv6::parse_unverified(packet).ok()?;
            let octets = usize::from(header.payload_octets);
            (header.next_header == TCP).then_some((ipv6::HEADER_OCTETS, octets))?
        }
        _ => return None,
    };
    Some((packet.get(at..)?, octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet with a TCP segment.
    fn packet(seq: u32, flags: u8, octets: usize) -> Vec<u8> {
        let mut packet = vec![0; 40 + octets];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(40 + octets as u16).to_be_bytes());
        packet[9] = 6;
        packet[24..28].copy_from_slice(&seq.to_be_bytes());
        packet[32] = 0x50;
        packet[33] = flags;
        packet
    }

    #[test]
    fn only_what_was_sent_before_counts_as_sent_again() {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        let mut watch = Watch::default();
        // Around the end of the sequence space.
        let first = u32::MAX - 10;
        watch.observe(&packet(first.wrapping_sub(1), SYN, 0));
        watch.observe(&packet(first, ACK, 0));
        for (at, octets) in [(0, 100), (100, 100), (0, 100), (50, 200), (250, 1), (150, 100)] {
            watch.observe(&packet(first.wrapping_add(at), ACK, octets));
        }
        assert_eq!((watch.data_packets, watch.data_octets), (6, 601));
        assert_eq!((watch.resent_packets, watch.resent_octets), (2, 200));
        assert_eq!(watch.largest_packet_octets, 240);
        watch.observe(&[0x45, 0]);
        watch.observe(&[]);
        assert_eq!(watch.data_packets, 6);
    }
}

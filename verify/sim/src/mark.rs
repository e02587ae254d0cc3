//! What a router does to the ECN field. Owns: setting CE, with the IPv4 checksum corrected.
//! Must not know: when to (`link`).
//! Implements: RFC 3168 §5.

use usertcp_wire::checksum;

/// Marks an ECN-capable packet; whether it was one. A mark on a mark is one.
pub fn experience_congestion(packet: &mut [u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => mark_v4(packet),
        Some(6) if packet.len() >= 40 => mark_v6(packet),
        _ => false,
    }
}

fn mark_v4(packet: &mut [u8]) -> bool {
    let header = usize::from(packet[0] & 15) * 4;
    if packet[1] & 3 == 0 || header < 20 || header > packet.len() {
        return false;
    }
    packet[1] |= 3;
    packet[10..12].fill(0);
    let sum = checksum::finish(checksum::sum(&packet[..header]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    true
}

/// The traffic class lies across two octets; its ECN field in the second.
fn mark_v6(packet: &mut [u8]) -> bool {
    let capable = packet[1] & 0x30 != 0;
    if capable {
        packet[1] |= 0x30;
    }
    capable
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use usertcp_base::Ecn;
    use usertcp_wire::{ipv4, ipv6};

    // proves 3168-3 (its sim share): only capable packets, and both headers stay sound
    #[test]
    fn capable_packets_are_marked_and_stay_sound() {
        for bits in 0..4 {
            let ecn = Ecn::from_bits(bits);
            let expected = if bits == 0 { ecn } else { Ecn::CongestionExperienced };
            let header = ipv4::Header {
                dscp: 46,
                ecn,
                total_octets: 20,
                identification: 7,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol: 6,
                source: [10, 0, 0, 1].into(),
                destination: [10, 0, 0, 2].into(),
            };
            let mut packet = ipv4::emit(&header).to_vec();
            assert_eq!(experience_congestion(&mut packet), bits != 0);
            let (read, _) = ipv4::parse(&packet, 20).unwrap();
            assert_eq!((read.ecn, read.dscp), (expected, 46));
            let header = ipv6::Header {
                dscp: 46,
                ecn,
                flow_label: 0xABCDE,
                payload_octets: 0,
                next_header: 59,
                hop_limit: 64,
                source: Ipv6Addr::LOCALHOST,
                destination: Ipv6Addr::LOCALHOST,
            };
            let mut packet = ipv6::emit(&header).to_vec();
            assert_eq!(experience_congestion(&mut packet), bits != 0);
            let read = ipv6::parse(&packet, 40).unwrap();
            assert_eq!((read.ecn, read.dscp, read.flow_label), (expected, 46, 0xABCDE));
        }
    }
}

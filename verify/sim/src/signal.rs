//! "Packet too big", as a router would send it. Owns: nothing. Must not know: who reads it.

use usertcp_wire::{checksum, ipv4, ipv6};

/// The ICMP or ICMPv6 message about `packet`, which did not fit `mtu`, addressed to its sender.
pub fn too_big(packet: &[u8], mtu: u16) -> Vec<u8> {
    if packet[0] >> 4 == 4 { too_big_v4(packet, mtu) } else { too_big_v6(packet, mtu) }
}

fn too_big_v4(packet: &[u8], mtu: u16) -> Vec<u8> {
    let quote = &packet[..packet.len().min(28)];
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend_from_slice(&mtu.to_be_bytes());
    icmp.extend_from_slice(quote);
    let sum = checksum::finish(checksum::sum(&icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let sender: [u8; 4] = [packet[12], packet[13], packet[14], packet[15]];
    let header = ipv4::Header {
        dscp: 0,
        ecn: usertcp_base::Ecn::NotCapable,
        total_octets: (20 + icmp.len()) as u16,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: 1,
        source: core::net::Ipv4Addr::new(192, 0, 2, 1),
        destination: sender.into(),
    };
    let mut out = ipv4::emit(&header).to_vec();
    out.extend_from_slice(&icmp);
    out
}

fn too_big_v6(packet: &[u8], mtu: u16) -> Vec<u8> {
    let quote = &packet[..packet.len().min(1200)];
    let mut icmp = vec![2, 0, 0, 0];
    icmp.extend_from_slice(&u32::from(mtu).to_be_bytes());
    icmp.extend_from_slice(quote);
    let mut sender = [0; 16];
    sender.copy_from_slice(&packet[8..24]);
    let router = core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let pseudo = checksum::pseudo_v6(router.octets(), sender, 58, icmp.len() as u32);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::sum(&icmp), false));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = ipv6::Header {
        dscp: 0,
        ecn: usertcp_base::Ecn::NotCapable,
        flow_label: 0,
        payload_octets: icmp.len() as u16,
        next_header: 58,
        hop_limit: 64,
        source: router,
        destination: sender.into(),
    };
    let mut out = ipv6::emit(&header).to_vec();
    out.extend_from_slice(&icmp);
    out
}

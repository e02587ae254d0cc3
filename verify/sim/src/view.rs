//! A packet as an onlooker sees it. Owns: `View`, cutting a super-packet as hardware would.
//! Must not know: the stacks at either end; it reads octets only.

use usertcp_base::{DropReason, Ecn, Seq};
use usertcp_frame::{ChecksumState, Packet};
use usertcp_wire::tcp::{self, Flags, Header, Options};
use usertcp_wire::{checksum, ipv4, ipv6};

/// One wire packet, parsed.
#[derive(Clone, Debug)]
pub struct View {
    /// Source address and port.
    pub source: (core::net::IpAddr, u16),
    /// Destination address and port.
    pub destination: (core::net::IpAddr, u16),
    /// TCP header.
    pub header: Header,
    /// TCP options.
    pub options: Options,
    /// Where the payload starts in the packet.
    pub payload_at: usize,
    /// Payload octets.
    pub payload_octets: u32,
    /// ECN mark.
    pub ecn: Ecn,
    /// Whether the TCP checksum is right.
    pub checksum_good: bool,
    /// The TTL or hop limit.
    pub hop_limit: u8,
}

impl View {
    /// Parses an IP packet that carries TCP; `None` for anything else.
    pub fn parse(octets: &[u8]) -> Option<Result<View, DropReason>> {
        match octets.first()? >> 4 {
            4 => View::parse_v4(octets),
            6 => View::parse_v6(octets),
            _ => None,
        }
    }

    fn parse_v4(octets: &[u8]) -> Option<Result<View, DropReason>> {
        let (ip, at) = match ipv4::parse(octets, octets.len()) {
            Ok(parsed) => parsed,
            Err(reason) => return Some(Err(reason)),
        };
        if ip.protocol != tcp::PROTOCOL || ip.is_fragment() {
            return None;
        }
        let segment = octets.get(at..usize::from(ip.total_octets))?;
        let (from, to) = (ip.source.octets(), ip.destination.octets());
        let pseudo = checksum::pseudo_v4(from, to, tcp::PROTOCOL, segment.len() as u32);
        let ends = (ip.source.into(), ip.destination.into());
        Some(View::parse_tcp(segment, at, pseudo, ends, (ip.ecn, ip.ttl)))
    }

    fn parse_v6(octets: &[u8]) -> Option<Result<View, DropReason>> {
        let ip = match ipv6::parse(octets, octets.len()) {
            Ok(parsed) => parsed,
            Err(reason) => return Some(Err(reason)),
        };
        if ip.next_header != tcp::PROTOCOL {
            return None;
        }
        let at = ipv6::HEADER_OCTETS;
        let segment = octets.get(at..at + usize::from(ip.payload_octets))?;
        let (from, to) = (ip.source.octets(), ip.destination.octets());
        let pseudo = checksum::pseudo_v6(from, to, tcp::PROTOCOL, segment.len() as u32);
        let ends = (ip.source.into(), ip.destination.into());
        Some(View::parse_tcp(segment, at, pseudo, ends, (ip.ecn, ip.hop_limit)))
    }

    fn parse_tcp(
        segment: &[u8],
        at: usize,
        pseudo: u32,
        ends: (core::net::IpAddr, core::net::IpAddr),
        marks: (Ecn, u8),
    ) -> Result<View, DropReason> {
        let (header, options, header_octets) = tcp::parse(segment, segment.len())?;
        let sum = checksum::combine(pseudo, checksum::sum(segment), false);
        Ok(View {
            source: (ends.0, header.source_port),
            destination: (ends.1, header.destination_port),
            header,
            options,
            payload_at: at + header_octets,
            payload_octets: (segment.len() - header_octets) as u32,
            ecn: marks.0,
            checksum_good: checksum::finish(sum) == 0,
            hop_limit: marks.1,
        })
    }

    /// Octets of sequence space.
    pub fn sequence_octets(&self) -> u32 {
        self.payload_octets + self.header.flags.sequence_len()
    }
    /// The sequence number after the segment.
    pub fn end(&self) -> Seq {
        self.header.seq + self.sequence_octets()
    }
    /// Whether a flag is set.
    pub fn has(&self, flag: Flags) -> bool {
        self.header.flags.contains(flag)
    }
}

/// The wire packets that a device would make of `packet`: cut where it is a super-packet,
/// checksums completed.
pub fn on_the_wire(packet: &Packet) -> Vec<Vec<u8>> {
    let mut whole = packet.octets.to_vec();
    let ChecksumState::Partial { start, offset } = packet.offload.checksum else {
        assert!(packet.offload.gso.is_none(), "a super-packet needs a partial checksum");
        return vec![whole];
    };
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    let Some(gso) = packet.offload.gso else {
        finish(&mut whole, start, field);
        return vec![whole];
    };
    let headers = start + usize::from(whole[start + 12] >> 4) * 4;
    let payload = whole.split_off(headers);
    assert!(payload.len() > usize::from(gso.segment_octets), "a super-packet of one segment");
    let pieces = payload.chunks(usize::from(gso.segment_octets));
    let count = pieces.len();
    pieces
        .enumerate()
        .map(|(index, piece)| cut(&whole, piece, index, count, gso.segment_octets, start))
        .collect()
}

/// One piece of a super-packet: sequence number moved on, FIN and PSH only on the last, and CWR only
/// on the first, as kernels and hardware do it for RFC 3168.
fn cut(
    headers: &[u8],
    piece: &[u8],
    index: usize,
    count: usize,
    segment_octets: u16,
    start: usize,
) -> Vec<u8> {
    let mut out = headers.to_vec();
    out.extend_from_slice(piece);
    let seq = u32::from_be_bytes([out[start + 4], out[start + 5], out[start + 6], out[start + 7]]);
    let seq = seq.wrapping_add(index as u32 * u32::from(segment_octets));
    out[start + 4..start + 8].copy_from_slice(&seq.to_be_bytes());
    if index + 1 < count {
        out[start + 13] &= !0x09;
    }
    if index > 0 {
        out[start + 13] &= !0x80;
    }
    let length = out.len();
    if out[0] >> 4 == 4 {
        out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        out[10..12].fill(0);
        let sum = checksum::finish(checksum::sum(&out[..start]));
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        out[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
    }
    complete(&mut out, start);
    out
}

/// Puts the right checksum into the TCP header at `start`.
pub(crate) fn complete(packet: &mut [u8], start: usize) {
    let pseudo = pseudo_sum(packet, packet.len() - start);
    packet[start + 16..start + 18].copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
    finish(packet, start, start + 16);
}

fn pseudo_sum(packet: &[u8], segment_octets: usize) -> u32 {
    let length = segment_octets as u32;
    if packet[0] >> 4 == 4 {
        let mut ends = [[0; 4]; 2];
        ends[0].copy_from_slice(&packet[12..16]);
        ends[1].copy_from_slice(&packet[16..20]);
        checksum::pseudo_v4(ends[0], ends[1], tcp::PROTOCOL, length)
    } else {
        let mut ends = [[0; 16]; 2];
        ends[0].copy_from_slice(&packet[8..24]);
        ends[1].copy_from_slice(&packet[24..40]);
        checksum::pseudo_v6(ends[0], ends[1], tcp::PROTOCOL, length)
    }
}

fn finish(packet: &mut [u8], start: usize, field: usize) {
    let sum = checksum::finish(checksum::sum(&packet[start..]));
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

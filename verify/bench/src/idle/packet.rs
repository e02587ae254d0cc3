//! Packets as peers write and read them. Owns: the formats, checksums.
//! Must not know: which peer, or why.
//!
//! Nothing of the stack's own writing and reading of headers is used: so what both agree on is right.

use super::tuple::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Flags.
pub const FIN: u8 = 1;
/// See RFC 9293 §3.1.
pub const SYN: u8 = 1 << 1;
/// See RFC 9293 §3.1.
pub const RST: u8 = 1 << 2;
/// See RFC 9293 §3.1.
pub const PSH: u8 = 1 << 3;
/// See RFC 9293 §3.1.
pub const ACK: u8 = 1 << 4;
/// Octets of the largest packet that is written: an IPv6 header, TCP with options, a message.
pub const LARGEST: usize = 40 + 60 + 64;

/// A segment that a peer sends, or was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// The peer's end.
    pub remote: (IpAddr, u16),
    /// The server's end.
    pub local: (IpAddr, u16),
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// TSval and TSecr.
    pub timestamps: (u32, u32),
    /// Data.
    pub payload: &'a [u8],
}

/// Why a packet is not what a peer expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Cut off, or of another protocol.
    Format,
    /// A checksum is wrong.
    Checksum,
}

/// Writes what a peer sends: octets used of `out`. A SYN carries MSS, SACK permitted and window scale.
pub fn write(segment: &Segment<'_>, out: &mut [u8; LARGEST]) -> usize {
    let options_octets = if segment.flags & SYN != 0 { 20 } else { 12 };
    let tcp_octets = 20 + options_octets + segment.payload.len();
    let ip_octets = match (segment.remote.0, segment.local.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => write_v4(out, from, to, tcp_octets),
        (IpAddr::V6(from), IpAddr::V6(to)) => write_v6(out, from, to, tcp_octets),
        _ => unreachable!("both ends are of one family"),
    };
    let tcp = &mut out[ip_octets..ip_octets + tcp_octets];
    tcp[0..2].copy_from_slice(&segment.remote.1.to_be_bytes());
    tcp[2..4].copy_from_slice(&segment.local.1.to_be_bytes());
    tcp[4..8].copy_from_slice(&segment.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&segment.ack.to_be_bytes());
    tcp[12] = (((20 + options_octets) / 4) << 4) as u8;
    tcp[13] = segment.flags;
    tcp[14..20].copy_from_slice(&[0x72, 0x10, 0, 0, 0, 0]); // a window, no checksum yet
    let (value, echo) = (segment.timestamps.0.to_be_bytes(), segment.timestamps.1.to_be_bytes());
    let stamps = if segment.flags & SYN != 0 {
        tcp[20..26].copy_from_slice(&[2, 4, 5, 180, 4, 2]); // MSS 1460, SACK permitted
        tcp[36..40].copy_from_slice(&[1, 3, 3, 7]); // window scale
        26
    } else {
        tcp[20..22].copy_from_slice(&[1, 1]);
        22
    };
    tcp[stamps..stamps + 2].copy_from_slice(&[8, 10]);
    tcp[stamps + 2..stamps + 6].copy_from_slice(&value);
    tcp[stamps + 6..stamps + 10].copy_from_slice(&echo);
    tcp[20 + options_octets..].copy_from_slice(segment.payload);
    let sum = finish(pseudo(segment.remote.0, segment.local.0, tcp_octets) + sum(tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    ip_octets + tcp_octets
}

fn write_v4(out: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, tcp_octets: usize) -> usize {
    let head = &mut out[..20];
    head.copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    head[2..4].copy_from_slice(&((20 + tcp_octets) as u16).to_be_bytes());
    head[12..16].copy_from_slice(&from.octets());
    head[16..20].copy_from_slice(&to.octets());
    let sum = finish(sum(head));
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    20
}

fn write_v6(out: &mut [u8], from: Ipv6Addr, to: Ipv6Addr, tcp_octets: usize) -> usize {
    out[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    out[4..6].copy_from_slice(&(tcp_octets as u16).to_be_bytes());
    out[6..8].copy_from_slice(&[6, 64]);
    out[8..24].copy_from_slice(&from.octets());
    out[24..40].copy_from_slice(&to.octets());
    40
}

/// Reads what a peer is sent, both checksums verified.
pub fn read(packet: &[u8]) -> Result<Segment<'_>, Malformed> {
    let (local, remote, tcp) = match packet.first().map(|first| first >> 4) {
        Some(4) => {
            let head = packet.get(..20).ok_or(Malformed::Format)?;
            let whole = usize::from(u16::from_be_bytes([head[2], head[3]]));
            if head[0] != 0x45 || head[9] != 6 || whole != packet.len() {
                return Err(Malformed::Format);
            }
            if finish(sum(head)) != 0 {
                return Err(Malformed::Checksum);
            }
            let address = |at: usize| -> IpAddr {
                Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]).into()
            };
            (address(12), address(16), &packet[20..])
        }
        Some(6) => {
            let head: &[u8; 40] = packet.first_chunk().ok_or(Malformed::Format)?;
            let inside = usize::from(u16::from_be_bytes([head[4], head[5]]));
            if head[6] != 6 || inside + 40 != packet.len() {
                return Err(Malformed::Format);
            }
            let address = |at: usize| -> IpAddr {
                let octets: [u8; 16] = std::array::from_fn(|n| head[at + n]);
                Ipv6Addr::from(octets).into()
            };
            (address(8), address(24), &packet[40..])
        }
        _ => return Err(Malformed::Format),
    };
    let head: &[u8; 20] = tcp.first_chunk().ok_or(Malformed::Format)?;
    let header_octets = usize::from(head[12] >> 4) * 4;
    let options = tcp.get(20..header_octets).ok_or(Malformed::Format)?;
    if finish(pseudo(local, remote, tcp.len()) + sum(tcp)) != 0 {
        return Err(Malformed::Checksum);
    }
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok(Segment {
        local: (local, u16::from_be_bytes([head[0], head[1]])),
        remote: (remote, u16::from_be_bytes([head[2], head[3]])),
        seq: word(4),
        ack: word(8),
        flags: head[13],
        timestamps: timestamps(options).unwrap_or_default(),
        payload: &tcp[header_octets..],
    })
}

fn timestamps(mut options: &[u8]) -> Option<(u32, u32)> {
    loop {
        match *options {
            [1, ..] => options = &options[1..],
            [8, 10, a, b, c, d, e, f, g, h, ..] => {
                return Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            }
            [_, octets, ..] if octets >= 2 => options = options.get(usize::from(octets)..)?,
            _ => return None,
        }
    }
}

fn pseudo(one: IpAddr, other: IpAddr, tcp_octets: usize) -> u64 {
    let addresses = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => sum(&one.octets()) + sum(&other.octets()),
        (IpAddr::V6(one), IpAddr::V6(other)) => sum(&one.octets()) + sum(&other.octets()),
        _ => 0,
    };
    addresses + 6 + tcp_octets as u64
}

/// The sum of 16-bit words, the last filled up with nought.
fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let long: u64 = words
        .by_ref()
        .map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]])))
        .sum();
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    long + u64::from(u32::from_be_bytes(last))
}

fn finish(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// The same family's server end, for whoever writes to it.
pub fn server(family: Family) -> (IpAddr, u16) {
    (family.server(), super::tuple::SERVER_PORT)
}

#[cfg(test)]
mod tests {
    use super::super::tuple::remote;
    use super::*;

    #[test]
    fn what_is_written_is_read_with_the_ends_changed_over() {
        for family in [Family::V4, Family::V6] {
            for (flags, payload) in [(SYN, &[][..]), (ACK, &[]), (ACK | PSH, b"abc")] {
                let sent = Segment {
                    remote: remote(family, 77),
                    local: server(family),
                    seq: 0x1234_5678,
                    ack: 0x9ABC_DEF0,
                    flags,
                    timestamps: (7, 9),
                    payload,
                };
                let mut packet = [0; LARGEST];
                let octets = write(&sent, &mut packet);
                let found = read(&packet[..octets]).unwrap();
                // A peer reads what comes the other way.
                let expected = Segment { remote: sent.local, local: sent.remote, ..sent };
                assert_eq!(found, expected);
                packet[octets - 1] ^= 1;
                assert_eq!(read(&packet[..octets]), Err(Malformed::Checksum));
                assert_eq!(read(&packet[..octets - 1]).map(|_| ()), Err(Malformed::Format));
            }
        }
    }
}

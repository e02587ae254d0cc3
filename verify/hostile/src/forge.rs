//! Packets made by hand.
//!
//! Owns: segments with any field, raw option octets, wrong checksums; fragments; ICMP about a packet.
//! Must not know: shards, what any of it is for.

use core::net::IpAddr;
use usertcp_base::{Ecn, Seq, WireWindow};
use usertcp_wire::tcp::{self, EmitChecksum, Flags, Header, Options};
use usertcp_wire::{checksum, icmpv4, icmpv6, ipv4, ipv6};

/// A TCP segment with its addresses.
#[derive(Clone, Debug)]
pub struct Forged {
    /// Who claims to send it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// TCP header.
    pub header: Header,
    /// Options.
    pub options: Options,
    /// Octets behind these options, padded with zeros to a word; cut at 40 octets in all.
    pub raw_options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// ECN mark.
    pub ecn: Ecn,
    /// Added to the right checksum.
    pub spoil: u16,
}

/// The octet that every peer sends at sequence number `seq`: so what is read can be judged,
/// whatever overlaps whatever.
pub const fn content(seq: Seq) -> u8 {
    (seq.0.wrapping_mul(0x9E37_79B1) >> 24) as u8
}

impl Forged {
    /// A segment without options and payload.
    pub fn new(source: (IpAddr, u16), destination: (IpAddr, u16), flags: Flags) -> Forged {
        Forged {
            source: source.0,
            destination: destination.0,
            header: Header {
                source_port: source.1,
                destination_port: destination.1,
                seq: Seq(0),
                ack: Seq(0),
                flags,
                window: WireWindow(60_000),
                urgent: 0,
            },
            options: Options::default(),
            raw_options: Vec::new(),
            payload: Vec::new(),
            ecn: Ecn::NotCapable,
            spoil: 0,
        }
    }
    /// With sequence and acknowledgement number.
    pub fn at(mut self, seq: Seq, ack: Seq) -> Forged {
        self.header.seq = seq;
        self.header.ack = ack;
        self
    }
    /// With `octets` of payload, as [`content`] has them.
    pub fn carrying(mut self, octets: usize) -> Forged {
        let first = self.header.seq + u32::from(self.header.flags.contains(Flags::SYN));
        self.payload = (0..octets as u32).map(|at| content(first + at)).collect();
        self
    }
    /// With these options.
    pub fn with(mut self, options: Options) -> Forged {
        self.options = options;
        self
    }
    /// With this window field.
    pub fn window(mut self, field: u16) -> Forged {
        self.header.window = WireWindow(field);
        self
    }

    /// TCP header and payload.
    pub fn segment(&self) -> Vec<u8> {
        let mut out = vec![0; tcp::header_len(&self.options, self.header.flags)];
        tcp::emit(&mut out, &self.header, &self.options, EmitChecksum::Full(0));
        let room = tcp::LONGEST_HEADER_OCTETS - out.len();
        out.extend_from_slice(&self.raw_options[..self.raw_options.len().min(room)]);
        out.resize(out.len().next_multiple_of(4), 0);
        out[12] = (out.len() as u8 / 4) << 4 | out[12] & 0x0F;
        out.extend_from_slice(&self.payload);
        out[16..18].fill(0);
        let sum = pseudo(self.source, self.destination, tcp::PROTOCOL, out.len());
        let sum = checksum::finish(checksum::combine(sum, checksum::sum(&out), false));
        out[16..18].copy_from_slice(&sum.wrapping_add(self.spoil).to_be_bytes());
        out
    }

    /// The whole packet.
    pub fn packet(&self) -> Vec<u8> {
        packet(self.source, self.destination, tcp::PROTOCOL, &self.segment(), self.ecn)
    }
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, octets: usize) -> u32 {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            checksum::pseudo_v4(from.octets(), to.octets(), protocol, octets as u32)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            checksum::pseudo_v6(from.octets(), to.octets(), protocol, octets as u32)
        }
        _ => 0,
    }
}

/// An IP packet with this payload.
pub fn packet(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8], ecn: Ecn) -> Vec<u8> {
    let whole = Part { identification: 0, offset: 0, more: false };
    part(source, destination, protocol, body, ecn, whole)
}

/// Which part of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Which datagram.
    pub identification: u32,
    /// Where, octets (a multiple of eight).
    pub offset: u16,
    /// Whether more follow.
    pub more: bool,
}

/// An IP packet with `body` as its part of a datagram.
pub fn part(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    body: &[u8],
    ecn: Ecn,
    part: Part,
) -> Vec<u8> {
    let is_part = part.offset > 0 || part.more;
    let mut out = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::emit(&ipv4::Header {
            dscp: 0,
            ecn,
            total_octets: (20 + body.len()) as u16,
            identification: part.identification as u16,
            dont_fragment: !is_part,
            more_fragments: part.more,
            fragment_offset: part.offset,
            ttl: 64,
            protocol,
            source,
            destination,
        })
        .to_vec(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let extra = if is_part { 8 } else { 0 };
            let mut out = ipv6::emit(&ipv6::Header {
                dscp: 0,
                ecn,
                flow_label: 0,
                payload_octets: (body.len() + extra) as u16,
                next_header: if is_part { ipv6::FRAGMENT } else { protocol },
                hop_limit: 64,
                source,
                destination,
            })
            .to_vec();
            if is_part {
                let fragment = ipv6::Fragment {
                    offset: part.offset,
                    more: part.more,
                    identification: part.identification,
                };
                out.extend_from_slice(&ipv6::emit_fragment(protocol, &fragment));
            }
            out
        }
        _ => Vec::new(),
    };
    out.extend_from_slice(body);
    out
}

/// An ICMP message of the destination's family: type, code, the second word, and what follows.
pub fn icmp(
    source: IpAddr,
    destination: IpAddr,
    kind: (u8, u8),
    word: u32,
    rest: &[u8],
) -> Vec<u8> {
    let mut message = vec![kind.0, kind.1, 0, 0];
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(rest);
    let (protocol, sum) = match destination {
        IpAddr::V4(_) => (icmpv4::PROTOCOL, 0),
        IpAddr::V6(_) => {
            (icmpv6::PROTOCOL, pseudo(source, destination, icmpv6::PROTOCOL, message.len()))
        }
    };
    let sum = checksum::finish(checksum::combine(sum, checksum::sum(&message), false));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(source, destination, protocol, &message, Ecn::NotCapable)
}

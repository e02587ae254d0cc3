//! Packets as octets. Owns: TCP options one by one in their order, building what the peer sends,
//! reading what the stack sent. Must not know: connections, scripts' relative numbers.
//!
//! The stack's own parser forgets order and padding; a script is about them, so this reads anew.

use core::fmt::Write as _;
use core::net::IpAddr;
use usertcp_base::Ecn;
use usertcp_wire::{checksum, ipv4, ipv6};

/// One TCP option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opt {
    /// Kind 2.
    Mss(u16),
    /// Kind 4.
    SackOk,
    /// Kind 1.
    Nop,
    /// Kind 0.
    Eol,
    /// Kind 3.
    Wscale(u8),
    /// Kind 8.
    Ts {
        /// The sender's clock.
        val: u32,
        /// The echo.
        ecr: u32,
    },
    /// Kind 5.
    Sack(Vec<(u32, u32)>),
    /// Kinds 172 (`e0b` first) and 174 (`e1b` first): up to three counters of 24 bits.
    Ecn {
        /// Kind 174.
        capable1_first: bool,
        /// The counters, in the option's order.
        counters: Vec<u32>,
    },
    /// Any other: kind and content.
    Other(u8, Vec<u8>),
    /// Octets as they are, for what no sender should send.
    Raw(Vec<u8>),
}

/// A packet with everything a script can speak of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wire {
    /// Who sends.
    pub source: (IpAddr, u16),
    /// To whom.
    pub destination: (IpAddr, u16),
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Flag bits, low nine of the header. Above them, for what the peer sends: reserved bits (9 to
    /// 11), and a data offset to be written in the place of the right one (12 to 15).
    pub flags: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window field.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options.
    pub options: Vec<Opt>,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Names of the counters in accurate ECN options.
pub const ECN_NAMES_172: [&str; 3] = ["e0b", "ceb", "e1b"];
/// The same in the other order.
pub const ECN_NAMES_174: [&str; 3] = ["e1b", "ceb", "e0b"];

const LETTERS: [char; 9] = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W', 'A'];

/// The bit that a flag letter means.
pub fn flag_bit(letter: char) -> Option<u16> {
    LETTERS.iter().position(|one| *one == letter).map(|at| 1 << at)
}

/// Flags as scripts write them.
pub fn flag_text(flags: u16) -> String {
    // The order that scripts use: control bits, then the dot.
    let order = ['S', 'F', 'R', 'P', 'U', 'E', 'W', 'A', '.'];
    let text: String =
        order.into_iter().filter(|c| flag_bit(*c).is_some_and(|bit| flags & bit != 0)).collect();
    if text.is_empty() { "-".to_string() } else { text }
}

/// Options as scripts write them.
pub fn options_text(options: &[Opt]) -> String {
    let mut out = String::from("<");
    for (index, option) in options.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = match option {
            Opt::Mss(mss) => write!(out, "mss {mss}"),
            Opt::SackOk => write!(out, "sackOK"),
            Opt::Nop => write!(out, "nop"),
            Opt::Eol => write!(out, "eol"),
            Opt::Wscale(shift) => write!(out, "wscale {shift}"),
            Opt::Ts { val, ecr } => write!(out, "TS val {val} ecr {ecr}"),
            Opt::Sack(blocks) => {
                out.push_str("sack");
                blocks.iter().try_for_each(|(left, right)| write!(out, " {left}:{right}"))
            }
            Opt::Ecn { capable1_first, counters } => {
                out.push_str("ECN");
                let names = if *capable1_first { ECN_NAMES_174 } else { ECN_NAMES_172 };
                let mut named = names.iter().zip(counters);
                let empty =
                    if counters.is_empty() { format!(" {}", names[0]) } else { String::new() };
                out.push_str(&empty);
                named.try_for_each(|(name, counter)| write!(out, " {name} {counter}"))
            }
            Opt::Other(19, digest) => write!(out, "md5{}", hex(digest)),
            Opt::Other(34, cookie) => write!(out, "FO{}", hex(cookie)),
            Opt::Other(254, content) if content.starts_with(&FAST_OPEN_EXPERIMENT) => {
                write!(out, "FOEXP{}", hex(&content[2..]))
            }
            Opt::Other(kind, content) => write!(out, "kind {kind} ({} octets)", content.len()),
            Opt::Raw(octets) => write!(out, "raw ({} octets)", octets.len()),
        };
    }
    out.push('>');
    out
}

/// The experiment (RFC 6994) that Fast Open was before it had an option of its own.
pub const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xF9, 0x89];

/// A space and the octets of a cookie, or nothing for a request.
fn hex(octets: &[u8]) -> String {
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    if digits.is_empty() { digits } else { format!(" {digits}") }
}

/// Octets that the options take.
pub fn options_length(options: &[Opt]) -> usize {
    options.iter().map(|option| option_octets(option).len()).sum()
}

fn option_octets(option: &Opt) -> Vec<u8> {
    let with = |kind: u8, content: &[u8]| {
        let mut out = vec![kind, (content.len() + 2).min(255) as u8];
        out.extend_from_slice(content);
        out
    };
    match option {
        Opt::Eol => vec![0],
        Opt::Nop => vec![1],
        Opt::Mss(mss) => with(2, &mss.to_be_bytes()),
        Opt::Wscale(shift) => with(3, &[*shift]),
        Opt::SackOk => with(4, &[]),
        Opt::Sack(blocks) => {
            let edges = blocks.iter().flat_map(|(left, right)| [left, right]);
            with(5, &edges.flat_map(|edge| edge.to_be_bytes()).collect::<Vec<u8>>())
        }
        Opt::Ts { val, ecr } => with(8, &[val.to_be_bytes(), ecr.to_be_bytes()].concat()),
        Opt::Ecn { capable1_first, counters } => {
            let octets = counters.iter().flat_map(|counter| {
                let [_, a, b, c] = counter.to_be_bytes();
                [a, b, c]
            });
            with(if *capable1_first { 174 } else { 172 }, &octets.collect::<Vec<u8>>())
        }
        Opt::Other(kind, content) => with(*kind, content),
        Opt::Raw(octets) => octets.clone(),
    }
}

/// The packet as octets, checksums right.
pub fn build(packet: &Wire) -> Vec<u8> {
    let options: Vec<u8> = packet.options.iter().flat_map(option_octets).collect();
    let header_octets = 20 + options.len().next_multiple_of(4);
    let mut out = Vec::with_capacity(header_octets + packet.payload.len());
    out.extend_from_slice(&packet.source.1.to_be_bytes());
    out.extend_from_slice(&packet.destination.1.to_be_bytes());
    out.extend_from_slice(&packet.seq.to_be_bytes());
    out.extend_from_slice(&packet.ack.to_be_bytes());
    let offset = match packet.flags >> 12 {
        0 => header_octets as u16 / 4,
        wrong => wrong,
    };
    let word = offset << 12 | (packet.flags & 0xFFF);
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(&packet.window.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&packet.urgent.to_be_bytes());
    out.extend_from_slice(&options);
    out.resize(header_octets, 0);
    out.extend_from_slice(&packet.payload);
    let length = out.len() as u32;
    let pseudo = match (packet.source.0, packet.destination.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => checksum::pseudo_v4(a.octets(), b.octets(), 6, length),
        (IpAddr::V6(a), IpAddr::V6(b)) => checksum::pseudo_v6(a.octets(), b.octets(), 6, length),
        _ => 0,
    };
    let sum = checksum::finish(checksum::combine(pseudo, checksum::sum(&out), false));
    if let Some(field) = out.get_mut(16..18) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    [ip_header(packet, out.len()), out].concat()
}

fn ip_header(packet: &Wire, octets: usize) -> Vec<u8> {
    let (dscp, ecn) = (packet.tos >> 2, Ecn::from_bits(packet.tos));
    match (packet.source.0, packet.destination.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::emit(&ipv4::Header {
            dscp,
            ecn,
            total_octets: (20 + octets) as u16,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: packet.ttl,
            protocol: 6,
            source,
            destination,
        })
        .to_vec(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::emit(&ipv6::Header {
            dscp,
            ecn,
            flow_label: 0,
            payload_octets: octets as u16,
            next_header: 6,
            hop_limit: packet.ttl,
            source,
            destination,
        })
        .to_vec(),
        _ => Vec::new(),
    }
}

/// Reads a packet the stack sent; `None` when it is no TCP, an error when it is malformed.
pub fn read(octets: &[u8]) -> Option<Result<Wire, String>> {
    let (source, destination, tos, ttl, at, end) = match octets.first()? >> 4 {
        4 => {
            let (ip, at) = ipv4::parse(octets, octets.len()).ok()?;
            let tos = *octets.get(1)?;
            let (from, to) = (IpAddr::V4(ip.source), IpAddr::V4(ip.destination));
            (from, to, tos, ip.ttl, (at, ip.protocol), usize::from(ip.total_octets))
        }
        _ => {
            let ip = ipv6::parse(octets, octets.len()).ok()?;
            let tos = ip.dscp << 2 | ip.ecn.bits();
            let (from, to) = (IpAddr::V6(ip.source), IpAddr::V6(ip.destination));
            let end = 40 + usize::from(ip.payload_octets);
            (from, to, tos, ip.hop_limit, (40, ip.next_header), end)
        }
    };
    if at.1 != 6 {
        return None;
    }
    if end != octets.len() {
        return Some(Err(format!("IP length {end} in a packet of {} octets", octets.len())));
    }
    let tcp = octets.get(at.0..end)?;
    Some(read_tcp(tcp, (source, destination), (tos, ttl)).ok_or("TCP header malformed".to_string()))
}

fn read_tcp(tcp: &[u8], ends: (IpAddr, IpAddr), marks: (u8, u8)) -> Option<Wire> {
    let short = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let long = |at: usize| Some(u32::from(short(at)?) << 16 | u32::from(short(at + 2)?));
    let header_octets = usize::from(*tcp.get(12)? >> 4) * 4;
    Some(Wire {
        source: (ends.0, short(0)?),
        destination: (ends.1, short(2)?),
        tos: marks.0,
        ttl: marks.1,
        flags: short(12)? & 0x1FF,
        seq: long(4)?,
        ack: long(8)?,
        window: short(14)?,
        urgent: short(18)?,
        options: read_options(tcp.get(20..header_octets)?)?,
        payload: tcp.get(header_octets..)?.to_vec(),
    })
}

fn read_options(mut rest: &[u8]) -> Option<Vec<Opt>> {
    let mut out = Vec::new();
    while let Some(kind) = rest.first() {
        if *kind < 2 {
            out.push(if *kind == 0 { Opt::Eol } else { Opt::Nop });
            rest = rest.get(1..)?;
            continue;
        }
        let length = usize::from(*rest.get(1)?);
        let content = rest.get(2..length)?;
        out.push(read_option(*kind, content));
        rest = rest.get(length..)?;
    }
    Some(out)
}

fn read_option(kind: u8, content: &[u8]) -> Opt {
    let long = |four: &[u8]| four.iter().fold(0u32, |sum, octet| sum << 8 | u32::from(*octet));
    match (kind, content) {
        (2, [high, low]) => Opt::Mss(u16::from_be_bytes([*high, *low])),
        (3, [shift]) => Opt::Wscale(*shift),
        (4, []) => Opt::SackOk,
        (5, edges) if edges.len().is_multiple_of(8) => {
            Opt::Sack(edges.chunks(8).map(|two| (long(&two[..4]), long(&two[4..]))).collect())
        }
        (8, both) if both.len() == 8 => Opt::Ts { val: long(&both[..4]), ecr: long(&both[4..]) },
        (172 | 174, counters) if counters.len().is_multiple_of(3) && counters.len() <= 9 => {
            let counters = counters.chunks(3).map(long).collect();
            Opt::Ecn { capable1_first: kind == 174, counters }
        }
        _ => Opt::Other(kind, content.to_vec()),
    }
}

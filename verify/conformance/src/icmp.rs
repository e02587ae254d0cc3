//! ICMP messages about packets of ours. Owns: their syntax and octets.
//! Must not know: the stack. Names of IPv4 have their IPv6 counterpart, so one script fits both.

use crate::cursor::Cursor;
use crate::script::{Icmp, Stop};
use crate::wire::{Wire, build as build_tcp};
use core::net::IpAddr;
use usertcp_base::Ecn;
use usertcp_wire::{checksum, ipv4, ipv6};

/// Octets of IP and TCP header that are quoted: what every router must quote.
const QUOTED_TCP_OCTETS: usize = 8;

/// The rest of a line from `icmp` on.
pub fn icmp(cursor: &mut Cursor<'_>) -> Result<Icmp, Stop> {
    cursor.expect("icmp")?;
    let kind = cursor.word();
    let code = if kind == "unreachable" { cursor.word() } else { "" };
    let (v4, v6) = match (kind, code) {
        ("unreachable", "net_unreachable") => ((3, 0), (1, 0)),
        ("unreachable", "host_unreachable") => ((3, 1), (1, 3)),
        ("unreachable", "port_unreachable") => ((3, 3), (1, 4)),
        ("unreachable", "frag_needed") | ("packet_too_big", "") => ((3, 4), (2, 0)),
        _ => return Err(Stop::unsupported(cursor.line(), format!("`icmp {kind} {code}`"))),
    };
    let mtu = if cursor.eat("mtu") { cursor.fitting("MTU")? } else { 0 };
    let mut about = (0, 0);
    if cursor.eat("[") {
        about.0 = cursor.fitting("sequence number")?;
        cursor.expect(":")?;
        cursor.number()?;
        cursor.expect("(")?;
        about.1 = cursor.fitting("length")?;
        cursor.expect(")")?;
        cursor.expect("]")?;
    }
    Ok(Icmp { v4, v6, mtu, about })
}

/// The message about `quoted`, from its destination to its sender.
pub fn build(message: &Icmp, quoted: &Wire) -> Vec<u8> {
    let whole = build_tcp(quoted);
    match (quoted.destination.0, quoted.source.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let quote = &whole[..20 + QUOTED_TCP_OCTETS];
            let body = finished(message.v4, message.mtu, quote, 0);
            let header = ipv4::Header {
                dscp: 0,
                ecn: Ecn::NotCapable,
                total_octets: (20 + body.len()) as u16,
                identification: 0,
                dont_fragment: false,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 255,
                protocol: 1,
                source,
                destination,
            };
            [ipv4::emit(&header).to_vec(), body].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let quote = &whole[..40 + QUOTED_TCP_OCTETS];
            let octets = (8 + quote.len()) as u32;
            let pseudo = checksum::pseudo_v6(source.octets(), destination.octets(), 58, octets);
            let body = finished(message.v6, message.mtu, quote, pseudo);
            let header = ipv6::Header {
                dscp: 0,
                ecn: Ecn::NotCapable,
                flow_label: 0,
                payload_octets: body.len() as u16,
                next_header: 58,
                hop_limit: 255,
                source,
                destination,
            };
            [ipv6::emit(&header).to_vec(), body].concat()
        }
        _ => Vec::new(),
    }
}

fn finished(kind: (u8, u8), word: u32, quote: &[u8], pseudo: u32) -> Vec<u8> {
    let mut out = vec![kind.0, kind.1, 0, 0];
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(quote);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::sum(&out), false));
    out[2..4].copy_from_slice(&sum.to_be_bytes());
    out
}

//! What the shard says to the network layer, in one place.
//!
//! Owns: which addresses a peer may have, what a path is thought to carry before anything is known,
//! and what a path signal means for a segment.
//! Must not know: connections.
//! Implements: MUST-15 (default MSS), MUST-46 (invalid remotes), MUST-67 (MSS from the MTU).

use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::FlowKey;
use usertcp_ip::{Ip, PathSignal, SignalKind, ip_address};
use usertcp_tcp::{PathFacts, Signal};

/// RFC 9293 §3.9.1.1, MUST-46: whether a single host may have this address.
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && address != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(address) => {
            // A mapped address is no address on the wire.
            !address.is_unspecified()
                && !address.is_multicast()
                && address.to_ipv4_mapped().is_none()
        }
    }
}

/// What the path of `flow` is thought to carry, from our interface alone.
pub(crate) fn path_facts(ip: &Ip, flow: &FlowKey) -> PathFacts {
    let is_v4 = ip_address(flow.remote).is_ipv4();
    let facts = if is_v4 { path_facts_v4(ip) } else { facts_of(ip, 40, 1220, 1280) };
    debug_assert_eq!(u16::from(facts.header_octets), ip.header_octets(flow));
    facts
}

/// The same of any flow by IPv4.
#[inline]
pub(crate) fn path_facts_v4(ip: &Ip) -> PathFacts {
    facts_of(ip, 20, 536, 576)
}

// RFC 791: every host takes 576 octets; IPv6: every link carries 1280 (RFC 8200 §5).
#[inline]
fn facts_of(
    ip: &Ip,
    header_octets: u8,
    default_mss_octets: u16,
    least_packet_octets: u16,
) -> PathFacts {
    let segment_octets = ip.mtu().saturating_sub(u16::from(header_octets));
    PathFacts {
        segment_octets,
        receive_segment_octets: segment_octets,
        default_mss_octets,
        header_octets,
        least_packet_octets,
        host: None,
    }
}

/// What a path signal says of a segment, in TCP's terms (RFC 1122 §4.2.3.9, RFC 5927).
pub(crate) fn segment_signal(ip: &Ip, signal: &PathSignal) -> Signal {
    let kind = match signal.kind {
        SignalKind::TooBig { mtu } => usertcp_tcp::SignalKind::TooBig {
            segment_octets: mtu.saturating_sub(ip.header_octets(&signal.flow)),
        },
        SignalKind::Unreachable { hard: true, .. } => usertcp_tcp::SignalKind::Hard,
        SignalKind::Unreachable { hard: false, .. }
        | SignalKind::TimeExceeded
        | SignalKind::ParameterProblem { .. } => usertcp_tcp::SignalKind::Soft,
    };
    Signal { seq: signal.seq, kind }
}

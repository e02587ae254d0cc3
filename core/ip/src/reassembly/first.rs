//! What a first fragment must hold.
//! Owns: the rules against splitting a transport header. Must not know: other fragments.
//! Implements: RFC 1858 §4, RFC 3128 §2, RFC 7112 §5 (header chain in the first fragment).

use core::net::IpAddr;
use usertcp_base::DropReason;
use usertcp_frame::Chain;
use usertcp_wire::{ipv6, tcp};

use crate::contiguous::MOST_OCTETS;
use crate::input::{Arrival, Fragment};

/// Octets of a UDP or ICMP header: the least any other protocol needs.
const OTHER_HEADER_OCTETS: usize = 8;

/// Error: `FragmentTiny` for a first fragment that ends within its transport header, or an IPv4
/// fragment that could write over one; other errors are those of the extension headers.
pub(super) fn check(
    arrival: &Arrival,
    fragment: Fragment,
    octets: &Chain,
) -> Result<(), DropReason> {
    let four = arrival.source.is_ipv4();
    match fragment.offset {
        0 => {}
        // The octets 8 to 15 hold the flags' neighbours: RFC 3128's second attack.
        1..tcp::HEADER_OCTETS if four && arrival.protocol == tcp::PROTOCOL => {
            return Err(DropReason::FragmentTiny);
        }
        _ => return Ok(()),
    }
    let mut copy = [0; MOST_OCTETS];
    let len = octets.copy_to(0, &mut copy);
    let bytes = copy.get(..len).unwrap_or_default();
    let (protocol, offset) = match arrival.source {
        IpAddr::V4(_) => (arrival.protocol, 0),
        IpAddr::V6(_) => match ipv6::walk(arrival.protocol, bytes) {
            Ok(upper) if upper.fragment.is_none() => (upper.protocol, upper.offset),
            Ok(_) => return Err(DropReason::IpExtension),
            Err(DropReason::IpMalformed) => return Err(DropReason::FragmentTiny),
            Err(reason) => return Err(reason),
        },
    };
    let transport = bytes.get(offset..).unwrap_or_default();
    let needed = match (protocol, transport.get(12)) {
        (tcp::PROTOCOL, Some(words)) => (usize::from(words >> 4) * 4).max(tcp::HEADER_OCTETS),
        (tcp::PROTOCOL, None) => tcp::HEADER_OCTETS,
        _ => OTHER_HEADER_OCTETS,
    };
    if transport.len() < needed { Err(DropReason::FragmentTiny) } else { Ok(()) }
}

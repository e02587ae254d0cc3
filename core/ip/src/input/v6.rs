//! An IPv6 header arrives.
//! Owns: which of them are for us, and the way to the upper layer. Must not know: what that is.
//! Implements: RFC 4291 §2.5 and §2.7 (addresses that are no source), RFC 8200 §4.5, I-11, AT-15.

use core::net::{IpAddr, Ipv6Addr};
use usertcp_base::DropReason;
use usertcp_frame::Chain;
use usertcp_wire::ipv6;

use super::{Arrival, Fragment, Header};
use crate::Ip;

impl Ip {
    pub(super) fn read_v6(&self, octets: &Chain) -> Result<Header, DropReason> {
        let front = octets.front().ok_or(DropReason::IpMalformed)?;
        let header = ipv6::parse(front, octets.len())?;
        let (source, destination) = (header.source, header.destination);
        if is_martian(source) {
            return Err(DropReason::IpMartianSource);
        }
        let Some(local) = self.addresses.index(IpAddr::V6(destination)) else {
            let group = destination.is_multicast();
            return Err(if group { DropReason::IpBroadcast } else { DropReason::IpNotOurs });
        };
        self.check_not_own(IpAddr::V6(source), IpAddr::V6(destination))?;
        let total_octets = ipv6::HEADER_OCTETS + usize::from(header.payload_octets);
        let extensions = front
            .get(ipv6::HEADER_OCTETS..total_octets.min(front.len()))
            .ok_or(DropReason::IpMalformed)?;
        let upper = ipv6::walk(header.next_header, extensions)?;
        Ok(Header {
            arrival: Arrival {
                source: IpAddr::V6(source),
                destination: IpAddr::V6(destination),
                local,
                protocol: upper.protocol,
                ecn: header.ecn,
                dscp: header.dscp,
                ttl: header.hop_limit,
                header_octets: ipv6::HEADER_OCTETS + upper.offset,
                protocol_at: upper.protocol_at.map_or(6, |at| (ipv6::HEADER_OCTETS + at) as u32),
            },
            total_octets,
            fragment: upper.fragment.map(|fragment| Fragment {
                identification: fragment.identification,
                offset: usize::from(fragment.offset),
                more: fragment.more,
            }),
        })
    }
}

/// Unspecified, loopback, groups; and the mapped form, which flow keys use for IPv4.
pub(super) fn is_martian(source: Ipv6Addr) -> bool {
    source.is_unspecified()
        || source.is_loopback()
        || source.is_multicast()
        || source.to_ipv4_mapped().is_some()
}

/// Passes the extension headers inside a datagram that came in fragments. A fragment header among
/// them makes no sense: refused.
pub(super) fn pass_inner_extensions(
    arrival: &mut Arrival,
    octets: &mut Chain,
) -> Result<(), DropReason> {
    let front = octets.front().ok_or(DropReason::IpMalformed)?;
    let upper = ipv6::walk(arrival.protocol, front)?;
    if upper.fragment.is_some() {
        return Err(DropReason::IpExtension);
    }
    octets.advance(upper.offset);
    arrival.protocol = upper.protocol;
    Ok(())
}

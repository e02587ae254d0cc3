//! An IPv4 header arrives.
//! Owns: which of them are for us. Must not know: what is behind the header.
//! Implements: RFC 1122 §3.2.1.3 (I-14), RFC 6890 §2.2.2, AT-15.

use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::DropReason;
use usertcp_frame::Chain;
use usertcp_wire::ipv4;

use super::{Arrival, Fragment, Header};
use crate::Ip;

impl Ip {
    pub(super) fn read_v4(&self, octets: &Chain) -> Result<Header, DropReason> {
        let front = octets.front().ok_or(DropReason::IpMalformed)?;
        let (header, header_octets) = ipv4::parse(front, octets.len())?;
        let (source, destination) = (header.source, header.destination);
        if self.is_martian_v4(source) {
            return Err(DropReason::IpMartianSource);
        }
        let Some(local) = self.addresses.index(IpAddr::V4(destination)) else {
            let group = destination.is_multicast() || self.addresses.is_broadcast(destination);
            return Err(if group { DropReason::IpBroadcast } else { DropReason::IpNotOurs });
        };
        self.check_not_own(IpAddr::V4(source), IpAddr::V4(destination))?;
        Ok(Header {
            arrival: Arrival {
                source: IpAddr::V4(source),
                destination: IpAddr::V4(destination),
                local,
                protocol: header.protocol,
                ecn: header.ecn,
                dscp: header.dscp,
                ttl: header.ttl,
                header_octets,
                protocol_at: 9,
            },
            total_octets: usize::from(header.total_octets),
            fragment: header.is_fragment().then_some(Fragment {
                identification: u32::from(header.identification),
                offset: usize::from(header.fragment_offset),
                more: header.more_fragments,
            }),
        })
    }

    /// Networks 0 and 127, groups, class E, the limited and our directed broadcasts.
    pub(super) fn is_martian_v4(&self, source: Ipv4Addr) -> bool {
        let [network, ..] = source.octets();
        matches!(network, 0 | 127 | 224..) || self.addresses.is_broadcast(source)
    }

    /// Nobody else has our addresses; a packet that claims to be from itself is LAND (AT-15).
    pub(super) fn check_not_own(
        &self,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<(), DropReason> {
        if source == destination {
            return Err(DropReason::TcpLand);
        }
        match self.addresses.index(source) {
            Some(_) => Err(DropReason::IpMartianSource),
            None => Ok(()),
        }
    }
}

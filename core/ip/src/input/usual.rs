//! A packet of the usual shape arrives: TCP over IPv4 without options, whole, for us, its headers in
//! the first slice.
//! Owns: the short way for it. Must not know: any reason to drop one: whatever is not as expected goes
//! the general way, and a test holds this one against that.

use core::net::{IpAddr, Ipv4Addr};
use usertcp_frame::{ChecksumState, Gso, Packet};
use usertcp_wire::usual::{self, IPV4_OCTETS};
use usertcp_wire::{checksum, tcp};

use super::TcpInput;
use crate::{Ip, remote_address};

impl Ip {
    /// What `input` makes of `packet` if it is usual. `None`: nothing has changed.
    #[inline]
    pub(crate) fn usual(&self, packet: &mut Packet) -> Option<TcpInput> {
        let octets = &mut packet.octets;
        let front: &[u8] = octets.front()?;
        let header = usual::read_ipv4(front.first_chunk()?)?;
        let payload = usize::from(header.payload_octets);
        // The longest TCP header lies in the first slice, or all there is.
        let needed = IPV4_OCTETS + payload.min(tcp::LONGEST_HEADER_OCTETS);
        if octets.len() < IPV4_OCTETS + payload || front.len() < needed {
            return None;
        }
        let source = Ipv4Addr::from(header.source);
        let local = self.addresses.index_v4(Ipv4Addr::from(header.destination))?;
        if matches!(header.source[0], 0 | 127 | 224..) || self.addresses.is_no_source_v4(source) {
            return None;
        }
        octets.truncate(IPV4_OCTETS + payload);
        octets.advance(IPV4_OCTETS);
        let octets = core::mem::take(octets);
        let length = u32::from(header.payload_octets);
        Some(TcpInput {
            remote: remote_address(IpAddr::V4(source)),
            local,
            partial_sum: checksum::pseudo_v4(
                header.source,
                header.destination,
                tcp::PROTOCOL,
                length,
            ),
            ecn: header.ecn,
            dscp: header.dscp,
            ttl: header.hop_limit,
            checksum_verified: !matches!(packet.offload.checksum, ChecksumState::Unverified),
            gso_octets: packet.offload.gso.map(|Gso { segment_octets, .. }| segment_octets),
            octets,
        })
    }
}

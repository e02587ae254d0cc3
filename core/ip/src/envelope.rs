//! The IP header of what ICMP sends.
//!
//! Owns: one description of a header for both versions, parts of a fragmented packet included.
//! Must not know: messages, rates. TCP's headers are written by `output`.
//! Implements: RFC 791 §3.2, RFC 8200 §4.5 (fragmenting at the source), RFC 6864.

use arrayvec::ArrayVec;
use core::net::IpAddr;
use usertcp_base::Ecn;
use usertcp_wire::{ipv4, ipv6};

/// The longest header written here: IPv6 and a fragment header.
pub(crate) const LONGEST_OCTETS: usize = ipv6::HEADER_OCTETS + ipv6::FRAGMENT_HEADER_OCTETS;

/// From whom to whom, and what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) dscp: u8,
    /// IPv4: what it is, should a router have to cut it.
    pub(crate) identification: u32,
}

/// Which part of the payload follows the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Whole,
    Fragment { offset: usize, more: bool },
}

impl Envelope {
    /// Octets of the header for a whole packet.
    pub(crate) fn header_octets(&self) -> usize {
        match self.source {
            IpAddr::V4(_) => ipv4::HEADER_OCTETS,
            IpAddr::V6(_) => ipv6::HEADER_OCTETS,
        }
    }

    /// Payload octets of each fragment but the last, on a link of `mtu` octets.
    pub(crate) fn fragment_octets(&self, mtu: u16) -> usize {
        let header = match self.source {
            IpAddr::V4(_) => ipv4::HEADER_OCTETS,
            IpAddr::V6(_) => LONGEST_OCTETS,
        };
        (usize::from(mtu).saturating_sub(header) & !7).max(8)
    }

    /// The header for `payload_octets` behind it. `None`: too many, or the families differ.
    pub(crate) fn header(
        &self,
        payload_octets: usize,
        part: Part,
    ) -> Option<ArrayVec<u8, LONGEST_OCTETS>> {
        let mut out = ArrayVec::new();
        let (offset, more) = match part {
            Part::Whole => (0, false),
            Part::Fragment { offset, more } => (u16::try_from(offset).ok()?, more),
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Header {
                    dscp: self.dscp,
                    ecn: Ecn::NotCapable,
                    total_octets: u16::try_from(ipv4::HEADER_OCTETS + payload_octets).ok()?,
                    identification: self.identification as u16,
                    // Nobody searches a path MTU for these: routers may cut them.
                    dont_fragment: false,
                    more_fragments: more,
                    fragment_offset: offset,
                    ttl: crate::DEFAULT_TTL,
                    protocol: self.protocol,
                    source,
                    destination,
                };
                out.try_extend_from_slice(&ipv4::emit(&header)).ok()?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let whole = part == Part::Whole;
                let extension = if whole { 0 } else { ipv6::FRAGMENT_HEADER_OCTETS };
                let header = ipv6::Header {
                    dscp: self.dscp,
                    ecn: Ecn::NotCapable,
                    flow_label: 0,
                    payload_octets: u16::try_from(extension + payload_octets).ok()?,
                    next_header: if whole { self.protocol } else { ipv6::FRAGMENT },
                    hop_limit: crate::DEFAULT_TTL,
                    source,
                    destination,
                };
                out.try_extend_from_slice(&ipv6::emit(&header)).ok()?;
                if !whole {
                    let identification = self.identification;
                    let fragment = ipv6::Fragment { offset, more, identification };
                    let octets = ipv6::emit_fragment(self.protocol, &fragment);
                    out.try_extend_from_slice(&octets).ok()?;
                }
            }
            _ => return None,
        }
        Some(out)
    }
}

//! The header in front of a segment that leaves.
//!
//! Owns: the IP header of TCP, its pseudo-header sum, flow labels.
//! Must not know: what is in the segment, when it leaves.
//! Implements: RFC 1191 §3 (DF, I-7), RFC 6864 §4.1 (ID of atomic datagrams, I-6), RFC 8200 §3,
//! RFC 6437 §3 (I-9), I-5, I-8 (no fragment header), I-13.

use core::net::IpAddr;
use usertcp_base::{Ecn, FlowKey, Purpose};
use usertcp_frame::FrameSlice;
use usertcp_wire::usual::{self, IPV4_OCTETS};
use usertcp_wire::{checksum, ipv4, ipv6, tcp};

use crate::address::is_v4;
use crate::{DEFAULT_TTL, Ip, ip_address};

/// What the layers above decide about a packet's IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The ECN mark.
    pub ecn: Ecn,
    /// Differentiated services: the low six bits count.
    pub dscp: u8,
    /// Time to live or hop limit; zero, which may never be sent, stands for [`DEFAULT_TTL`].
    pub ttl: u8,
    /// IPv6: the flow label, of which twenty bits count ([`Ip::flow_label`] makes one).
    pub flow_label: u32,
}

impl Default for Outgoing {
    fn default() -> Outgoing {
        Outgoing { ecn: Ecn::NotCapable, dscp: 0, ttl: DEFAULT_TTL, flow_label: 0 }
    }
}

/// Why no header was written. Each is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotWritten {
    /// The local index is not in the table, or of the other family.
    Address,
    /// Header and segment are longer than the length field can say (65,535 octets in all for
    /// IPv4, beside the header for IPv6).
    Length,
    /// The slice has too little headroom, or its frame is shared.
    Headroom,
}

impl Ip {
    /// Writes the IP header in front of `header`, the slice that begins with the TCP header of
    /// the segment. `tcp_octets` is the whole segment, its payload in other slices included; for
    /// a super-segment that the device will cut, all of it. The header fits the device's cutting:
    /// DF set and ID zero, so that the copies are atomic datagrams (RFC 6864).
    #[inline]
    pub fn output(
        &self,
        flow: &FlowKey,
        outgoing: &Outgoing,
        tcp_octets: u32,
        header: &mut FrameSlice,
    ) -> Result<(), NotWritten> {
        let local = self.local(flow.local).ok_or(NotWritten::Address)?;
        let ttl = if outgoing.ttl == 0 { DEFAULT_TTL } else { outgoing.ttl };
        match (local, ip_address(flow.remote)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let most = u32::from(u16::MAX) - ipv4::HEADER_OCTETS as u32;
                if tcp_octets > most {
                    return Err(NotWritten::Length);
                }
                // Without options, not to be cut: the usual shape, always.
                let place = header.push_front(IPV4_OCTETS).and_then(|it| it.first_chunk_mut());
                let written = usual::IpHeader {
                    payload_octets: tcp_octets as u16,
                    ecn: outgoing.ecn,
                    dscp: outgoing.dscp,
                    hop_limit: ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                usual::write_ipv4(place.ok_or(NotWritten::Headroom)?, &written);
                Ok(())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let octets = ipv6::emit(&ipv6::Header {
                    dscp: outgoing.dscp,
                    ecn: outgoing.ecn,
                    flow_label: outgoing.flow_label,
                    payload_octets: u16::try_from(tcp_octets).map_err(|_| NotWritten::Length)?,
                    next_header: tcp::PROTOCOL,
                    hop_limit: ttl,
                    source,
                    destination,
                });
                put(header, &octets)
            }
            _ => Err(NotWritten::Address),
        }
    }

    /// The partial sum of the pseudo-header of a segment of `tcp_octets` octets; it is the same
    /// for both directions. Zero when the local index is unknown or of the other family.
    #[inline]
    pub fn pseudo_sum(&self, flow: &FlowKey, tcp_octets: u32) -> u32 {
        match (self.local(flow.local), ip_address(flow.remote)) {
            (Some(IpAddr::V4(local)), IpAddr::V4(remote)) => {
                checksum::pseudo_v4(local.octets(), remote.octets(), tcp::PROTOCOL, tcp_octets)
            }
            (Some(IpAddr::V6(local)), IpAddr::V6(remote)) => {
                checksum::pseudo_v6(local.octets(), remote.octets(), tcp::PROTOCOL, tcp_octets)
            }
            _ => 0,
        }
    }

    /// Octets of the IP header that [`Ip::output`] writes: 20 or 40.
    #[inline]
    pub fn header_octets(&self, flow: &FlowKey) -> u16 {
        match ip_address(flow.remote) {
            IpAddr::V4(_) => ipv4::HEADER_OCTETS as u16,
            IpAddr::V6(_) => ipv6::HEADER_OCTETS as u16,
        }
    }

    /// A flow label: constant for a flow and a `salt`, not to be guessed from outside. A new
    /// salt, say after a timeout, asks the network for another path (RFC 6437 §3). Zero for IPv4,
    /// which has none.
    #[inline]
    pub fn flow_label(&self, flow: &FlowKey, salt: u32) -> u32 {
        if is_v4(&flow.remote) { 0 } else { self.label(flow, salt) }
    }

    fn label(&self, flow: &FlowKey, salt: u32) -> u32 {
        let mut message = [0; 26];
        let (key, rest) = message.split_at_mut(22);
        key.copy_from_slice(&flow.octets());
        rest.copy_from_slice(&salt.to_be_bytes());
        // Zero means "no label" (RFC 6437 §2).
        ((self.secrets.hash(Purpose::FlowLabel, &message) as u32) & 0xF_FFFF).max(1)
    }
}

#[inline]
fn put(slice: &mut FrameSlice, octets: &[u8]) -> Result<(), NotWritten> {
    let place = slice.push_front(octets.len()).ok_or(NotWritten::Headroom)?;
    place.copy_from_slice(octets);
    Ok(())
}

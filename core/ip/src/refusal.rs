//! Errors about packets that nobody here takes.
//!
//! Owns: "port unreachable" for UDP and "protocol unreachable" for everything that is not TCP or
//! ICMP, and when not to send them.
//! Must not know: UDP, beyond the eight octets of its header.
//! Implements: RFC 1122 §3.2.2 and §3.2.2.1 (H-5), RFC 4443 §2.4 e and f, §3.1, §3.4, AT-21.
//!
//! The size of an error: RFC 792 wants the IP header and eight octets quoted. Beyond that, what
//! is quoted keeps the error no longer than the packet that caused it, and never passes 128
//! octets: a forged source gains nothing by us (AT-21). Only a packet that is itself shorter than
//! the least error is answered by something longer: by the headers in front of the quote, 28
//! octets at most (48 for IPv6).

use core::net::IpAddr;
use usertcp_base::{DropReason, Instant};
use usertcp_frame::{Chain, FramePool, Packet};
use usertcp_wire::{checksum, icmp, icmpv4, icmpv6};

use crate::envelope::{Envelope, Part};
use crate::input::Arrival;
use crate::{Input, Ip, LINK_HEADROOM};

const UDP: u8 = 17;
/// IPv6: nothing follows (RFC 8200 §4.7).
const NO_NEXT_HEADER: u8 = 59;
const UDP_HEADER_OCTETS: usize = 8;
const MOST_QUOTED_OCTETS: usize = 128;

impl Ip {
    /// Answers the packet that begins with the IP header in `octets`, when that is allowed:
    /// source and destination are known to be single hosts, the packet is no ICMP. What came in
    /// fragments is not answered: its header is gone.
    pub(crate) fn refuse(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        octets: &Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        let payload = octets.len().saturating_sub(arrival.header_octets);
        if arrival.protocol == UDP && payload < UDP_HEADER_OCTETS {
            return Err(DropReason::IpMalformed);
        }
        // An error about an ICMP of the other version would be an error about an error.
        let silent = [NO_NEXT_HEADER, icmpv4::PROTOCOL, icmpv6::PROTOCOL];
        if arrival.header_octets == 0 || silent.contains(&arrival.protocol) {
            return Err(DropReason::IpProtocol);
        }
        if !self.icmp_errors.allow(now) {
            self.beside.protocol = self.beside.protocol.saturating_add(1);
            return Err(DropReason::IcmpLimited);
        }
        let packet = self.unreachable(arrival, octets, pool)?;
        self.beside.protocol = self.beside.protocol.saturating_add(1);
        Ok(Input::Reply(packet))
    }

    fn unreachable(
        &mut self,
        arrival: &Arrival,
        octets: &Chain,
        pool: &FramePool,
    ) -> Result<Packet, DropReason> {
        let mut envelope = Envelope {
            source: arrival.destination,
            destination: arrival.source,
            protocol: icmpv4::PROTOCOL,
            dscp: 0,
            identification: self.next_identification(),
        };
        let overhead = envelope.header_octets() + icmp::HEADER_OCTETS;
        let least = arrival.header_octets + icmp::LEAST_QUOTED_OCTETS;
        let wanted = octets.len().saturating_sub(overhead).max(least).min(MOST_QUOTED_OCTETS);
        let mut quote = [0; MOST_QUOTED_OCTETS];
        let quoted = octets.copy_to(0, quote.get_mut(..wanted).unwrap_or_default());
        let quote = quote.get(..quoted).unwrap_or_default();

        let mut frame = pool
            .take_control(envelope.header_octets() + LINK_HEADROOM)
            .ok_or(DropReason::PoolEmpty)?;
        let spare = frame.spare_mut();
        let udp = arrival.protocol == UDP;
        let len = match (envelope.source, envelope.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                envelope.protocol = icmpv6::PROTOCOL;
                let (from, to) = (source.octets(), destination.octets());
                let addresses = checksum::pseudo_v6(from, to, icmpv6::PROTOCOL, 0);
                let error = match udp {
                    true => icmpv6::Sent::PortUnreachable,
                    false => icmpv6::Sent::UnknownNextHeader { pointer: arrival.protocol_at },
                };
                icmpv6::emit_error(spare, error, quote, addresses)
            }
            _ => {
                let code = if udp { icmpv4::CODE_PORT } else { icmpv4::CODE_PROTOCOL };
                icmpv4::emit_unreachable(spare, code, quote)
            }
        };
        frame.advance_len(len);
        let header = envelope.header(len, Part::Whole).ok_or(DropReason::IpMalformed)?;
        let place = frame.push_front(header.len()).ok_or(DropReason::PoolEmpty)?;
        place.copy_from_slice(&header);
        Ok(Packet::plain(Chain::from(frame.into_slice())))
    }
}

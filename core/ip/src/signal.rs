//! News about paths, from ICMP errors.
//!
//! Owns: which errors are believed enough to be shown to a connection, and in what form.
//! Must not know: connections. Whether the flow exists and the sequence number is in flight is
//! for them to say (RFC 5927 §4.1, IC-1).
//! Implements: RFC 1122 §3.2.2.1 and §4.2.3.9 (hard and soft), RFC 1191 §3 to §5 and §7.1
//! (plateaus), RFC 8201 §4, IC-5, IC-6, IC-7, IC-11.

use usertcp_base::{DropReason, FlowKey, Seq};
use usertcp_frame::Packet;
use usertcp_wire::icmp::{self, Problem, Quote};

use crate::input::Arrival;
use crate::{Ip, remote_address};

/// An ICMP error about a segment of ours, as far as IP can check it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathSignal {
    /// The flow of the segment, as our keys have it: `remote` is its destination.
    pub flow: FlowKey,
    /// The segment's sequence number. Act only when it is in flight.
    pub seq: Seq,
    /// What is said to have happened.
    pub kind: SignalKind,
}

/// What an ICMP error says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalKind {
    /// The packet was too big.
    TooBig {
        /// The largest that would pass, octets with the IP header: below the link's MTU, at least
        /// 68 (IPv4) or 1280 (IPv6).
        mtu: u16,
    },
    /// It cannot get there.
    Unreachable {
        /// Waiting will not help: no such port or protocol, or forbidden. Still soft once the
        /// connection is synchronised (IC-2).
        hard: bool,
        /// The code of the version it came with.
        code: u8,
    },
    /// It lived too long, on the way or in reassembly: soft.
    TimeExceeded,
    /// A header field was not understood: soft.
    ParameterProblem {
        /// The code of the version it came with.
        code: u8,
    },
}

/// Least MTU an IPv4 path may have (RFC 791 §3.2).
const LEAST_MTU_V4: u16 = 68;

/// MTUs that were common, for routers that do not tell (RFC 1191 §7.1).
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

impl Ip {
    /// The news that a packet of ours found no neighbour to carry it, as a router would send it:
    /// "host unreachable" (RFC 1122 §2.3.2.2, RFC 4861 §7.2.2). `None`: it was no segment of TCP.
    pub fn no_neighbour(&self, packet: &Packet) -> Option<PathSignal> {
        const HOST_V4: u8 = 1;
        const ADDRESS_V6: u8 = 3;
        let front = packet.octets.front()?;
        let (quote, code) = match front.first()? >> 4 {
            4 => (icmp::quote_v4(front).ok()?, HOST_V4),
            _ => (icmp::quote_v6(front).ok()?, ADDRESS_V6),
        };
        let flow = FlowKey {
            remote: remote_address(quote.destination),
            local: self.local_index(quote.source)?,
            remote_port: quote.destination_port,
            local_port: quote.source_port,
        };
        let kind = SignalKind::Unreachable { hard: false, code };
        Some(PathSignal { flow, seq: quote.seq, kind })
    }

    /// Errors: `IcmpMalformed` (too little quoted), `IcmpIgnored` (not about TCP, or an MTU that
    /// cannot be), `IcmpUnmatched` (the quoted packet is not from the address it was sent to).
    pub(crate) fn signal(
        &self,
        arrival: &Arrival,
        problem: Problem,
        quote: &[u8],
    ) -> Result<PathSignal, DropReason> {
        let four = arrival.source.is_ipv4();
        let quote = if four { icmp::quote_v4(quote)? } else { icmp::quote_v6(quote)? };
        if quote.source != arrival.destination {
            return Err(DropReason::IcmpUnmatched);
        }
        let kind = match problem {
            Problem::TooBig { mtu } => SignalKind::TooBig { mtu: self.believable(mtu, &quote)? },
            Problem::Unreachable { code } => {
                SignalKind::Unreachable { hard: is_hard(four, code), code }
            }
            Problem::TimeExceeded { .. } => SignalKind::TimeExceeded,
            Problem::Parameter { code, .. } => SignalKind::ParameterProblem { code },
        };
        Ok(PathSignal {
            flow: FlowKey {
                remote: remote_address(quote.destination),
                local: arrival.local,
                remote_port: quote.destination_port,
                local_port: quote.source_port,
            },
            seq: quote.seq,
            kind,
        })
    }

    /// An MTU that is neither below what every path must carry (IC-5) nor at or above our own
    /// link's, where no router could have complained (IC-7). Zero becomes the next plateau below
    /// the packet's own length (IC-6).
    fn believable(&self, mtu: u32, quote: &Quote) -> Result<u16, DropReason> {
        let four = quote.source.is_ipv4();
        let mtu = match mtu {
            0 if four => {
                let length = quote.packet_octets.min(u32::from(self.mtu));
                let plateau = PLATEAUS.into_iter().find(|plateau| u32::from(*plateau) < length);
                u32::from(plateau.unwrap_or(LEAST_MTU_V4))
            }
            mtu => mtu,
        };
        let least = if four { LEAST_MTU_V4 } else { usertcp_wire::ipv6::LEAST_MTU };
        match u16::try_from(mtu) {
            Ok(mtu) if mtu >= least && mtu < self.mtu => Ok(mtu),
            _ => Err(DropReason::IcmpIgnored),
        }
    }
}

/// RFC 1122 §4.2.3.9 calls protocol and port unreachable hard; administrative prohibition came
/// later and is as final (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
fn is_hard(four: bool, code: u8) -> bool {
    match four {
        true => matches!(code, 2 | 3 | 9 | 10 | 13),
        false => matches!(code, 1 | 4 | 5 | 6),
    }
}

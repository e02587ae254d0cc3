//! A packet arrives.
//!
//! Owns: the order of the checks, and what each kind of packet becomes.
//! Must not know: connections; how a header is read (`v4`, `v6`), how parts become a whole
//! (`reassembly`), how an answer is built (`echo`, `refusal`).
//! Implements: RFC 1122 §3.2.1 (I-1), RFC 8200 §3, H-3, H-5 in the refusal to answer.

mod usual;
mod v4;
mod v6;

use core::net::IpAddr;
use usertcp_base::{DropReason, Ecn, Instant, LocalIndex, RemoteAddr};
use usertcp_frame::{Chain, ChecksumState, FramePool, Gso, Offload, Packet};
use usertcp_wire::{checksum, icmp, icmpv4, icmpv6, tcp};

use crate::contiguous::{MOST_OCTETS, make_contiguous};
use crate::reassembly::Kept;
use crate::signal::PathSignal;
use crate::{Ip, remote_address};

/// What became of a packet.
#[derive(Debug)]
#[must_use]
pub enum Input {
    /// A TCP segment, its checksum not yet verified.
    Tcp(TcpInput),
    /// An answer, finished: to the device. More of it may wait in [`Ip::poll_reply`].
    Reply(Packet),
    /// News about a path, to be doubted by the connection it names (RFC 5927).
    Signal(PathSignal),
    /// Kept: a fragment of a datagram that is not whole yet, or a copy of one that is held.
    Consumed,
    /// Gone.
    Drop(DropReason),
}

/// A TCP segment and what the network told of it.
#[derive(Debug)]
pub struct TcpInput {
    /// Who sent it.
    pub remote: RemoteAddr,
    /// Which address of ours it is for.
    pub local: LocalIndex,
    /// Partial sum of the pseudo-header: with the segment's own sum it folds to 0xFFFF.
    pub partial_sum: u32,
    /// The ECN mark.
    pub ecn: Ecn,
    /// Differentiated services, six bits.
    pub dscp: u8,
    /// Time to live or hop limit; not judged (I-5).
    pub ttl: u8,
    /// The device vouches for the TCP checksum, or the segment never was on a wire.
    pub checksum_verified: bool,
    /// A super-segment: payload octets of each segment it was made of, the last excepted.
    pub gso_octets: Option<u16>,
    /// The segment from its TCP header on, which lies in the first slice.
    pub octets: Chain,
}

/// What the IP header said, in one form for both versions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) local: LocalIndex,
    pub(crate) protocol: u8,
    pub(crate) ecn: Ecn,
    pub(crate) dscp: u8,
    pub(crate) ttl: u8,
    /// Octets in front of the payload. Zero when the headers are gone: it came in fragments.
    pub(crate) header_octets: usize,
    /// IPv6: where the next-header field is that named `protocol`.
    pub(crate) protocol_at: u32,
}

/// A header read: where the packet ends, and whether it is only a part.
struct Header {
    arrival: Arrival,
    total_octets: usize,
    fragment: Option<Fragment>,
}

/// Which part of which datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub(crate) identification: u32,
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

impl Ip {
    /// Takes a packet at `now`. `pool` serves answers and, rarely, headers that are not in one
    /// piece. Never panics, whatever the packet.
    pub fn input(&mut self, now: Instant, mut packet: Packet, pool: &FramePool) -> Input {
        match self.usual(&mut packet) {
            Some(input) => Input::Tcp(input),
            None => self.input_of_any(now, packet, pool),
        }
    }

    /// The same for a packet of any shape.
    #[inline(never)]
    pub(crate) fn input_of_any(&mut self, now: Instant, packet: Packet, pool: &FramePool) -> Input {
        self.arrive(now, packet, pool).unwrap_or_else(Input::Drop)
    }

    fn arrive(
        &mut self,
        now: Instant,
        packet: Packet,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        let Packet { offload, mut octets } = packet;
        self.make_contiguous(&mut octets, MOST_OCTETS, pool)?;
        let first = octets.front().and_then(|front| front.first()).copied();
        let header = match first.ok_or(DropReason::IpMalformed)? >> 4 {
            4 => self.read_v4(&octets)?,
            6 => self.read_v6(&octets)?,
            _ => return Err(DropReason::IpVersion),
        };
        // Padding of the link is no part of the packet (I-1).
        octets.truncate(header.total_octets);
        match header.fragment {
            None => self.deliver(now, &header.arrival, offload, octets, pool),
            Some(fragment) => {
                octets.advance(header.arrival.header_octets);
                self.keep(now, &header.arrival, fragment, octets, pool)
            }
        }
    }

    /// Whether a packet may come from `source`: one host that is not ourselves has it.
    pub fn may_be_source(&self, source: IpAddr) -> bool {
        match source {
            IpAddr::V4(source) => {
                let martian = self.is_martian_v4(source);
                !martian && self.addresses.index_v4(source).is_none()
            }
            IpAddr::V6(six) => !v6::is_martian(six) && self.addresses.index(source).is_none(),
        }
    }

    /// A whole packet, from its IP header on (or, put together, from its payload on).
    fn deliver(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        offload: Offload,
        mut octets: Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        match (arrival.protocol, arrival.source) {
            (tcp::PROTOCOL, _) => {
                octets.advance(arrival.header_octets);
                self.deliver_tcp(arrival, offload, octets, pool)
            }
            (icmpv4::PROTOCOL, IpAddr::V4(_)) | (icmpv6::PROTOCOL, IpAddr::V6(_)) => {
                octets.advance(arrival.header_octets);
                self.deliver_icmp(now, arrival, octets, pool)
            }
            _ => self.refuse(now, arrival, &octets, pool),
        }
    }

    fn deliver_tcp(
        &mut self,
        arrival: &Arrival,
        offload: Offload,
        mut octets: Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        self.make_tcp_header_contiguous(&mut octets, pool)?;
        Ok(Input::Tcp(TcpInput {
            remote: remote_address(arrival.source),
            local: arrival.local,
            partial_sum: pseudo_sum(arrival, octets.len()),
            ecn: arrival.ecn,
            dscp: arrival.dscp,
            ttl: arrival.ttl,
            // A partial sum was never on a wire: it comes from this very machine.
            checksum_verified: !matches!(offload.checksum, ChecksumState::Unverified),
            gso_octets: offload.gso.map(|Gso { segment_octets, .. }| segment_octets),
            octets,
        }))
    }

    fn deliver_icmp(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        mut octets: Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        let pseudo = match arrival.source {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => pseudo_sum(arrival, octets.len()),
        };
        let mut sum = checksum::Running::from_partial(pseudo);
        octets.slices().for_each(|slice| sum.add(slice));
        if sum.finish() != 0 {
            return Err(DropReason::IcmpChecksum);
        }
        self.make_contiguous(&mut octets, MOST_OCTETS, pool)?;
        let front = octets.front().ok_or(DropReason::IcmpMalformed)?;
        let message = match arrival.source {
            IpAddr::V4(_) => icmpv4::parse(front)?,
            IpAddr::V6(_) => icmpv6::parse(front)?,
        };
        match message {
            icmp::Message::EchoRequest => self.answer_echo(now, arrival, octets, pool),
            icmp::Message::Error { problem, quote } => {
                self.signal(arrival, problem, quote).map(Input::Signal)
            }
            icmp::Message::EchoReply | icmp::Message::Other => Err(DropReason::IcmpIgnored),
        }
    }

    /// A part of a datagram: kept, or the last that was missing.
    fn keep(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        fragment: Fragment,
        octets: Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        let kept = self.reassembly.keep(now, arrival, fragment, octets, pool);
        self.beside.fragment_limit =
            self.beside.fragment_limit.saturating_add(self.reassembly.evicted());
        match kept? {
            Kept::Incomplete => Ok(Input::Consumed),
            Kept::Complete(mut arrival, mut octets) => {
                self.make_contiguous(&mut octets, MOST_OCTETS, pool)?;
                if arrival.source.is_ipv6() {
                    v6::pass_inner_extensions(&mut arrival, &mut octets)?;
                }
                self.deliver(now, &arrival, Offload::default(), octets, pool)
            }
        }
    }

    /// The TCP header must lie in the first slice (the parser reads no further). A front of 60
    /// octets always holds it; else its own data offset tells.
    fn make_tcp_header_contiguous(
        &mut self,
        octets: &mut Chain,
        pool: &FramePool,
    ) -> Result<(), DropReason> {
        let front = octets.front().map_or(0, |front| front.len());
        if front >= tcp::LONGEST_HEADER_OCTETS.min(octets.len()) {
            return Ok(());
        }
        let mut fixed = [0; tcp::HEADER_OCTETS];
        octets.copy_to(0, &mut fixed);
        let header = usize::from(fixed[12] >> 4) * 4;
        self.make_contiguous(octets, header.max(tcp::HEADER_OCTETS), pool)
    }

    fn make_contiguous(
        &mut self,
        octets: &mut Chain,
        wanted: usize,
        pool: &FramePool,
    ) -> Result<(), DropReason> {
        let copied = make_contiguous(octets, wanted, pool)?;
        self.made_contiguous = self.made_contiguous.wrapping_add(u64::from(copied));
        Ok(())
    }
}

/// The pseudo-header's sum of a payload of `len` octets, from the addresses it came with.
fn pseudo_sum(arrival: &Arrival, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    match (arrival.source, arrival.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            checksum::pseudo_v4(source.octets(), destination.octets(), arrival.protocol, len)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            checksum::pseudo_v6(source.octets(), destination.octets(), arrival.protocol, len)
        }
        _ => 0,
    }
}

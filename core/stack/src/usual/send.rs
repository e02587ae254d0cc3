//! A segment of the usual shape leaves.

use crate::anchor::Anchor;
use crate::egress::{COPIED_OCTETS, HEADROOM, gso_kind};
use crate::shard::{Common, Shard};
use core::net::IpAddr;
use usertcp_base::{Ecn, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::{Chain, ChecksumState, Frame, Gso, Offload, Packet};
use usertcp_ip::{DEFAULT_TTL, Ip, ip_address};
use usertcp_tcp::{Single, Tcb, UsualOutgoing};
use usertcp_wire::checksum::Running;
use usertcp_wire::tcp::{self, CHECKSUM_OFFSET};
use usertcp_wire::usual::{self, IPV4_OCTETS, IPV6_OCTETS, IpHeader, TCP_OCTETS, TcpHeader};

/// What the IP header and the device are told of a segment.
pub(crate) struct Envelope {
    /// The mark.
    pub ecn: Ecn,
    /// Differentiated services code point.
    pub dscp: u8,
    /// TTL or hop limit; zero is the default.
    pub hop_limit: u8,
    /// When the payload is more than one segment: octets of payload per wire segment.
    pub gso_octets: Option<u16>,
}

/// The two ends of a flow by IPv4.
#[derive(Clone, Copy)]
pub(crate) struct EndsV4 {
    /// Our address.
    pub source: [u8; 4],
    /// The peer's.
    pub destination: [u8; 4],
    /// Our port, and the peer's.
    pub ports: (u16, u16),
}

impl EndsV4 {
    /// Those of a flow; `None`: it is none of IPv4.
    #[inline]
    pub(crate) fn of(ip: &Ip, flow: &FlowKey) -> Option<EndsV4> {
        let (source, destination) = ip.ends_v4(flow)?;
        Some(EndsV4 { source, destination, ports: (flow.local_port, flow.remote_port) })
    }
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Makes a packet of a segment; `frame` is for the headers. `None`: it cannot be written, which
    /// only a device that lies about its sizes brings about.
    #[inline]
    pub(crate) fn pack_usual(
        &mut self,
        flow: &FlowKey,
        segment: &UsualOutgoing,
        payload: Chain,
        mut frame: Frame,
    ) -> Option<Packet> {
        let octets = payload.len();
        let offloaded = self.device.checksum_offload;
        let engine = self.common.checksum;
        let sum = (!offloaded).then(|| {
            let mut sum = Running::default();
            payload.slices().for_each(|slice| sum.add_by(engine, slice));
            sum
        });
        let ip_octets = usize::from(self.ip.header_octets(flow));
        let out = frame.widen(ip_octets, TCP_OCTETS)?;
        write_headers(&self.ip, flow, segment, out, octets, sum)?;
        self.common.count_out(octets);
        let octets = self.behind(frame, payload, octets);
        Some(Packet { offload: offload(offloaded, ip_octets, segment.gso_octets), octets })
    }

    /// Makes a packet of payload and the header of `tcp_octets` that `write` writes; `frame` is for the
    /// headers. `write` is given the sum of all else, and whether the checksum is to be completed. The
    /// connection has no keys.
    #[inline]
    pub(crate) fn pack_behind(
        &mut self,
        flow: &FlowKey,
        envelope: &Envelope,
        payload: Chain,
        mut frame: Frame,
        tcp_octets: usize,
        write: impl Fn(&mut [u8], Running, bool) -> bool,
    ) -> Option<Packet> {
        let octets = payload.len();
        let payload_octets = u16::try_from(tcp_octets + octets).ok()?;
        let hop_limit = if envelope.hop_limit == 0 { DEFAULT_TTL } else { envelope.hop_limit };
        let (dscp, ecn) = (envelope.dscp, envelope.ecn);
        let offloaded = self.device.checksum_offload;
        let engine = self.common.checksum;
        let with_payload = |mut pseudo: Running| {
            if !offloaded {
                payload.slices().for_each(|slice| pseudo.add_by(engine, slice));
            }
            pseudo
        };
        let length = u32::from(payload_octets);
        let ip_octets = match (self.ip.local(flow.local)?, ip_address(flow.remote)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let pseudo = Running::pseudo_v4(source, destination, tcp::PROTOCOL, length);
                let sum = with_payload(pseudo);
                let out = frame.widen(IPV4_OCTETS, tcp_octets)?;
                let (front, back) = out.split_first_chunk_mut()?;
                let ip = IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination };
                usual::write_ipv4(front, &ip);
                if !write(back, sum, !offloaded) {
                    return None;
                }
                IPV4_OCTETS
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let pseudo = Running::pseudo_v6(source, destination, tcp::PROTOCOL, length);
                let sum = with_payload(pseudo);
                let out = frame.widen(IPV6_OCTETS, tcp_octets)?;
                let (front, back) = out.split_first_chunk_mut()?;
                let ip = IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination };
                usual::write_ipv6(front, &ip, self.ip.flow_label(flow, 0));
                if !write(back, sum, !offloaded) {
                    return None;
                }
                IPV6_OCTETS
            }
            _ => return None,
        } as u16;
        self.common.count_out(octets);
        let octets = self.behind(frame, payload, octets);
        let checksum = checksum_state(offloaded, ip_octets);
        let gso = envelope
            .gso_octets
            .map(|segment_octets| Gso { kind: gso_kind(ip_octets), segment_octets });
        let header_octets = ip_octets + tcp_octets as u16;
        Some(Packet { offload: Offload { checksum, gso, header_octets }, octets })
    }

    /// The payload behind its headers: a short one is copied there, a longer one follows as it lies.
    #[inline]
    fn behind(&mut self, mut frame: Frame, payload: Chain, octets: usize) -> Chain {
        if octets <= COPIED_OCTETS.min(frame.tailroom()) {
            for slice in payload.slices() {
                frame.extend(slice);
            }
            let counters = &mut self.common.counters;
            counters.octets_copied = counters.octets_copied.wrapping_add(octets as u64);
            return Chain::from(frame.into_slice());
        }
        let mut packet = payload;
        packet.push_front_slice(frame.into_slice());
        packet
    }
}

/// Puts a packet by IPv4 of the only segment of a connection, which has no key, on no link, into `batch`: its headers
/// are written in front of the payload where that lies in the send queue. `None`, and nothing has changed: it lies
/// otherwise, or there is none, or no room.
#[inline(always)] // for messages, and for all single segments
pub(crate) fn put_in_place<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    batch: &mut TxBatch,
    now: Instant,
    ip: &Ip,
    anchor: &Anchor,
    tcb: &mut Tcb<C>,
    single: Single,
) -> Option<()> {
    let offloaded = common.checksum_offload;
    let (mut packet, facts) = tcb.single_in_place(single, usual::BOTH_V4)?;
    let (headers, payload) = packet.parts()?;
    // The payload first: what there is to be known of it is one number then.
    let sum = (!offloaded).then(|| sum_of_short(payload));
    let (ends, room) = (anchor.ends_v4(ip)?, batch.room_for_one()?);
    let segment = facts.single(now, single);
    let octets = segment.octets as usize;
    let header = ip_header(&segment, octets, ends.source, ends.destination);
    let headers = headers.first_chunk_mut()?;
    usual::write_both_v4(headers, &header, &tcp_header_of(ends.ports, &segment), sum);
    common.count_out(octets);
    common.count_packets(1);
    let octets = Chain::from(packet.into_slice());
    room.put(Packet { offload: offload(offloaded, IPV4_OCTETS, None), octets });
    Some(())
}

/// The same of one with payload or without; whether it was put.
#[inline(always)] // twice
pub(crate) fn put_either<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    batch: &mut TxBatch,
    now: Instant,
    ip: &Ip,
    anchor: &Anchor,
    tcb: &mut Tcb<C>,
    single: Single,
) -> bool {
    match single.octets {
        0 => put_bare(common, batch, now, ip, anchor, tcb, single).is_some(),
        _ => put_in_place(common, batch, now, ip, anchor, tcb, single).is_some(),
    }
}

/// The same of one without payload, in a frame of its own.
#[inline(always)] // in one place
fn put_bare<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    batch: &mut TxBatch,
    now: Instant,
    ip: &Ip,
    anchor: &Anchor,
    tcb: &Tcb<C>,
    single: Single,
) -> Option<()> {
    let (ends, room) = (anchor.ends_v4(ip)?, batch.room_for_one()?);
    let packet = pack_acknowledgement(common, &ends, &tcb.single(now, single))?;
    common.count_packets(1);
    room.put(packet);
    Some(())
}

#[inline(never)] // it needs all registers
fn sum_of_short(payload: &[u8]) -> Running {
    Running::of_short(payload)
}

/// Makes a packet by IPv4 of a segment of at most [`COPIED_OCTETS`], which are copied behind the headers from
/// where they lie in the send queue of `tcb`. As `Shard::pack_usual` otherwise, in one frame
/// and one go.
#[inline(always)]
pub(crate) fn pack_short<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    ends: &EndsV4,
    segment: &UsualOutgoing,
    tcb: &Tcb<C>,
    mut frame: Frame,
) -> Option<Packet> {
    let (offloaded, octets) = (common.checksum_offload, segment.octets as usize);
    let out = frame.widen(IPV4_OCTETS, TCP_OCTETS + octets)?;
    let (headers, place) = out.split_first_chunk_mut()?;
    // The payload first: what there is to be known of it is one number then.
    let sum = fill(place, tcb, segment, offloaded);
    let header = ip_header(segment, octets, ends.source, ends.destination);
    usual::write_both_v4(headers, &header, &tcp_header_of(ends.ports, segment), sum);
    Some(short_packet(common, IPV4_OCTETS, segment, frame))
}

/// The same of one that acknowledges and carries nothing. `None`: there is no frame for it.
#[inline(always)]
pub(crate) fn pack_acknowledgement<O: Observer>(
    common: &mut Common<O>,
    ends: &EndsV4,
    segment: &UsualOutgoing,
) -> Option<Packet> {
    let mut frame = common.pool.take_control(HEADROOM)?;
    let headers = frame.widen(IPV4_OCTETS, TCP_OCTETS)?.first_chunk_mut()?;
    let sum = (!common.checksum_offload).then(Running::default);
    let header = ip_header(segment, 0, ends.source, ends.destination);
    usual::write_both_v4(headers, &header, &tcp_header_of(ends.ports, segment), sum);
    Some(short_packet(common, IPV4_OCTETS, segment, frame))
}

/// The same by IPv6.
#[inline(never)]
pub(crate) fn pack_short_v6<C: CongestionController, O: Observer>(
    ip: &Ip,
    common: &mut Common<O>,
    flow: &FlowKey,
    segment: &UsualOutgoing,
    tcb: &Tcb<C>,
    mut frame: Frame,
) -> Option<Packet> {
    let (offloaded, octets) = (common.checksum_offload, segment.octets as usize);
    let out = frame.widen(IPV6_OCTETS, TCP_OCTETS + octets)?;
    let (headers, place) = out.split_at_mut_checked(usual::BOTH_V6)?;
    let sum = fill(place, tcb, segment, offloaded);
    write_headers(ip, flow, segment, headers, octets, sum)?;
    Some(short_packet(common, IPV6_OCTETS, segment, frame))
}

/// What `frame` holds, behind an IP header of `ip_octets`, and counts it.
#[inline(always)]
fn short_packet<O: Observer>(
    common: &mut Common<O>,
    ip_octets: usize,
    segment: &UsualOutgoing,
    frame: Frame,
) -> Packet {
    let (offloaded, octets) = (common.checksum_offload, segment.octets as usize);
    common.count_out(octets);
    let counters = &mut common.counters;
    counters.octets_copied = counters.octets_copied.wrapping_add(octets as u64);
    let octets = Chain::from(frame.into_slice());
    Packet { offload: offload(offloaded, ip_octets, None), octets }
}

/// Copies the payload of a segment into its place: its sum, unless the device sums.
#[inline(always)]
fn fill<C: CongestionController>(
    place: &mut [u8],
    tcb: &Tcb<C>,
    segment: &UsualOutgoing,
    offloaded: bool,
) -> Option<Running> {
    if place.is_empty() {
        return (!offloaded).then(Running::default);
    }
    match tcb.sent_piece(segment.seq, segment.octets) {
        Some(piece) if !offloaded => Some(Running::of_copy(place, piece)),
        _ => fill_otherwise(place, tcb, segment, offloaded),
    }
}

/// The same of a payload in several pieces, or not to be summed.
#[inline(never)]
fn fill_otherwise<C: CongestionController>(
    place: &mut [u8],
    tcb: &Tcb<C>,
    segment: &UsualOutgoing,
    offloaded: bool,
) -> Option<Running> {
    let copied = tcb.copy_sent(segment.seq, place);
    debug_assert_eq!(copied, place.len(), "what was given out lies in the queue");
    (!offloaded).then(|| {
        let mut sum = Running::default();
        sum.add(place);
        sum
    })
}

#[inline(always)]
pub(super) fn ip_header<Address>(
    segment: &UsualOutgoing,
    octets: usize,
    source: Address,
    destination: Address,
) -> IpHeader<Address> {
    let hop_limit = if segment.hop_limit == 0 { DEFAULT_TTL } else { segment.hop_limit };
    let payload_octets = (TCP_OCTETS + octets) as u16;
    let (ecn, dscp) = (Ecn::NotCapable, segment.dscp);
    IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination }
}

#[inline(always)]
pub(super) fn tcp_header(flow: &FlowKey, segment: &UsualOutgoing) -> TcpHeader {
    tcp_header_of((flow.local_port, flow.remote_port), segment)
}

#[inline(always)]
fn tcp_header_of(ports: (u16, u16), segment: &UsualOutgoing) -> TcpHeader {
    let UsualOutgoing { seq, ack, window, push, fin, value, echo, .. } = *segment;
    let (source_port, destination_port) = ports;
    TcpHeader { source_port, destination_port, seq, ack, push, fin, window, value, echo }
}

/// Writes the headers of a segment with `octets` of payload, whose sum is given unless the device
/// completes the checksum.
#[inline]
fn write_headers(
    ip: &Ip,
    flow: &FlowKey,
    segment: &UsualOutgoing,
    out: &mut [u8],
    octets: usize,
    sum: Option<Running>,
) -> Option<()> {
    u16::try_from(TCP_OCTETS + octets).ok()?;
    match (ip.local(flow.local)?, ip_address(flow.remote)) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ip_header(segment, octets, source.octets(), destination.octets());
            let out = out.first_chunk_mut()?;
            usual::write_both_v4(out, &header, &tcp_header(flow, segment), sum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = ip_header(segment, octets, source.octets(), destination.octets());
            let (out, label) = (out.first_chunk_mut()?, ip.flow_label(flow, 0));
            usual::write_both_v6(out, &header, label, &tcp_header(flow, segment), sum);
        }
        _ => return None,
    }
    Some(())
}

/// What a device is told of a segment of the usual shape behind an IP header of `ip_octets`.
#[inline]
pub(crate) fn offload(offloaded: bool, ip_octets: usize, gso_octets: Option<u16>) -> Offload {
    let ip_octets = ip_octets as u16;
    Offload {
        checksum: checksum_state(offloaded, ip_octets),
        gso: gso_octets.map(|segment_octets| Gso { kind: gso_kind(ip_octets), segment_octets }),
        header_octets: ip_octets + TCP_OCTETS as u16,
    }
}

/// Who completes the checksum of a segment behind an IP header of `ip_octets`.
#[inline]
pub(crate) fn checksum_state(offloaded: bool, ip_octets: u16) -> ChecksumState {
    match offloaded {
        true => ChecksumState::Partial { start: ip_octets, offset: CHECKSUM_OFFSET as u16 },
        false => ChecksumState::Unverified,
    }
}

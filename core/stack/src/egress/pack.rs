//! A segment becomes a packet: its headers, and the slices of its payload behind them.
//!
//! Owns: in which frame the headers lie, who completes the checksum, what tells a device of a super-segment.
//! Must not know: whose turn it is.
//! Implements: MUST-2 (checksum).
//!
//! A packet is a small frame with the headers, followed by the slices of the payload as they lie in
//! the send queue: nothing is copied, except a payload so short that a second slice costs a device
//! more than the copy. A slice that nobody else holds and that has room in front takes the headers
//! itself.

use crate::shard::Shard;
use crate::usual::{EndsV4, Envelope, checksum_state, pack_short, pack_short_v6};
use usertcp_base::{FlowKey, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, ChecksumState, Frame, FrameSlice, Gso, GsoKind, Offload, Packet};
use usertcp_ip::{DEFAULT_TTL, Outgoing as IpOutgoing};
use usertcp_tcp::{Outgoing, Reply, UsualOutgoing};
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::plain::Plain;
use usertcp_wire::tcp::{self, CHECKSUM_OFFSET, EmitChecksum};
use usertcp_wire::usual::{self, IPV4_OCTETS, IpHeader};

/// Room in front of the TCP header: the longest IP header we write, and a link header.
pub(crate) const HEADROOM: usize = 40 + 16;
/// A payload up to this long is copied next to its header.
pub(crate) const COPIED_OCTETS: usize = 128;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Makes a packet of a segment that was given as a whole; `frame` is for the headers.
    #[inline(never)]
    pub(super) fn pack_given(
        &mut self,
        hot: u32,
        flow: &FlowKey,
        segment: &UsualOutgoing,
        frame: Frame,
    ) -> Option<Packet> {
        let tcb = self.table.hot.at(hot)?;
        let alone = segment.gso_octets.is_none();
        if alone && is_short(segment.octets) && self.auth.is_idle() {
            let common = &mut self.common;
            return match EndsV4::of(&self.ip, flow) {
                Some(ends) => pack_short(common, &ends, segment, tcb, frame),
                None => pack_short_v6(&self.ip, common, flow, segment, tcb, frame),
            };
        }
        let payload = tcb.sent(segment.seq, segment.octets);
        if self.auth.is_idle() {
            return self.pack_usual(flow, segment, payload, frame);
        }
        let Outgoing { reply, payload, gso_octets, .. } = segment.with_payload(payload);
        self.pack(flow, &reply, payload, gso_octets, frame)
    }

    /// Makes a packet of a segment. `frame` is for the headers.
    pub(super) fn pack(
        &mut self,
        flow: &FlowKey,
        reply: &Reply,
        payload: Chain,
        gso_octets: Option<u16>,
        frame: Frame,
    ) -> Option<Packet> {
        if self.auth.is_idle()
            && let Some(plain) = Plain::of(reply.header.flags, &reply.options)
        {
            if payload.is_empty()
                && let Some(ends) = self.ip.ends_v4(flow)
            {
                return self.pack_bare(flow, ends, reply, &plain, frame);
            }
            let (source_port, destination_port) = (flow.local_port, flow.remote_port);
            let header = tcp::Header { source_port, destination_port, ..reply.header };
            let (ecn, dscp, hop_limit) = (reply.ecn, reply.dscp, reply.hop_limit);
            let envelope = Envelope { ecn, dscp, hop_limit, gso_octets };
            let octets = plain.header_octets();
            return self.pack_behind(
                flow,
                &envelope,
                payload,
                frame,
                octets,
                |out, sum, complete| plain.write(out, &header, sum, complete),
            );
        }
        self.pack_any(flow, reply.clone(), payload, gso_octets, frame)
    }

    /// The same of headers alone, by IPv4 between two `ends`, ours first, in one frame.
    #[inline(never)]
    fn pack_bare(
        &mut self,
        flow: &FlowKey,
        (source, destination): ([u8; 4], [u8; 4]),
        reply: &Reply,
        plain: &Plain,
        mut frame: Frame,
    ) -> Option<Packet> {
        let tcp_octets = plain.header_octets();
        let offloaded = self.device.checksum_offload;
        let out = frame.widen(IPV4_OCTETS, tcp_octets)?;
        let (front, back) = out.split_first_chunk_mut()?;
        let hop_limit = if reply.hop_limit == 0 { DEFAULT_TTL } else { reply.hop_limit };
        let (ecn, dscp, payload_octets) = (reply.ecn, reply.dscp, tcp_octets as u16);
        let ip = IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination };
        usual::write_ipv4(front, &ip);
        let pseudo = Running::pseudo_v4(source, destination, tcp::PROTOCOL, tcp_octets as u32);
        let (source_port, destination_port) = (flow.local_port, flow.remote_port);
        let header = tcp::Header { source_port, destination_port, ..reply.header };
        if !plain.write(back, &header, pseudo, !offloaded) {
            return None;
        }
        self.common.count_out(0);
        let ip_octets = IPV4_OCTETS as u16;
        let header_octets = ip_octets + payload_octets;
        let checksum = checksum_state(offloaded, ip_octets);
        let octets = Chain::from(frame.into_slice());
        Some(Packet { offload: Offload { checksum, gso: None, header_octets }, octets })
    }

    /// The same, whatever its options.
    #[inline(never)]
    fn pack_any(
        &mut self,
        flow: &FlowKey,
        mut reply: Reply,
        payload: Chain,
        gso_octets: Option<u16>,
        frame: Frame,
    ) -> Option<Packet> {
        reply.header.source_port = flow.local_port;
        reply.header.destination_port = flow.remote_port;
        let signs = self.reserve_auth(flow, &mut reply);
        let tcp_octets = tcp::header_len(&reply.options, reply.header.flags);
        let length = u32::try_from(tcp_octets + payload.len()).ok()?;
        let pseudo = self.ip.pseudo_sum(flow, length);
        let offloaded = self.device.checksum_offload;
        let signed = match signs {
            true => Some(self.signed_header(flow, &reply, &payload, pseudo, offloaded)?),
            false => None,
        };
        let checksum = if offloaded || signs {
            EmitChecksum::Partial(pseudo)
        } else {
            EmitChecksum::Full(sum_of(self.common.checksum, pseudo, &payload))
        };
        self.common.count_out(payload.len());
        let (mut first, rest, copied) = write_tcp(frame, payload, tcp_octets, |out| match signed
            .as_ref()
            .and_then(|signed| signed.octets.get(..signed.len))
        {
            Some(header) if header.len() == out.len() => {
                out.copy_from_slice(header);
                header.len()
            }
            _ => tcp::emit(out, &reply.header, &reply.options, checksum),
        })?;
        let counters = &mut self.common.counters;
        counters.octets_copied = counters.octets_copied.wrapping_add(copied as u64);
        let outgoing = IpOutgoing {
            ecn: reply.ecn,
            dscp: reply.dscp,
            ttl: reply.hop_limit,
            flow_label: self.ip.flow_label(flow, 0),
        };
        let ip_octets = self.ip.header_octets(flow);
        self.ip.output(flow, &outgoing, length, &mut first).ok()?;
        let header_octets = ip_octets + tcp_octets as u16;
        let offload = Offload {
            checksum: if offloaded {
                ChecksumState::Partial { start: ip_octets, offset: CHECKSUM_OFFSET as u16 }
            } else {
                ChecksumState::Unverified
            },
            gso: gso_octets.map(|segment_octets| Gso { kind: gso_kind(ip_octets), segment_octets }),
            header_octets,
        };
        let mut octets = Chain::from(first);
        octets.append(rest);
        Some(Packet { offload, octets })
    }
}

/// Whether so much payload is copied next to its header.
#[inline]
fn is_short(octets: u32) -> bool {
    octets as usize <= COPIED_OCTETS
}

/// Octets of the packets that a packet is cut into, from the IP header on.
pub(super) fn octets_of(packet: Option<&Packet>) -> u32 {
    let Some(Packet { offload, octets }) = packet else { return 0 };
    let header = usize::from(offload.header_octets);
    let each = offload.gso.map_or(usize::MAX, |gso| usize::from(gso.segment_octets).max(1));
    let more = octets.len().saturating_sub(header).div_ceil(each).max(1) - 1;
    u32::try_from(octets.len() + more * header).unwrap_or(u32::MAX)
}

pub(crate) fn gso_kind(ip_octets: u16) -> GsoKind {
    if ip_octets == 20 { GsoKind::Tcp4 } else { GsoKind::Tcp6 }
}

fn sum_of(engine: Engine, pseudo: u32, payload: &Chain) -> u32 {
    let mut sum = Running::from_partial(pseudo);
    for slice in payload.slices() {
        sum.add_by(engine, slice);
    }
    sum.partial()
}

/// Puts the TCP header in front of the payload: first slice, remaining slices, octets copied.
fn write_tcp(
    mut frame: Frame,
    mut payload: Chain,
    tcp_octets: usize,
    emit: impl FnOnce(&mut [u8]) -> usize,
) -> Option<(FrameSlice, Chain, usize)> {
    if payload.slice_count() == 1
        && payload.front().is_some_and(|slice| slice.headroom() >= tcp_octets + HEADROOM)
        && let Some(mut slice) = payload.pop_front()
    {
        let out = slice.push_front(tcp_octets)?;
        return (emit(out) == tcp_octets).then_some((slice, Chain::new(), 0));
    }
    let out = frame.spare_mut().get_mut(..tcp_octets)?;
    if emit(out) != tcp_octets {
        return None;
    }
    frame.advance_len(tcp_octets);
    let length = payload.len();
    if length == 0 || length > COPIED_OCTETS.min(frame.tailroom()) {
        return Some((frame.into_slice(), payload, 0));
    }
    for slice in payload.slices() {
        frame.extend(slice);
    }
    Some((frame.into_slice(), Chain::new(), length))
}

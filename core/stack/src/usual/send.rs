//! A segment of the usual shape leaves.

use crate::egress::{COPIED_OCTETS, gso_kind};
use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{Ecn, FlowKey, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, ChecksumState, Frame, Gso, Offload, Packet};
use usertcp_ip::{DEFAULT_TTL, ip_address};
use usertcp_tcp::UsualOutgoing;
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

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Makes a packet of a segment; `frame` is for the headers. `None`: it cannot be written, which
    /// only a device that lies about its sizes brings about.
    #[inline]
    pub(crate) fn pack_usual(
        &mut self,
        flow: &FlowKey,
        segment: UsualOutgoing,
        frame: Frame,
    ) -> Option<Packet> {
        let UsualOutgoing { seq, ack, window, push, fin, value, echo, payload, gso_octets, .. } =
            segment;
        let header = TcpHeader {
            source_port: flow.local_port,
            destination_port: flow.remote_port,
            seq,
            ack,
            push,
            fin,
            window,
            value,
            echo,
        };
        let envelope = Envelope {
            ecn: Ecn::NotCapable,
            dscp: segment.dscp,
            hop_limit: segment.hop_limit,
            gso_octets,
        };
        self.pack_behind(flow, &envelope, payload, frame, TCP_OCTETS, |out, sum, complete| {
            let Some(out) = out.first_chunk_mut() else { return false };
            usual::write_tcp(out, &header, sum, complete);
            true
        })
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
        self.count_out(&payload);
        let octets = self.behind(frame, payload, octets);
        let checksum = match offloaded {
            true => ChecksumState::Partial { start: ip_octets, offset: CHECKSUM_OFFSET as u16 },
            false => ChecksumState::Unverified,
        };
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

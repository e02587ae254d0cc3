//! Several segments of the usual shape leave, decided on as one.
//!
//! Owns: cutting a super-segment where the device does not: headers that differ in little, each written
//! into the frame of its payload where nobody else holds that.
//! Must not know: why so much may leave at once.
//! Implements: what a device's segmentation offload does.

use crate::egress::HEADROOM;
use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{ConnId, DropReason, Ecn, FlowKey, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::{Chain, ChecksumState, Frame, Offload, Packet};
use usertcp_ip::{DEFAULT_TTL, ip_address};
use usertcp_tcp::UsualOutgoing;
use usertcp_wire::checksum::Running;
use usertcp_wire::tcp::{self, CHECKSUM_OFFSET};
use usertcp_wire::usual::{self, IPV4_OCTETS, IPV6_OCTETS, IpHeader, TCP_OCTETS, TcpHeader};

/// What the headers of a super-segment's packets have in common.
struct Series {
    ip: Network,
    tcp: TcpHeader,
    /// The device completes checksums.
    offloaded: bool,
    /// The header below as it is for `payload_octets`, and the sum of the pseudo-header.
    front: [u8; IPV6_OCTETS],
    payload_octets: u32,
    pseudo: Running,
}

/// The header below.
enum Network {
    V4(IpHeader<[u8; 4]>),
    V6(IpHeader<[u8; 16]>, u32),
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Cuts a super-segment into packets. What finds no room in the batch goes by the outbox.
    pub(crate) fn put_cut(
        &mut self,
        now: Instant,
        (id, hot): (ConnId, u32),
        batch: &mut TxBatch,
        flow: &FlowKey,
        whole: UsualOutgoing,
        frame: Frame,
    ) {
        let each = u32::from(whole.gso_octets.unwrap_or(u16::MAX).max(1));
        // On a link the frame takes its header too, which must not be shared.
        let mut series = self.link.is_none().then(|| self.series(flow, &whole)).flatten();
        let UsualOutgoing { mut seq, mut octets, push, .. } = whole;
        let mut frame = Some(frame);
        while octets > 0 {
            let part = octets.min(each);
            let push = push && part == octets;
            let room = !batch.is_full();
            let packet = match &mut series {
                Some(series) if room => self.pack_in_place(hot, series.of(seq, part, push), part),
                _ => None,
            };
            match packet {
                Some(packet) => self.put_plain(batch, packet),
                None => {
                    // A reserve exists for these. Without a frame after all, the rest is as lost on its way.
                    let Some(frame) =
                        frame.take().or_else(|| self.common.pool.take_control(HEADROOM))
                    else {
                        return self.common.drop_packet(Some(id), now, DropReason::PoolEmpty);
                    };
                    let (payload, gso_octets) = (Chain::new(), None);
                    let segment =
                        UsualOutgoing { seq, octets: part, push, payload, gso_octets, ..whole };
                    self.put_apart(now, (id, hot), batch, flow, segment, frame);
                }
            }
            (seq, octets) = (seq + part, octets - part);
        }
    }

    /// One of them with its headers in a frame of their own.
    #[inline(never)]
    fn put_apart(
        &mut self,
        now: Instant,
        (id, hot): (ConnId, u32),
        batch: &mut TxBatch,
        flow: &FlowKey,
        mut segment: UsualOutgoing,
        frame: Frame,
    ) {
        let Some(tcb) = self.table.hot.at(hot) else { return };
        segment.payload = tcb.sent(segment.seq, segment.octets);
        match self.pack_usual(flow, segment, frame) {
            Some(packet) if batch.is_full() => self.outbox.push(packet, now, &mut self.common),
            packet => self.put_or_count(now, id, batch, packet),
        }
    }

    /// The headers of a connection's packets.
    fn series(&self, flow: &FlowKey, whole: &UsualOutgoing) -> Option<Series> {
        let hop_limit = if whole.hop_limit == 0 { DEFAULT_TTL } else { whole.hop_limit };
        let (dscp, ecn, payload_octets) = (whole.dscp, Ecn::NotCapable, 0);
        let ip = match (self.ip.local(flow.local)?, ip_address(flow.remote)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                Network::V4(IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination })
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let ip = IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination };
                Network::V6(ip, self.ip.flow_label(flow, 0))
            }
            _ => return None,
        };
        let &UsualOutgoing { seq, ack, push, window, value, echo, .. } = whole;
        let (source_port, destination_port) = (flow.local_port, flow.remote_port);
        let tcp = TcpHeader { source_port, destination_port, seq, ack, push, window, value, echo };
        let (front, pseudo) = ([0; IPV6_OCTETS], Running::default());
        let offloaded = self.device.checksum_offload;
        Some(Series { ip, tcp, offloaded, front, payload_octets: 0, pseudo })
    }

    /// A packet of `octets` that a connection has sent, its header written before them where they lie.
    /// `None`: there it cannot be.
    #[inline]
    fn pack_in_place(&mut self, hot: u32, series: &Series, octets: u32) -> Option<Packet> {
        let tcb = self.table.hot.at_mut(hot)?;
        let engine = self.common.checksum;
        let ip_octets = series.ip_octets();
        let header_octets = ip_octets + TCP_OCTETS;
        let packet =
            tcb.sent_behind(header_octets, series.tcp.seq, octets, |header, payload| {
                let mut sum = series.pseudo;
                if !series.offloaded {
                    sum.add_by(engine, payload);
                }
                series.write(header, sum);
            })?;
        let counters = &mut self.common.counters;
        counters.segments_out = counters.segments_out.wrapping_add(1);
        counters.payload_octets_out = counters.payload_octets_out.wrapping_add(u64::from(octets));
        let checksum = match series.offloaded {
            true => {
                let start = ip_octets as u16;
                ChecksumState::Partial { start, offset: CHECKSUM_OFFSET as u16 }
            }
            false => ChecksumState::Unverified,
        };
        let offload = Offload { checksum, gso: None, header_octets: header_octets as u16 };
        Some(Packet { offload, octets: Chain::from(packet) })
    }
}

impl Series {
    /// Of the packet with these octets, at least one.
    #[inline]
    fn of(&mut self, seq: Seq, octets: u32, push: bool) -> &Series {
        (self.tcp.seq, self.tcp.push) = (seq, push);
        if self.payload_octets != octets {
            self.payload_octets = octets;
            self.write_front();
        }
        self
    }

    #[inline(never)]
    fn write_front(&mut self) {
        let length = self.payload_octets + TCP_OCTETS as u32;
        let payload_octets = length.min(u32::from(u16::MAX)) as u16;
        match &mut self.ip {
            Network::V4(ip) => {
                ip.payload_octets = payload_octets;
                if let Some(front) = self.front.first_chunk_mut() {
                    usual::write_ipv4(front, ip);
                }
                self.pseudo = Running::pseudo_v4(ip.source, ip.destination, tcp::PROTOCOL, length);
            }
            Network::V6(ip, flow_label) => {
                ip.payload_octets = payload_octets;
                usual::write_ipv6(&mut self.front, ip, *flow_label);
                self.pseudo = Running::pseudo_v6(ip.source, ip.destination, tcp::PROTOCOL, length);
            }
        }
    }

    #[inline]
    fn ip_octets(&self) -> usize {
        match self.ip {
            Network::V4(_) => IPV4_OCTETS,
            Network::V6(..) => IPV6_OCTETS,
        }
    }

    /// Writes both headers. `sum`: of pseudo-header and payload, as far as we are to sum.
    #[inline]
    fn write(&self, out: &mut [u8], sum: Running) {
        let tcp = match self.ip {
            Network::V4(_) => fill::<IPV4_OCTETS>(out, &self.front),
            Network::V6(..) => fill::<IPV6_OCTETS>(out, &self.front),
        };
        if let Some(tcp) = tcp.and_then(|tcp| tcp.first_chunk_mut()) {
            usual::write_tcp(tcp, &self.tcp, sum, !self.offloaded);
        }
    }
}

/// Puts the first octets of `front` in front, and gives what is behind them.
#[inline]
fn fill<'a, const OCTETS: usize>(out: &'a mut [u8], front: &[u8]) -> Option<&'a mut [u8]> {
    let (place, behind) = out.split_first_chunk_mut::<OCTETS>()?;
    *place = *front.first_chunk()?;
    Some(behind)
}

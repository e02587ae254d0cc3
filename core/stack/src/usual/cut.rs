//! Several segments of the usual shape leave, decided on as one.
//!
//! Owns: cutting a super-segment where the device does not: headers that differ in little, each written
//! into the frame of its payload where nobody else holds that.
//! Must not know: why so much may leave at once.
//! Implements: what a device's segmentation offload does.

use super::send::{ip_header, offload, tcp_header};
use crate::egress::HEADROOM;
use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::{Chain, Frame, Packet};
use usertcp_ip::ip_address;
use usertcp_tcp::UsualOutgoing;
use usertcp_wire::checksum::Running;
use usertcp_wire::tcp;
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
        let Some(mut series) = self.series(flow, &whole) else {
            return self.common.drop_packet(Some(id), now, DropReason::DeviceRefused);
        };
        // On a link the frame takes its header too, which must not be shared. Where one does not lie so
        // that it can be, the next ones hardly do.
        let on_link = self.link.is_some();
        let mut in_place = !on_link;
        let UsualOutgoing { mut seq, mut octets, push, .. } = whole;
        let mut frame = Some(frame);
        while octets > 0 {
            let part = octets.min(each);
            series.go_on(seq, part, push && part == octets);
            let packet = if in_place { self.pack_in_place(hot, &series) } else { None };
            let packet = match packet {
                Some(packet) => packet,
                None => {
                    in_place = false;
                    // A reserve exists for these. Without a frame after all, the rest is as lost on its way.
                    let spare = frame.take().or_else(|| self.common.pool.take_control(HEADROOM));
                    match spare.and_then(|frame| self.pack_beside(hot, &series, frame)) {
                        Some(packet) => packet,
                        None => {
                            return self.common.drop_packet(Some(id), now, DropReason::PoolEmpty);
                        }
                    }
                }
            };
            match (batch.is_full(), on_link) {
                (true, _) => self.outbox.push(packet, now, &mut self.common),
                (false, false) => self.put_plain(batch, packet),
                (false, true) => self.put(now, batch, packet),
            }
            (seq, octets) = (seq + part, octets - part);
        }
    }

    /// The headers of a connection's packets.
    fn series(&self, flow: &FlowKey, whole: &UsualOutgoing) -> Option<Series> {
        let ip = match (self.ip.local(flow.local)?, ip_address(flow.remote)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Network::V4(ip_header(whole, 0, source.octets(), destination.octets()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = ip_header(whole, 0, source.octets(), destination.octets());
                Network::V6(ip, self.ip.flow_label(flow, 0))
            }
            _ => return None,
        };
        // What is cut is data: a FIN goes with the last segment, by itself.
        let tcp = TcpHeader { fin: false, ..tcp_header(flow, whole) };
        let (front, pseudo) = ([0; IPV6_OCTETS], Running::default());
        let offloaded = self.device.checksum_offload;
        Some(Series { ip, tcp, offloaded, front, payload_octets: 0, pseudo })
    }

    /// The packet, its header written before its octets where they lie in the send queue. `None`: there it
    /// cannot be.
    #[inline]
    fn pack_in_place(&mut self, hot: u32, series: &Series) -> Option<Packet> {
        let tcb = self.table.hot.at_mut(hot)?;
        let engine = self.common.checksum;
        let (seq, octets) = (series.tcp.seq, series.payload_octets);
        let packet = tcb.sent_behind(series.octets(), seq, octets, |header, payload| {
            let mut sum = series.pseudo;
            if !series.offloaded {
                sum.add_by(engine, payload);
            }
            series.write(header, sum);
        })?;
        self.common.count_out(octets as usize);
        Some(series.packet(Chain::from(packet)))
    }

    /// The packet, its header in a frame of its own, and its octets behind as they lie in the send queue.
    #[inline]
    fn pack_beside(&mut self, hot: u32, series: &Series, mut frame: Frame) -> Option<Packet> {
        let tcb = self.table.hot.at(hot)?;
        let mut octets = tcb.sent(series.tcp.seq, series.payload_octets);
        let mut sum = series.pseudo;
        if !series.offloaded {
            octets.slices().for_each(|slice| sum.add_by(self.common.checksum, slice));
        }
        series.write(frame.widen(0, series.octets())?, sum);
        octets.push_front_slice(frame.into_slice());
        self.common.count_out(series.payload_octets as usize);
        Some(series.packet(octets))
    }
}

impl Series {
    /// The next packet is one with these octets, at least one.
    #[inline]
    fn go_on(&mut self, seq: Seq, octets: u32, push: bool) {
        (self.tcp.seq, self.tcp.push) = (seq, push);
        if self.payload_octets != octets {
            self.payload_octets = octets;
            self.write_front();
        }
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

    /// Octets of both headers.
    #[inline]
    fn octets(&self) -> usize {
        self.ip_octets() + TCP_OCTETS
    }

    #[inline]
    fn packet(&self, octets: Chain) -> Packet {
        Packet { offload: offload(self.offloaded, self.ip_octets(), None), octets }
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

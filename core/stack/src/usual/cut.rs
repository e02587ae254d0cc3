//! Several segments of the usual shape leave, decided on as one.
//!
//! Owns: cutting a super-segment where the device does not: headers that differ in little, each written
//! into the frame of its payload where nobody else holds that.
//! Must not know: why so much may leave at once.
//! Implements: what a device's segmentation offload does.

use super::send::{ip_header, offload, tcp_header};
use crate::egress::{HEADROOM, put_into};
use crate::shard::{Common, Shard};
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
    /// The headers as they are for `payload_octets`.
    front: [u8; IPV6_OCTETS],
    behind: usual::Series,
    payload_octets: u32,
    /// Octets of the header below.
    ip_octets: usize,
}

/// The header below.
enum Network {
    V4(IpHeader<[u8; 4]>),
    V6(IpHeader<[u8; 16]>, u32),
}

/// A super-segment being cut.
struct Whole {
    id: ConnId,
    hot: u32,
    seq: Seq,
    /// Octets left.
    octets: u32,
    /// Octets of a packet.
    each: u32,
    push: bool,
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
        let Some(mut series) = self.series(flow, &whole) else {
            return self.common.drop_packet(Some(id), now, DropReason::DeviceRefused);
        };
        let UsualOutgoing { seq, octets, push, gso_octets, .. } = whole;
        let each = u32::from(gso_octets.unwrap_or(u16::MAX).max(1));
        let mut whole = Whole { id, hot, seq, octets, each, push };
        // On a link the frame takes its header too, which must not be shared. Where one does not lie so
        // that it can be, the next ones hardly do.
        if self.link.is_none() {
            self.cut_in_place(now, batch, &mut series, &mut whole);
        }
        if whole.octets > 0 {
            self.cut_beside(now, batch, &mut series, &mut whole, frame);
        }
    }

    /// The headers of a connection's packets.
    fn series(&self, flow: &FlowKey, whole: &UsualOutgoing) -> Option<Series> {
        let (ip, ip_octets) = match (self.ip.local(flow.local)?, ip_address(flow.remote)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let ip = ip_header(whole, 0, source.octets(), destination.octets());
                (Network::V4(ip), IPV4_OCTETS)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = ip_header(whole, 0, source.octets(), destination.octets());
                (Network::V6(ip, self.ip.flow_label(flow, 0)), IPV6_OCTETS)
            }
            _ => return None,
        };
        // What is cut is data: a FIN goes with the last segment, by itself.
        let tcp = TcpHeader { fin: false, push: false, ..tcp_header(flow, whole) };
        let offloaded = self.device.checksum_offload;
        let behind = usual::Series::new(&tcp, Running::default(), !offloaded);
        let front = [0; IPV6_OCTETS];
        Some(Series { ip, tcp, offloaded, front, behind, payload_octets: 0, ip_octets })
    }

    /// Packets whose header is written before their octets where they lie in the send queue, as many as can be.
    fn cut_in_place(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        series: &mut Series,
        whole: &mut Whole,
    ) {
        let Some(tcb) = self.table.hot.at_mut(whole.hot) else { return };
        let (common, outbox) = (&mut self.common, &mut self.outbox);
        let engine = common.checksum;
        let Whole { seq, octets, each, .. } = *whole;
        tcb.cut_sent(seq, octets, each, |slice, piece| {
            series.go_on(whole, piece as u32);
            let Some(mut packet) = slice.behind(series.octets(), piece) else { return false };
            let Some((header, payload)) = packet.parts() else { return false };
            let mut sum = Running::default();
            if !series.offloaded {
                sum.add_by(engine, payload);
            }
            series.write(header, whole.seq, sum);
            whole.went(piece as u32, common);
            let packet = series.packet(Chain::from(packet.into_slice()));
            match batch.is_full() {
                true => outbox.push(packet, now, common),
                false => put_into(common, batch, packet),
            }
            true
        });
    }

    /// The rest: their headers in frames of their own, and the octets behind as they lie in the send queue.
    #[inline(never)]
    fn cut_beside(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        series: &mut Series,
        whole: &mut Whole,
        frame: Frame,
    ) {
        let mut frame = Some(frame);
        while whole.octets > 0 {
            series.go_on(whole, whole.octets.min(whole.each));
            // A reserve exists for these. Without a frame after all, the rest is as lost on its way.
            let spare = frame.take().or_else(|| self.common.pool.take_control(HEADROOM));
            let Some(packet) = spare.and_then(|frame| self.pack_beside(series, whole, frame))
            else {
                return self.common.drop_packet(Some(whole.id), now, DropReason::PoolEmpty);
            };
            whole.went(series.payload_octets, &mut self.common);
            match batch.is_full() {
                true => self.outbox.push(packet, now, &mut self.common),
                false => self.put(now, batch, packet),
            }
        }
    }

    #[inline]
    fn pack_beside(&mut self, series: &Series, whole: &Whole, mut frame: Frame) -> Option<Packet> {
        let tcb = self.table.hot.at(whole.hot)?;
        let mut octets = tcb.sent(whole.seq, series.payload_octets);
        let mut sum = Running::default();
        if !series.offloaded {
            octets.slices().for_each(|slice| sum.add_by(self.common.checksum, slice));
        }
        series.write(frame.widen(0, series.octets())?, whole.seq, sum);
        octets.push_front_slice(frame.into_slice());
        Some(series.packet(octets))
    }
}

impl Whole {
    /// Whether the packet with so many of its octets is the last one.
    #[inline]
    fn ends_with(&self, octets: u32) -> bool {
        self.octets == octets
    }

    /// A packet with so many octets is made.
    #[inline]
    fn went<O: Observer>(&mut self, octets: u32, common: &mut Common<O>) {
        self.seq += octets;
        self.octets -= octets;
        common.count_out(octets as usize);
    }
}

impl Series {
    /// The next packet is one with these octets, at least one.
    #[inline]
    fn go_on(&mut self, whole: &Whole, octets: u32) {
        let push = whole.push && whole.ends_with(octets);
        if self.payload_octets != octets || self.tcp.push != push {
            (self.payload_octets, self.tcp.push) = (octets, push);
            self.write_headers();
        }
    }

    #[inline(never)]
    fn write_headers(&mut self) {
        let length = self.payload_octets + TCP_OCTETS as u32;
        let payload_octets = length.min(u32::from(u16::MAX)) as u16;
        let pseudo = match &mut self.ip {
            Network::V4(ip) => {
                ip.payload_octets = payload_octets;
                if let Some(front) = self.front.first_chunk_mut() {
                    usual::write_ipv4(front, ip);
                }
                Running::pseudo_v4(ip.source, ip.destination, tcp::PROTOCOL, length)
            }
            Network::V6(ip, flow_label) => {
                ip.payload_octets = payload_octets;
                usual::write_ipv6(&mut self.front, ip, *flow_label);
                Running::pseudo_v6(ip.source, ip.destination, tcp::PROTOCOL, length)
            }
        };
        self.behind = usual::Series::new(&self.tcp, pseudo, !self.offloaded);
    }

    /// Octets of both headers.
    #[inline]
    fn octets(&self) -> usize {
        self.ip_octets + TCP_OCTETS
    }

    #[inline]
    fn packet(&self, octets: Chain) -> Packet {
        Packet { offload: offload(self.offloaded, self.ip_octets, None), octets }
    }

    /// Writes both headers. `sum`: of the payload, as far as we are to sum.
    #[inline]
    fn write(&self, out: &mut [u8], seq: Seq, sum: Running) {
        let tcp = match self.ip {
            Network::V4(_) => fill::<IPV4_OCTETS>(out, &self.front),
            Network::V6(..) => fill::<IPV6_OCTETS>(out, &self.front),
        };
        if let Some(tcp) = tcp {
            self.behind.write(tcp, seq, sum);
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

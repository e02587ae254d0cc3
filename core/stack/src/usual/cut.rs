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
use core::slice;
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::{FramePool, Offload, Packet, Pieces, Uncut, Whole};
use usertcp_ip::ip_address;
use usertcp_tcp::{Tcb, UsualOutgoing};
use usertcp_wire::checksum::{Engine, Running, Summer};
use usertcp_wire::usual::{IPV4_OCTETS, IPV6_OCTETS, Series, TcpHeader};

/// A super-segment being cut into packets whose headers are `OCTETS` long.
struct Segment<const OCTETS: usize, F> {
    id: ConnId,
    hot: u32,
    seq: Seq,
    /// Octets left.
    octets: u32,
    /// Octets of a packet, the last one's aside.
    each: u32,
    push: bool,
    /// Makes the headers of packets with so many octets, with a push or without.
    headers_of: F,
    /// Those of the next packet, unless it is the last one.
    series: Series<OCTETS>,
    /// What sums payloads; `None`: the device completes checksums.
    engine: Option<Engine>,
    offload: Offload,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Cuts a super-segment into packets. What finds no room in the batch goes by the outbox.
    pub(crate) fn put_cut(
        &mut self,
        now: Instant,
        who: (ConnId, u32),
        batch: &mut TxBatch,
        flow: &FlowKey,
        segment: &UsualOutgoing,
    ) {
        let complete = !self.device.checksum_offload;
        // What is cut is data: a FIN goes with the last segment, by itself.
        let tcp = TcpHeader { fin: false, ..tcp_header(flow, segment) };
        match (self.ip.local(flow.local), ip_address(flow.remote)) {
            (Some(IpAddr::V4(source)), IpAddr::V4(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                self.cut(now, who, batch, segment, IPV4_OCTETS, |octets, push| {
                    let ip = ip_header(segment, octets as usize, source, destination);
                    Series::v4(&ip, &TcpHeader { push, ..tcp }, complete)
                });
            }
            (Some(IpAddr::V6(source)), IpAddr::V6(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let label = self.ip.flow_label(flow, 0);
                self.cut(now, who, batch, segment, IPV6_OCTETS, |octets, push| {
                    let ip = ip_header(segment, octets as usize, source, destination);
                    Series::v6(&ip, label, &TcpHeader { push, ..tcp }, complete)
                });
            }
            _ => self.common.drop_packet(Some(who.0), now, DropReason::DeviceRefused),
        }
    }

    #[inline(always)] // once for each version of IP
    fn cut<const OCTETS: usize>(
        &mut self,
        now: Instant,
        (id, hot): (ConnId, u32),
        batch: &mut TxBatch,
        segment: &UsualOutgoing,
        ip_octets: usize,
        headers_of: impl Fn(u32, bool) -> Series<OCTETS>,
    ) {
        let UsualOutgoing { seq, octets, push, gso_octets, .. } = *segment;
        let each = u32::from(gso_octets.unwrap_or(u16::MAX).max(1));
        let series = headers_of(each, false);
        let offloaded = self.device.checksum_offload;
        let engine = (!offloaded).then_some(self.common.checksum);
        let offload = offload(offloaded, ip_octets, None);
        let mut whole =
            Segment { id, hot, seq, octets, each, push, headers_of, series, engine, offload };
        // On a link the frame takes its header too, which must not be shared. Where one does not lie so
        // that it can be, the next ones hardly do.
        if self.link.is_none() {
            self.cut_in_place(batch, &mut whole);
        }
        if whole.octets > 0 {
            self.cut_beside(now, batch, &mut whole);
        }
    }

    /// Packets whose header is written before their octets where they lie in the send queue, as many as can be.
    #[inline(always)] // as above
    fn cut_in_place<const OCTETS: usize, F: Fn(u32, bool) -> Series<OCTETS>>(
        &mut self,
        batch: &mut TxBatch,
        whole: &mut Segment<OCTETS, F>,
    ) {
        let Some(tcb) = self.table.hot.at_mut(whole.hot) else { return };
        let begun = (whole.seq, whole.octets);
        let many = begun.1.div_ceil(whole.each) as usize;
        let mut slices = tcb.sent_slices(whole.seq, many);
        let made = batch.fill(many, |places| whole.fill(places, &mut slices));
        self.common.count_packets(made);
        let others = match batch.is_full() {
            true => self.outbox.fill(many - made, |places| whole.fill(places, &mut slices)),
            false => 0,
        };
        self.common.unusual |= others > 0;
        self.common.count_cut((made + others) as u64, begun.1 - whole.octets);
    }

    /// The rest: their headers in frames of their own, and the octets behind as they lie in the send queue.
    #[inline(never)]
    fn cut_beside<const OCTETS: usize, F: Fn(u32, bool) -> Series<OCTETS>>(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        whole: &mut Segment<OCTETS, F>,
    ) {
        let Some(tcb) = self.table.hot.at(whole.hot) else { return };
        let (begun, many) = (whole.octets, whole.octets.div_ceil(whole.each) as usize);
        let pool = &self.common.pool;
        let mut made = 0;
        if self.link.is_none() {
            made = batch.fill(many, |places| whole.fill_beside(places, tcb, pool));
            self.common.count_packets(made);
        }
        while whole.octets > 0 {
            let mut packet = Packet::default();
            let Some(tcb) = self.table.hot.at(whole.hot) else { return };
            if whole.fill_beside(slice::from_mut(&mut packet), tcb, &self.common.pool) == 0 {
                // A reserve exists for these. Without a frame after all, the rest is as lost on its way.
                self.common.drop_packet(Some(whole.id), now, DropReason::PoolEmpty);
                break;
            }
            made += 1;
            match batch.is_full() {
                true => self.outbox.push(packet, now, &mut self.common),
                false => self.put(now, batch, packet),
            }
        }
        self.common.count_cut(made as u64, begun - whole.octets);
    }
}

impl<const OCTETS: usize, F: Fn(u32, bool) -> Series<OCTETS>> Segment<OCTETS, F> {
    /// Octets of the next packet.
    #[inline]
    fn next_octets(&self) -> u32 {
        self.octets.min(self.each)
    }

    /// Fills places with packets whose octets lie in `slices`, as long as they do. How many.
    fn fill(&mut self, places: &mut [Packet], slices: &mut Whole<'_>) -> usize {
        // All packets but the last are alike.
        let alike = self.octets.saturating_sub(1) / self.each;
        let (first, last) = places.split_at_mut(places.len().min(alike as usize));
        let made = self.put_all(first, slices);
        match last.first_mut() {
            Some(last) if made == alike as usize && self.octets > 0 => {
                self.series = (self.headers_of)(self.octets, self.push);
                made + self.put_all(slice::from_mut(last), slices)
            }
            _ => made,
        }
    }

    /// How packets of so many octets are completed.
    fn way(&self, octets: u32) -> Way {
        let summer =
            self.engine.map_or(Summer::NOTHING, |engine| engine.for_octets(octets as usize));
        Way { summer, offload: self.offload }
    }

    fn put_all(&mut self, places: &mut [Packet], slices: &mut Whole<'_>) -> usize {
        let octets = self.next_octets();
        let how = self.way(octets);
        let (series, what) = (&self.series, (self.seq, octets));
        let made = match slices {
            Whole::Long(slices) => put_in_place(places, slices, series, what, how),
            Whole::Short(slices) => put_in_place(places, slices, series, what, how),
        };
        self.seq += made as u32 * octets;
        self.octets -= made as u32 * octets;
        made
    }

    /// Fills places with packets whose headers are in frames of their own. How many: as many as there are frames for.
    fn fill_beside<C: CongestionController>(
        &mut self,
        places: &mut [Packet],
        tcb: &Tcb<C>,
        pool: &FramePool,
    ) -> usize {
        let mut made = 0;
        while self.octets > 0 {
            made += self.put_pieces(places.get_mut(made..).unwrap_or_default(), tcb, pool);
            // One that lies in more slices, or the last one.
            let Some(place) = places.get_mut(made).filter(|_| self.octets > 0) else { break };
            if self.put_beside(place, tcb, pool).is_none() {
                break;
            }
            made += 1;
        }
        made
    }

    /// The same of packets that are alike, all but the last one, as long as each lies in one slice.
    fn put_pieces<C: CongestionController>(
        &mut self,
        places: &mut [Packet],
        tcb: &Tcb<C>,
        pool: &FramePool,
    ) -> usize {
        let alike = (self.octets.saturating_sub(1) / self.each) as usize;
        let (places, _) = places.split_at_mut(places.len().min(alike));
        let pieces = tcb.sent_pieces(self.seq, self.each);
        let made = put_beside(places, pieces, pool, &self.series, self.seq, self.way(self.each));
        self.seq += made as u32 * self.each;
        self.octets -= made as u32 * self.each;
        made
    }

    /// Fills a place with the next packet, wherever its octets lie.
    #[inline(never)]
    fn put_beside<C: CongestionController>(
        &mut self,
        place: &mut Packet,
        tcb: &Tcb<C>,
        pool: &FramePool,
    ) -> Option<()> {
        let octets = self.next_octets();
        let mut frame = pool.take_control(HEADROOM)?;
        let headers = frame.widen(0, OCTETS)?.first_chunk_mut()?;
        if self.octets == octets {
            self.series = (self.headers_of)(octets, self.push);
        }
        let payload = tcb.sent(self.seq, octets);
        let mut sum = Running::default();
        if let Some(engine) = self.engine {
            payload.slices().for_each(|slice| sum.add_by(engine, slice));
        }
        self.series.write(headers, self.seq, sum);
        place.begin(self.offload, frame.into_slice());
        place.octets.append(payload);
        self.seq += octets;
        self.octets -= octets;
        Some(())
    }
}

/// How packets are completed: by whom they are summed, and what of it is left to the device.
#[derive(Clone, Copy)]
struct Way {
    summer: Summer,
    offload: Offload,
}

/// Fills places with packets of so many `octets`, the first of which begins at `seq`: their headers are written in front of
/// them where they lie, each in a slice of its own. How many; `slices` is at its end after the last that could be.
#[inline(never)] // what it needs stays in registers
fn put_in_place<'a, const OCTETS: usize, S: Iterator<Item = Uncut<'a>> + Default>(
    places: &mut [Packet],
    slices: &mut S,
    series: &Series<OCTETS>,
    (mut seq, octets): (Seq, u32),
    Way { summer, offload }: Way,
) -> usize {
    let many = places.len();
    let mut places = places.iter_mut();
    let mut left = core::mem::take(slices);
    while let Some(place) = places.next() {
        // This place is left as it is when one of these is not so.
        let made = many - places.len() - 1;
        let Some(slice) = left.next() else { return made };
        if slice.octets() < octets as usize {
            return made;
        }
        if slice.octets() > octets as usize {
            // What is behind it begins in the middle of the slice.
            left = S::default();
        }
        let Some(mut packet) = slice.behind(OCTETS, octets as usize) else { return made };
        let Some((headers, payload)) = packet.parts_of() else { return made };
        series.write(headers, seq, summer.sum(payload));
        place.begin(offload, packet.into_slice());
        seq += octets;
    }
    *slices = left;
    many
}

/// Fills places with packets whose octets are `pieces`, the first of which begins at `seq`: their headers are in frames of
/// their own. How many: until there are no more pieces, or no frames.
#[inline(never)] // as above
fn put_beside<const OCTETS: usize>(
    places: &mut [Packet],
    pieces: Pieces<'_>,
    pool: &FramePool,
    series: &Series<OCTETS>,
    mut seq: Seq,
    Way { summer, offload }: Way,
) -> usize {
    let mut made = 0;
    for (place, payload) in places.iter_mut().zip(pieces) {
        let Some(mut frame) = pool.take_control(HEADROOM) else { break };
        let Some(headers) = frame.widen(0, OCTETS).and_then(|all| all.first_chunk_mut()) else {
            break;
        };
        series.write(headers, seq, summer.sum(&payload));
        seq += payload.len() as u32;
        place.begin_two(offload, frame.into_slice(), payload);
        made += 1;
    }
    made
}

//! A packet of the usual shape arrives.
//!
//! Owns: in which order the ways to its connection are tried, the shortest first; the way of a segment whose connection
//! has no TCB, or has to know no more than that it came.
//! Must not know: how a header is read (`network`, `wire`), or what a connection makes of a segment (`give`).

use crate::anchor::Body;
use crate::ingress::{segments_in, taken_with};
use crate::shard::Shard;
use crate::usual::gather::LEAST_OCTETS;
use crate::usual::give::{Brought, Flow, FlowV4, is_short, note, take};
use crate::usual::network::{is_intact, is_unverified, is_v6};
use usertcp_base::{ConnId, Ecn, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Gso, Packet};
use usertcp_tcp::{Answered, Segment, Tcb, UsualEffects, UsualSegment};
use usertcp_wire::tcp::{Flags, Header, Options, Timestamps};
use usertcp_wire::usual::{
    self, BOTH_V4, BOTH_V6, HeadersV4, IPV4_OCTETS, IPV6_OCTETS, Numbers, ShortV4, TCP_OCTETS,
};

/// A packet read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) flow: FlowKey,
    pub(crate) header: UsualSegment,
    /// Of IP and TCP.
    pub(super) header_octets: usize,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes the first of `packets` if it is of the usual shape and for a connection, and those behind it that are
    /// questions and answers, if it is one. How many, of which nothing is left; 0: nothing has changed but that what was
    /// gathered before may be handled.
    ///
    /// By IPv4 what a connection expects that is known from its last packets, and carries no more than a
    /// question or an answer, goes from here to its end.
    #[inline(never)] // its registers are its own
    pub(crate) fn handle_usual(&mut self, now: Instant, packets: &mut [Packet]) -> usize {
        let mut taken = 0;
        while let Some(packet) = packets.get_mut(taken) {
            if !self.may_be_answer(packet) {
                // Behind others it is the first of the next call.
                let usual = taken == 0 && self.handle_other_usual(now, packet);
                return taken + taken_with(packet, usual);
            }
            let Some(short) = packet.octets.only().and_then(|only| ShortV4::of(only)) else {
                let usual = taken == 0 && self.handle_other_short(now, packet);
                return taken + taken_with(packet, usual);
            };
            let headers = short.headers();
            let Some(local) = self.local_v4(headers.destination()) else { return taken };
            if is_unverified(packet) && !short.is_intact() {
                return taken;
            }
            let payload_octets = short.payload_octets();
            if let Some((id, anchor, tcb)) =
                self.table.find_recent_v4(headers.source(), local, headers.ports())
            {
                let (numbers, window, value) = (short.numbers(), short.window(), short.value());
                let octets = &mut packet.octets;
                if let Some(answered) =
                    tcb.take_answer::<BOTH_V4>(now, octets, numbers, window, value)
                {
                    self.common.note_answer(now, id, payload_octets, answered);
                    if note(&mut self.events, &mut self.transmit, id, anchor, UsualEffects::ANSWER)
                    {
                        self.rearm(now, id);
                    }
                    taken += 1;
                    continue;
                }
                if taken == 0 && self.gathered.is_none() {
                    let usual = self.take_begun_v4(now, id, packet);
                    return taken_with(packet, usual);
                }
            }
            let usual = taken == 0 && self.take_short_v4(now, packet);
            return taken + taken_with(packet, usual);
        }
        taken
    }

    /// Gives a short packet by IPv4 to connection `id`, which has a TCB, while nothing is gathered. False: nothing has
    /// changed.
    #[inline(never)] // its registers are its own
    fn take_begun_v4(&mut self, now: Instant, id: ConnId, packet: &mut Packet) -> bool {
        let front = packet.octets.front().and_then(|front| front.first_chunk());
        let Some(headers) = front.map(HeadersV4::known) else { return false };
        let segment = UsualSegment::new(&headers.tcp(), headers.ecn());
        self.give_begun_v4(now, id, packet, &segment)
    }

    /// The same of a packet that was read.
    #[inline(always)] // for it, and for one whose connection was parked
    fn give_begun_v4(
        &mut self,
        now: Instant,
        id: ConnId,
        packet: &mut Packet,
        segment: &UsualSegment,
    ) -> bool {
        let octets = &mut packet.octets;
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return false };
        let parts = (&mut self.common, &mut self.events, &mut self.transmit);
        let brought = take(parts, now, id, anchor, tcb, segment, octets, BOTH_V4);
        self.follow_up(now, id, brought, segment, octets, BOTH_V4);
        true
    }

    /// Takes a short packet by IPv4 that no shorter way takes: most often it is what completes a handshake. As
    /// [`Shard::handle_other_usual`] otherwise.
    #[inline(never)] // its registers are its own
    pub(super) fn take_short_v4(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let front = packet.octets.front().and_then(|front| front.first_chunk());
        let Some(headers) = front.map(HeadersV4::known) else { return false };
        let Some(local) = self.local_v4(headers.destination()) else { return false };
        let flow = FlowV4 { peer: headers.source(), local, ports: headers.ports() };
        let header = UsualSegment::new(&headers.tcp(), headers.ecn());
        // What was gathered before comes before.
        if self.gathered.is_none() {
            let read = Read { flow: flow.key(), header, header_octets: BOTH_V4 };
            if self.complete(now, &flow, &read, &mut packet.octets, BOTH_V4) {
                return true;
            }
            let FlowV4 { peer, local, ports } = flow;
            if packet.offload.gso.is_none()
                && let Some(id) = self.table.find_recent_parked_v4(peer, local, ports)
            {
                return self.give_to_parked_v4(now, id, packet, &header);
            }
        }
        self.take_v4(now, packet, flow, header)
    }

    /// The same of one that completes no handshake, and of no parked connection.
    #[inline(never)] // its registers are its own
    fn take_v4(
        &mut self,
        now: Instant,
        packet: &mut Packet,
        flow: FlowV4,
        segment: UsualSegment,
    ) -> bool {
        self.take_read_v4(now, packet, flow, segment)
    }

    /// Takes any packet of the usual shape. False: nothing has changed but that what was gathered before may be handled.
    #[inline(never)]
    pub(super) fn handle_other_usual(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let Some(front) = packet.octets.front() else { return false };
        let front: &[u8] = front;
        let Some(octets) = front.first_chunk::<BOTH_V4>() else { return false };
        let Some(headers) = HeadersV4::of(octets) else {
            return is_v6(front) && self.handle_usual_v6(now, packet);
        };
        let Some(local) = self.local_v4(headers.destination()) else { return false };
        let octets = packet.octets.len();
        if headers.packet_octets() != octets || !self.auth.is_idle() {
            return false;
        }
        if is_unverified(packet) {
            let octets = octets - IPV4_OCTETS;
            let pseudo = headers.pseudo(octets as u32);
            let tcp = front.get(IPV4_OCTETS..).unwrap_or_default();
            if !is_intact(self.common.checksum, pseudo, tcp, octets, &packet.octets) {
                return false;
            }
        }
        let flow = FlowV4 { peer: headers.source(), local, ports: headers.ports() };
        let segment = UsualSegment::new(&headers.tcp(), headers.ecn());
        self.take_read_v4(now, packet, flow, segment)
    }

    /// The same of a packet by IPv4 that was read. One that is gathered with no other goes to its connection from here.
    #[inline(always)] // in two places, for short packets and for any
    fn take_read_v4(
        &mut self,
        now: Instant,
        packet: &mut Packet,
        flow: FlowV4,
        segment: UsualSegment,
    ) -> bool {
        let is_alone = packet.octets.len() < BOTH_V4 + LEAST_OCTETS
            && packet.offload.gso.is_none()
            && self.gathered.is_none();
        if is_alone && self.give(now, &flow, &segment, &mut packet.octets, BOTH_V4) {
            return true;
        }
        let mut read = Read { flow: flow.key(), header: segment, header_octets: BOTH_V4 };
        match is_alone {
            true => self.give_to_any(now, &read, &mut packet.octets, BOTH_V4),
            false => self.take(now, packet, &mut read),
        }
    }

    /// Gives a packet by IPv4 that is gathered with no other to the parked connection `id` of its flow.
    #[inline(never)]
    fn give_to_parked_v4(
        &mut self,
        now: Instant,
        id: ConnId,
        packet: &mut Packet,
        segment: &UsualSegment,
    ) -> bool {
        if self.is_only_heard(now, id, segment, &packet.octets, BOTH_V4) {
            return true;
        }
        if self.awake(now, id).is_some() {
            return self.give_begun_v4(now, id, packet, segment);
        }
        self.count_and_deliver(now, id, segment, &mut packet.octets, BOTH_V4);
        true
    }

    /// Whether a parked connection has to know no more of a segment than that it came: it is counted then.
    #[inline(always)] // for one by IPv4, and for any
    fn is_only_heard(
        &mut self,
        now: Instant,
        id: ConnId,
        segment: &UsualSegment,
        octets: &Chain,
        header_octets: usize,
    ) -> bool {
        let heard = octets.len() == header_octets && self.heard_while_parked(now, id, segment);
        if heard {
            self.common.count_in(segment.wire_segments, &Chain::new());
        }
        heard
    }

    /// Counts a segment of which only its connection is known, and gives it to all the steps of any segment.
    #[cold]
    fn count_and_deliver(
        &mut self,
        now: Instant,
        id: ConnId,
        segment: &UsualSegment,
        octets: &mut Chain,
        header_octets: usize,
    ) {
        octets.advance(header_octets);
        self.common.count_in(segment.wire_segments, octets);
        self.deliver_usual(now, id, segment, octets);
    }

    /// Takes a packet of the usual shape by IPv6, as [`Shard::handle_other_usual`].
    #[inline(never)]
    pub(super) fn handle_usual_v6(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let Some(mut read) = self.read_v6(packet) else { return false };
        let payload_octets = packet.octets.len() - read.header_octets;
        if is_short(payload_octets)
            && !read.header.fin
            && read.header.ecn != Ecn::CongestionExperienced
            && self.may_be_answer(packet)
            && let Some((id, anchor, tcb)) = self.table.find_hot(&read.flow)
            && let Some(answered) = take_answer_v6(tcb, now, packet)
        {
            self.common.note_answer(now, id, payload_octets, answered);
            if note(&mut self.events, &mut self.transmit, id, anchor, UsualEffects::ANSWER) {
                self.rearm(now, id);
            }
            return true;
        }
        self.take(now, packet, &mut read)
    }

    /// Whether a packet with a short payload, without FIN and not marked, may be a question or an answer: no device has
    /// merged it, and none of this burst is to go before it.
    #[inline(always)] // in a few places
    pub(crate) fn may_be_answer(&self, packet: &Packet) -> bool {
        self.takes_answers && packet.offload.gso.is_none()
    }

    /// Reads a packet by IPv6. `None`: it is not of the usual shape, or not intact.
    #[inline]
    fn read_v6(&mut self, packet: &Packet) -> Option<Read> {
        let front: &[u8] = packet.octets.front()?;
        let tcp = front.get(IPV6_OCTETS..)?.first_chunk::<TCP_OCTETS>()?;
        let header = usual::read_tcp(tcp)?;
        let network = self.read_network(packet)?;
        let is_intact = network.is_intact(self.common.checksum, packet);
        if network.header_octets != IPV6_OCTETS || !is_intact {
            return None;
        }
        let flow = network.flow(header.source_port, header.destination_port);
        let header = UsualSegment::new(&header, network.ecn);
        Some(Read { flow, header, header_octets: BOTH_V6 })
    }

    /// Gathers a packet that was read, or gives it to its connection. False: there is none.
    #[inline(never)]
    fn take(&mut self, now: Instant, packet: &mut Packet, read: &mut Read) -> bool {
        let payload_octets = packet.octets.len() - read.header_octets;
        let gso = packet.offload.gso;
        if payload_octets >= LEAST_OCTETS || gso.is_some() || self.gathered.is_some() {
            if self.gather(now, packet, read) {
                return true;
            }
            if let Some(Gso { segment_octets, .. }) = gso {
                read.header.wire_segments = segments_in(payload_octets, segment_octets);
            }
        }
        self.give_apart(now, read, &mut packet.octets, read.header_octets)
            || self.give_to_any(now, read, &mut packet.octets, read.header_octets)
    }

    /// Gives a segment that was gathered to its connection, if there still is one.
    pub(super) fn handle_read(&mut self, now: Instant, read: &Read, mut payload: Chain) {
        let _ = self.give_apart(now, read, &mut payload, 0)
            || self.give_to_any(now, read, &mut payload, 0);
    }

    /// Gives a segment that was read to the connection of its flow, if that has a TCB and is found: `octets` behind the
    /// `header_octets`. False: nothing has changed.
    #[inline(always)] // one for each kind of flow
    fn give(
        &mut self,
        now: Instant,
        flow: &impl Flow,
        segment: &UsualSegment,
        octets: &mut Chain,
        header_octets: usize,
    ) -> bool {
        let Some((id, anchor, tcb)) = flow.find(&mut self.table) else { return false };
        let parts = (&mut self.common, &mut self.events, &mut self.transmit);
        let brought = take(parts, now, id, anchor, tcb, segment, octets, header_octets);
        self.follow_up(now, id, brought, segment, octets, header_octets);
        true
    }

    /// What follows from a segment that was given to its connection.
    #[inline(always)] // one for each caller of `take`
    pub(super) fn follow_up(
        &mut self,
        now: Instant,
        id: ConnId,
        brought: Brought,
        segment: &UsualSegment,
        octets: &mut Chain,
        header_octets: usize,
    ) {
        match brought {
            Brought::Work => {}
            Brought::Wait => self.rearm(now, id),
            Brought::End(ended) => self.end(now, id, ended, None),
            Brought::Effects(rearms, effects) => self.follow(now, id, rearms, effects),
            Brought::Nothing => {
                octets.advance(header_octets);
                self.deliver_usual(now, id, segment, octets);
            }
        }
    }

    /// [`Shard::give`] for a flow by either version.
    #[inline(never)]
    fn give_apart(
        &mut self,
        now: Instant,
        read: &Read,
        octets: &mut Chain,
        header_octets: usize,
    ) -> bool {
        self.give(now, &read.flow, &read.header, octets, header_octets)
    }

    /// Gives a segment that was read to the connection of its flow, in whatever state that is. False: there is none.
    #[inline(never)]
    fn give_to_any(
        &mut self,
        now: Instant,
        read: &Read,
        octets: &mut Chain,
        header_octets: usize,
    ) -> bool {
        if self.complete_passive(now, read, octets, header_octets) {
            return true;
        }
        let Some(id) = self.table.find(&read.flow) else { return false };
        if self.table.note(&read.flow, id) {
            // Another flow was noted in its place.
            return self.give_apart(now, read, octets, header_octets);
        }
        let anchor = self.table.anchors.get(id);
        let parked = matches!(anchor.map(|anchor| &anchor.body), Some(Body::Parked(_)));
        if parked {
            if self.is_only_heard(now, id, &read.header, octets, header_octets) {
                return true;
            }
            if self.awake(now, id).is_some() {
                return self.give_apart(now, read, octets, header_octets);
            }
        }
        // It is found at once now.
        if self.complete_passive(now, read, octets, header_octets) {
            return true;
        }
        self.count_and_deliver(now, id, &read.header, octets, header_octets);
        true
    }

    /// Gives a segment to all the steps of any segment, which do not know that it is of the usual shape.
    #[cold]
    fn deliver_usual(
        &mut self,
        now: Instant,
        id: ConnId,
        segment: &UsualSegment,
        octets: &mut Chain,
    ) {
        let Some(flow) = self.table.flow(id) else { return };
        let mut segment = as_segment(&flow, segment, core::mem::take(octets));
        self.deliver(now, id, &flow, &mut segment);
    }
}

/// Gives a short segment by IPv6 to its connection.
#[inline(always)]
fn take_answer_v6<C: CongestionController>(
    tcb: &mut Tcb<C>,
    now: Instant,
    packet: &mut Packet,
) -> Option<Answered> {
    let header = usual::read_usual_tcp(packet.octets.only()?.get(IPV6_OCTETS..)?.first_chunk()?);
    let numbers = Numbers::of(&header);
    tcb.take_answer::<BOTH_V6>(now, &mut packet.octets, numbers, header.window, header.value)
}

/// The same segment in the form that can be anything.
pub(crate) fn as_segment(flow: &FlowKey, segment: &UsualSegment, payload: Chain) -> Segment {
    let UsualSegment { seq, ack, window, push, fin, value, echo, ecn, wire_segments } = *segment;
    let FlowKey { remote_port: source_port, local_port: destination_port, .. } = *flow;
    let mut flags = if push { Flags::ACK | Flags::PSH } else { Flags::ACK };
    if fin {
        flags = flags | Flags::FIN;
    }
    let timestamps = Some(Timestamps { value, echo });
    Segment {
        header: Header { source_port, destination_port, seq, ack, flags, window, urgent: 0 },
        options: Options { timestamps, ..Options::default() },
        payload,
        ecn,
        wire_segments,
    }
}

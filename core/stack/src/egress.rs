//! From connections to packets (DESIGN §6.2, steps 3 to 6).
//!
//! Owns: whose segment leaves next, and how header and payload become one packet.
//! Must not know: what a segment is for.
//! Implements: MUST-2 (checksum), MUST-45 (address of the connection), DESIGN §10 (local queue
//! drops are not congestion).
//!
//! A packet is a small frame with the headers, followed by the slices of the payload as they lie in
//! the send queue: nothing is copied, except a payload so short that a second slice costs a device
//! more than the copy. A slice that nobody else holds and that has room in front takes the headers
//! itself.

mod last;
mod messages;
mod outbox;
mod sharing;

pub(crate) use outbox::Outbox;

use crate::events::Pending;
use crate::shard::{Common, Shard};
use crate::turns::press_of;
use crate::usual::{
    AHEAD, EndsV4, Envelope, checksum_state, pack_short, pack_short_v6, put_either, put_in_place,
};
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::{Chain, ChecksumState, Frame, FrameSlice, Gso, GsoKind, Offload, Packet};
use usertcp_ip::{DEFAULT_TTL, Outgoing as IpOutgoing};
use usertcp_tcp::{
    Ceiling, Given, Outgoing, PollSegment, Reply, SendRoom, Shares, Single, Tcb, UsualOutgoing,
};
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::plain::Plain;
use usertcp_wire::tcp::{self, CHECKSUM_OFFSET, EmitChecksum, Flags};
use usertcp_wire::usual::{self, IPV4_OCTETS, IpHeader};

/// Room in front of the TCP header: the longest IP header we write, and a link header.
pub(crate) const HEADROOM: usize = 40 + 16;
/// A payload up to this long is copied next to its header.
pub(crate) const COPIED_OCTETS: usize = 128;
/// Largest payload of a super-segment: an IP packet has at most 65,535 octets, headers included.
const SUPER_SEGMENT_OCTETS: u32 = 65_535 - 120;
/// Full packets that one decision makes at least where the device does not cut; of smaller ones, as much as a
/// super-segment has.
const CUT_PACKETS: u32 = 16;

/// What [`Shard::fill`] leaves.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// No connection has anything to send now.
    Nothing,
    /// Some may: the batch is full, or the budget used up.
    Some,
    /// Some have, but there was no frame for a header: another try at once would find none either.
    NoFrame,
}

/// What a connection's turn came to.
enum Taken {
    /// One packet at most.
    One,
    /// Perhaps several.
    Any,
}

/// The connection whose turn it is.
struct Whose {
    id: ConnId,
    /// Where its TCB is.
    hot: u32,
    flow: FlowKey,
    /// The rates it shares, and what they say.
    shares: Option<Shares>,
    ceiling: Option<Ceiling>,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Fills `batch` with packets to send now. What does not fit stays where it is: in a
    /// connection's queue, not in a packet.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TxBatch) {
        let _ = self.fill(now, batch);
    }

    /// The same, and what is left.
    #[inline(never)] // its registers are its own
    pub(crate) fn fill(&mut self, now: Instant, batch: &mut TxBatch) -> Left {
        let unusual = self.common.unusual;
        if unusual {
            self.put_waiting(now, batch);
        }
        // Nothing is signed, and nobody looks at what is complete.
        let bare = !unusual || self.auth.is_idle() && self.link.is_none();
        let alone = !unusual || self.rates.is_empty();
        let mut budget = self.transmit.begin_batch(self.common.limits.transmits_per_turn) as usize;
        loop {
            // Nearly every turn is one packet: that there is room is asked once for all of them.
            let mut turns = budget.min(batch.room());
            if turns == 0 {
                return Left::Some;
            }
            if self.transmit.is_long() {
                turns = turns.min(AHEAD);
                self.look_ahead_to_send();
            }
            budget -= turns;
            while turns > 0 {
                // Before a segment is asked for: once given out, it counts as sent.
                if !self.common.pool.has_control() {
                    self.want_memory(now);
                    return Left::NoFrame;
                }
                let taken = if bare && alone && self.transmit.are_newcomers() {
                    self.transmit_messages(now, batch, &mut turns)
                } else {
                    turns -= 1;
                    match alone {
                        true => self.transmit_one(now, batch, bare),
                        false => self.transmit_sharing(now, batch),
                    }
                };
                match taken {
                    Some(Taken::One) => {}
                    Some(Taken::Any) if batch.room() >= turns => {}
                    Some(Taken::Any) => {
                        budget += turns;
                        break;
                    }
                    None => return Left::Nothing,
                }
            }
        }
    }

    /// Packets that are complete: those that waited for a neighbour's address, and replies.
    #[inline(never)]
    fn put_waiting(&mut self, now: Instant, batch: &mut TxBatch) {
        if self.link.is_none() {
            if self.outbox.is_empty() {
                return;
            }
            let count = batch.take_from(&mut self.outbox.packets);
            return self.common.count_packets(count);
        }
        self.link_frames(batch);
        while !batch.is_full() {
            let Some(packet) = self.outbox.packets.pop() else { break };
            self.put(now, batch, packet);
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, now: Instant, batch: &mut TxBatch, packet: Packet) {
        if self.link.is_some() {
            return self.put_on_link(now, batch, packet);
        }
        self.put_plain(batch, packet);
    }

    /// With the link's header in front, unless it waits for its neighbour's address.
    #[inline(never)]
    fn put_on_link(&mut self, now: Instant, batch: &mut TxBatch, mut packet: Packet) {
        if self.link_output(now, &mut packet) {
            self.put_plain(batch, packet);
        }
    }

    /// The same of a packet that no link has to see; there is room.
    #[inline]
    pub(crate) fn put_plain(&mut self, batch: &mut TxBatch, packet: Packet) {
        put_into(&mut self.common, batch, packet);
    }

    /// One segment of the connection whose turn it is. Who has more after it goes on
    /// or goes behind the others. `None`: nobody has anything to send.
    #[inline(never)]
    fn transmit_one(&mut self, now: Instant, batch: &mut TxBatch, bare: bool) -> Option<Taken> {
        let Some((id, _)) = self.transmit.pop(&mut self.table.anchors)? else {
            return Some(Taken::One);
        };
        Some(self.transmit_any(now, id, batch, bare))
    }

    /// The same of a connection whose headers are not ready; by IPv4 they will be, if this is not the first message.
    #[inline(never)]
    fn transmit_any(&mut self, now: Instant, id: ConnId, batch: &mut TxBatch, bare: bool) -> Taken {
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return Taken::One };
        let Some(message) = tcb.poll_message(now, id, &mut self.common.observer) else {
            return match tcb.is_closing() {
                true => self.transmit_last(now, id, batch, bare),
                false => self.transmit_single(now, id, batch, bare),
            };
        };
        if bare && tcb.was_acknowledged() {
            anchor.prepare_v4(&self.ip, tcb.settings());
        }
        // Mostly an earlier deadline is waited for already.
        let on_time = anchor.links.wakes_by(message.deadline);
        let (common, ip) = (&mut self.common, &self.ip);
        let put = bare && put_in_place(common, batch, now, ip, anchor, tcb, message).is_some();
        self.end_single(now, id, message, batch, (put, on_time))
    }

    /// The same of who has something else to send than a message: the only segment there is, or one of several.
    #[inline(never)]
    fn transmit_single(
        &mut self,
        now: Instant,
        id: ConnId,
        batch: &mut TxBatch,
        bare: bool,
    ) -> Taken {
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return Taken::One };
        let Some(single) = tcb.poll_single(now, id, &mut self.common.observer) else {
            return self.transmit_alone(now, id, batch);
        };
        let on_time = single.deadline().is_some_and(|tick| anchor.links.wakes_by(tick));
        let (common, ip) = (&mut self.common, &self.ip);
        let put = bare && put_either(common, batch, now, ip, anchor, tcb, single);
        self.end_single(now, id, single, batch, (put, on_time))
    }

    /// A single segment was given out: it goes the other way if it was not `put`, and its deadline is waited for, if that
    /// is not so already.
    #[inline(always)] // of each kind
    fn end_single(
        &mut self,
        now: Instant,
        id: ConnId,
        single: Single,
        batch: &mut TxBatch,
        (put, on_time): (bool, bool),
    ) -> Taken {
        if !put {
            self.put_single(now, id, single, batch);
        }
        if !on_time {
            self.rearm(now, id);
        }
        Taken::One
    }

    /// A connection's turn that shares no rate.
    #[inline(never)]
    fn transmit_alone(&mut self, now: Instant, id: ConnId, batch: &mut TxBatch) -> Taken {
        if let Some((id, flow, body)) = self.table.anchors.flow_and_body(id.slot)
            && let Some(hot) = body.hot()
        {
            self.transmit_other(now, &Whose { id, hot, flow, shares: None, ceiling: None }, batch);
        }
        Taken::Any
    }

    /// Puts the only segment of a connection into the batch, when it is not one by IPv4 whose headers can be
    /// written where its payload lies, or keys or a link are to be looked after.
    #[inline(never)]
    fn put_single(&mut self, now: Instant, id: ConnId, single: Single, batch: &mut TxBatch) {
        let Some((id, flow, body)) = self.table.anchors.flow_and_body(id.slot) else { return };
        let Some(hot) = body.hot() else { return };
        let Some(tcb) = self.table.hot.at(hot) else { return };
        let segment = tcb.single(now, single);
        let frame = self.common.pool.take_control(HEADROOM);
        let packet = frame.and_then(|frame| self.pack_given(hot, &flow, &segment, frame));
        self.put_or_count(now, id, batch, packet);
    }

    /// The same of a connection that has more to send than one segment, or something else.
    #[inline(never)]
    fn transmit_other(&mut self, now: Instant, turn: &Whose, batch: &mut TxBatch) {
        let Whose { id, hot, flow, shares, ceiling } = turn;
        let (id, hot, index) = (*id, *hot, turn.id.slot);
        let Some(frame) = self.common.pool.take_control(HEADROOM) else {
            return self.transmit.push_at(id, &mut self.table.anchors);
        };
        let room = SendRoom { largest_payload_octets: self.largest_payload(flow) };
        let to_cut = SendRoom { largest_payload_octets: self.largest_to_cut(&room) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return };
        let mut env = self.common.env(now, id);
        env.ceiling = *ceiling;
        match tcb.poll_usual(&mut env, &to_cut) {
            Given::Segment(segment) => {
                if let Some(shares) = &shares {
                    let octets = self.usual_packet_octets(flow, &segment);
                    self.charge_rates(now, (hot, index), shares, octets, segment.last);
                }
                if segment.gso_octets.is_some() && !self.common.super_segments {
                    self.turn_over(now, (id, hot), segment.last);
                    drop(frame);
                    return self.put_cut(now, (id, hot), batch, flow, &segment);
                }
                let packet = self.pack_given(hot, flow, &segment, frame);
                // It may be parked then.
                self.turn_over(now, (id, hot), segment.last);
                return self.put_or_count(now, id, batch, packet);
            }
            Given::Nothing => {
                if let Some(shares) = &shares {
                    self.wait_for_rates(now, (hot, index), shares);
                }
                return self.rearm(now, id);
            }
            Given::Unusual => {}
        }
        let Some(tcb) = self.table.hot.at_mut(hot) else { return };
        let mut env = self.common.env(now, id);
        env.ceiling = *ceiling;
        let outcome = tcb.poll_segment(&mut env, &room);
        let PollSegment::Segment(Outgoing { reply, payload, gso_octets, last }) = outcome else {
            if tcb.poll_writable(&self.common.limits, &self.common.pool)
                && let Some(anchor) = self.table.anchors.get_mut(id)
            {
                self.events.add(id, anchor, Pending::WRITABLE);
            }
            if let Some(shares) = &shares {
                self.wait_for_rates(now, (hot, index), shares);
            }
            return self.rearm(now, id);
        };
        self.turn_over(now, (id, hot), last);
        let counted = !payload.is_empty() || reply.header.flags.contains(Flags::FIN);
        let packet = self.pack(flow, &reply, payload, gso_octets, frame);
        if let Some(shares) = &shares {
            let octets = if counted { octets_of(packet.as_ref()) } else { 0 };
            self.charge_rates(now, (hot, index), shares, octets, last);
        }
        self.put_or_count(now, id, batch, packet);
    }

    /// Makes a packet of a segment that was given as a whole; `frame` is for the headers.
    #[inline(never)]
    fn pack_given(
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

    /// The connection had its segment: it goes on or goes behind the others, or has nothing left to send.
    #[inline]
    fn turn_over(&mut self, now: Instant, (id, hot): (ConnId, u32), last: bool) {
        if last {
            return self.rearm(now, id);
        }
        let settings = self.table.hot.at(hot).map(Tcb::settings);
        match settings.and_then(|settings| press_of(settings, &self.rates)) {
            Some(press) => self.transmit.press(id, &mut self.table.anchors, press),
            None => self.transmit.again(id, &mut self.table.anchors),
        }
    }

    #[inline]
    fn put_or_count(
        &mut self,
        now: Instant,
        id: ConnId,
        batch: &mut TxBatch,
        packet: Option<Packet>,
    ) {
        match packet {
            Some(packet) => self.put(now, batch, packet),
            None => self.common.drop_packet(Some(id), now, DropReason::DeviceRefused),
        }
    }

    /// The largest payload one packet may carry; a connection takes its MSS when that is more.
    fn largest_payload(&self, flow: &FlowKey) -> u32 {
        if !self.common.super_segments || self.is_protected(flow) {
            return 0;
        }
        self.device.largest_packet_octets.saturating_sub(120).min(SUPER_SEGMENT_OCTETS)
    }

    /// The same of segments of the usual shape. Where the device does not cut, `put_cut` (`usual/cut`) does: one
    /// decision for many packets all the same.
    fn largest_to_cut(&self, room: &SendRoom) -> u32 {
        let cut =
            !self.common.super_segments && self.auth.is_idle() && !self.common.pool.is_tight();
        match cut {
            true => (u32::from(self.device.mtu) * CUT_PACKETS).max(SUPER_SEGMENT_OCTETS),
            false => room.largest_payload_octets,
        }
    }

    /// Sends a segment without payload.
    pub(crate) fn send_reply(&mut self, now: Instant, flow: &FlowKey, reply: &Reply) {
        self.send_at_once(now, flow, reply, Chain::new());
    }

    /// Sends a segment that no connection gives out by itself.
    pub(crate) fn send_at_once(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        reply: &Reply,
        payload: Chain,
    ) {
        let packet = match self.common.pool.take_control(HEADROOM) {
            Some(frame) => self.pack(flow, reply, payload, None, frame),
            None => None,
        };
        self.push_or_count(now, packet);
    }

    /// Sends the last segment of a connection, whose TCB is there still.
    pub(crate) fn send_last(&mut self, now: Instant, id: ConnId, segment: &UsualOutgoing) {
        let packet = match self.common.pool.take_control(HEADROOM) {
            Some(frame) => self.pack_last(id, segment, frame),
            None => None,
        };
        self.push_or_count(now, packet);
    }

    #[inline(always)] // as above
    fn pack_last(&mut self, id: ConnId, segment: &UsualOutgoing, frame: Frame) -> Option<Packet> {
        let (anchor, tcb) = self.table.hot_of(id)?;
        if self.auth.is_idle()
            && let Some(ends) = anchor.ends_v4(&self.ip)
        {
            return pack_short(&mut self.common, &ends, segment, tcb, frame);
        }
        let (hot, flow) = (anchor.body.hot()?, self.table.flow(id)?);
        self.pack_given(hot, &flow, segment, frame)
    }

    #[inline(always)] // as `Outbox::push`
    pub(crate) fn push_or_count(&mut self, now: Instant, packet: Option<Packet>) {
        match packet {
            Some(packet) => self.outbox.push(packet, now, &mut self.common),
            None => self.lack_frame(now),
        }
    }

    /// There was no frame for a packet.
    #[cold]
    fn lack_frame(&mut self, now: Instant) {
        self.common.drop_packet(None, now, DropReason::PoolEmpty);
        self.want_memory(now);
    }

    /// Makes a packet of a segment. `frame` is for the headers.
    fn pack(
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

#[inline(always)]
pub(crate) fn put_into<O: Observer>(common: &mut Common<O>, batch: &mut TxBatch, packet: Packet) {
    common.count_packets(1);
    let pushed = batch.push(packet);
    debug_assert!(pushed.is_ok(), "asked only while there is room");
}

/// Whether so much payload is copied next to its header.
#[inline]
fn is_short(octets: u32) -> bool {
    octets as usize <= COPIED_OCTETS
}

/// Octets of the packets that a packet is cut into, from the IP header on.
fn octets_of(packet: Option<&Packet>) -> u32 {
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

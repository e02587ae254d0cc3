//! From packets to connections (DESIGN §6.1, steps 2 to 5).
//!
//! Owns: the way of a packet: network layer, checksum, header, demultiplexer, body of the anchor.
//! Must not know: what a segment means to a connection.
//! Implements: MUST-2 and MUST-3 (checksum), AT-15 (LAND), BG-1.

use crate::anchor::Body;
use crate::replies::{self, Heard, Reset, Stray};
use crate::shard::Shard;
use usertcp_base::{ConnId, DropReason, Ecn, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::RxBatch;
use usertcp_frame::{Chain, Packet};
use usertcp_ip::{Input, TcpInput};
use usertcp_tcp::{Reply, Segment, TimeWaitOutcome};
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::syn;
use usertcp_wire::tcp::{self, Flags};
use usertcp_wire::usual::{self, ShortV4};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Packets arrived. All of `packets` are taken.
    pub fn handle_frames(&mut self, now: Instant, packets: &mut RxBatch) {
        self.begin_burst(0);
        while let Some(mut packet) = packets.pop() {
            if self.link.is_none() || self.link_input(now, &mut packet) {
                self.handle_packet(now, &mut packet);
            }
        }
        self.handle_gathered(now);
    }

    /// One packet. It may be gathered with those before it: [`Shard::handle_gathered`] follows the last.
    #[inline(never)]
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.common.count_packets_in(1);
        let _ = self.handle_first(now, core::slice::from_mut(packet));
    }

    /// A burst comes, `packets` of which are handled here.
    #[inline] // in few places
    pub(crate) fn begin_burst(&mut self, packets: usize) {
        self.common.count_packets_in(packets);
        let keyless = !self.common.unusual || self.auth.is_idle();
        self.takes_answers = keyless && !self.common.pool.is_tight();
    }

    /// The same while nothing is unusual and memory was not tight before it came.
    #[inline(always)] // once
    pub(crate) fn begin_usual_burst(&mut self, packets: usize) {
        self.common.count_packets_in(packets);
        self.takes_answers = true;
    }

    /// Some of those that were counted together.
    #[inline(never)]
    pub(crate) fn handle_some_of_crowd(&mut self, now: Instant, packets: &mut [Packet]) {
        let mut packets = packets;
        while !packets.is_empty() {
            packets = self.handle_first(now, packets);
        }
    }

    /// The first packets of a burst: one, or several that are questions or answers. The others.
    #[inline(always)] // in a loop
    pub(crate) fn handle_first<'a>(
        &mut self,
        now: Instant,
        packets: &'a mut [Packet],
    ) -> &'a mut [Packet] {
        let taken = match packets.first_mut() {
            // As short as few that carry anything are: most often it opens a connection or closes one.
            Some(first) if first.octets.len() <= syn::BOTH_V4 && self.may_be_answer(first) => {
                match first.octets.len() {
                    ..=usual::BOTH_V4 => {
                        let taken = self.handle_other_short(now, first);
                        taken_with(first, taken)
                    }
                    syn::BOTH_V4 if is_syn(first) => 0,
                    _ => self.handle_usual(now, packets),
                }
            }
            _ => self.handle_usual(now, packets),
        };
        if taken == packets.len() {
            return &mut [];
        }
        if taken > 0 {
            return packets.get_mut(taken..).unwrap_or_default();
        }
        let Some((packet, rest)) = packets.split_first_mut() else { return &mut [] };
        self.handle_unusual(now, packet);
        packet.octets.clear();
        rest
    }

    #[inline]
    fn handle_unusual(&mut self, now: Instant, packet: &mut Packet) {
        // What was gathered came before.
        self.handle_gathered(now);
        if !self.handle_usual_syn(now, packet) {
            self.handle_other(now, packet);
        }
    }

    #[inline(never)]
    fn handle_other(&mut self, now: Instant, packet: &mut Packet) {
        let network = self.read_network(packet);
        let taken = network.is_some_and(|network| self.handle_plain(now, packet, &network));
        if !taken {
            self.handle_any(now, core::mem::take(packet));
        }
    }

    /// A packet of whatever shape.
    fn handle_any(&mut self, now: Instant, packet: Packet) {
        // It may be a fragment, and waits then.
        self.common.unusual = true;
        let input = self.ip.input(now, packet, &self.common.pool);
        self.handle_input(now, input);
    }

    /// What the network layer made of a packet.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Tcp(input) => self.handle_tcp(now, input),
            Input::Reply(packet) => {
                self.outbox.push(packet, now, &mut self.common);
                while let Some(fragment) = self.ip.poll_reply() {
                    self.outbox.push(fragment, now, &mut self.common);
                }
            }
            Input::Signal(signal) => self.handle_signal(now, &signal),
            Input::Consumed => {}
            Input::Drop(reason) => self.common.drop_packet(None, now, reason),
        }
        self.count_network_drops(now);
    }

    fn handle_tcp(&mut self, now: Instant, input: TcpInput) {
        let (flow, mut segment) = match read(self.common.checksum, &input) {
            Ok((header, options, header_octets)) => {
                let flow = FlowKey {
                    remote: input.remote,
                    local: input.local,
                    remote_port: header.source_port,
                    local_port: header.destination_port,
                };
                if let Err(reason) =
                    self.authenticate(&flow, &input, &header, &options, header_octets)
                {
                    return self.common.drop_packet(None, now, reason);
                }
                let TcpInput { octets, ecn, gso_octets, .. } = input;
                (flow, into_segment(octets, header, options, header_octets, ecn, gso_octets))
            }
            Err(reason) => return self.common.drop_packet(None, now, reason),
        };
        if self.is_land(&flow) {
            return self.common.drop_packet(None, now, DropReason::TcpLand);
        }
        self.count_in(&segment);
        match self.table.find(&flow) {
            Some(id) => self.deliver(now, id, &flow, &mut segment),
            None => self.handle_stray(now, &flow, &mut segment),
        }
    }

    pub(crate) fn count_in(&mut self, segment: &Segment) {
        self.common.count_in(segment.wire_segments, &segment.payload);
    }

    /// AT-15: a segment from our own address and port, or from or to port zero.
    fn is_land(&self, flow: &FlowKey) -> bool {
        !is_port_pair(flow)
            || flow.remote_port == flow.local_port
                && self.ip.local(flow.local).map(usertcp_ip::remote_address) == Some(flow.remote)
    }

    /// A segment of a connection.
    pub(crate) fn deliver(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        segment: &mut Segment,
    ) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        match &mut anchor.body {
            Body::Hot(hot, _) => {
                let Some(tcb) = self.table.hot.at_mut(*hot) else { return };
                let effects = tcb.handle_segment(&mut self.common.env(now, id), segment);
                self.apply(now, id, effects);
            }
            Body::Parked(_) => match self.awake(now, id) {
                Some(_) => self.deliver(now, id, flow, segment),
                None => self.common.drop_packet(Some(id), now, DropReason::ConnectionLimit),
            },
            Body::Early(..) => self.deliver_early(now, id, flow, segment),
            Body::Embryo(..) => self.deliver_embryo(now, id, flow, segment),
            Body::Asked(..) => self.deliver_asked(now, id, segment),
            Body::Opening(..) => self.deliver_opening(now, id, flow, segment),
            Body::TimeWait(record, _) => {
                let outcome = record.handle_segment(now, segment);
                self.after_time_wait(now, id, flow, segment, outcome);
            }
            // Not in the demultiplexer.
            Body::Ended(..) => {}
        }
    }

    fn after_time_wait(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        segment: &mut Segment,
        outcome: TimeWaitOutcome,
    ) {
        match outcome {
            TimeWaitOutcome::Ignored(reason) => self.common.drop_packet(Some(id), now, reason),
            TimeWaitOutcome::Reply(reply) => self.send_reply(now, flow, &reply),
            TimeWaitOutcome::Restart(reply) => {
                let again = now + self.common.limits.msl + self.common.limits.msl;
                if let Some(anchor) = self.table.anchors.get_mut(id)
                    && let Body::TimeWait(_, until) = &mut anchor.body
                {
                    *until = again.into();
                }
                self.table.arm(id, Some(again));
                self.send_reply(now, flow, &reply);
            }
            // RFC 6191 §2: the old connection makes way, if anyone listens.
            TimeWaitOutcome::Reopen(above) => {
                match self.listeners.find(flow.local, flow.local_port) {
                    Some(listener) => {
                        self.discard(id);
                        self.handle_syn(now, flow, listener, segment, Some(above));
                    }
                    None => self.common.drop_packet(Some(id), now, DropReason::TimeWait),
                }
            }
        }
    }

    /// A segment of no connection: for a listener, or for nobody.
    pub(crate) fn handle_stray(&mut self, now: Instant, flow: &FlowKey, segment: &mut Segment) {
        let stray = stray(segment);
        let Some(listener) = self.listeners.find(flow.local, flow.local_port) else {
            self.common.drop_packet(None, now, DropReason::NoConnection);
            return self.reset_stray(now, flow, replies::closed(&stray));
        };
        match replies::listening(&stray) {
            Heard::Open => self.handle_syn(now, flow, listener, segment, None),
            Heard::Acknowledges(reset) => {
                if let Some(reason) = self.redeem_cookie(now, flow, listener, segment) {
                    self.common.drop_packet(None, now, reason);
                    self.reset_stray(now, flow, Some(reset));
                }
            }
            Heard::Nothing => self.common.drop_packet(None, now, DropReason::ListenRefused),
        }
    }

    /// A reset to a stranger, as far as the bucket goes (AT-2).
    pub(crate) fn reset_stray(&mut self, now: Instant, flow: &FlowKey, reset: Option<Reset>) {
        let Some(reset) = reset else { return };
        if self.cannot_sign(flow) {
            return self.common.drop_packet(None, now, DropReason::AuthNoConnection);
        }
        if !self.ip.allow_reset(now) {
            return self.common.drop_packet(None, now, DropReason::ResetLimited);
        }
        let counters = &mut self.common.counters;
        counters.resets_out = counters.resets_out.wrapping_add(1);
        let flags = match reset.ack {
            Some(_) => Flags::RST | Flags::ACK,
            None => Flags::RST,
        };
        let ack = reset.ack.unwrap_or_default();
        let reply = Reply::new(flags, reset.seq, ack, usertcp_base::WireWindow(0));
        self.send_reply(now, flow, &reply);
    }
}

/// Checks the checksum and reads the header.
fn read(
    engine: Engine,
    input: &TcpInput,
) -> Result<(tcp::Header, tcp::Options, usize), DropReason> {
    if !input.checksum_verified {
        let mut sum = Running::from_partial(input.partial_sum);
        for slice in input.octets.slices() {
            sum.add_by(engine, slice);
        }
        if sum.finish() != 0 {
            return Err(DropReason::TcpChecksum);
        }
    }
    let first = input.octets.front().ok_or(DropReason::TcpMalformed)?;
    tcp::parse(first, input.octets.len())
}

/// Wire segments of a super-segment.
pub(crate) fn segments_in(payload_octets: usize, segment_octets: u16) -> u16 {
    payload_octets.div_ceil(usize::from(segment_octets.max(1))).clamp(1, 65_535) as u16
}

/// How many packets were `taken`: this one, of which nothing is left then, or none.
#[inline(always)] // in few places
pub(crate) fn taken_with(packet: &mut Packet, taken: bool) -> usize {
    if taken && !packet.octets.is_empty() {
        packet.octets.clear();
    }
    usize::from(taken)
}

/// Whether a packet is a SYN or SYN-ACK by IPv4: it is none of the usual shapes of what has neither.
#[inline(always)] // once
fn is_syn(packet: &Packet) -> bool {
    packet.octets.only().is_some_and(|only| ShortV4::is_syn(only))
}

/// Neither port is zero.
pub(crate) fn is_port_pair(flow: &FlowKey) -> bool {
    flow.remote_port != 0 && flow.local_port != 0
}

/// `octets`: from the first of the `header_octets` on that are no payload.
#[inline]
pub(crate) fn into_segment(
    octets: Chain,
    header: tcp::Header,
    options: tcp::Options,
    header_octets: usize,
    ecn: Ecn,
    gso_octets: Option<u16>,
) -> Segment {
    let mut payload = octets;
    payload.advance(header_octets);
    let wire_segments = match gso_octets {
        Some(octets) => segments_in(payload.len(), octets),
        None => 1,
    };
    Segment { header, options, payload, ecn, wire_segments }
}

pub(crate) fn stray(segment: &Segment) -> Stray {
    Stray {
        seq: segment.header.seq,
        ack: segment.has(Flags::ACK).then_some(segment.header.ack),
        syn: segment.has(Flags::SYN),
        fin: segment.has(Flags::FIN),
        rst: segment.has(Flags::RST),
        payload_octets: u32::try_from(segment.payload.len()).unwrap_or(u32::MAX),
    }
}

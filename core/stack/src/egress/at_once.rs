//! Segments that leave out of turn: replies, and the last of a connection.
//!
//! Owns: the frame of each, and what is done where there is none.
//! Must not know: whose turn it is.

use super::pack::HEADROOM;
use crate::shard::Shard;
use crate::usual::pack_short;
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Frame, Packet};
use usertcp_tcp::{Reply, UsualOutgoing};

impl<C: CongestionController, O: Observer> Shard<C, O> {
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
}

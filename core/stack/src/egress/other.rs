//! The turn of a connection that has more to send than one segment, or something else.
//!
//! Owns: what it is asked for, how much of it at once, and who goes on after it.
//! Must not know: how a segment becomes a packet (`pack`).

use super::Taken;
use super::pack::{HEADROOM, octets_of};
use crate::events::Pending;
use crate::shard::Shard;
use crate::turns::press_of;
use usertcp_base::{ConnId, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_tcp::{Ceiling, Given, Outgoing, PollSegment, SendRoom, Shares, Tcb};
use usertcp_wire::tcp::Flags;

/// Largest payload of a super-segment: an IP packet has at most 65,535 octets, headers included.
const SUPER_SEGMENT_OCTETS: u32 = 65_535 - 120;
/// Full packets that one decision makes at least where the device does not cut; of smaller ones, as much as a
/// super-segment has.
const CUT_PACKETS: u32 = 16;

/// The connection whose turn it is.
pub(super) struct Whose {
    pub(super) id: ConnId,
    /// Where its TCB is.
    pub(super) hot: u32,
    pub(super) flow: FlowKey,
    /// The rates it shares, and what they say.
    pub(super) shares: Option<Shares>,
    pub(super) ceiling: Option<Ceiling>,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A connection's turn that shares no rate.
    #[inline(never)]
    pub(super) fn transmit_alone(
        &mut self,
        now: Instant,
        id: ConnId,
        batch: &mut TxBatch,
    ) -> Taken {
        if let Some((id, flow, body)) = self.table.anchors.flow_and_body(id.slot)
            && let Some(hot) = body.hot()
        {
            self.transmit_other(now, &Whose { id, hot, flow, shares: None, ceiling: None }, batch);
        }
        Taken::Any
    }

    /// The same of a connection that has more to send than one segment, or something else.
    #[inline(never)]
    pub(super) fn transmit_other(&mut self, now: Instant, turn: &Whose, batch: &mut TxBatch) {
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
}

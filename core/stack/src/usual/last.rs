//! A short packet by IPv4 that is no question and no answer: most often the end of a connection.
//!
//! Owns: reading it in one piece.
//! Must not know: what it does to its connection.

use super::give::{Flow, FlowV4, take};
use super::network::{is_unverified, is_v6};
use crate::shard::Shard;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Packet;
use usertcp_tcp::UsualSegment;
use usertcp_wire::usual::{BOTH_V4, ShortV4};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// As [`Shard::handle_usual`] of one that carries nothing, or FIN, or is marked; or of one that is not short.
    #[inline(never)] // its registers are its own
    pub(crate) fn handle_other_short(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let Some(only) = packet.octets.only() else { return self.handle_other_usual(now, packet) };
        if only.len() > BOTH_V4 + ShortV4::MOST_OCTETS {
            return self.handle_other_usual(now, packet);
        }
        let Some(short) = ShortV4::of_any(only) else {
            return is_v6(only) && self.handle_usual_v6(now, packet);
        };
        let headers = short.headers();
        let Some(local) = self.local_v4(headers.destination()) else { return false };
        if is_unverified(packet) && !short.is_intact() {
            return false;
        }
        let flow = FlowV4 { peer: headers.source(), local, ports: headers.ports() };
        let Some((id, anchor, tcb)) = flow.find(&mut self.table) else {
            return self.take_short_v4(now, packet);
        };
        let common = &mut self.common;
        let (numbers, value, fin) = (short.numbers(), short.value(), headers.fin());
        if short.payload_octets() == 0
            && tcb.is_closing_with(fin)
            && let Some(last) = tcb.take_last(now, &mut common.prng, numbers, value, fin)
        {
            common.count_in_octets(1, 0);
            last.report(|event| common.observer.on_event(Some(id), now, event));
            self.end_by_last(now, id, last.ended);
            return true;
        }
        let segment = UsualSegment::new(&headers.tcp(), headers.ecn());
        let (parts, octets) = ((common, &mut self.events, &mut self.transmit), &mut packet.octets);
        let brought = take(parts, now, id, anchor, tcb, &segment, octets, BOTH_V4);
        self.follow_up(now, id, brought, &segment, octets, BOTH_V4);
        true
    }
}

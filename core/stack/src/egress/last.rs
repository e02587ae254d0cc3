//! What a connection has to send when it opens or closes: its first octets, and its last with FIN, mostly.
//!
//! Owns: the shortest way of a segment with FIN, and of many first and last ones in a row.
//! Must not know: when FIN may leave.

use super::Taken;
use crate::anchor::Body;
use crate::shard::Shard;
use crate::usual::put_either;
use usertcp_base::{ConnId, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// As [`Shard::transmit_single`] while one side is closed. `bare`: nothing is signed, and there is no link.
    #[inline(never)] // once in a connection's life
    pub(super) fn transmit_last(
        &mut self,
        now: Instant,
        id: ConnId,
        batch: &mut TxBatch,
        bare: bool,
    ) -> Taken {
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return Taken::One };
        let (common, ip) = (&mut self.common, &self.ip);
        let Some(last) = tcb.poll_end(now, id, &mut common.observer) else {
            return self.transmit_alone(now, id, batch);
        };
        let on_time = anchor.links.wakes_by(last.deadline);
        let put = bare && put_either(common, batch, now, ip, anchor, tcb, last);
        self.end_single(now, id, last, batch, (put, on_time))
    }

    /// As [`Shard::transmit_messages`] where the turn before was none of a message whose headers are ready: mostly many
    /// connections open or close together. A turn of one that talks, or of who has no segment alone, is the last for now.
    #[inline(never)] // its registers are its own
    pub(super) fn transmit_apart(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        turns: &mut usize,
    ) -> Option<Taken> {
        while *turns > 0 && self.common.pool.has_control() {
            let next = self.transmit.pop_newcomer(&mut self.table.anchors)?;
            *turns -= 1;
            let Some((id, anchor)) = next else { continue };
            let Body::Hot(hot, prepared) = &anchor.body else {
                return Some(self.transmit_any(now, id, batch, true));
            };
            let (hot, talks) = (*hot, !prepared.is_none());
            let Some(tcb) = self.table.hot.at_mut(hot) else { continue };
            let (common, ip) = (&mut self.common, &self.ip);
            let single = if tcb.is_closing() {
                tcb.poll_end(now, id, &mut common.observer)
            } else if talks {
                return Some(self.transmit_any(now, id, batch, true));
            } else {
                let message = tcb.poll_message(now, id, &mut common.observer);
                if message.is_some() && tcb.was_acknowledged() {
                    anchor.prepare_v4(ip, tcb.settings());
                }
                message.or_else(|| tcb.poll_single(now, id, &mut common.observer))
            };
            let Some(single) = single else { return Some(self.transmit_alone(now, id, batch)) };
            let on_time = single.deadline().is_some_and(|tick| anchor.links.wakes_by(tick));
            let put = put_either(common, batch, now, ip, anchor, tcb, single);
            let _ = self.end_single(now, id, single, batch, (put, on_time));
        }
        Some(Taken::Apart)
    }
}

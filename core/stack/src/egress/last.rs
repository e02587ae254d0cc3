//! What a connection has to send when it opens or closes: its first octets, and its last with FIN, mostly.
//!
//! Owns: the way of many first and last segments in a row.
//! Must not know: when FIN may leave.

use super::{Taken, is_on_time, poll_any};
use crate::anchor::Body;
use crate::shard::Shard;
use crate::usual::put_either;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;

impl<C: CongestionController, O: Observer> Shard<C, O> {
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
            let (hot, is_prepared) = (*hot, !prepared.is_none());
            let Some(tcb) = self.table.hot.at_mut(hot) else { continue };
            if is_prepared && !tcb.is_closing() {
                return Some(self.transmit_any(now, id, batch, true));
            }
            let (common, ip) = (&mut self.common, &self.ip);
            let Some(single) = poll_any(common, now, ip, id, anchor, tcb, true) else {
                return Some(self.transmit_alone(now, id, batch));
            };
            let on_time = is_on_time(anchor, single);
            let put = put_either(common, batch, now, ip, anchor, tcb, single);
            let _ = self.end_single(now, id, single, batch, (put, on_time));
        }
        Some(Taken::Apart)
    }
}

//! What a connection has to send while it is closing: its last octets and FIN, mostly.
//!
//! Owns: the shortest way of a segment with FIN.
//! Must not know: when FIN may leave.

use super::Taken;
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
}

//! What leaves where connections share rates: groups, listeners, the shard.
//!
//! Owns: when the rates are asked, and told what left. Must not know: how they are divided (`rates`).

use super::Taken;
use super::other::Whose;
use crate::shard::Shard;
use usertcp_base::{ConnId, FlowKey, Instant, Limiter, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_tcp::{Shares, Tcb, UsualOutgoing};
use usertcp_wire::usual::TCP_OCTETS;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// One segment of the connection whose turn it is, where there are rates that connections share. `None`: nobody
    /// has anything to send.
    #[inline(never)]
    pub(super) fn transmit_sharing(&mut self, now: Instant, batch: &mut TxBatch) -> Option<Taken> {
        if let Some((id, _)) = self.transmit.pop(&mut self.table.anchors)?
            && let Some((id, flow, body)) = self.table.anchors.flow_and_body(id.slot)
            && let Some(hot) = body.hot()
        {
            self.transmit_of(now, (id, hot), flow, batch);
        }
        Some(Taken::Any)
    }

    fn transmit_of(
        &mut self,
        now: Instant,
        (id, hot): (ConnId, u32),
        flow: FlowKey,
        batch: &mut TxBatch,
    ) {
        let shares = self.shares_of(hot);
        let ceiling =
            shares.and_then(|shares| self.rates.ceiling(now, hot, &shares, &self.common.lags));
        self.transmit_other(now, &Whose { id, hot, flow, shares, ceiling }, batch);
    }

    /// The rates that a connection shares, where there are any to share.
    pub(super) fn shares_of(&self, hot: u32) -> Option<Shares> {
        self.table.hot.at(hot).map(|tcb| tcb.settings().shares)
    }

    /// Octets of the packets that a segment of the usual shape becomes; zero without data or FIN.
    pub(super) fn usual_packet_octets(&self, flow: &FlowKey, segment: &UsualOutgoing) -> u32 {
        if segment.octets == 0 && !segment.fin {
            return 0;
        }
        let each = segment.gso_octets.map_or(segment.octets, u32::from).max(1);
        let header = u32::from(self.ip.header_octets(flow) + self.auth_option_octets(flow));
        segment.octets + segment.octets.div_ceil(each).max(1) * (header + TCP_OCTETS as u32)
    }

    /// Octets of packets with data left. The last for now: what was promised beyond them goes back.
    pub(super) fn charge_rates(
        &mut self,
        now: Instant,
        who: (u32, u32),
        shares: &Shares,
        octets: u32,
        last: bool,
    ) {
        if octets > 0 {
            self.rates.charge(now, who, shares, octets);
        }
        let limiter = self.table.hot.at(who.0).map(Tcb::limiter);
        if last && limiter != Some(Limiter::Sending) {
            self.rates.leave(who.0);
        }
    }

    /// A connection sends nothing more at present: it waits for a rate that is shared, or does without.
    pub(super) fn wait_for_rates(&mut self, now: Instant, who: (u32, u32), shares: &Shares) {
        match self.table.hot.at(who.0).map(Tcb::limiter) {
            Some(limiter) if limiter.is_shared() => self.rates.wait(now, who, shares, limiter),
            _ => self.rates.leave(who.0),
        }
    }
}

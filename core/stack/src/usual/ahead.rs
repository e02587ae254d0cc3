//! Looking ahead in a burst: what its packets will need is fetched from memory together.
//!
//! Owns: which bytes of a packet tell its flow, and in what order records are touched.
//! Must not know: whether a packet is what it seems. What is noted here is looked at again by who uses it
//! (`recent`), and a wrong guess costs a few reads.
//!
//! A packet needs a slot of the demultiplexer, then an anchor, then a TCB, each found through the one
//! before: with many connections three waits for memory in a row, a packet at a time. The same steps
//! done for several packets at once wait together.

use crate::anchor::Body;
use crate::shard::Shard;
use crate::usual::LastLocal;
use core::hint::black_box;
use core::net::IpAddr;
use usertcp_base::{ConnId, FlowKey, Observer, RemoteAddr};
use usertcp_cc::CongestionController;
use usertcp_frame::Packet;
use usertcp_ip::remote_address;
use usertcp_wire::usual;

/// Packets looked at together: what they need stays in the nearest caches until they are handled.
pub(crate) const AHEAD: usize = 16;
/// With fewer connections all is in the caches anyway.
pub(crate) const CROWD: u32 = 256;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Touches the records that the next packets of the burst will need, and notes where they are.
    pub(crate) fn look_ahead(&mut self) {
        let (table, local) = (&mut self.table, &self.last_local);
        let (transmit, events) = (&self.transmit, &self.events);
        let mut flows = [None; AHEAD];
        for (flow, packet) in flows.iter_mut().zip(self.rx.iter()) {
            *flow = flow_ahead(packet, local).map(|flow| (flow, table.hash_ahead(&flow)));
        }
        let mut slots = [None; AHEAD];
        for (slot, flow) in slots.iter_mut().zip(&flows) {
            *slot = flow.as_ref().and_then(|(flow, hash)| table.guess(flow, *hash));
        }
        let mut hots = [None; AHEAD];
        for (hot, slot) in hots.iter_mut().zip(slots) {
            *hot = slot.and_then(|slot| {
                // What lies elsewhere first: it is waited for meanwhile.
                black_box(table.anchors.annex(slot).copied());
                black_box(transmit.contains(slot) | events.is_ready(slot));
                let anchor = table.anchors.at(slot)?;
                black_box(anchor.touch());
                match anchor.body {
                    Body::Hot(hot) => Some(hot),
                    _ => None,
                }
            });
        }
        for tcb in hots.into_iter().flatten().filter_map(|hot| table.hot.at(hot)) {
            black_box(tcb.touch());
        }
    }

    /// Touches the TCBs of connections whose records are at hand.
    pub(crate) fn look_ahead_at<'a>(&self, ids: impl Iterator<Item = &'a ConnId>) {
        for id in ids {
            if let Some(Body::Hot(hot)) = self.table.anchors.get(*id).map(|anchor| &anchor.body)
                && let Some(tcb) = self.table.hot.at(*hot)
            {
                black_box(tcb.touch());
            }
        }
    }
}

/// The flow of a packet of the usual shape, unchecked.
fn flow_ahead(packet: &Packet, last_local: &LastLocal) -> Option<FlowKey> {
    let front: &[u8] = packet.octets.front()?;
    let (remote, local, ports) = match usual::addresses(front)? {
        usual::Addresses::V4 { source, ports } => {
            (remote_address(IpAddr::V4(source.into())), last_local.v4.1?, ports)
        }
        usual::Addresses::V6 { source, ports } => (RemoteAddr(source), last_local.v6.1?, ports),
    };
    Some(FlowKey { remote, local, remote_port: ports.0, local_port: ports.1 })
}

//! Looking ahead in a burst: what its packets will need is fetched from memory together.
//!
//! Owns: which bytes of a packet tell its flow, and in what order records are touched.
//! Must not know: whether a packet is what it seems. Nothing here changes anything, and a wrong guess
//! costs a few reads.
//!
//! A packet needs a slot of the demultiplexer, then an anchor, then a TCB, each found through the one
//! before: with many connections three waits for memory in a row, a packet at a time. The same steps
//! done for several packets at once wait together.

use crate::anchor::Body;
use crate::shard::Shard;
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
    /// Touches the records that `packets` will need, [`AHEAD`] of them at most.
    pub(crate) fn look_ahead<'a>(&self, packets: impl Iterator<Item = &'a Packet>) {
        let mut hashes = [None; AHEAD];
        for (hash, packet) in hashes.iter_mut().zip(packets) {
            *hash = self.flow_ahead(packet).map(|flow| self.table.hash_of(&flow));
        }
        let mut slots = [None; AHEAD];
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = hash.and_then(|hash| self.table.guess(hash));
        }
        let mut hots = [None; AHEAD];
        for (hot, slot) in hots.iter_mut().zip(slots) {
            *hot = slot.and_then(|slot| self.touch(slot));
        }
        for tcb in hots.into_iter().flatten().filter_map(|hot| self.table.hot.at(hot)) {
            black_box(tcb.touch());
        }
    }

    /// Touches the record at `slot` and what else is kept by slot; where its TCB is.
    #[inline]
    fn touch(&self, slot: u32) -> Option<u32> {
        // What lies elsewhere first: it is waited for meanwhile.
        black_box(self.table.anchors.annex(slot).copied());
        black_box(self.transmit.contains(slot) | self.events.is_ready(slot));
        let anchor = self.table.anchors.at(slot)?;
        black_box(anchor.touch());
        match anchor.body {
            Body::Hot(hot) => Some(hot),
            _ => None,
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

    /// The flow of a packet of the usual shape, unchecked.
    fn flow_ahead(&self, packet: &Packet) -> Option<FlowKey> {
        let front: &[u8] = packet.octets.front()?;
        let (remote, ports) = match usual::addresses(front)? {
            usual::Addresses::V4 { source, ports } => {
                (remote_address(IpAddr::V4(source.into())), ports)
            }
            usual::Addresses::V6 { source, ports } => (RemoteAddr(source), ports),
        };
        let local = self.last_local.index?;
        Some(FlowKey { remote, local, remote_port: ports.0, local_port: ports.1 })
    }
}

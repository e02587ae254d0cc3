//! A packet of plain shape: one IP header without options, fragments or extensions, and any TCP
//! segment behind it.
//!
//! Owns: the short way from such a packet to its connection, or to a listener.
//! Must not know: any rule. Whatever is not as expected goes the way of `ip` and `ingress`, which know
//! all; they count what is dropped, too. A test holds this way and that of `usual` against theirs.
//! Implements: what those two implement.

use crate::ingress::{is_port_pair, segments_in};
use crate::shard::Shard;
use crate::usual::Network;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Packet};
use usertcp_ip::ip_address;
use usertcp_tcp::Segment;
use usertcp_wire::tcp;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes `packet` if it is of plain shape and sound. False: nothing has changed.
    pub(crate) fn handle_plain(
        &mut self,
        now: Instant,
        packet: &mut Packet,
        network: &Network,
    ) -> bool {
        let payload_octets = usize::from(network.payload_octets);
        let front = packet.octets.front().and_then(|front| front.get(network.header_octets..));
        let Some(front) = front else { return false };
        let Ok((header, options, header_octets)) = tcp::parse(front, payload_octets) else {
            return false;
        };
        let flow = network.flow(header.source_port, header.destination_port);
        // At once where it stays: it is large.
        let ecn = network.ecn;
        let mut segment = Segment { header, options, payload: Chain::new(), ecn, wire_segments: 1 };
        let id = self.table.find(&flow);
        // Of a flow that is known the addresses were looked at when it became one.
        let possible = id.is_some()
            || is_port_pair(&flow) && self.ip.may_be_source(ip_address(network.source));
        if !possible || !network.is_intact(self.common.checksum, packet) {
            return false;
        }
        segment.payload = core::mem::take(&mut packet.octets);
        segment.payload.advance(network.header_octets + header_octets);
        if let Some(gso) = packet.offload.gso {
            segment.wire_segments = segments_in(segment.payload.len(), gso.segment_octets);
        }
        self.count_in(&segment);
        match id {
            Some(id) => self.deliver(now, id, &flow, &mut segment),
            None => self.handle_stray(now, &flow, &mut segment),
        }
        segment.payload.end();
        true
    }
}

//! A packet of plain shape: one IP header without options, fragments or extensions, and any TCP
//! segment behind it.
//!
//! Owns: the short way from such a packet to its connection, or to a listener.
//! Must not know: any rule. Whatever is not as expected goes the way of `ip` and `ingress`, which know
//! all; they count what is dropped, too.
//! Implements: what those two implement.

use crate::ingress::{into_segment, is_port_pair};
use crate::shard::Shard;
use crate::usual::Network;
use usertcp_base::{ConnId, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Packet;
use usertcp_ip::ip_address;
use usertcp_tcp::Segment;
use usertcp_wire::tcp;

/// A packet read.
struct Read {
    flow: FlowKey,
    /// The record of the flow.
    id: Option<ConnId>,
    segment: Segment,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes `packet` if it is of plain shape and sound. False: nothing has changed.
    pub(crate) fn handle_plain(
        &mut self,
        now: Instant,
        packet: &mut Packet,
        network: &Network,
    ) -> bool {
        let Some(read) = self.read_plain(packet, network) else { return false };
        let Read { flow, id, mut segment } = read;
        self.count_in(&segment);
        match id {
            Some(id) => self.deliver(now, id, &flow, &mut segment),
            None => self.handle_stray(now, &flow, &mut segment),
        }
        true
    }

    #[inline]
    fn read_plain(&self, packet: &mut Packet, network: &Network) -> Option<Read> {
        let payload_octets = usize::from(network.payload_octets);
        let octets = packet.octets.front()?.get(network.header_octets..)?;
        let (header, options, header_octets) = tcp::parse(octets, payload_octets).ok()?;
        let flow = network.flow(header.source_port, header.destination_port);
        // Of a flow that is known the addresses were looked at when it became one.
        let id = self.table.find(&flow);
        let possible = id.is_some()
            || is_port_pair(&flow) && self.ip.may_be_source(ip_address(network.source));
        if !possible || !network.is_intact(self.common.checksum, packet) {
            return None;
        }
        let octets = core::mem::take(&mut packet.octets);
        let header_octets = network.header_octets + header_octets;
        let gso = packet.offload.gso.map(|gso| gso.segment_octets);
        let segment = into_segment(octets, header, options, header_octets, network.ecn, gso);
        Some(Read { flow, id, segment })
    }
}

//! A packet of plain shape: one IP header without options, fragments or extensions, and any TCP
//! segment behind it.
//!
//! Owns: the short way from such a packet to its connection, or to a listener.
//! Must not know: any rule. Whatever is not as expected goes the way of `ip` and `ingress`, which know
//! all; they count what is dropped, too. A test holds this way and that of `usual` against theirs.
//! Implements: what those two implement.

use crate::ingress::{into_segment, is_port_pair};
use crate::shard::Shard;
use crate::usual::Network;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Packet;
use usertcp_ip::ip_address;
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
        let id = self.table.find(&flow);
        // Of a flow that is known the addresses were looked at when it became one.
        let possible = id.is_some()
            || is_port_pair(&flow) && self.ip.may_be_source(ip_address(network.source));
        if !possible || !network.is_intact(self.common.checksum, packet) {
            return false;
        }
        let octets = core::mem::take(&mut packet.octets);
        let header_octets = network.header_octets + header_octets;
        let gso = packet.offload.gso.map(|gso| gso.segment_octets);
        let mut segment = into_segment(octets, header, options, header_octets, network.ecn, gso);
        self.count_in(&segment);
        match id {
            Some(id) => self.deliver(now, id, &flow, &mut segment),
            None => self.handle_stray(now, &flow, &mut segment),
        }
        true
    }
}

//! A packet of the usual shape arrives.

use crate::anchor::Body;
use crate::events::Pending;
use crate::ingress::segments_in;
use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{ConnId, Ecn, FlowKey, Instant, LocalIndex, Observer, RemoteAddr};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, ChecksumState, Gso, Packet};
use usertcp_ip::remote_address;
use usertcp_tcp::{Effects, Segment, UsualSegment};
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::tcp::{self, Flags, Header, Options, Timestamps};
use usertcp_wire::usual::{self, IPV4_OCTETS, IPV6_OCTETS, TCP_OCTETS, TcpHeader};

/// A packet read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) flow: FlowKey,
    pub(super) header: TcpHeader,
    pub(super) header_octets: usize,
    pub(super) ecn: Ecn,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes `packet` if it is of the usual shape and for a connection. False: nothing has changed.
    #[inline]
    pub(crate) fn handle_usual(
        &mut self,
        now: Instant,
        packet: &mut Packet,
        network: &Network,
    ) -> bool {
        let Some(read) = read_usual(self.common.checksum, packet, network) else { return false };
        if self.gather(now, packet, &read) {
            return true;
        }
        let Some(id) = self.table.find(&read.flow) else { return false };
        let mut payload = core::mem::take(&mut packet.octets);
        payload.advance(read.header_octets);
        let wire_segments = match packet.offload.gso {
            Some(Gso { segment_octets, .. }) => segments_in(payload.len(), segment_octets),
            None => 1,
        };
        self.handle_read(now, id, &read, payload, wire_segments);
        true
    }

    /// Gives a segment that was read, or several in one, to its connection.
    #[inline]
    pub(super) fn handle_read(
        &mut self,
        now: Instant,
        id: ConnId,
        read: &Read,
        mut payload: Chain,
        wire_segments: u16,
    ) {
        let Some(anchor) = self.table.anchors.at_mut(id.slot) else { return };
        let hot = if let Body::Hot(hot) = anchor.body { Some(hot) } else { None };
        let parked = matches!(anchor.body, Body::Parked(_));
        let counters = &mut self.common.counters;
        counters.segments_in = counters.segments_in.wrapping_add(u64::from(wire_segments));
        counters.payload_octets_in = counters.payload_octets_in.wrapping_add(payload.len() as u64);
        let TcpHeader { seq, ack, window, push, fin, value, echo, .. } = read.header;
        let ecn = read.ecn;
        let segment = UsualSegment { seq, ack, window, push, fin, value, echo, ecn, wire_segments };
        let hot = match parked {
            true if payload.is_empty() && self.heard_while_parked(now, id, &segment) => {
                return;
            }
            true => self.awake(now, id),
            false => hot,
        };
        if let Some(tcb) = hot.and_then(|hot| self.table.hot.at_mut(hot))
            && let Some(effects) =
                tcb.handle_usual(&mut self.common.env(now, id), &segment, &mut payload)
        {
            self.apply_usual(now, id, effects);
        } else {
            self.deliver(now, id, &read.flow, &mut as_segment(read, &segment, payload));
        }
    }

    /// What `apply` does of what [`usertcp_tcp::Tcb::handle_usual`] brings about.
    #[inline]
    fn apply_usual(&mut self, now: Instant, id: ConnId, effects: Effects) {
        if effects.ended.is_some() {
            return self.apply(now, id, effects);
        }
        let Some(anchor) = self.table.anchors.at_mut(id.slot) else { return };
        let linked = anchor.links.is_linked();
        if effects.readable | effects.writable {
            let notices = Pending::READABLE
                .when(effects.readable)
                .and(Pending::WRITABLE.when(effects.writable))
                .and(Pending::PEER_CLOSED.when(effects.peer_closed));
            self.events.add(id.slot, anchor, notices);
        }
        if effects.transmit {
            self.transmit.push(id.slot);
        }
        if !(effects.transmit && linked) {
            self.rearm(now, id);
        }
    }

    /// Reads the IP header. `None`: it is not of the usual shape, or not all of the packet is for TCP
    /// to look at (padding of a link, a packet cut short, keys).
    #[inline]
    pub(crate) fn read_network(&mut self, packet: &Packet) -> Option<Network> {
        let mut network = Network::read(packet.octets.front()?)?;
        network.local = self.local_of(network.destination)?;
        let octets = network.header_octets + usize::from(network.payload_octets);
        (packet.octets.len() == octets && self.auth.is_idle()).then_some(network)
    }

    #[inline]
    fn local_of(&mut self, address: RemoteAddr) -> Option<LocalIndex> {
        if self.last_local.address != address {
            self.last_local.address = address;
            self.last_local.index = self.ip.local_index(usertcp_ip::ip_address(address));
        }
        self.last_local.index
    }
}

#[inline]
fn read_usual(engine: Engine, packet: &Packet, network: &Network) -> Option<Read> {
    let tcp = packet.octets.front()?.get(network.header_octets..)?;
    let header = usual::read_tcp(tcp.first_chunk::<TCP_OCTETS>()?)?;
    if !network.is_intact(engine, packet) {
        return None;
    }
    let flow = network.flow(header.source_port, header.destination_port);
    let header_octets = network.header_octets + TCP_OCTETS;
    Some(Read { flow, header, header_octets, ecn: network.ecn })
}

/// What the IP header says, in one form for both versions.
pub(crate) struct Network {
    pub source: RemoteAddr,
    destination: RemoteAddr,
    local: LocalIndex,
    pub header_octets: usize,
    pub payload_octets: u16,
    pub ecn: Ecn,
    /// The sum of the pseudo-header.
    pseudo: Running,
}

impl Network {
    /// Reads a header of the usual shape.
    #[inline]
    fn read(front: &[u8]) -> Option<Network> {
        if let Some((header, _)) = front.split_first_chunk::<IPV4_OCTETS>()
            && let Some(header) = usual::read_ipv4(header)
        {
            let octets = u32::from(header.payload_octets);
            let (source, destination) = (header.source, header.destination);
            return Some(Network {
                source: remote_address(IpAddr::V4(source.into())),
                destination: remote_address(IpAddr::V4(destination.into())),
                local: LocalIndex::default(),
                header_octets: IPV4_OCTETS,
                payload_octets: header.payload_octets,
                ecn: header.ecn,
                pseudo: Running::pseudo_v4(source, destination, tcp::PROTOCOL, octets),
            });
        }
        let header = usual::read_ipv6(front.first_chunk()?)?;
        let octets = u32::from(header.payload_octets);
        let (source, destination) = (header.source, header.destination);
        Some(Network {
            source: RemoteAddr(source),
            destination: RemoteAddr(destination),
            local: LocalIndex::default(),
            header_octets: IPV6_OCTETS,
            payload_octets: header.payload_octets,
            ecn: header.ecn,
            pseudo: Running::pseudo_v6(source, destination, tcp::PROTOCOL, octets),
        })
    }

    /// The flow, with the ports of the packet.
    #[inline]
    pub(crate) fn flow(&self, source_port: u16, destination_port: u16) -> FlowKey {
        FlowKey {
            remote: self.source,
            local: self.local,
            remote_port: source_port,
            local_port: destination_port,
        }
    }

    /// The checksum is right, or the device vouches for it.
    #[inline]
    pub(crate) fn is_intact(&self, engine: Engine, packet: &Packet) -> bool {
        if !matches!(packet.offload.checksum, ChecksumState::Unverified) {
            return true;
        }
        let mut sum = self.pseudo;
        let mut skip = self.header_octets;
        for slice in packet.octets.slices() {
            sum.add_by(engine, slice.get(skip..).unwrap_or_default());
            skip = 0;
        }
        sum.finish() == 0
    }
}

/// The same segment in the form that can be anything.
#[cold]
fn as_segment(read: &Read, usual: &UsualSegment, payload: Chain) -> Segment {
    let mut flags = if usual.push { Flags::ACK | Flags::PSH } else { Flags::ACK };
    if usual.fin {
        flags = flags | Flags::FIN;
    }
    let TcpHeader { source_port, destination_port, seq, ack, window, value, echo, .. } =
        read.header;
    let timestamps = Some(Timestamps { value, echo });
    Segment {
        header: Header { source_port, destination_port, seq, ack, flags, window, urgent: 0 },
        options: Options { timestamps, ..Options::default() },
        payload,
        ecn: usual.ecn,
        wire_segments: usual.wire_segments,
    }
}

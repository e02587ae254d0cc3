//! A packet of the usual shape arrives.

use crate::anchor::Body;
use crate::events::Pending;
use crate::ingress::segments_in;
use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{ConnId, FlowKey, Instant, LocalIndex, Observer, RemoteAddr};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, ChecksumState, Gso, Packet};
use usertcp_ip::remote_address;
use usertcp_tcp::{Effects, Segment, UsualSegment};
use usertcp_wire::checksum::{Engine, Running};
use usertcp_wire::tcp::{self, Flags, Header, Options, Timestamps};
use usertcp_wire::usual::{self, IPV4_OCTETS, IPV6_OCTETS, TCP_OCTETS, TcpHeader};

/// A packet read.
struct Read {
    flow: FlowKey,
    header: TcpHeader,
    header_octets: usize,
    ecn: usertcp_base::Ecn,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes `packet` if it is of the usual shape and for a connection with a TCB. False: nothing has
    /// changed.
    #[inline]
    pub(crate) fn handle_usual(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let Some(read) = self.read_usual(packet) else { return false };
        let Some(id) = self.table.find(&read.flow) else { return false };
        let Some(anchor) = self.table.anchors.at_mut(id.slot) else { return false };
        let Body::Hot(hot) = anchor.body else { return false };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return false };
        let mut payload = core::mem::take(&mut packet.octets);
        payload.advance(read.header_octets);
        let wire_segments = match packet.offload.gso {
            Some(Gso { segment_octets, .. }) => segments_in(payload.len(), segment_octets),
            None => 1,
        };
        let counters = &mut self.common.counters;
        counters.segments_in = counters.segments_in.wrapping_add(u64::from(wire_segments));
        counters.payload_octets_in = counters.payload_octets_in.wrapping_add(payload.len() as u64);
        let TcpHeader { seq, ack, window, push, value, echo, .. } = read.header;
        let ecn = read.ecn;
        let segment = UsualSegment { seq, ack, window, push, value, echo, ecn, wire_segments };
        let mut env = self.common.env(now, id);
        if let Some(effects) = tcb.handle_usual(&mut env, &segment, &mut payload) {
            self.apply_usual(now, id, &effects);
        } else {
            self.deliver(now, id, &read.flow, as_segment(&read, &segment, payload));
        }
        true
    }

    /// What `apply` does where nothing ends.
    #[inline]
    fn apply_usual(&mut self, now: Instant, id: ConnId, effects: &Effects) {
        let Some(anchor) = self.table.anchors.at_mut(id.slot) else { return };
        let linked = anchor.links.is_linked();
        if effects.readable | effects.writable {
            let notices = Pending::READABLE
                .when(effects.readable)
                .and(Pending::WRITABLE.when(effects.writable));
            self.events.add(id.slot, anchor, notices);
        }
        if effects.transmit {
            self.transmit.push(id.slot);
        }
        if !(effects.transmit && linked) {
            self.rearm(now, id);
        }
    }

    #[inline]
    fn read_usual(&mut self, packet: &Packet) -> Option<Read> {
        let front: &[u8] = packet.octets.front()?;
        let (ip, payload_octets, ecn, remote, local, pseudo);
        if let Some((header, _)) = front.split_first_chunk::<IPV4_OCTETS>()
            && let Some(header) = usual::read_ipv4(header)
        {
            (ip, payload_octets, ecn) = (IPV4_OCTETS, header.payload_octets, header.ecn);
            remote = remote_address(IpAddr::V4(header.source.into()));
            local = self.local_of(remote_address(IpAddr::V4(header.destination.into())))?;
            let octets = u32::from(payload_octets);
            pseudo = Running::pseudo_v4(header.source, header.destination, tcp::PROTOCOL, octets);
        } else {
            let header = usual::read_ipv6(front.first_chunk()?)?;
            (ip, payload_octets, ecn) = (IPV6_OCTETS, header.payload_octets, header.ecn);
            remote = RemoteAddr(header.source);
            local = self.local_of(RemoteAddr(header.destination))?;
            let octets = u32::from(payload_octets);
            pseudo = Running::pseudo_v6(header.source, header.destination, tcp::PROTOCOL, octets);
        }
        let header = usual::read_tcp(front.get(ip..)?.first_chunk::<TCP_OCTETS>()?)?;
        // Padding of a link, or a packet cut short, is not usual; nor are keys.
        let whole = packet.octets.len() == ip + usize::from(payload_octets);
        if !whole || !self.auth.is_idle() || !is_intact(self.common.checksum, packet, ip, pseudo) {
            return None;
        }
        let (remote_port, local_port) = (header.source_port, header.destination_port);
        let flow = FlowKey { remote, local, remote_port, local_port };
        Some(Read { flow, header, header_octets: ip + TCP_OCTETS, ecn })
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

/// The checksum is right, or the device vouches for it.
#[inline]
fn is_intact(engine: Engine, packet: &Packet, ip_octets: usize, mut sum: Running) -> bool {
    if !matches!(packet.offload.checksum, ChecksumState::Unverified) {
        return true;
    }
    let mut skip = ip_octets;
    for slice in packet.octets.slices() {
        sum.add_by(engine, slice.get(skip..).unwrap_or_default());
        skip = 0;
    }
    sum.finish() == 0
}

/// The same segment in the form that can be anything.
#[cold]
fn as_segment(read: &Read, usual: &UsualSegment, payload: Chain) -> Segment {
    let flags = if usual.push { Flags::ACK | Flags::PSH } else { Flags::ACK };
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

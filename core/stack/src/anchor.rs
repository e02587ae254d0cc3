//! The permanent record of a connection (DESIGN §5).
//!
//! Owns: identity, timer links, who holds the handle, pending events, and the body: a handshake,
//! a TCB by its index, TIME-WAIT, or the rest of an ended connection. Where the octets of a flow are
//! kept, for either width of address.
//! Must not know: how any of these handles a segment.
//! Implements: BG-5, MSL-1 (sizes).
//!
//! Eighty-four octets, and four of the slab's for the generation. So nothing in here is aligned to more
//! than four: moments are halved, and what is larger than a body is in a slab of its own, by index
//! (`Table`). Of a remote address the record has the last four octets, which are all of an IPv4 one;
//! the first twelve of an IPv6 address are the annex of a wide record.

use crate::config::Birth;
use crate::demux::Demux;
use crate::events::Pending;
use crate::fast_open::Attempt;
use crate::slab::{Slab, Unseen};
use crate::usual::{AHEAD, EndsV4};
use crate::wheel::{Links, WheelLinks};
use alloc::boxed::Box;
use arrayvec::ArrayVec;
use core::hint::black_box;
use core::net::IpAddr;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, FlowKey, Instant, ListenerId, LocalIndex, RemoteAddr};
use usertcp_ip::{DEFAULT_TTL, Ip};
use usertcp_tcp::{Effects, Handshake, Parked, Settings, Signal, SignalKind, SoftErrors, TimeWait};
use usertcp_wire::usual::PreparedV4;

/// The record. What every segment looks at comes first, and lies together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Anchor {
    /// The last octets of the peer's address.
    near: [u8; 4],
    /// As [`FlowKey::ports`].
    ports: u32,
    local: LocalIndex,
    standing: Standing,
    pub pending: Pending,
    pub links: WheelLinks,
    pub body: Body,
    /// Of the holder: the listener, or the application's token.
    mark: u32,
}

/// The first octets of an address that is not IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Far([u32; 3]);

/// All records of a shard.
pub(crate) type Anchors = Slab<Anchor, Far>;

/// What of an owner is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    Nobody,
    Listener,
    Gate,
    Application,
}

/// The holder, in two bits, and in another whether the connection is in the queue of those that have something to
/// send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing(u8);

impl Standing {
    /// Neither held nor in the queue.
    const NONE: Standing = Standing(Holder::Nobody as u8);
    const HOLDER: u8 = 3;
    const QUEUED: u8 = 1 << 2;

    fn holder(self) -> Holder {
        const HOLDERS: [Holder; 4] =
            [Holder::Nobody, Holder::Listener, Holder::Gate, Holder::Application];
        HOLDERS[usize::from(self.0 & Standing::HOLDER)]
    }
}

/// Who holds the handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// Nobody: half-open, TIME-WAIT, or the application has let go.
    Nobody,
    /// It waits in this listener's accept queue.
    Listener(ListenerId),
    /// The application is asked whether this listener should answer it.
    Gate(ListenerId),
    /// The application, with the token it gave the connection.
    Application(u32),
}

impl Owner {
    /// The application, which has said nothing of the connection yet.
    pub(crate) const APPLICATION: Owner = Owner::Application(0);
}

/// What a connection is at the moment.
#[derive(Debug)]
pub(crate) enum Body {
    /// SYN-RECEIVED, for this listener.
    Embryo(Handshake, ListenerId),
    /// A SYN that is not answered yet, by its index, for this listener.
    Asked(u32, ListenerId),
    /// SYN-SENT, or SYN-RECEIVED after a simultaneous open: an [`Opening`], by its index.
    Opening(u32),
    /// A TCB, by its index among the hot, and the headers of messages, when one by IPv4 has left.
    Hot(u32, PreparedV4),
    /// A TCB, second, while its SYN-ACK is not acknowledged: a fast open by the peer (RFC 7413), by
    /// its index.
    Early(u32, u32),
    /// A connection that holds, owes and awaits nothing.
    Parked(Parked),
    /// TIME-WAIT until the moment given.
    TimeWait(TimeWait, Moment),
    /// Over; the application has not let go yet, and may read what its TCB still holds.
    Ended(CloseReason, Option<u32>),
}

/// An instant at the alignment of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment([u32; 2]);

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Moment {
        let micros = instant.as_micros();
        Moment([(micros >> 32) as u32, micros as u32])
    }
}

impl From<Moment> for Instant {
    fn from(Moment([high, low]): Moment) -> Instant {
        Instant::from_micros(u64::from(high) << 32 | u64::from(low))
    }
}

/// An active open under way.
#[derive(Debug)]
pub(crate) struct Opening<C> {
    pub handshake: Handshake,
    pub birth: Birth<C>,
    /// What the SYN carried beside itself (RFC 7413), if it did.
    pub attempt: Option<Box<Attempt>>,
    /// The application closed meanwhile: FIN follows the handshake (RFC 9293 §3.10.4).
    pub closed: bool,
    pub soft_errors: SoftErrors,
}

/// Half-open, parked, TIME-WAIT: all of them this (BG-5, MSL-1).
const _: () = assert!(size_of::<Anchor>() <= 84 && align_of::<Anchor>() <= 4);
const _: () = assert!(size_of::<Body>() <= 56);

impl Body {
    /// That of a connection whose TCB is at this index among the hot.
    #[inline]
    pub(crate) fn with_tcb(hot: u32) -> Body {
        Body::Hot(hot, PreparedV4::NONE)
    }

    /// The TCB of a connection that has one and is not over.
    #[inline]
    pub(crate) fn hot(&self) -> Option<u32> {
        match self {
            Body::Hot(hot, _) | Body::Early(_, hot) => Some(*hot),
            _ => None,
        }
    }

    /// Whether this is a handshake under way at `listener`, or the question about one.
    pub(crate) fn is_half_open_at(&self, listener: ListenerId) -> bool {
        matches!(self, Body::Embryo(_, at) | Body::Asked(_, at) if *at == listener)
    }
}

impl<C> Opening<C> {
    /// RFC 5927 §5, RFC 9293 §3.9.2.2: a hard error about our very SYN ends the attempt, a soft one
    /// is told. `None`: it is about something else.
    pub(crate) fn on_signal(&mut self, now: Instant, signal: &Signal) -> Option<Effects> {
        if signal.seq != self.handshake.iss() {
            return None;
        }
        Some(match signal.kind {
            SignalKind::Hard => Effects::ended(CloseReason::Unreachable),
            SignalKind::Soft => {
                let wanted = self.birth.settings.soft_errors;
                let soft_error = wanted && self.soft_errors.on_error(now);
                Effects { soft_error, ..Effects::default() }
            }
            // With data it may be; without, which is how it goes out again, it never is.
            SignalKind::TooBig { .. } => return None,
        })
    }
}

impl Anchor {
    /// A record of a flow, which no timer waits for.
    pub(crate) fn new(flow: &FlowKey, owner: Owner, body: Body) -> Anchor {
        let mut anchor = Anchor {
            near: near(&flow.remote),
            ports: flow.ports(),
            local: flow.local,
            standing: Standing::NONE,
            pending: Pending::NONE,
            links: WheelLinks::UNLINKED,
            mark: 0,
            body,
        };
        anchor.set_owner(owner);
        anchor
    }

    /// Both ends of the flow; `None`: it is none of IPv4.
    #[inline]
    pub(crate) fn ends_v4(&self, ip: &Ip) -> Option<EndsV4> {
        let IpAddr::V4(local) = ip.local(self.local)? else { return None };
        let ports = (self.local_port(), self.remote_port());
        Some(EndsV4 { source: local.octets(), destination: self.near, ports })
    }

    /// Makes headers of messages ready, if the connection has a TCB and is one by IPv4. Addresses stay what they are;
    /// settings may change: [`Anchor::forget_prepared`].
    #[inline(never)] // once for each connection
    pub(crate) fn prepare_v4(&mut self, ip: &Ip, settings: &Settings) {
        let Some(EndsV4 { source, destination, ports }) = self.ends_v4(ip) else { return };
        if let Body::Hot(_, prepared) = &mut self.body {
            let hop_limit = if settings.hop_limit == 0 { DEFAULT_TTL } else { settings.hop_limit };
            let service = (settings.dscp, hop_limit);
            *prepared = PreparedV4::new(service, (source, destination), ports);
        }
    }

    /// The settings change: headers are made ready anew.
    pub(crate) fn forget_prepared(&mut self) {
        if let Body::Hot(_, prepared) = &mut self.body {
            *prepared = PreparedV4::NONE;
        }
    }

    /// The flow, with the annex of the record.
    #[inline]
    pub(crate) fn flow(&self, far: Option<&Far>) -> FlowKey {
        FlowKey {
            remote: remote(far.copied().unwrap_or(Far::MAPPED), self.near),
            local: self.local,
            remote_port: self.remote_port(),
            local_port: self.local_port(),
        }
    }

    /// Whether it is that of `flow`, with the annex of the record.
    #[inline(always)] // for each packet
    fn is_of(&self, flow: &FlowKey, annex: Option<&Far>) -> bool {
        self.near == near(&flow.remote)
            && self.ports == flow.ports()
            && self.local == flow.local
            && *annex.unwrap_or(&Far::MAPPED) == far(&flow.remote)
    }

    /// The same of a narrow record and a flow by IPv4.
    #[inline(always)] // as above
    fn is_of_v4(&self, peer: [u8; 4], local: LocalIndex, ports: u32) -> bool {
        self.near == peer && self.ports == ports && self.local == local
    }

    /// The hash of the flow, with the annex of the record.
    #[inline(always)] // nearly all are narrow
    pub(crate) fn hash(&self, far: Option<&Far>, demux: &Demux) -> u64 {
        match far {
            None => demux.hash_of_v4(self.near, self.local, self.ports),
            Some(_) => demux.hash_of(&self.flow(far)),
        }
    }

    /// Who holds the handle.
    pub(crate) fn owner(&self) -> Owner {
        match self.standing.holder() {
            Holder::Nobody => Owner::Nobody,
            Holder::Listener => Owner::Listener(ListenerId(self.mark)),
            Holder::Gate => Owner::Gate(ListenerId(self.mark)),
            Holder::Application => Owner::Application(self.mark),
        }
    }

    /// Whether anybody does.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.standing.0 & Standing::HOLDER != Holder::Nobody as u8
    }

    /// Whether nobody does, and it is in no queue, and there is nothing to be told of it.
    #[inline]
    pub(crate) fn is_forgotten(&self) -> bool {
        self.standing == Standing::NONE && self.pending.is_empty()
    }

    /// Whether it waits to be accepted at `listener`.
    #[inline]
    pub(crate) fn waits_at(&self, listener: ListenerId) -> bool {
        self.standing.holder() == Holder::Listener && self.mark == listener.0
    }

    /// Another holds it.
    pub(crate) fn set_owner(&mut self, owner: Owner) {
        let holder = match owner {
            Owner::Nobody => Holder::Nobody,
            Owner::Listener(_) => Holder::Listener,
            Owner::Gate(_) => Holder::Gate,
            Owner::Application(_) => Holder::Application,
        };
        let mark = match owner {
            Owner::Nobody => 0,
            Owner::Listener(ListenerId(mark))
            | Owner::Gate(ListenerId(mark))
            | Owner::Application(mark) => mark,
        };
        self.standing.0 = self.standing.0 & Standing::QUEUED | holder as u8;
        self.mark = mark;
    }

    /// Whether it is in the queue of those that have something to send.
    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        self.standing.0 & Standing::QUEUED != 0
    }

    /// Whether the application holds the handle.
    #[inline]
    pub(crate) fn is_accepted(&self) -> bool {
        self.standing.0 & Standing::HOLDER == Holder::Application as u8
    }

    /// Whether the application holds the handle, and it is in that queue.
    #[inline]
    pub(crate) fn is_accepted_and_queued(&self) -> bool {
        self.standing.0 == Holder::Application as u8 | Standing::QUEUED
    }

    /// It enters the queue; whether it was not there.
    #[inline]
    pub(crate) fn enter_queue(&mut self) -> bool {
        let fresh = !self.is_queued();
        self.standing.0 |= Standing::QUEUED;
        fresh
    }

    /// It leaves the queue; whether it was there.
    #[inline]
    pub(crate) fn leave_queue(&mut self) -> bool {
        let queued = self.is_queued();
        self.standing.0 &= !Standing::QUEUED;
        queued
    }

    /// Our port.
    pub(crate) fn local_port(&self) -> u16 {
        self.ports as u16
    }

    fn remote_port(&self) -> u16 {
        (self.ports >> 16) as u16
    }
}

impl Anchors {
    /// Reads a little of each line of the records at these indices, [`AHEAD`] at most, so that all of them come from memory
    /// at once.
    #[inline(always)] // of a few
    pub(crate) fn touch(&self, indices: impl Iterator<Item = u32>) {
        let records = indices.take(AHEAD).filter_map(|index| self.unseen(index));
        let records: ArrayVec<_, AHEAD> = records.collect();
        let touch = |record: &Unseen<'_, Anchor, Far, u32>| {
            record.touch_all(|anchor| anchor.ports ^ anchor.mark, |Far([far, ..])| *far)
        };
        black_box(records.iter().fold(0, |all, record| all ^ touch(record)));
    }

    /// A new record; `None` when there are as many as there may be.
    #[inline(always)] // twice, for handshakes and for all others
    pub(crate) fn add(&mut self, flow: &FlowKey, owner: Owner, body: Body) -> Option<ConnId> {
        let anchor = Anchor::new(flow, owner, body);
        let far = far(&flow.remote);
        self.insert_of_either(anchor, (far != Far::MAPPED).then_some(far))
    }

    /// The flow of a connection.
    pub(crate) fn flow(&self, id: ConnId) -> Option<FlowKey> {
        let (known, anchor, far) = self.look_at(id.slot)?;
        (known == id).then(|| anchor.flow(far))
    }

    /// The flow of the record at `index`.
    #[inline]
    pub(crate) fn flow_at(&self, index: u32) -> Option<FlowKey> {
        let (_, anchor, far) = self.look_at(index)?;
        Some(anchor.flow(far))
    }

    /// Of the record at `index`: what is asked first when its connection may send.
    #[inline]
    pub(crate) fn flow_and_body(&self, index: u32) -> Option<(ConnId, FlowKey, &Body)> {
        let (id, anchor, far) = self.look_at(index)?;
        Some((id, anchor.flow(far), &anchor.body))
    }

    /// The handle of the record at `index`, if it is that of `flow`.
    #[inline]
    pub(crate) fn id_of(&self, index: u32, flow: &FlowKey) -> Option<ConnId> {
        let (id, anchor, far) = self.look_at(index)?;
        anchor.is_of(flow, far).then_some(id)
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(always)] // in two places
    pub(crate) fn id_of_v4(
        &self,
        index: u32,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Option<ConnId> {
        let (id, anchor, far) = self.look_at(index)?;
        (far.is_none() && anchor.is_of_v4(peer, local, ports)).then_some(id)
    }

    /// The hash of the flow of the record at `index`.
    #[inline]
    pub(crate) fn hash_at(&self, index: u32, demux: &Demux) -> Option<u64> {
        let (_, anchor, far) = self.look_at(index)?;
        Some(anchor.hash(far, demux))
    }

    /// The handle of the record at `index` if it is that of `flow`, and the record is in the demultiplexer: all are that
    /// are not over.
    #[inline]
    pub(crate) fn listed_id_of(&self, index: u32, flow: &FlowKey) -> Option<ConnId> {
        let (id, anchor, far) = self.look_at(index)?;
        let listed = !matches!(anchor.body, Body::Ended(..));
        (listed && anchor.is_of(flow, far)).then_some(id)
    }

    /// The handle of the record at `index` if it is that of `flow`, and the record, to change.
    #[inline(always)] // for each packet
    pub(crate) fn of_flow_mut(
        &mut self,
        index: u32,
        flow: &FlowKey,
    ) -> Option<(ConnId, &mut Anchor)> {
        let (id, anchor, far) = self.look_at_mut(index)?;
        anchor.is_of(flow, far).then_some((id, anchor))
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(always)] // for each packet
    pub(crate) fn of_v4_mut(
        &mut self,
        index: u32,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Option<(ConnId, &mut Anchor)> {
        let (id, anchor) = self.narrow_mut(index)?;
        anchor.is_of_v4(peer, local, ports).then_some((id, anchor))
    }
}

impl Far {
    /// Of an IPv4 address (RFC 4291 §2.5.5.2): such records are narrow.
    const MAPPED: Far = Far([0, 0, u32::from_ne_bytes([0, 0, 0xFF, 0xFF])]);
}

/// The last octets of an address, which are all of an IPv4 one.
#[inline]
pub(crate) fn near(RemoteAddr([.., a, b, c, d]): &RemoteAddr) -> [u8; 4] {
    [*a, *b, *c, *d]
}

#[inline]
fn far(RemoteAddr(octets): &RemoteAddr) -> Far {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *octets;
    Far([[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes))
}

#[inline]
fn remote(Far(far): Far, [m, n, o, p]: [u8; 4]) -> RemoteAddr {
    // As a whole: octet by octet it would be put together in sixteen registers.
    let [first, second, third] = far.map(|word| u128::from(word.to_le()));
    let near = u128::from(u32::from_le_bytes([m, n, o, p]));
    RemoteAddr((first | second << 32 | third << 64 | near << 96).to_le_bytes())
}

impl Links for Anchors {
    #[inline]
    fn links(&self, index: u32) -> &WheelLinks {
        match self.at(index) {
            Some(anchor) => &anchor.links,
            None => unlinked_record(index),
        }
    }
    #[inline]
    fn links_mut(&mut self, index: u32) -> &mut WheelLinks {
        match self.at_mut(index) {
            Some(anchor) => &mut anchor.links,
            None => unlinked_record(index),
        }
    }
    #[inline]
    fn find(&self, index: u32) -> Option<&WheelLinks> {
        self.at(index).map(|anchor| &anchor.links)
    }
}

/// Whether the connection of a handle waits to be accepted at `listener`.
pub(crate) fn waits_at(anchors: &Anchors, id: ConnId, listener: ListenerId) -> bool {
    anchors.get(id).is_some_and(|anchor| anchor.waits_at(listener))
}

/// A record leaves the wheel before it leaves the slab, so this is our mistake.
#[cold]
fn unlinked_record(index: u32) -> ! {
    panic!("record {index} is in the wheel and not in the slab")
}

#[cfg(test)]
mod tests;

//! All connections of a shard.
//!
//! Owns: anchors, TCBs, the demultiplexer, the wheel, and that the four agree: an anchor in the
//! demultiplexer or the wheel exists, a hot body's TCB exists.
//! Must not know: segments, or what a deadline is for.
//! Implements: MSL-1 (TIME-WAIT bounded, oldest evicted), DESIGN §5.

mod hot;
mod waiting;

use crate::anchor::{Anchor, Anchors, Body, Opening, Owner, near};
use crate::blanks::Blanks;
use crate::demux::Demux;
use crate::fast_open::EarlyConnection;
use crate::recent::Recent;
use crate::slab::{FEW, Slab};
use crate::wheel::{Wheel, WheelLinks};
use alloc::vec::Vec;
use core::hint::black_box;
pub(crate) use hot::Left;
use usertcp_base::{
    CloseReason, ConnId, FlowKey, Instant, Limits, ListenerId, LocalIndex, Secrets,
};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Handshake, Moulds, Segment, Tcb};
use waiting::TimeWaits;

/// The connections.
pub(crate) struct Table<C> {
    pub anchors: Anchors,
    /// TCBs, each with the index of its record, and blanks.
    pub hot: Slab<Tcb<C>, u32, ()>,
    /// Those of no connection.
    spares: Vec<u32>,
    blanks: Blanks,
    /// Where the search for a quiet TCB goes on.
    hand: u32,
    /// What bodies have that is larger than a body.
    pub openings: Slab<Opening<C>, (), (), FEW>,
    /// Those that became connections and are kept for the next.
    old_openings: Vec<u32>,
    pub early: Slab<EarlyConnection, (), (), FEW>,
    pub asked: Slab<Segment, (), (), FEW>,
    /// What parked connections have in common.
    pub moulds: Moulds<C>,
    parked: u32,
    demux: Demux,
    recent: Recent,
    pub wheel: Wheel,
    waits: TimeWaits,
}

/// What is known of the flow of a packet that will be handled soon: no more than it takes to find its record and to
/// note it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sought {
    /// No flow is looked for.
    Nothing,
    /// Its record is noted, at this index.
    Noted(u32),
    /// Its hash, and what it is noted by.
    Hashed { hash: u64, near: u32, ports: u32 },
}

/// Where a flow without a record would have one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacancy(u64);

/// Why there is no new record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// No anchor is free.
    Anchors,
    /// The flow has a connection.
    Taken,
}

impl<C: CongestionController> Table<C> {
    pub(crate) fn new(secrets: &Secrets, limits: &Limits, now: Instant) -> Table<C> {
        Table {
            anchors: Slab::new(limits.connections),
            hot: Slab::new(limits.hot_connections),
            spares: Vec::new(),
            blanks: Blanks::new(),
            hand: 0,
            openings: Slab::new(limits.connections),
            old_openings: Vec::new(),
            early: Slab::new(limits.connections),
            asked: Slab::new(limits.connections),
            moulds: Moulds::new(),
            parked: 0,
            demux: Demux::new(secrets),
            recent: Recent::new(),
            wheel: Wheel::new(now),
            waits: TimeWaits::new(limits.time_wait),
        }
    }

    /// The record of a flow.
    pub(crate) fn find(&self, flow: &FlowKey) -> Option<ConnId> {
        let recent = self.recent.find(flow);
        let recent = recent.and_then(|index| self.anchors.listed_id_of(index, flow));
        recent.or_else(|| self.look_up(flow))
    }

    /// The record of a flow that probably has none, or where it would have one.
    #[inline(never)]
    pub(crate) fn seek(&self, flow: &FlowKey) -> Result<ConnId, Vacancy> {
        let hash = self.demux.hash_of(flow);
        let id = self.demux.find_hashed(hash, |index| self.anchors.id_of(index, flow));
        id.ok_or(Vacancy(hash))
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(never)]
    pub(crate) fn seek_v4(
        &self,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Result<ConnId, Vacancy> {
        let hash = self.demux.hash_of_v4(peer, local, ports);
        let look = |index| self.anchors.id_of_v4(index, peer, local, ports);
        self.demux.find_hashed(hash, look).ok_or(Vacancy(hash))
    }

    /// A record of a flow, if it is found at once. It is *the* record unless the connection is over.
    #[inline(always)] // for both sides of a handshake
    pub(crate) fn find_noted(&mut self, flow: &FlowKey) -> Option<(ConnId, &mut Anchor)> {
        self.anchors.of_flow_mut(self.recent.find(flow)?, flow)
    }

    /// Where a flow that has no record, or will have none, would have one.
    pub(crate) fn vacancy(&self, flow: &FlowKey) -> Vacancy {
        Vacancy(self.demux.hash_of(flow))
    }

    /// The connection of a flow, if it has a TCB and is found at once.
    #[inline(always)] // in two places, one for each version of IP
    pub(crate) fn find_hot(
        &mut self,
        flow: &FlowKey,
    ) -> Option<(ConnId, &mut Anchor, &mut Tcb<C>)> {
        let index = match self.recent.find(flow) {
            Some(index) => index,
            None => self.look_up_and_note(flow)?,
        };
        // A record with a TCB is in the demultiplexer: if it has this flow, it is the one.
        let (id, anchor) = self.anchors.of_flow_mut(index, flow)?;
        let Body::Hot(hot, _) = anchor.body else { return None };
        Some((id, anchor, self.hot.at_mut(hot)?))
    }

    /// The same of a flow by IPv4 whose packets came lately.
    #[inline(always)] // in two places
    pub(crate) fn find_recent_v4(
        &mut self,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Option<(ConnId, &mut Anchor, &mut Tcb<C>)> {
        let index = self.recent.find_near(peer, ports)?;
        let (id, anchor) = self.anchors.of_v4_mut(index, peer, local, ports)?;
        let Body::Hot(hot, _) = anchor.body else { return None };
        Some((id, anchor, self.hot.at_mut(hot)?))
    }

    /// The same of one that is parked.
    #[inline]
    pub(crate) fn find_recent_parked_v4(
        &mut self,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Option<ConnId> {
        let index = self.recent.find_near(peer, ports)?;
        let (id, anchor) = self.anchors.of_v4_mut(index, peer, local, ports)?;
        matches!(anchor.body, Body::Parked(_)).then_some(id)
    }

    /// The record of a handshake of such a flow that a peer opened.
    #[inline(always)] // as above
    pub(crate) fn find_recent_embryo_v4(
        &mut self,
        peer: [u8; 4],
        local: LocalIndex,
        ports: u32,
    ) -> Option<(ConnId, &mut Handshake, ListenerId)> {
        let index = self.recent.find_near(peer, ports)?;
        let (id, anchor) = self.anchors.of_v4_mut(index, peer, local, ports)?;
        embryo_of(id, anchor)
    }

    /// The same of a flow of either version.
    #[inline(always)] // as above
    pub(crate) fn find_noted_embryo(
        &mut self,
        flow: &FlowKey,
    ) -> Option<(ConnId, &mut Handshake, ListenerId)> {
        let (id, anchor) = self.find_noted(flow)?;
        embryo_of(id, anchor)
    }

    #[inline(never)]
    fn look_up_and_note(&mut self, flow: &FlowKey) -> Option<u32> {
        let index = self.look_up(flow)?.slot;
        self.recent.note(flow, index);
        Some(index)
    }

    /// Notes the record of a flow: it is found at once from now on. Whether it has a TCB.
    pub(crate) fn note(&mut self, flow: &FlowKey, id: ConnId) -> bool {
        self.recent.note(flow, id.slot);
        matches!(self.anchors.get(id), Some(Anchor { body: Body::Hot(..), .. }))
    }

    /// The same of the record at an index.
    #[inline]
    pub(crate) fn note_at(&mut self, index: u32) {
        if let Some(flow) = self.anchors.flow_at(index) {
            self.recent.note(&flow, index);
        }
    }

    fn look_up(&self, flow: &FlowKey) -> Option<ConnId> {
        self.demux.find(flow, |index| self.anchors.id_of(index, flow))
    }

    /// The connection of a handle, if the application holds it, and it has a TCB and is not over: nearly
    /// always it is so when it is read or written.
    #[inline]
    pub(crate) fn held_hot(&mut self, id: ConnId) -> Option<(&mut Anchor, &mut Tcb<C>)> {
        let anchor = self.anchors.get_mut(id)?;
        if !anchor.is_held() {
            return None;
        }
        let tcb = self.hot.at_mut(anchor.body.hot()?)?;
        Some((anchor, tcb))
    }

    /// A connection that has a TCB, and the TCB, both to change.
    #[inline]
    pub(crate) fn hot_of(&mut self, id: ConnId) -> Option<(&mut Anchor, &mut Tcb<C>)> {
        let anchor = self.anchors.get_mut(id)?;
        let tcb = self.hot.at_mut(anchor.body.hot()?)?;
        Some((anchor, tcb))
    }

    /// What is known of the flow of a packet that will be handled soon.
    #[inline]
    pub(crate) fn seek_ahead(&self, flow: &FlowKey) -> Sought {
        let (near, ports) = (near(&flow.remote), flow.ports());
        self.noted_or(near, ports, || self.demux.hash_of(flow))
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline]
    pub(crate) fn seek_v4_ahead(&self, peer: [u8; 4], local: LocalIndex, ports: u32) -> Sought {
        self.noted_or(peer, ports, || self.demux.hash_of_v4(peer, local, ports))
    }

    #[inline(always)] // one for each version of IP
    fn noted_or(&self, near: [u8; 4], ports: u32, hash: impl FnOnce() -> u64) -> Sought {
        match self.recent.find_near(near, ports) {
            Some(index) => Sought::Noted(index),
            None => Sought::Hashed { hash: hash(), near: u32::from_ne_bytes(near), ports },
        }
    }

    /// Touches where these hashes are looked for, a few.
    #[inline(always)] // of a few
    pub(crate) fn touch_homes(&self, hashes: impl Iterator<Item = u64>) {
        self.demux.touch(hashes);
    }

    /// The record that probably has a flow, if that is seen at once: it is noted from now on. If not,
    /// [`Table::guess_and_note`] will find what it looks at on its way.
    #[inline]
    pub(crate) fn guess_at_home(&mut self, sought: &Sought) -> Option<u32> {
        match *sought {
            Sought::Nothing => None,
            Sought::Noted(index) => Some(index),
            Sought::Hashed { hash, near, ports } => match self.demux.guess_at_home(hash) {
                Ok(index) => {
                    self.recent.note_near(near.to_ne_bytes(), ports, index);
                    Some(index)
                }
                Err(touched) => {
                    black_box(touched);
                    None
                }
            },
        }
    }

    /// The same wherever it is.
    #[inline]
    pub(crate) fn guess_and_note(&mut self, sought: &Sought) -> Option<u32> {
        let Sought::Hashed { hash, near, ports } = *sought else { return None };
        let index = self.guess(hash)?;
        self.recent.note_near(near.to_ne_bytes(), ports, index);
        Some(index)
    }

    /// The record that probably has a flow with this hash.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        self.demux.guess(hash)
    }

    /// The same where that can be seen at once; else what follows is touched.
    #[inline]
    pub(crate) fn guess_in_home(&self, hash: u64) -> Result<u32, u32> {
        self.demux.guess_at_home(hash)
    }

    /// The hash of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(always)] // in one place
    pub(crate) fn hash_of_v4(&self, peer: [u8; 4], local: LocalIndex, ports: u32) -> u64 {
        self.demux.hash_of_v4(peer, local, ports)
    }

    /// The hash of a flow.
    #[inline]
    pub(crate) fn hash_of(&self, flow: &FlowKey) -> u64 {
        self.demux.hash_of(flow)
    }

    /// Whether another anchor can be had at nobody's cost.
    pub(crate) fn has_free(&self) -> bool {
        self.anchors.len() < self.anchors.capacity()
    }

    /// Whether a half-open record may take an anchor. An eighth is not for these: a flood of SYNs
    /// must not keep out those who acknowledge a cookie, nor our own opens (AT-1).
    pub(crate) fn has_free_for_embryo(&self) -> bool {
        let capacity = self.anchors.capacity();
        self.anchors.len() < capacity - capacity / 8
    }

    /// Whether another anchor can be had, if need be in the place of a TIME-WAIT record.
    pub(crate) fn has_room(&self) -> bool {
        self.has_free() || self.waits.len() > 0
    }

    /// A new record. TIME-WAIT records make room when there is none. `None` for the second result:
    /// nothing was evicted.
    pub(crate) fn insert(
        &mut self,
        flow: &FlowKey,
        owner: Owner,
        body: Body,
    ) -> Result<(ConnId, Option<ConnId>), Full> {
        match self.seek(flow) {
            Ok(_) => Err(Full::Taken),
            Err(vacancy) => {
                let evicted = if self.has_free() { None } else { self.evict() };
                let id = self.insert_fresh(flow, vacancy, owner, body).ok_or(Full::Anchors)?;
                Ok((id, evicted))
            }
        }
    }

    /// A new record of a flow that is known to have none, and which wakes by `deadline`: that of a handshake, which is
    /// put into it at once. `None`: there is no room.
    #[inline(never)] // of both sides of a handshake
    pub(crate) fn insert_handshake(
        &mut self,
        flow: &FlowKey,
        vacancy: Vacancy,
        deadline: Instant,
    ) -> Option<(ConnId, &mut Anchor)> {
        let body = Body::Ended(CloseReason::Limit, None);
        let id = self.insert_fresh(flow, vacancy, Owner::Nobody, body)?;
        self.await_handshake(id, deadline)
    }

    /// A record in no timer wakes by `deadline`.
    #[inline(always)] // of a new record, and of one that was in TIME-WAIT
    fn await_handshake(&mut self, id: ConnId, deadline: Instant) -> Option<(ConnId, &mut Anchor)> {
        let links = self.wheel.enter(id.slot, deadline, &mut self.anchors);
        let anchor = self.anchors.at_mut(id.slot)?;
        anchor.links = links;
        Some((id, anchor))
    }

    #[inline(always)] // twice
    fn insert_fresh(
        &mut self,
        flow: &FlowKey,
        Vacancy(hash): Vacancy,
        owner: Owner,
        body: Body,
    ) -> Option<ConnId> {
        debug_assert!(self.find(flow).is_none(), "not looked up");
        let id = self.anchors.add(flow, owner, body)?;
        self.demux.insert_fresh(hash, flow, id.slot, |index| flow_of(&self.anchors, index));
        // An answer comes soon.
        self.recent.note(flow, id.slot);
        Some(id)
    }

    /// Takes a record out of everything, its TCB too.
    pub(crate) fn remove(&mut self, id: ConnId) {
        let Some((known, anchor, far)) = self.anchors.look_at(id.slot) else { return };
        if known != id {
            return;
        }
        let hash = anchor.hash(far, &self.demux);
        match anchor.body {
            Body::Hot(hot, _) | Body::Ended(_, Some(hot)) => self.discard_hot(hot),
            Body::Embryo(..) | Body::Ended(_, None) => {}
            _ => self.release_body(id),
        }
        self.take_out(hash, id.slot);
    }

    /// Takes the record at `index` out, whose flow has this hash and whose body has nothing elsewhere.
    #[inline(always)] // in few places
    fn take_out(&mut self, hash: u64, index: u32) {
        self.retire_at(hash, index);
        self.anchors.discard(index);
    }

    /// What the body of a record that goes has elsewhere, where that is not one TCB alone.
    #[inline(never)]
    fn release_body(&mut self, id: ConnId) {
        let Some(anchor) = self.anchors.get(id) else { return };
        match anchor.body {
            Body::Early(early, hot) => {
                self.early.discard(early);
                self.discard_hot(hot);
            }
            Body::TimeWait(..) => self.stop_waiting(id),
            Body::Parked(parked) => {
                self.moulds.release(&parked);
                self.parked -= 1;
            }
            Body::Opening(opening) => {
                self.openings.discard(opening);
            }
            Body::Asked(syn, _) => {
                self.asked.discard(syn);
            }
            Body::Embryo(..) | Body::Hot(..) | Body::Ended(..) => {}
        }
    }

    /// Another body for a record. What the old one had beside it goes, but for its TCB.
    pub(crate) fn set_body(&mut self, id: ConnId, body: Body) -> Option<&mut Anchor> {
        let anchor = self.anchors.get_mut(id)?;
        match core::mem::replace(&mut anchor.body, body) {
            Body::Opening(opening) => {
                self.openings.discard(opening);
            }
            Body::Early(early, _) => {
                self.early.discard(early);
            }
            Body::Asked(syn, _) => {
                self.asked.discard(syn);
            }
            _ => {}
        }
        Some(anchor)
    }

    /// Segments and time do not reach a record any more; the application still may.
    pub(crate) fn retire(&mut self, id: ConnId) {
        if let Some((known, anchor, far)) = self.anchors.look_at(id.slot)
            && known == id
        {
            self.retire_at(anchor.hash(far, &self.demux), id.slot);
        }
    }

    /// The same of the record at `index`, whose flow has this hash.
    #[inline]
    fn retire_at(&mut self, hash: u64, index: u32) {
        self.demux.remove_hashed(hash, index, |index| flow_of(&self.anchors, index));
        self.wheel.cancel(index, &mut self.anchors);
    }

    /// The flow of a record.
    pub(crate) fn flow(&self, id: ConnId) -> Option<FlowKey> {
        self.anchors.flow(id)
    }

    /// TIME-WAIT records.
    pub(crate) fn time_waits(&self) -> u32 {
        self.waits.len()
    }

    /// Records.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.anchors.len()
    }

    /// Records that segments are expected for: all but those in TIME-WAIT.
    #[inline]
    pub(crate) fn busy(&self) -> u32 {
        self.anchors.len() - self.waits.len()
    }

    /// Whether a record with these links is woken by `deadline` already.
    #[inline]
    pub(crate) fn wakes_by(&self, links: &WheelLinks, deadline: Instant) -> bool {
        self.wheel.wakes_by(links, deadline)
    }

    /// Wakes a record not later than `deadline`.
    pub(crate) fn arm(&mut self, id: ConnId, deadline: Option<Instant>) {
        if let Some(deadline) = deadline
            && self.anchors.get(id).is_some()
        {
            self.wheel.schedule(id.slot, deadline, &mut self.anchors);
        }
    }

    /// Wakes a record at `deadline`, and not before.
    pub(crate) fn postpone(&mut self, id: ConnId, deadline: Instant) {
        if self.anchors.get(id).is_some() {
            self.wheel.postpone(id.slot, deadline, &mut self.anchors);
        }
    }

    /// The same of a deadline about a second away, which will probably not be moved.
    pub(crate) fn line_up(&mut self, id: ConnId, deadline: Instant) {
        if self.anchors.get(id).is_some() {
            self.wheel.line_up(id.slot, deadline, &mut self.anchors);
        }
    }

    /// Whether any record is in TIME-WAIT.
    pub(crate) fn has_time_waits(&self) -> bool {
        self.waits.next_deadline().is_some()
    }

    /// The next record that is due.
    #[inline(always)] // twice, and looked at in every turn
    pub(crate) fn pop_due(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        let index = self.wheel.pop_due(now, work, &mut self.anchors)?;
        self.anchors.id_at(index)
    }

    /// When something is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match (self.wheel.next_deadline(), self.waits.next_deadline()) {
            (Some(deadline), Some(until)) => Some(deadline.min(until)),
            (deadline, until) => deadline.or(until),
        }
    }

    /// Records in the wheel and in the demultiplexer: for tests of balance.
    pub(crate) fn listed(&self) -> (u32, u32) {
        (self.wheel.len(), self.demux.len())
    }
}

#[inline(always)] // for either version
fn embryo_of(id: ConnId, anchor: &mut Anchor) -> Option<(ConnId, &mut Handshake, ListenerId)> {
    let Body::Embryo(handshake, listener) = &mut anchor.body else { return None };
    Some((id, handshake, *listener))
}

fn flow_of(anchors: &Anchors, index: u32) -> FlowKey {
    anchors.flow_at(index).unwrap_or_default()
}

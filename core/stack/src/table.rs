//! All connections of a shard.
//!
//! Owns: anchors, TCBs, the demultiplexer, the wheel, and that the four agree: an anchor in the
//! demultiplexer or the wheel exists, a hot body's TCB exists.
//! Must not know: segments, or what a deadline is for.
//! Implements: MSL-1 (TIME-WAIT bounded, oldest evicted), DESIGN §5.

use crate::anchor::{Anchor, Anchors, Body, Opening, Owner};
use crate::blanks::{self, Blanks};
use crate::demux::Demux;
use crate::fast_open::EarlyConnection;
use crate::fifo::Sifted;
use crate::recent::Recent;
use crate::slab::{FEW, Slab};
use crate::wheel::{Wheel, WheelLinks};
use alloc::vec::Vec;
use core::hint::black_box;
use usertcp_base::{ConnId, FlowKey, Instant, Limits, LocalIndex, Secrets};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Moulds, Parked, ParkedDue, Segment, Tcb, TimeWait};

/// Dead entries of the TIME-WAIT queue that are tolerated.
const SLACK: usize = 64;

/// TCBs with indices below this stay when their connections end, for those that come: they are filled where they
/// are. It is fewer than the slab keeps in any case.
const SPARES: u32 = 128;

/// So many records of active opens stay for others when they have become connections.
const OPENINGS: usize = 64;

/// The connections.
pub(crate) struct Table<C> {
    pub anchors: Anchors,
    /// TCBs, each with the index of its record, and blanks.
    pub hot: Slab<Tcb<C>, u32>,
    /// Those of no connection.
    spares: Vec<u32>,
    blanks: Blanks,
    /// Where the search for a quiet TCB goes on.
    hand: u32,
    /// What bodies have that is larger than a body.
    pub openings: Slab<Opening<C>, (), FEW>,
    /// Those that became connections and are kept for the next.
    old_openings: Vec<u32>,
    pub early: Slab<EarlyConnection, (), FEW>,
    pub asked: Slab<Segment, (), FEW>,
    /// What parked connections have in common.
    pub moulds: Moulds<C>,
    parked: u32,
    demux: Demux,
    recent: Recent,
    pub wheel: Wheel,
    /// TIME-WAIT records, the oldest first. Some may be gone.
    waiting: Sifted<Waiting>,
    time_waits: u32,
    time_wait_limit: u32,
}

/// A record in TIME-WAIT. All of them wait equally long: the first that came ends first, and no wheel has to be
/// turned for that.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: ConnId,
    /// When it ends, unless the peer's FIN comes again.
    until: Instant,
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
            waiting: Sifted::default(),
            time_waits: 0,
            time_wait_limit: limits.time_wait,
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
        let Body::Hot(hot) = anchor.body else { return None };
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
        let Body::Hot(hot) = anchor.body else { return None };
        Some((id, anchor, self.hot.at_mut(hot)?))
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
        matches!(self.anchors.get(id), Some(Anchor { body: Body::Hot(_), .. }))
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

    /// The hash of a flow, unless its record is noted.
    #[inline]
    pub(crate) fn hash_ahead(&self, flow: &FlowKey) -> Option<u64> {
        if self.recent.find(flow).is_some() { None } else { Some(self.demux.hash_of(flow)) }
    }

    /// Reads a little of where a hash is looked for.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u32 {
        self.demux.touch(hash)
    }

    /// The record that probably has a flow, with its hash, if that is seen at once: it is noted from now on. If
    /// not, [`Table::guess`] will find what it looks at on its way.
    #[inline]
    pub(crate) fn guess_at_home(&mut self, flow: &FlowKey, hash: Option<u64>) -> Option<u32> {
        let Some(hash) = hash else { return self.recent.find(flow) };
        match self.demux.guess_at_home(hash) {
            Ok(index) => {
                self.recent.note(flow, index);
                Some(index)
            }
            Err(touched) => {
                black_box(touched);
                None
            }
        }
    }

    /// The same wherever it is.
    #[inline]
    pub(crate) fn guess(&mut self, flow: &FlowKey, hash: u64) -> Option<u32> {
        let index = self.demux.guess(hash)?;
        self.recent.note(flow, index);
        Some(index)
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
        self.has_free() || self.time_waits > 0
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
            Err(vacancy) => self.insert_fresh(flow, vacancy, owner, body),
        }
    }

    /// The same for a flow that is known to have no record.
    pub(crate) fn insert_fresh(
        &mut self,
        flow: &FlowKey,
        Vacancy(hash): Vacancy,
        owner: Owner,
        body: Body,
    ) -> Result<(ConnId, Option<ConnId>), Full> {
        debug_assert!(self.find(flow).is_none(), "not looked up");
        let mut evicted = None;
        if self.anchors.len() == self.anchors.capacity() {
            evicted = self.evict();
        }
        let id = self.anchors.add(flow, owner, body).ok_or(Full::Anchors)?;
        self.demux.insert_fresh(hash, flow, id.slot, |index| flow_of(&self.anchors, index));
        // An answer comes soon.
        self.recent.note(flow, id.slot);
        Ok((id, evicted))
    }

    /// Takes a record out of everything, its TCB too.
    pub(crate) fn remove(&mut self, id: ConnId) {
        self.retire(id);
        let Some(anchor) = self.anchors.get(id) else { return };
        match anchor.body {
            Body::Hot(hot) | Body::Ended(_, Some(hot)) => self.discard_hot(hot),
            Body::Embryo(..) | Body::Ended(_, None) => {}
            _ => self.release_body(id),
        }
        self.anchors.discard(id.slot);
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
            Body::TimeWait(..) => {
                self.time_waits = self.time_waits.saturating_sub(1);
                if self.waiting.front().is_some_and(|waiting| waiting.id == id) {
                    self.pop_waiting();
                }
            }
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
            Body::Embryo(..) | Body::Hot(_) | Body::Ended(..) => {}
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
        let Some(flow) = self.anchors.flow(id) else { return };
        self.demux.remove(&flow, id.slot, |index| flow_of(&self.anchors, index));
        self.wheel.cancel(id.slot, &mut self.anchors);
    }

    /// Turns a record into TIME-WAIT, without its TCB. The handle that was evicted for it, if any.
    pub(crate) fn enter_time_wait(
        &mut self,
        id: ConnId,
        record: TimeWait,
        until: Instant,
    ) -> Option<ConnId> {
        let anchor = self.anchors.get_mut(id)?;
        debug_assert!(matches!(anchor.body, Body::Hot(_) | Body::Ended(_, None)), "it was open");
        let before = core::mem::replace(&mut anchor.body, Body::TimeWait(record, until.into()));
        anchor.set_owner(Owner::Nobody);
        if let Body::Hot(hot) = before {
            self.discard_hot(hot);
        }
        self.time_waits += 1;
        self.wheel.cancel(id.slot, &mut self.anchors);
        self.wait(Waiting { id, until });
        if self.time_waits > self.time_wait_limit { self.evict() } else { None }
    }

    fn wait(&mut self, waiting: Waiting) {
        let anchors = &self.anchors;
        let lives = |waiting: &Waiting| is_time_wait(anchors, waiting.id);
        self.waiting.push(waiting, self.time_waits as usize, SLACK, lives);
    }

    /// A TIME-WAIT record whose time has come. Each that is looked at counts as work.
    #[inline]
    pub(crate) fn pop_time_wait(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        if self.waiting.front()?.until > now { None } else { self.pop_over(now, work) }
    }

    #[inline(never)]
    fn pop_over(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        while *work > 0 && self.waiting.front()?.until <= now {
            *work -= 1;
            let Waiting { id, .. } = self.pop_waiting()?;
            let Some(Anchor { body: Body::TimeWait(_, until), .. }) = self.anchors.get(id) else {
                continue;
            };
            let until = Instant::from(*until);
            if until <= now {
                return Some(id);
            }
            // It began anew, and is in the wheel for that; here it is one of those that may be evicted.
            self.wait(Waiting { id, until });
        }
        None
    }

    /// The oldest entry. Never is one of a record that is gone in front: nobody wakes for it.
    fn pop_waiting(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop();
        self.forget_gone();
        first
    }

    fn forget_gone(&mut self) {
        while self.waiting.front().is_some_and(|waiting| !is_time_wait(&self.anchors, waiting.id)) {
            self.waiting.pop();
        }
    }

    /// Removes the oldest TIME-WAIT record.
    pub(crate) fn evict(&mut self) -> Option<ConnId> {
        while let Some(Waiting { id, .. }) = self.pop_waiting() {
            if is_time_wait(&self.anchors, id) {
                self.remove(id);
                return Some(id);
            }
        }
        None
    }

    /// A TCB for connection `id`; `None` when there is no room.
    pub(crate) fn insert_hot(&mut self, id: ConnId, tcb: Tcb<C>) -> Option<ConnId> {
        self.make_hot_slot();
        self.hot.insert_wide(tcb, id.slot)
    }

    /// A TCB in the place of a handshake, to be filled: the record, and the TCB, which was another's, or which `make`
    /// builds when there is room.
    #[inline]
    pub(crate) fn bear(
        &mut self,
        id: ConnId,
        make: impl FnOnce() -> Tcb<C>,
    ) -> Option<(&mut Anchor, &mut Tcb<C>)> {
        let hot = match self.spares.pop() {
            Some(spare) => spare,
            None => self.add_hot(id, make)?,
        };
        let (tcb, owner) = self.hot.wide_mut(hot)?;
        *owner = id.slot;
        let anchor = self.anchors.get_mut(id)?;
        debug_assert!(anchor.body.hot().is_none(), "it has one");
        if let Body::Opening(opening) = anchor.body {
            match self.openings.at(opening) {
                Some(kept) if kept.attempt.is_none() && self.old_openings.len() < OPENINGS => {
                    self.old_openings.push(opening);
                }
                _ => {
                    self.openings.discard(opening);
                }
            }
        }
        anchor.body = Body::Hot(hot);
        Some((anchor, tcb))
    }

    /// An active open that begins: its index. `None`: there is no room.
    #[inline]
    pub(crate) fn add_opening(&mut self, opening: Opening<C>) -> Option<u32> {
        let Some(old) = self.old_openings.pop() else {
            return self.openings.insert(opening).map(|kept| kept.slot);
        };
        *self.openings.at_mut(old)? = opening;
        Some(old)
    }

    #[cold]
    fn add_hot(&mut self, id: ConnId, make: impl FnOnce() -> Tcb<C>) -> Option<u32> {
        self.make_hot_slot();
        self.hot.insert_wide_with(id.slot, make).map(|hot| hot.slot)
    }

    /// TCBs of connections.
    #[inline]
    pub(crate) fn tcbs(&self) -> u32 {
        self.hot.len() - self.blanks.len() - self.spares.len() as u32
    }

    /// Whether there is a TCB for one more.
    #[inline]
    pub(crate) fn has_tcb_room(&self) -> bool {
        self.tcbs() < self.hot.capacity()
    }

    /// Blanks and spares make way when they have the last slots.
    #[inline]
    fn make_hot_slot(&mut self) {
        if self.hot.len() == self.hot.capacity() {
            self.fit_blanks(0);
            if let Some(spare) = self.spares.pop() {
                self.hot.discard(spare);
            }
        }
    }

    /// The end of a TCB.
    pub(crate) fn discard_hot(&mut self, hot: u32) {
        match self.hot.at_mut(hot) {
            Some(tcb) if hot < SPARES => {
                tcb.leave();
                self.spares.push(hot);
            }
            _ => {
                self.hot.discard(hot);
            }
        }
        if self.blanks.len() > 0 {
            self.fit_blanks(blanks::worth(self.tcbs()));
        }
    }

    /// So many blanks at most; the others go, the oldest first.
    #[inline(never)]
    fn fit_blanks(&mut self, most: u32) {
        while let Some(hot) = self.blanks.pop_excess(most) {
            self.hot.discard(hot);
        }
    }

    /// The flow of a record.
    pub(crate) fn flow(&self, id: ConnId) -> Option<FlowKey> {
        self.anchors.flow(id)
    }

    /// Turns a quiet TCB into the record that `take` makes of it; false, and it stays: it does not fit.
    #[inline(always)] // one for each way
    pub(crate) fn park(
        &mut self,
        id: ConnId,
        hot: u32,
        take: impl FnOnce(&mut Moulds<C>, &mut Tcb<C>) -> Option<Parked>,
    ) -> bool {
        let Some(tcb) = self.hot.at_mut(hot) else { return false };
        let Some(anchor) = self.anchors.get_mut(id) else { return false };
        let Some(parked) = take(&mut self.moulds, tcb) else { return false };
        let mould = self.moulds.serial(&parked);
        anchor.body = Body::Parked(parked);
        self.parked += 1;
        // Nearly all that its TCB waited for has happened.
        self.wheel.cancel(id.slot, &mut self.anchors);
        // What is left of the TCB is equal to the mould: the next one that comes back begins with it.
        if self.hot.is_far_up(hot) {
            self.hot.discard(hot);
        } else {
            self.blanks.push(hot, mould);
        }
        self.fit_blanks(blanks::worth(self.tcbs()));
        true
    }

    /// The TCB of a parked connection comes back: its index.
    pub(crate) fn activate(&mut self, now: Instant, id: ConnId, offset: u32) -> Option<u32> {
        if self.blanks.len() == 0 {
            self.make_hot_slot();
        }
        let anchor = self.anchors.get_mut(id)?;
        let Body::Parked(parked) = &anchor.body else { return None };
        let moulds = &self.moulds;
        let blank = self.blanks.pop();
        let blank = blank.and_then(|blank| Some((blank, self.hot.wide_mut(blank.hot)?)));
        let hot = match blank {
            Some((blank, (tcb, owner))) => {
                *owner = id.slot;
                moulds.revive(now, parked, offset, tcb, blank.mould);
                blank.hot
            }
            None => {
                let copy = || moulds.copy(now, parked, offset);
                self.hot.insert_wide_with(id.slot, copy)?.slot
            }
        };
        self.moulds.release(parked);
        anchor.body = Body::Hot(hot);
        self.parked -= 1;
        Some(hot)
    }

    /// What the deadline of a parked connection brings.
    pub(crate) fn parked_due(&mut self, now: Instant, id: ConnId, offset: u32) -> ParkedDue {
        match self.anchors.get_mut(id).map(|anchor| &mut anchor.body) {
            Some(Body::Parked(parked)) => self.moulds.handle_deadline(now, parked, offset),
            _ => ParkedDue::NotYet,
        }
    }

    /// Of the next `count` TCBs the one that can be parked and was active longest ago.
    pub(crate) fn quietest_of(&mut self, now: Instant, count: u32) -> Option<(ConnId, u32)> {
        let mut best: Option<(Instant, ConnId, u32)> = None;
        for _ in 0..count.min(self.hot.end()) {
            let hot = self.hand;
            self.hand = if hot + 1 >= self.hot.end() { 0 } else { hot + 1 };
            let Some(tcb) = self.hot.at(hot).filter(|tcb| tcb.is_parkable()) else { continue };
            let Some(owner) = self.hot.annex(hot).copied() else { continue };
            let Some(id) = self.anchors.id_at(owner) else { continue };
            if !matches!(self.anchors.get(id), Some(Anchor { body: Body::Hot(at), .. }) if *at == hot)
            {
                continue;
            }
            let active = tcb.last_active(now);
            if best.is_none_or(|(since, ..)| active < since) {
                best = Some((active, id, hot));
            }
        }
        best.map(|(_, id, hot)| (id, hot))
    }

    /// Parked connections.
    pub(crate) fn parked(&self) -> u32 {
        self.parked
    }

    /// TIME-WAIT records.
    pub(crate) fn time_waits(&self) -> u32 {
        self.time_waits
    }

    /// Records that segments are expected for: all but those in TIME-WAIT.
    #[inline]
    pub(crate) fn busy(&self) -> u32 {
        self.anchors.len() - self.time_waits
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

    /// The same of a record that has just been made.
    #[inline]
    pub(crate) fn arm_fresh(&mut self, id: ConnId, deadline: Instant) {
        self.wheel.enter(id.slot, deadline, &mut self.anchors);
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

    /// The next record that is due.
    #[inline(always)] // twice, and looked at in every turn
    pub(crate) fn pop_due(&mut self, now: Instant, work: &mut u32) -> Option<ConnId> {
        let index = self.wheel.pop_due(now, work, &mut self.anchors)?;
        self.anchors.id_at(index)
    }

    /// When something is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|waiting| waiting.until);
        match (self.wheel.next_deadline(), waiting) {
            (Some(deadline), Some(until)) => Some(deadline.min(until)),
            (deadline, until) => deadline.or(until),
        }
    }

    /// Records in the wheel and in the demultiplexer: for tests of balance.
    pub(crate) fn listed(&self) -> (u32, u32) {
        (self.wheel.len(), self.demux.len())
    }
}

fn flow_of(anchors: &Anchors, index: u32) -> FlowKey {
    anchors.flow_at(index).unwrap_or_default()
}

fn is_time_wait(anchors: &Anchors, id: ConnId) -> bool {
    matches!(anchors.get(id), Some(Anchor { body: Body::TimeWait(..), .. }))
}

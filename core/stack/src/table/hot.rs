//! The TCBs of a shard.
//!
//! Owns: how a connection comes by a TCB at its birth or when it wakes, how it leaves it when it ends or rests, and what
//! is kept of both for others.
//! Must not know: segments, or why a connection begins or ends.
//! Implements: DESIGN §5.

use super::Table;
use crate::anchor::{Anchor, Body, Opening};
use crate::blanks;
use crate::config::Birth;
use usertcp_base::{ConnId, Instant};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Handshake, Moulds, Parked, ParkedDue, SoftErrors, Tcb};

/// TCBs with indices below this stay when their connections end, for those that come: they are filled where they
/// are. It is fewer than the slab keeps in any case.
const SPARES: u32 = 128;

/// So many records of active opens stay for others when they have become connections.
const OPENINGS: usize = 64;

/// What a connection that was parked leaves to be seen to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// It is in the queue of those that have something to send.
    pub queued: bool,
    /// When time has something to do for it.
    pub deadline: Option<Instant>,
}

impl<C: CongestionController> Table<C> {
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
        anchor.body = Body::with_tcb(hot);
        Some((anchor, tcb))
    }

    /// An active open that begins with this handshake: its index, and what is kept of it. `None`: there is no room.
    #[inline]
    pub(crate) fn add_opening(
        &mut self,
        now: Instant,
        handshake: &Handshake,
        birth: Birth<C>,
    ) -> Option<(u32, &mut Opening<C>)> {
        let Some(old) = self.old_openings.pop() else {
            return self.add_fresh_opening(now, handshake, birth);
        };
        let opening = self.openings.at_mut(old)?;
        debug_assert!(opening.attempt.is_none(), "it was as all are");
        opening.handshake = *handshake;
        opening.birth = birth;
        opening.closed = false;
        opening.soft_errors = SoftErrors::new(now);
        Some((old, opening))
    }

    #[inline(never)]
    fn add_fresh_opening(
        &mut self,
        now: Instant,
        handshake: &Handshake,
        birth: Birth<C>,
    ) -> Option<(u32, &mut Opening<C>)> {
        let (handshake, soft_errors) = (*handshake, SoftErrors::new(now));
        let opening = Opening { handshake, birth, attempt: None, closed: false, soft_errors };
        let kept = self.openings.insert(opening)?.slot;
        Some((kept, self.openings.at_mut(kept)?))
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

    /// Turns a quiet TCB into the record that `make` makes of it. `None`, and it stays: it does not fit.
    #[inline(always)] // one for each way
    pub(crate) fn park(
        &mut self,
        now: Instant,
        id: ConnId,
        hot: u32,
        make: impl FnOnce(&mut Moulds<C>, Instant, &mut Tcb<C>, &mut Parked) -> bool,
    ) -> Option<Left> {
        let (tcb, anchor) = (self.hot.at_mut(hot)?, self.anchors.get_mut(id)?);
        let mut parked = Parked::NONE;
        if !make(&mut self.moulds, now, tcb, &mut parked) {
            return None;
        }
        let mould = self.moulds.serial(&parked);
        let left =
            Left { queued: anchor.is_queued(), deadline: self.moulds.deadline(now, &parked) };
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
        Some(left)
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
        anchor.body = Body::with_tcb(hot);
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
            if !matches!(self.anchors.get(id), Some(Anchor { body: Body::Hot(at, _), .. }) if *at == hot)
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
}

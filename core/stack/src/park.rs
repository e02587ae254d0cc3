//! Idle connections without a TCB.
//!
//! Owns: when a connection is parked, when its TCB comes back, and what is done without it; who is
//! parked early when TCBs run out.
//! Must not know: what a record holds (`usertcp_tcp::Parked`), what makes a connection rest.
//! Implements: DESIGN §5.1, §5.3.

use crate::anchor::{Body, near};
use crate::app::ConnError;
use crate::isn::Numbers;
use crate::lifecycle::LEAST_GAP;
use crate::shard::Shard;
use crate::table::Left;
use usertcp_base::{ConnId, Event, FlowKey, Instant, Observer, Parking, Span};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Moulds, ParkedArrival, ParkedDue, Tcb, UsualSegment};

/// A connection that rests and was woken for nothing is parked again after this.
const AGAIN: Span = Span::from_secs(1);
/// A probe for which there is no room waits for this.
const CROWDED: Span = Span::from_millis(1);
/// TCBs looked at for one that can be parked early.
const LOOKED_AT: u32 = 64;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A deadline of the connection passed and was handled: parks it, if it may be. Whether it is.
    pub(crate) fn park_if_quiet(&mut self, now: Instant, id: ConnId) -> bool {
        let Some(Body::Hot(hot, _)) = self.table.anchors.get(id).map(|anchor| &anchor.body) else {
            return false;
        };
        let hot = *hot;
        let Some(tcb) = self.table.hot.at(hot) else { return false };
        let wanted = match self.common.limits.parking {
            Parking::Never => false,
            Parking::AtRest => tcb.has_rested(),
            Parking::AtOnce => true,
        };
        wanted && tcb.is_parkable() && self.park(now, id, hot)
    }

    /// A connection is quiet after the one exchange that interrupted a long silence: it rests again if it can, and
    /// else will in a second, probably.
    #[inline(never)]
    pub(crate) fn rest_again(&mut self, now: Instant, id: ConnId, hot: u32) {
        let parking = self.common.limits.parking;
        let Some(tcb) = self.table.hot.at_mut(hot) else { return };
        if tcb.rests_again() {
            if parking == Parking::Never {
                tcb.rest_again(now);
            } else if let Some(left) = self.table.park(now, id, hot, Moulds::park_again) {
                return self.parked(now, id, left);
            }
        }
        let Some(tcb) = self.table.hot.at(hot) else { return };
        let own = tcb.next_deadline(now).unwrap_or(Instant::FAR);
        let deadline = own.min(park_deadline(parking, now, tcb));
        if deadline != Instant::FAR {
            self.table.line_up(id, deadline.max(now + LEAST_GAP));
        }
    }

    fn park(&mut self, now: Instant, id: ConnId, hot: u32) -> bool {
        let left = self.table.park(now, id, hot, Moulds::park);
        if let Some(left) = left {
            self.parked(now, id, left);
        }
        left.is_some()
    }

    /// A connection has no TCB any more.
    fn parked(&mut self, now: Instant, id: ConnId, left: Left) {
        let Left { queued, deadline } = left;
        if queued || self.transmit.has_others_than_fresh() {
            self.transmit.remove(id, &mut self.table.anchors);
        }
        let counters = &mut self.common.counters;
        counters.parked = counters.parked.wrapping_add(1);
        self.common.observer.on_event(Some(id), now, &Event::Parked);
        self.arm_unqueued(now, id, deadline);
    }

    /// Gives a parked connection its TCB back; nothing for one that has it. `None`: it has none, or
    /// there is no room for another.
    #[inline]
    pub(crate) fn awake(&mut self, now: Instant, id: ConnId) -> Option<u32> {
        match &self.table.anchors.get(id)?.body {
            Body::Hot(hot, _) | Body::Early(_, hot) => Some(*hot),
            Body::Parked(_) => self.activate(now, id),
            _ => None,
        }
    }

    fn activate(&mut self, now: Instant, id: ConnId) -> Option<u32> {
        if !self.make_room_for_tcb(now) {
            return None;
        }
        let offset = self.offset_of(now, id)?;
        let hot = self.table.activate(now, id, offset)?;
        let counters = &mut self.common.counters;
        counters.activated = counters.activated.wrapping_add(1);
        self.common.observer.on_event(Some(id), now, &Event::Activated);
        // While it was parked nothing waited for the peer, and nobody watched.
        self.watch(now, id);
        Some(hot)
    }

    /// Whether another TCB can be had, if need be in the place of one that is quiet.
    #[inline]
    pub(crate) fn make_room_for_tcb(&mut self, now: Instant) -> bool {
        self.has_tcb_room() || self.park_for_room(now)
    }

    #[cold]
    #[inline(never)]
    fn park_for_room(&mut self, now: Instant) -> bool {
        if self.common.limits.parking == Parking::Never {
            return false;
        }
        let found = self.table.quietest_of(now, LOOKED_AT);
        found.is_some_and(|(id, hot)| self.park(now, id, hot))
    }

    /// Whether a connection has what it needs to be changed.
    pub(crate) fn is_awake(&self, id: ConnId) -> Result<(), ConnError> {
        match self.held(id)?.body {
            Body::Parked(_) => Err(ConnError::Limit),
            _ => Ok(()),
        }
    }

    pub(crate) fn timestamp_offset(&self, now: Instant, flow: &FlowKey) -> u32 {
        Numbers::of(&self.secrets, flow, now).timestamp_offset
    }

    /// That of a connection.
    fn offset_of(&self, now: Instant, id: ConnId) -> Option<u32> {
        let (known, anchor, far) = self.table.anchors.look_at(id.slot)?;
        if known != id {
            return None;
        }
        let flow = anchor.flow(far);
        if far.is_some() {
            return Some(self.timestamp_offset(now, &flow));
        }
        // By IPv4 it is known with fewer looks.
        Some(Numbers::of_v4(&self.secrets, near(&flow.remote), &flow, now).timestamp_offset)
    }

    /// The deadline of a parked connection.
    pub(crate) fn parked_deadline(&mut self, now: Instant, id: ConnId) {
        if !self.outbox.has_room() {
            // Probes of many wait for the device.
            return self.table.arm(id, Some(now + CROWDED));
        }
        let Some(flow) = self.table.flow(id) else { return };
        let offset = self.timestamp_offset(now, &flow);
        // Keys: what is signed is made by the TCB, which knows how much room that takes.
        let due = match self.auth.is_idle() {
            true => self.table.parked_due(now, id, offset),
            false => ParkedDue::Wake,
        };
        match due {
            ParkedDue::NotYet => self.rearm(now, id),
            ParkedDue::Probe(reply) => {
                self.send_reply(now, &flow, &reply);
                self.rearm(now, id);
            }
            ParkedDue::Wake => {
                if self.awake(now, id).is_some() {
                    self.handle_deadline(now, id);
                } else {
                    self.table.arm(id, Some(now + AGAIN));
                }
            }
        }
    }

    /// An acknowledgement without payload for a parked connection. Whether that was all.
    #[inline]
    pub(crate) fn heard_while_parked(
        &mut self,
        now: Instant,
        id: ConnId,
        segment: &UsualSegment,
    ) -> bool {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return false };
        let Body::Parked(parked) = &mut anchor.body else { return false };
        let heard = self.table.moulds.handle_usual(now, parked, segment) == ParkedArrival::Heard;
        if heard {
            // The next probe may be due earlier than one more after those before.
            self.rearm(now, id);
        }
        heard
    }
}

/// When to try to park the connection whose TCB this is, beside the TCB's own deadline; far away: never.
#[inline]
pub(crate) fn park_deadline<C: CongestionController>(
    parking: Parking,
    now: Instant,
    tcb: &Tcb<C>,
) -> Instant {
    let again = match parking {
        Parking::Never => return Instant::FAR,
        Parking::AtRest | Parking::AtOnce if tcb.has_rested() => now + AGAIN,
        Parking::AtRest => return Instant::FAR,
        Parking::AtOnce => now,
    };
    if tcb.is_parkable() { again } else { Instant::FAR }
}

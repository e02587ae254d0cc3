//! How a connection begins, changes body, and ends.
//!
//! Owns: acting on what a call on a connection brought about, active opens in progress, and (`end`) the
//! ways a record goes away.
//! Must not know: why a connection did what it did.
//! Implements: RFC 9293 §3.5, §3.6 (what remains of a connection), §3.10.7.3 (SYN-SENT); AT-38.

mod end;

use crate::anchor::{Anchor, Body, Opening as ActiveOpen, Owner};
use crate::config::Birth;
use crate::events::{Events, Pending};
use crate::park::park_deadline;
use crate::shard::Shard;
use crate::turns::Turns;
use alloc::rc::Rc;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, Observer, Span};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_ip::PathSignal;
use usertcp_tcp::{
    Effects, Env, HandshakeOutcome, Opening, PathFacts, Reply, Segment, SignalKind, Tcb,
    UsualEffects,
};

/// The next tick, at the earliest.
pub(crate) const LEAST_GAP: Span = Span::from_micros(1);
/// While a connection is in the transmit list.
const QUEUED_GAP: Span = Span::from_millis(1);

/// When a handshake is looked at first, which is before its own deadline: not after the least timeout of
/// the data that follow it, by two ticks of the wheel as one of the two is rounded up and the other down. So most
/// connections, whose handshake is over by then, stay where they are in the wheel, and the others are looked at
/// once more.
pub(crate) const FIRST_LOOK: Span = Span::from_micros(200_000 - 128);

/// What is known of a connection before it has a TCB.
pub(crate) struct Newborn<C> {
    /// We sent the first SYN.
    pub active: bool,
    pub birth: Birth<C>,
    /// Of its flow, from our interface alone.
    pub path: PathFacts,
}

/// What a connection begins from.
pub(crate) struct Start<'a, C> {
    /// What its handshake agreed on.
    pub opening: &'a mut Opening,
    pub birth: Birth<C>,
    /// Of its flow, from our interface alone.
    pub path: PathFacts,
}

/// What a connection begins with.
pub(crate) struct LastStep<'a> {
    /// The segment that completed its handshake.
    pub segment: &'a mut Segment,
    /// What was written before, and is not acknowledged.
    pub written: Chain,
}

/// What the segment that completed its handshake did to a connection.
pub(crate) enum First {
    /// What an expected one does.
    Usual(UsualEffects),
    /// Whatever it is.
    Any(Effects),
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    #[inline]
    pub(crate) fn path_facts(&self, flow: &FlowKey) -> PathFacts {
        let path = crate::net::path_facts(&self.ip, flow);
        if self.auth.is_idle() { path } else { self.signed_path_facts(flow, path) }
    }

    #[cold]
    fn signed_path_facts(&self, flow: &FlowKey, mut path: PathFacts) -> PathFacts {
        // The option is part of every segment: to TCP the path carries that much less.
        let option_octets = self.auth_option_octets(flow);
        path.segment_octets = path.segment_octets.saturating_sub(option_octets);
        let around = u16::from(path.header_octets).saturating_add(option_octets);
        path.header_octets = u8::try_from(around).unwrap_or(u8::MAX);
        path
    }

    /// Gives `id` a TCB, and the segment that completed its handshake to the TCB. There is room.
    pub(crate) fn establish(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        owner: Owner,
        start: Start<'_, C>,
        last: LastStep<'_>,
    ) {
        let Start { opening, birth, path } = start;
        let peer_mss = &mut opening.agreed.peer_mss_octets;
        *peer_mss = peer_mss.saturating_sub(self.auth_option_octets(flow));
        let (opening, LastStep { segment, written }) = (&*opening, last);
        let newborn = Newborn { active: opening.active, birth, path };
        self.give_birth(
            now,
            id,
            flow,
            owner,
            newborn,
            |tcb, env, Birth { settings, controller }, path| {
                tcb.occupy(env.now, env.limits, opening, settings, path, controller);
                tcb.begin(env, opening);
                if !written.is_empty() {
                    tcb.adopt_unsent(written);
                }
                First::Any(match opening.owes_ack {
                    true => tcb.handle_rest_of_syn(env, segment),
                    false => tcb.handle_segment(env, segment),
                })
            },
        );
    }

    /// Gives `id` a TCB, which begins and is given what completed its handshake as `first` does. Without room the record
    /// is gone.
    #[inline(always)] // each `first` is another
    pub(crate) fn give_birth(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        owner: Owner,
        newborn: Newborn<C>,
        first: impl FnOnce(&mut Tcb<C>, &mut Env<'_, O>, Birth<C>, &PathFacts) -> First,
    ) {
        let Newborn { active, birth, mut path } = newborn;
        let settings = &birth.settings;
        if settings.share_path_facts && !self.hosts.is_empty() {
            path.host = self.hosts.find(now, flow);
        }
        let is_watched = settings.least_progress.is_some();
        let born = self.table.bear(id, || Tcb::vacant(Rc::clone(settings)));
        let Some((anchor, tcb)) = born else {
            self.common.drop_packet(Some(id), now, DropReason::ConnectionLimit);
            return self.discard(id);
        };
        anchor.set_owner(owner);
        let notice = if active { Pending::CONNECTED } else { Pending::ACCEPTED };
        let mut env = self.common.env(now, id);
        // The handshake may owe an acknowledgement that the segment alone would not.
        match first(tcb, &mut env, birth, &path) {
            First::Usual(effects) => {
                self.events.add(id, anchor, notice.and(usual_notices(effects)));
                self.transmit.push(id, anchor);
            }
            First::Any(mut effects) => {
                effects.transmit = true;
                self.events.add(id, anchor, notice);
                let rearms = note_all(&mut self.events, &mut self.transmit, id, anchor, &effects);
                self.follow(now, id, rearms, effects);
            }
        }
        if is_watched {
            self.watch(now, id);
        }
    }

    /// Acts on what a call on connection `id` brought about.
    pub(crate) fn apply(&mut self, now: Instant, id: ConnId, effects: Effects) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let rearms = note_all(&mut self.events, &mut self.transmit, id, anchor, &effects);
        self.follow(now, id, rearms, effects);
    }

    /// The same of a connection that has a TCB of its own, by `call` and with one look at each.
    #[inline(always)] // each call is another
    pub(crate) fn act(
        &mut self,
        now: Instant,
        id: ConnId,
        call: impl FnOnce(&mut Tcb<C>, &mut Env<'_, O>) -> Option<Effects>,
    ) -> bool {
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return true };
        let Some(effects) = call(tcb, &mut self.common.env(now, id)) else { return false };
        let rearms = note_all(&mut self.events, &mut self.transmit, id, anchor, &effects);
        self.follow(now, id, rearms, effects);
        true
    }

    /// What follows when a call was noted, and its deadline is to be looked at if it `rearms`.
    #[inline(always)] // mostly nothing
    pub(crate) fn follow(&mut self, now: Instant, id: ConnId, rearms: bool, effects: Effects) {
        if let Some(ended) = effects.ended {
            self.end(now, id, ended, effects.reset);
        } else if rearms {
            self.rearm(now, id);
        }
    }

    /// Files the connection's own deadline.
    #[inline(never)]
    pub(crate) fn rearm(&mut self, now: Instant, id: ConnId) {
        let deadline = match self.table.anchors.get(id) {
            Some(Anchor { body: Body::Hot(hot, _), links, .. }) => {
                let hot = *hot;
                let Some(tcb) = self.table.hot.at(hot) else { return };
                if tcb.may_rest_again() {
                    return self.rest_again(now, id, hot);
                }
                let own = tcb.next_deadline(now).unwrap_or(Instant::FAR);
                let deadline = own.min(park_deadline(self.common.limits.parking, now, tcb));
                if self.table.wakes_by(links, deadline) {
                    if tcb.waits_for_release(deadline) {
                        self.put_off(now, id, deadline);
                    }
                    return;
                }
                (deadline != Instant::FAR).then_some(deadline)
            }
            Some(_) => self.deadline_of(now, id),
            None => None,
        };
        self.arm(now, id, deadline);
    }

    /// Files the deadline of a connection that has nothing left to send and waits for what it sent to be acknowledged:
    /// neither does it rest then, nor is it parked.
    #[inline(never)]
    pub(crate) fn await_answer(&mut self, now: Instant, id: ConnId) {
        debug_assert!(!self.transmit.contains(id, &self.table.anchors), "it has more to send");
        let Some((_, tcb)) = self.table.hot_of(id) else { return };
        let deadline = tcb.next_deadline(now).filter(|deadline| *deadline != Instant::FAR);
        self.arm_unqueued(now, id, deadline);
    }

    /// Files the deadline, if there is one, of a connection that is in no queue.
    #[inline]
    pub(crate) fn arm_unqueued(&mut self, now: Instant, id: ConnId, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.table.arm(id, Some(deadline.max(now + LEAST_GAP)));
        }
    }

    /// The deadline of a connection without a TCB of its own.
    fn deadline_of(&self, now: Instant, id: ConnId) -> Option<Instant> {
        match &self.table.anchors.get(id)?.body {
            Body::Hot(..) | Body::Ended(..) | Body::Asked(..) => None,
            Body::Early(early, hot) => {
                let paced = self.table.hot.at(*hot).and_then(|tcb| tcb.early_deadline());
                let early = self.table.early.at(*early);
                let again = early.map(|early| early.handshake.deadline(now));
                again.map(|again| paced.map_or(again, |paced| paced.min(again)))
            }
            Body::Embryo(handshake, _) => Some(handshake.deadline(now)),
            Body::Opening(opening) => {
                let opening = self.table.openings.at(*opening);
                opening.map(|opening| opening.handshake.deadline(now))
            }
            Body::TimeWait(_, until) => Some((*until).into()),
            Body::Parked(parked) => self.table.moulds.deadline(now, parked),
        }
    }

    #[inline(never)]
    fn arm(&mut self, now: Instant, id: ConnId, deadline: Option<Instant>) {
        // What rests has none, mostly.
        let Some(deadline) = deadline else { return };
        // What is past already comes back on the next tick: a mistake in a connection costs a
        // little time then, not the shard. Who waits to transmit is asked soon anyway.
        let gap =
            if self.transmit.contains(id, &self.table.anchors) { QUEUED_GAP } else { LEAST_GAP };
        self.table.arm(id, Some(deadline.max(now + gap)));
    }

    /// A TIME-WAIT record makes way for a new one, if need be.
    #[inline]
    pub(crate) fn make_room_for_record(&mut self, now: Instant) {
        if !self.table.has_free() {
            let evicted = self.table.evict();
            self.note_eviction(now, evicted);
        }
    }

    /// A connection wakes before its deadline. Usually that is left so: a busy one would move all the
    /// time. After one request in a long silence, or where a rate alone is waited for, it would be a look
    /// at cold memory for nothing.
    #[inline(never)]
    fn put_off(&mut self, now: Instant, id: ConnId, deadline: Instant) {
        self.table.postpone(id, deadline.max(now + LEAST_GAP));
    }

    /// A segment for an active open.
    pub(crate) fn deliver_opening(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        segment: &mut Segment,
    ) {
        let path = self.path_facts(flow);
        let Some(anchor) = self.table.anchors.get(id) else { return };
        let Body::Opening(opening) = anchor.body else { return };
        let owner = anchor.owner();
        let Some(opening) = self.table.openings.at_mut(opening) else { return };
        let ActiveOpen { birth, attempt, closed, handshake, .. } = opening;
        let (closed, limits) = (*closed, &self.common.limits);
        match handshake.handle_segment(now, segment, &birth.settings, &path, limits) {
            HandshakeOutcome::Ignored(reason) => self.common.drop_packet(Some(id), now, reason),
            HandshakeOutcome::Reply(reply) => {
                self.send_reply(now, flow, &reply);
                self.rearm(now, id);
            }
            HandshakeOutcome::Challenge(reply, reason) => {
                self.challenge(now, id, flow, &reply, reason);
            }
            HandshakeOutcome::Reset(reply) => {
                let counters = &mut self.common.counters;
                counters.resets_out = counters.resets_out.wrapping_add(1);
                self.send_reply(now, flow, &reply);
                self.apply(now, id, Effects::ended(CloseReason::Refused));
            }
            HandshakeOutcome::Refused | HandshakeOutcome::Forgotten => {
                let counters = &mut self.common.counters;
                counters.resets_in = counters.resets_in.wrapping_add(1);
                self.apply(now, id, Effects::ended(CloseReason::Refused));
            }
            HandshakeOutcome::Established(mut opening) => {
                let (birth, ordinary) = (birth.clone(), attempt.is_none());
                if !self.make_room_for_tcb(now) {
                    return self.common.drop_packet(Some(id), now, DropReason::ConnectionLimit);
                }
                let written = match ordinary {
                    true => Chain::new(),
                    false => self.learn_from_answer(now, id, flow, segment, &opening),
                };
                let last = LastStep { segment, written };
                let start = Start { opening: &mut opening, birth, path };
                self.establish(now, id, flow, owner, start, last);
                if owner == Owner::Nobody {
                    self.release(now, id);
                } else if closed {
                    self.close_sending(now, id);
                }
            }
        }
    }

    /// A challenge acknowledgement for a half-open record. These have no throttle of their own and
    /// share the bucket of resets to strangers.
    pub(crate) fn challenge(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        reply: &Reply,
        reason: DropReason,
    ) {
        self.common.drop_packet(Some(id), now, reason);
        if self.ip.allow_reset(now) {
            let counters = &mut self.common.counters;
            counters.challenge_acks = counters.challenge_acks.wrapping_add(1);
            self.send_reply(now, flow, reply);
        } else {
            self.common.drop_packet(Some(id), now, DropReason::ChallengeLimited);
        }
    }

    /// The network says something about a path (MUST-54: only to the connection it quotes).
    pub(crate) fn handle_signal(&mut self, now: Instant, signal: &PathSignal) {
        let unmatched = DropReason::IcmpUnmatched;
        let Some(id) = self.table.find(&signal.flow) else {
            return self.common.drop_packet(None, now, unmatched);
        };
        let flow = signal.flow;
        let mut signal = crate::net::segment_signal(&self.ip, signal);
        if let SignalKind::TooBig { segment_octets } = &mut signal.kind {
            *segment_octets = segment_octets.saturating_sub(self.auth_option_octets(&flow));
        }
        if signal.kind == SignalKind::Hard && self.auth.info(&flow).is_some() {
            // RFC 5925 §7.8: what is not signed does not end what is.
            signal.kind = SignalKind::Soft;
        }
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let effects = match &mut anchor.body {
            Body::Hot(hot, _) => match self.table.hot.at_mut(*hot) {
                Some(tcb) => tcb.handle_signal(&mut self.common.env(now, id), &signal),
                None => return,
            },
            Body::Early(_, hot) => match self.table.hot.at_mut(*hot) {
                Some(tcb) => tcb.handle_signal(&mut self.common.env(now, id), &signal),
                None => return,
            },
            Body::Opening(opening) => match self
                .table
                .openings
                .at_mut(*opening)
                .and_then(|opening| opening.on_signal(now, &signal))
            {
                Some(effects) => effects,
                None => return self.common.drop_packet(Some(id), now, unmatched),
            },
            // Nothing of it is on its way: the network says nothing of it.
            Body::Parked(_) => return,
            _ => return self.common.drop_packet(Some(id), now, unmatched),
        };
        if effects.ended.is_some() {
            self.learn_from_silence(now, id);
        }
        self.apply(now, id, effects);
    }
}

/// Notes what a call brought about: for the application, if it holds the connection, and that there is something to be
/// sent. Whether the connection's deadline is to be looked at.
#[inline(always)] // with the anchor at hand
pub(crate) fn note_all(
    events: &mut Events,
    transmit: &mut Turns,
    id: ConnId,
    anchor: &mut Anchor,
    effects: &Effects,
) -> bool {
    if anchor.is_held() {
        events.add(id, anchor, notices(effects));
    }
    let transmits = effects.transmit && effects.ended.is_none();
    if transmits {
        transmit.push(id, anchor);
    }
    // Who waits to transmit is asked for a deadline when nothing is left to send.
    !transmits
}

/// What the application is told of an expected segment.
#[inline(always)] // for each packet
pub(crate) fn usual_notices(effects: UsualEffects) -> Pending {
    Pending::READABLE.when(effects.readable).and(Pending::WRITABLE.when(effects.writable))
}

/// What the application is told of a call.
fn notices(effects: &Effects) -> Pending {
    Pending::READABLE
        .when(effects.readable)
        .and(Pending::WRITABLE.when(effects.writable))
        .and(Pending::PEER_CLOSED.when(effects.peer_closed))
        .and(Pending::URGENT.when(effects.urgent))
        .and(Pending::PATH_SUSPECT.when(effects.path_suspect))
        .and(Pending::SOFT_ERROR.when(effects.soft_error))
}

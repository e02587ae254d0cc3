//! Fast opens by peers.
//!
//! Owns: whether a SYN is a fast open, and the connection from then until its SYN-ACK is
//! acknowledged. It has a TCB from the start, and the handshake record beside it.
//! Must not know: what a connection does with data.
//! Implements: RFC 7413 §4.1.2, §4.2.1, §4.2.2, §5.1; 7413-2 to -4, 7413-6, AT-33.
//!
//! A pending fast open is a half-open record like others: it counts among those of the listener and
//! of its source.

use super::FastOpenListen;
use super::keys::Checked;
use crate::anchor::{Body, Owner, waits_at};
use crate::events::Pending;
use crate::shard::Shard;
use usertcp_base::observe::{CloseReason, RetransmitCause};
use usertcp_base::{
    ConnId, DropReason, Event, FlowKey, Instant, ListenerId, Observer, Seq, SharedKey,
};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Effects, Handshake, HandshakeDeadline, HandshakeOutcome, Reply, Segment, Tcb};
use usertcp_wire::tcp::Cookie;

/// A connection whose SYN-ACK is not acknowledged, and which is there all the same.
#[derive(Debug)]
pub(crate) struct EarlyConnection {
    pub handshake: Handshake,
    pub listener: ListenerId,
}

/// What a SYN gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SynAnswer {
    /// An ordinary handshake.
    Ordinary,
    /// The same, and this cookie.
    WithCookie(Cookie),
    /// A connection at once; and a new cookie, when the one shown was made with the key before.
    Accept(Option<Cookie>),
}

/// A handshake that begins, its SYN-ACK, and the flow.
struct Beginning<'a> {
    flow: &'a FlowKey,
    listener: ListenerId,
    handshake: Handshake,
    reply: Reply,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Switches Fast Open on at `listener`, or off. Off at the start (RFC 7413 §4.2).
    pub fn set_fast_open(&mut self, listener: ListenerId, setup: Option<FastOpenListen>) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.set_fast_open(setup);
        }
    }

    /// A new key for the cookies given out. Those made with the present one stay good until the next
    /// change, and are answered with new ones.
    pub fn rotate_fast_open_key(&mut self, key: SharedKey) {
        self.fast_open_keys.rotate(key);
    }

    /// Both keys, as another host of the same address has them.
    pub fn set_fast_open_keys(&mut self, current: SharedKey, previous: Option<SharedKey>) {
        self.fast_open_keys.set(current, previous);
    }

    /// What a SYN at `listener` gets for which there is a half-open record.
    pub(crate) fn fast_open_answer(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &Segment,
    ) -> SynAnswer {
        let Some(pending) = self.listeners.get_mut(listener).and_then(|all| all.fast_open()) else {
            return SynAnswer::Ordinary;
        };
        let (setup, room) = (pending.setup(), pending.has_room(now));
        let shown = syn.options.fast_open;
        let unasked = setup.without_cookie && !syn.payload.is_empty();
        // A signature leaves no room beside a cookie, and tells more than one does.
        if !room || shown.is_none() && !unasked || self.is_protected(flow) {
            return SynAnswer::Ordinary;
        }
        let Some(server) = self.ip.local(flow.local) else { return SynAnswer::Ordinary };
        let client = usertcp_ip::ip_address(flow.remote);
        let fresh = self.fast_open_keys.cookie(client, server);
        let accepted = match shown {
            _ if unasked => Some(None),
            None => None,
            Some(cookie) if cookie.octets().is_empty() => None,
            Some(cookie) => match self.fast_open_keys.check(&cookie, client, server) {
                Checked::Current => Some(None),
                Checked::Previous => Some(Some(fresh)),
                Checked::Invalid => {
                    let count = &mut self.common.counters.fast_open_cookies_invalid;
                    *count = count.wrapping_add(1);
                    None
                }
            },
        };
        match accepted {
            Some(new)
                if self.room_behind(now, listener).is_ok() && !self.common.pool.is_tight() =>
            {
                SynAnswer::Accept(new)
            }
            _ => SynAnswer::WithCookie(fresh),
        }
    }

    /// A connection for a SYN that may have one at once. Its half-open record is accounted for.
    #[inline(never)]
    pub(crate) fn open_early(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &mut Segment,
        above: Option<Seq>,
        cookie: Option<Cookie>,
    ) {
        let begun = self.begin_passive(now, flow, listener, syn, above);
        let Some(birth) = self.listeners.get(listener).map(|listener| listener.settings().clone())
        else {
            return;
        };
        let Some((handshake, _)) = begun else { return };
        // What is beyond the window of our SYN-ACK is sent again (7413-7).
        syn.payload.truncate(usize::from(handshake.own_window_octets()));
        let octets = u16::try_from(syn.payload.len()).unwrap_or(u16::MAX);
        let handshake = handshake.with_syn_octets(octets);
        let mut reply = handshake.synchronise(now, &birth.settings);
        reply.options.fast_open = cookie;
        let body = Body::Embryo(handshake, listener);
        match self.table.insert(flow, Owner::Nobody, body) {
            Ok((id, evicted)) => {
                self.note_eviction(now, evicted);
                let beginning = Beginning { flow, listener, handshake, reply };
                self.begin_early(now, id, beginning, syn);
            }
            Err(_) => {
                self.listeners.remove_embryo(listener, &flow.remote);
                self.common.drop_packet(None, now, DropReason::ConnectionLimit);
            }
        }
    }

    fn begin_early(
        &mut self,
        now: Instant,
        id: ConnId,
        beginning: Beginning<'_>,
        syn: &mut Segment,
    ) {
        let Beginning { flow, listener, handshake, reply } = beginning;
        let Some(birth) = self.listeners.get(listener).map(|listener| listener.settings().clone())
        else {
            return self.discard(id);
        };
        let path = self.path_facts(flow);
        let opening = handshake.fast_opening();
        let mut env = self.common.env(now, id);
        let mut tcb = Tcb::new(&mut env, &opening, &birth.settings, &path, birth.controller);
        let wanted = syn.payload.len();
        let (taken, effects) = tcb.take_syn_data(&mut env, core::mem::take(&mut syn.payload));
        let hot = if taken == wanted { self.table.insert_hot(id, tcb) } else { None };
        let early = EarlyConnection { handshake, listener };
        let early = hot.and_then(|_| self.table.early.insert(early));
        let (Some(hot), Some(early)) = (hot, early) else {
            if let Some(hot) = hot {
                self.table.discard_hot(hot.slot);
            }
            // As if the SYN had been lost: the next one is without data.
            self.common.drop_packet(Some(id), now, DropReason::ReceiveMemory);
            return self.discard(id);
        };
        if let Some(anchor) = self.table.set_body(id, Body::Early(early.slot, hot.slot)) {
            anchor.set_owner(Owner::Listener(listener));
            self.events.add(id, anchor, Pending::ACCEPTED);
        }
        let anchors = &self.table.anchors;
        if let Some(queue) = self.listeners.get_mut(listener) {
            let queued = queue.push(id, |id| waits_at(anchors, id, listener));
            debug_assert!(queued, "there was room");
            if let Some(pending) = queue.fast_open() {
                pending.add();
            }
        }
        let counters = &mut self.common.counters;
        counters.passive_opens = counters.passive_opens.wrapping_add(1);
        counters.fast_opens_in = counters.fast_opens_in.wrapping_add(1);
        self.send_reply(now, flow, &reply);
        self.apply(now, id, effects);
    }

    /// A segment for a connection whose SYN-ACK is not acknowledged.
    pub(crate) fn deliver_early(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        segment: &mut Segment,
    ) {
        let Some((early, hot)) = self.early(id) else { return };
        let Some(early) = self.table.early.at_mut(early) else { return };
        let Some(tcb) = self.table.hot.at(hot) else { return };
        let (settings, nxt) = (*tcb.settings(), tcb.snd_nxt());
        let handshake = &mut early.handshake;
        match handshake.handle_fast_open_segment(now, segment, &settings, nxt) {
            HandshakeOutcome::Ignored(reason) => self.common.drop_packet(Some(id), now, reason),
            HandshakeOutcome::Reply(reply) => {
                let opening = handshake.fast_opening();
                if let Some(tcb) = self.table.hot.at_mut(hot) {
                    tcb.heed_syn_again(&opening);
                }
                self.send_reply(now, flow, &reply);
            }
            HandshakeOutcome::Challenge(_, reason) => {
                self.common.drop_packet(Some(id), now, reason);
                let Some(tcb) = self.table.hot.at_mut(hot) else { return };
                let effects = tcb.owe_challenge(&mut self.common.env(now, id));
                self.apply(now, id, effects);
            }
            // Two SYNs that contradict each other are one of accurate and one of classic ECN, and a fast
            // open has no accurate one.
            HandshakeOutcome::Reset(_) => {
                self.common.drop_packet(Some(id), now, DropReason::SynChallenged);
            }
            HandshakeOutcome::Refused | HandshakeOutcome::Forgotten => {
                let counters = &mut self.common.counters;
                counters.resets_in = counters.resets_in.wrapping_add(1);
                self.leave_early(now, id, true);
                self.apply(now, id, Effects::ended(CloseReason::Reset));
            }
            HandshakeOutcome::Established(opening) => {
                let Some(hot) = self.leave_early(now, id, false) else { return };
                let Some(tcb) = self.table.hot.at_mut(hot) else { return };
                let mut env = self.common.env(now, id);
                tcb.complete_fast_open(&mut env, &opening);
                let effects = tcb.handle_segment(&mut env, segment);
                self.apply(now, id, effects);
            }
        }
    }

    /// The indices of what such a connection has.
    fn early(&self, id: ConnId) -> Option<(u32, u32)> {
        match self.table.anchors.get(id)?.body {
            Body::Early(early, hot) => Some((early, hot)),
            _ => None,
        }
    }

    /// Connection `id` waits for no handshake any more: it is an ordinary one, or about to end. Its
    /// TCB, if it was such a connection.
    pub(crate) fn leave_early(&mut self, now: Instant, id: ConnId, reset: bool) -> Option<u32> {
        let (early, hot) = self.early(id)?;
        let listener = self.table.early.at(early)?.listener;
        self.table.set_body(id, Body::with_tcb(hot))?;
        self.listeners.remove_embryo(listener, &self.table.anchors.flow(id)?.remote);
        let counts = self.common.limits.fast_open_reset_counts;
        if let Some(pending) = self.listeners.get_mut(listener).and_then(|all| all.fast_open()) {
            if reset {
                pending.remove_reset(now, counts);
            } else {
                pending.remove();
            }
        }
        Some(hot)
    }

    /// Time passed for a connection whose SYN-ACK is not acknowledged: that is what is sent again,
    /// without the Fast Open option (RFC 7413 §4.2.1), and nothing else.
    pub(crate) fn early_deadline(&mut self, now: Instant, id: ConnId) {
        let Some(flow) = self.table.anchors.flow(id) else { return };
        let Some((early, hot)) = self.early(id) else { return };
        let Some(early) = self.table.early.at_mut(early) else { return };
        let Some(tcb) = self.table.hot.at(hot) else { return };
        let settings = *tcb.settings();
        match early.handshake.handle_deadline(now, &settings, &self.common.limits) {
            HandshakeDeadline::NotYet => {
                self.wake(id);
                self.rearm(now, id);
            }
            HandshakeDeadline::Retransmit { reply, .. } => {
                let counters = &mut self.common.counters;
                counters.segments_retransmitted = counters.segments_retransmitted.wrapping_add(1);
                let (seq, cause) = (reply.header.seq, RetransmitCause::Handshake);
                let event = Event::Retransmitted { seq, octets: 0, cause };
                self.common.observer.on_event(Some(id), now, &event);
                self.send_reply(now, &flow, &reply);
                self.wake(id);
                self.rearm(now, id);
            }
            HandshakeDeadline::TimedOut => {
                self.apply(now, id, Effects::ended(CloseReason::TimedOut));
            }
        }
    }
}

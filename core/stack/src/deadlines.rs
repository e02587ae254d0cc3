//! Time passes.
//!
//! Owns: what each kind of body does when its deadline fires.
//! Must not know: how deadlines are found (the wheel), what a TCB's timers are.
//! Implements: RFC 9293 §3.10.8, MUST-22, MUST-23, BG-4 (SYN-ACK retransmission), DESIGN §7.4.

use crate::anchor::Body;
use crate::shard::Shard;
use crate::turns::press_of;
use crate::usual::{AHEAD, CROWD};
use usertcp_base::observe::{CloseReason, RetransmitCause};
use usertcp_base::{ConnId, Event, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Effects, HandshakeDeadline};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Whether anything may be due: mostly nothing is.
    #[inline(always)] // once a turn
    pub(crate) fn may_be_due(&self, now: Instant) -> bool {
        self.table.wheel.may_be_due(now) || self.common.unusual
    }

    /// Handles what is due, at most `budget` records (moves inside the wheel count too). Whether
    /// everything due was handled; if not, [`Shard::next_deadline`] is not after `now`.
    pub fn handle_deadlines(&mut self, now: Instant, budget: u32) -> bool {
        if self.ip.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.ip.expire(now);
            self.count_network_drops(now);
        }
        self.link_deadline(now);
        self.serve_starved(now);
        let mut work = budget;
        while let Some(id) = self.table.pop_due(now, &mut work) {
            if self.table.tcbs() < CROWD {
                self.handle_deadline(now, id);
            } else {
                self.handle_crowd_of_deadlines(now, id, &mut work);
            }
        }
        while let Some(id) = self.table.pop_time_wait(now, &mut work) {
            self.table.remove(id);
        }
        let looked = self.watch.is_empty() || self.look_at_slow_peers(now, budget);
        work > 0 && looked
    }

    /// Handles what is due, `first` and others, while there are more connections than the caches hold:
    /// their memory is waited for together.
    #[inline(never)]
    fn handle_crowd_of_deadlines(&mut self, now: Instant, first: ConnId, work: &mut u32) {
        let mut due = [None; AHEAD];
        due[0] = Some(first);
        self.look_ahead_in_time(now);
        for place in due.iter_mut().skip(1) {
            *place = self.table.pop_due(now, work);
            if place.is_none() {
                break;
            }
        }
        self.look_ahead_at(&due.map(|id| id.map(|id| id.slot)));
        for id in due.iter().flatten() {
            self.handle_deadline(now, *id);
        }
    }

    /// Packets that died in the network layer beside the one it was asked about.
    pub(crate) fn count_network_drops(&mut self, now: Instant) {
        while let Some((reason, count)) = self.ip.poll_drop() {
            for _ in 0..count {
                self.common.drop_packet(None, now, reason);
            }
        }
    }

    pub(crate) fn handle_deadline(&mut self, now: Instant, id: ConnId) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        match &mut anchor.body {
            Body::Hot(hot, _) => {
                let Some(tcb) = self.table.hot.at_mut(*hot) else { return };
                let effects = tcb.handle_deadline(&mut self.common.env(now, id));
                if effects.transmit
                    && let Some(press) = press_of(tcb.settings(), &self.rates)
                {
                    self.transmit.press(id, &mut self.table.anchors, press);
                }
                // Who is quiet sends nothing either; a deadline of its TCB would only wake what is parked.
                if effects.are_silent() && self.park_if_quiet(now, id) {
                    return;
                }
                self.apply(now, id, effects);
                let _ = self.park_if_quiet(now, id);
            }
            Body::Parked(_) => self.parked_deadline(now, id),
            Body::Early(..) => self.early_deadline(now, id),
            Body::Embryo(..) | Body::Opening(..) => self.handshake_deadline(now, id),
            Body::TimeWait(_, until) => {
                if Instant::from(*until) <= now {
                    self.table.remove(id);
                } else {
                    self.rearm(now, id);
                }
            }
            // Nobody decided: as if the SYN had been lost.
            Body::Asked(..) => self.discard(id),
            Body::Ended(..) => {}
        }
    }

    fn handshake_deadline(&mut self, now: Instant, id: ConnId) {
        let Some(flow) = self.table.anchors.flow(id) else { return };
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let limits = &self.common.limits;
        let passive = matches!(anchor.body, Body::Embryo(..));
        let outcome = match &mut anchor.body {
            Body::Embryo(handshake, listener) => match self.listeners.get(*listener) {
                Some(listener) => {
                    handshake.handle_deadline(now, &listener.settings().settings, limits)
                }
                None => HandshakeDeadline::TimedOut,
            },
            Body::Opening(opening) => {
                let Some(opening) = self.table.openings.at_mut(*opening) else { return };
                opening.handshake.handle_deadline(now, &opening.birth.settings, limits)
            }
            _ => return,
        };
        match outcome {
            HandshakeDeadline::NotYet => self.rearm(now, id),
            HandshakeDeadline::Retransmit { reply, suspect } => {
                let counters = &mut self.common.counters;
                counters.segments_retransmitted = counters.segments_retransmitted.wrapping_add(1);
                let event = Event::Retransmitted {
                    seq: reply.header.seq,
                    octets: 0,
                    cause: RetransmitCause::Handshake,
                };
                self.common.observer.on_event(Some(id), now, &event);
                self.send_reply(now, &flow, &reply);
                let effects = Effects { path_suspect: suspect && !passive, ..Effects::default() };
                self.apply(now, id, effects);
            }
            HandshakeDeadline::TimedOut if passive => self.discard(id),
            HandshakeDeadline::TimedOut => {
                self.learn_from_silence(now, id);
                self.apply(now, id, Effects::ended(CloseReason::TimedOut));
            }
        }
    }
}

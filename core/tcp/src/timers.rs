//! Time passes. Owns: the list of a connection's timers, its one deadline, what each brings.
//! Must not know: the wheel.
//! Implements: RFC 9293 §3.10.8, §3.8.3 (R1, R2), §3.8.6.1, RFC 6298 §5, RFC 8985 §8, RFC 6429.

use crate::effects::Effects;
use crate::env::Env;
use crate::halves::StateName;
use crate::keepalive::KeepAliveDue;
use crate::mtu::Fell;
use crate::recovery::{SendWindowFacts, TimerOutcome};
use crate::send::probe::Persisting;
use crate::tcb::Tcb;
use usertcp_base::{CloseReason, Event, Instant, Limiter, Observer, Span};
use usertcp_cc::CongestionController;

/// R1: so many timeouts of one segment make the path suspect (SHLD-10).
const SUSPECT_AFTER: u8 = 3;

impl<C: CongestionController> Tcb<C> {
    /// When to come back: the earliest of everything that waits for time.
    #[inline]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let earliest = self.release.min(self.deadline_of_others(now));
        (earliest != Instant::FAR).then_some(earliest)
    }

    /// The earliest of everything but the pacer that waits for time.
    #[inline(always)] // into each of the two that ask
    fn deadline_of_others(&self, now: Instant) -> Instant {
        let waited_for = self.recovery.deadline_or_far().min(self.acks.deadline_or_far(now));
        if !self.prediction.is_known() || self.settings.keep_alive.enabled {
            waited_for.min(self.seldom_deadline(now))
        } else if self.snd.una == self.snd.nxt {
            // Of what is seldom, a connection that is plain, or is but for closing, has no more than this,
            // or that.
            waited_for.min(self.rest_deadline(now).unwrap_or(Instant::FAR))
        } else {
            let limit = self.settings.give_up.unwrap_or(Span::MAX);
            waited_for.min(self.progress + limit)
        }
    }

    /// The earliest of what few connections wait for, and of what takes long.
    #[inline(never)]
    fn seldom_deadline(&self, now: Instant) -> Instant {
        let mut earliest = self.rare.linger();
        let mut wait_for = |deadline: Option<Instant>| {
            if let Some(deadline) = deadline {
                earliest = earliest.min(deadline);
            }
        };
        wait_for(self.persist.deadline());
        wait_for(self.persist_deadline());
        if self.settings.keep_alive.enabled {
            wait_for(self.keep_alive_deadline());
        }
        wait_for(self.give_up_deadline());
        wait_for(self.rest_deadline(now));
        earliest
    }

    /// Whether the stream's own limit holds data back: nothing new leaves before a moment that is still to
    /// come. A controller may think better of its rate before.
    #[inline]
    pub fn awaits_release(&self, now: Instant) -> bool {
        self.release != Instant::FAR
            && now < self.release
            && self.stopwatches.running() == Limiter::Rate
    }

    /// Whether the next release of data, which a rate holds back, is at `deadline`.
    #[inline]
    pub fn waits_for_release(&self, deadline: Instant) -> bool {
        self.release == deadline && deadline != Instant::FAR
    }

    /// Keep-alive waits while anything is outstanding (MUST-26), and rests where silence is all
    /// that is left: both streams are complete and the reader takes its time.
    fn keep_alive_waits(&self) -> bool {
        let over = matches!(self.halves.state(), StateName::TimeWait | StateName::Closed);
        over || self.snd.outstanding() > 0 || self.persist.is_probing()
    }

    fn keep_alive_deadline(&self) -> Option<Instant> {
        if self.keep_alive_waits() {
            return None;
        }
        self.keep_alive.deadline(self.last_heard, self.snd.una, &self.settings)
    }

    /// R2: nothing got through for too long (MUST-20, MUST-21).
    fn give_up_deadline(&self) -> Option<Instant> {
        if self.snd.outstanding() == 0 && !self.persist.is_probing() {
            return None;
        }
        self.user_timeout().map(|limit| self.progress + limit)
    }

    /// The user timeout in force: the application's, or what the peer's option makes of it.
    pub(crate) fn user_timeout(&self) -> Option<Span> {
        self.user_timeout.in_force(&self.settings, || self.recovery.rto())
    }

    /// The peer has kept its window closed for too long (6429-1).
    fn persist_deadline(&self) -> Option<Instant> {
        Some(self.persist.closed_since()? + self.persist_limit()?)
    }

    /// The deadline may have passed: sees to everything that is due.
    pub fn handle_deadline<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        let mut effects = Effects::default();
        if self.is_only_released(env.now) {
            self.release = Instant::FAR;
            self.settle(env, &mut effects);
            return effects;
        }
        self.unpredict();
        if let Some(reason) = self.run_out(env.now) {
            return self.abandon(env, reason);
        }
        if self.recovery.deadline().is_some_and(|deadline| deadline <= env.now) {
            self.on_recovery_timer(env, &mut effects);
        }
        match self.persist.fire(env.now) {
            Persisting::Off | Persisting::Rest => {}
            Persisting::Window => self.owed.probe = true,
            // It is open but small, or company did not come: send what there is.
            Persisting::Partial => self.owed.partial = true,
        }
        let settings = self.ack_settings();
        let _ = self.acks.on_deadline(env.now, &settings);
        // The transmission that follows asks the pacer again.
        if self.release <= env.now {
            self.release = Instant::FAR;
        }
        if let Some(reason) = self.on_keep_alive(env.now) {
            return self.abandon(env, reason);
        }
        if self.rest_deadline(env.now).is_some_and(|deadline| deadline <= env.now) {
            self.rest(env.now);
        }
        self.settle(env, &mut effects);
        self.predict();
        effects
    }

    /// Whether a plain connection has waited for its pacer, and for nothing else that is due: then it is asked for a
    /// segment, and what is rare need not be looked at.
    fn is_only_released(&self, now: Instant) -> bool {
        self.release <= now && self.is_predicted() && self.deadline_of_others(now) > now
    }

    /// How long the peer may keep its window closed. When nobody is left to wait for it, R2 ends
    /// that too (AT-9).
    fn persist_limit(&self) -> Option<Span> {
        let unowned = if self.wants.detached { self.user_timeout() } else { None };
        self.settings.persist_limit.or(unowned)
    }

    /// A limit in time that ends the connection.
    fn run_out(&self, now: Instant) -> Option<CloseReason> {
        let past = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if past(self.give_up_deadline()) || past(self.persist_deadline()) {
            return Some(CloseReason::TimedOut);
        }
        if self.rare.linger() <= now {
            return Some(CloseReason::Normal);
        }
        None
    }

    /// Over, and the peer is told: it may be alive after all.
    pub(crate) fn abandon<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        reason: CloseReason,
    ) -> Effects {
        let reset = self.reset(env);
        Effects::default().and_reset(reason, reset)
    }

    fn on_recovery_timer<O: Observer>(&mut self, env: &mut Env<'_, O>, effects: &mut Effects) {
        let window = SendWindowFacts {
            right_edge: self.snd.right_edge(),
            new_data_ready: self.new_data_ready(),
            mtu_probe: self.mtu.probe(),
        };
        // It may have been another when something was sent or acknowledged last: blocks took room.
        self.recovery.note_mss(self.send_mss());
        match self.recovery.on_timer(env.now, &mut self.controller, window) {
            // The persist timer runs, and probes.
            TimerOutcome::Nothing | TimerOutcome::WindowClosed => {}
            TimerOutcome::Timeout { count } => self.on_timeout(env, count, effects),
            TimerOutcome::Probe { new_data } => {
                env.counters.tail_probes = env.counters.tail_probes.wrapping_add(1);
                // A held partial segment is as good a probe as any.
                self.owed.partial |= new_data;
            }
            TimerOutcome::Lost { octets, entered_recovery } => {
                if entered_recovery {
                    self.reduced_for_loss();
                }
                env.observe(&Event::Lost(octets));
            }
        }
    }

    fn on_timeout<O: Observer>(&mut self, env: &mut Env<'_, O>, count: u8, effects: &mut Effects) {
        env.counters.timeouts = env.counters.timeouts.wrapping_add(1);
        env.observe(&Event::Timeout(count));
        self.reduced_for_loss();
        if count == SUSPECT_AFTER {
            effects.path_suspect = true;
            env.observe(&Event::PathSuspect);
        }
        let lost = self.lost_flight(count);
        if let Some(fell) = self.mtu.on_timeout(env.now, &lost, &self.settings) {
            self.recovery.on_smaller_segments(self.send_mss());
            // What was lost was too big, which says nothing about congestion (IC-9). Where nobody
            // said so, this is certain enough of a first flight only: there is no other reason for
            // all of it to vanish.
            if count == 1 && (fell == Fell::Told || self.octets_acknowledged == 0) {
                self.controller.on_undo(env.now);
            }
            self.segment_changed(env, self.mtu.segment_octets());
        }
    }

    fn on_keep_alive(&mut self, now: Instant) -> Option<CloseReason> {
        if self.keep_alive_waits() {
            return None;
        }
        match self.keep_alive.fire(now, self.last_heard, self.snd.una, &self.settings) {
            KeepAliveDue::NotYet => None,
            KeepAliveDue::Probe => {
                self.owed.probe = true;
                None
            }
            KeepAliveDue::GiveUp => Some(CloseReason::KeepAlive),
        }
    }
}

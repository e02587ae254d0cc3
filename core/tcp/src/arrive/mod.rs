//! The spine: segment arrival on a synchronised connection, in the RFC's order.
//!
//! Owns: the order of the steps. Each step is a function in a file of its own, takes what it needs,
//! and either goes on or is the last.
//! Must not know: how the segment was found to belong here.
//! Implements: RFC 9293 §3.10.7.4, with RFC 7323 §5 before it and RFC 5961 within it.

mod ack;
mod check;
mod data;

use self::check::Acceptable;
use crate::close::{TimeWait, TimeWaitTimestamps};
use crate::effects::{Effects, Ended, LastWord};
use crate::env::Env;
use crate::halves::StateName;
use crate::predicted::UsualSegment;
use crate::recv::ack_policy::AckNeed;
use crate::segment::Segment;
use crate::tcb::Tcb;
use alloc::boxed::Box;
use core::ops::ControlFlow;
use usertcp_base::{CloseReason, Instant, Observer, Seq, WireWindow};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::Flags;

/// Whether the next step is taken.
pub(crate) type Step<T = ()> = ControlFlow<(), T>;

impl<C: CongestionController> Tcb<C> {
    /// A segment for this connection arrived. Its payload is taken.
    pub fn handle_segment<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &mut Segment,
    ) -> Effects {
        if let Some(usual) = UsualSegment::of(segment) {
            let payload = &mut segment.payload;
            if let Some(effects) = self.handle_answer(env, &usual, payload) {
                return effects.into();
            }
            if let Some(effects) = self.handle_usual(env, &usual, payload, 0) {
                return effects.into();
            }
            if let Some(closing) = self.handle_closing(env, &usual, payload, 0) {
                return closing.effects(usual.fin);
            }
        }
        self.unpredict();
        let mut effects = Effects::default();
        let _ = self.steps(env, segment, &mut effects);
        self.settle(env, &mut effects);
        self.predict();
        effects
    }

    /// What a SYN that completed the handshake brought beside itself. Mostly nothing: what it says of
    /// window and timestamps [`Tcb::new`] was told.
    pub fn handle_rest_of_syn<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &mut Segment,
    ) -> Effects {
        let nothing = segment.payload.is_empty()
            && segment.header.flags == Flags::ACK
            && segment.options.user_timeout.is_none()
            && !self.ecn.is_agreed();
        if !nothing {
            return self.handle_segment(env, segment);
        }
        (self.snd.wl1, self.snd.wl2) = (segment.header.seq, segment.header.ack);
        Effects { transmit: true, ..Effects::default() }
    }

    /// The same of a SYN-ACK of the usual shape, with this sequence and acknowledgement number: nothing but what
    /// told of the window.
    #[inline]
    pub fn note_usual_syn_ack(&mut self, seq: Seq, ack: Seq) {
        (self.snd.wl1, self.snd.wl2) = (seq + 1, ack);
    }

    fn steps<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &mut Segment,
        effects: &mut Effects,
    ) -> Step {
        self.timestamp_check(env, segment)?; // RFC 7323 §5.3
        let acceptable = self.window_check(env, segment)?; // first
        self.reset_check(env, segment, effects)?; // second; third, security, is not implemented
        self.synchronise_check(env, segment)?; // fourth
        self.ack_step(env, segment, effects)?; // fifth
        self.marks_step(env.now, segment, acceptable == Acceptable::Whole);
        self.urgent_step(segment, effects); // sixth
        self.data_step(env, segment, acceptable, effects) // seventh, and eighth: FIN
    }

    /// What every call ends with: is something to be sent, may the application write, is it over?
    pub(crate) fn settle<O: Observer>(&mut self, env: &mut Env<'_, O>, effects: &mut Effects) {
        if effects.ended.is_some() {
            return;
        }
        effects.transmit = true;
        effects.writable |= self.take_writable(env.limits, env.pool);
        self.end_if_over(env, effects);
    }

    /// Both halves are closed and nobody has anything left to read: the record shrinks or goes.
    pub(crate) fn end_if_over<O: Observer>(&mut self, env: &mut Env<'_, O>, effects: &mut Effects) {
        let unread = self.receiver.queued() > 0 && !self.wants.detached;
        match self.halves.state() {
            StateName::Closed if !unread => {
                effects.end(Ended::Forget(CloseReason::Normal));
            }
            StateName::TimeWait if !unread => effects.end(Ended::TimeWait),
            StateName::FinWait2 if self.wants.detached && self.rare.linger() == Instant::FAR => {
                self.rare.set_linger(env.now + env.limits.fin_wait_2);
            }
            _ => {}
        }
    }

    /// The TIME-WAIT record of this connection, which ended with one, and the acknowledgement it owes at
    /// birth: to be sent now. Later it answers no faster than its throttle lets it.
    pub fn time_wait<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        ended: Ended,
    ) -> (TimeWait, LastWord) {
        if let Some(record) = self.usual_time_wait(env.now, ended)
            && let Some(segment) = record.usual_acknowledgement(env.now)
        {
            return (record, LastWord::Usual(segment));
        }
        if self.owes_last_word(env.now, ended) {
            let reply = self.header(env, Flags::ACK, self.snd.nxt, 0);
            return (self.time_wait_after(reply.header.window), LastWord::Any(Box::new(reply)));
        }
        let window = self.announce_window();
        (self.time_wait_after(window), LastWord::Nothing)
    }

    fn owes_last_word(&self, now: Instant, ended: Ended) -> bool {
        let owed = self.owed.challenge || self.acks.need(now) != AckNeed::None;
        owed && ended == Ended::TimeWait
    }

    /// The record, if it owes an acknowledgement at birth, and that is of the usual shape: it is
    /// [`TimeWait::usual_acknowledgement`], and to be sent.
    #[inline(always)] // it is put together in its place
    pub fn usual_time_wait(&mut self, now: Instant, ended: Ended) -> Option<TimeWait> {
        let usual = self.timestamps.is_on() && self.has_no_option_but_timestamps();
        if !usual || !self.owes_last_word(now, ended) {
            return None;
        }
        let window = self.announce_in_order();
        Some(self.time_wait_after(window))
    }

    /// The TIME-WAIT record of this connection, which has announced `window` last.
    #[inline(always)] // as above
    fn time_wait_after(&self, window: WireWindow) -> TimeWait {
        let offset = self.timestamp_offset;
        TimeWait {
            snd_nxt: self.snd.nxt,
            rcv_nxt: self.receiver.nxt(),
            window,
            timestamps: self.timestamps.echo().map(|recent| TimeWaitTimestamps { offset, recent }),
            last_reply: None,
            dscp: self.settings.dscp,
            hop_limit: self.settings.hop_limit,
        }
    }
}

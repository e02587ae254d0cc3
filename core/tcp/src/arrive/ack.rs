//! The fifth step: the acknowledgement field and the window.
//! Implements: RFC 9293 §3.10.7.4 fifth (E-16, E-18 … E-20), RFC 5961 §5, RFC 7323 §4.1.

use super::Step;
use crate::effects::Effects;
use crate::env::Env;
use crate::halves::SendHalf;
use crate::recovery::{AckInput, AckOutcome};
use crate::recv::ack_check::{self, AckCheck, SendSpace, WindowSource, WindowUpdate};
use crate::segment::Segment;
use crate::tcb::Tcb;
use crate::transition::Move;
use core::ops::ControlFlow::{Break, Continue};
use usertcp_base::{DropReason, Event, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::Flags;

impl<C: CongestionController> Tcb<C> {
    pub(super) fn ack_step<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
        effects: &mut Effects,
    ) -> Step {
        if !segment.has(Flags::ACK) {
            env.drop_segment(DropReason::AckMissing);
            return Break(());
        }
        let ack = segment.header.ack;
        match ack_check::check(ack, &self.send_space()) {
            AckCheck::Advances(_) | AckCheck::Current => {}
            AckCheck::Old => {
                self.note_heard(env, segment);
                return Continue(());
            }
            AckCheck::TooNew => return self.refuse_ack(env, DropReason::AckTooNew),
            AckCheck::TooOld => return self.refuse_ack(env, DropReason::AckTooOld),
        }
        self.note_heard(env, segment);
        let window_changed = self.take_window(env.now, segment);
        if self.digest_plain(env, segment) {
            self.advance(env, ack, effects);
            return Continue(());
        }
        let outcome = self.digest(env, segment, window_changed);
        self.after_ack(env, ack, &outcome, effects);
        Continue(())
    }

    /// [`Self::digest`] and the report of what came of it, in one piece, where nothing unusual can come
    /// of it. False: nothing has changed.
    fn digest_plain<O: Observer>(&mut self, env: &mut Env<'_, O>, segment: &Segment) -> bool {
        let ack = segment.header.ack;
        let advanced = ack.since(self.snd.una);
        if advanced == 0 || !segment.options.sack.is_empty() || !self.acknowledges_plainly() {
            return false;
        }
        let mss = self.send_mss();
        let (recovery, controller) = (&mut self.recovery, &mut self.controller);
        let Some(rtt) = recovery.on_plain_ack(env.now, ack, mss, controller, env.prng) else {
            return false;
        };
        env.observe(&Event::Acknowledged(advanced));
        env.observe(&Event::RoundTrip(rtt));
        true
    }

    fn send_space(&self) -> SendSpace {
        // Our FIN has a number too.
        let fin = u64::from(self.halves.send() == SendHalf::Closed);
        let acknowledged = self.octets_acknowledged.saturating_add(fin);
        SendSpace {
            una: self.snd.una,
            nxt: self.snd.nxt,
            max_wnd: self.snd.max_wnd,
            acknowledged: acknowledged.min(u64::from(u32::MAX)) as u32,
        }
    }

    fn refuse_ack<O: Observer>(&mut self, env: &mut Env<'_, O>, reason: DropReason) -> Step {
        env.drop_segment(reason);
        self.challenge(env);
        Break(())
    }

    /// The peer lives; its timestamp counts from here on.
    fn note_heard<O: Observer>(&mut self, env: &Env<'_, O>, segment: &Segment) {
        if !segment.payload.is_empty() {
            self.acks.end_silence(env.now, self.last_heard);
        }
        self.last_heard = env.now;
        self.keep_alive.on_heard();
        self.user_timeout.on_option(&self.settings, segment.options.user_timeout);
        let value = segment.timestamp_value();
        self.timestamps.observe(env.now, segment.header.seq, value);
    }

    /// SND.WND, WL1, WL2; whether the window differs from before.
    fn take_window(&mut self, now: Instant, segment: &Segment) -> bool {
        let header = segment.header;
        let mut source = WindowSource { wl1: self.snd.wl1, wl2: self.snd.wl2 };
        if source.offer(header.seq, header.ack) == WindowUpdate::Stale {
            // The window is counted from SND.UNA, which may move on: its right edge does not.
            self.snd.wnd = self.snd.wnd.saturating_sub(header.ack.since(self.snd.una));
            return false;
        }
        (self.snd.wl1, self.snd.wl2) = (source.wl1, source.wl2);
        // What is left of a SYN still has the scale option, which the parser lets nothing else have:
        // its window is not scaled (7323-2).
        let of_syn = segment.options.scale.is_some();
        let window =
            if of_syn { u32::from(header.window.0) } else { self.send_scale.octets(header.window) };
        if self.persist.is_probing() {
            // A peer that answers probes is alive, whatever its window (MUST-37, SHLD-17).
            self.progress = now;
        }
        if self.snd.wnd == 0 && window > 0 {
            self.persist.on_open();
            self.recovery.on_window_opened(now);
        }
        let before = self.snd.right_edge();
        self.snd.wnd = window;
        self.snd.max_wnd = self.snd.max_wnd.max(window);
        header.ack + window != before
    }

    /// Recovery and the controller learn of the acknowledgement.
    fn digest<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
        window_changed: bool,
    ) -> AckOutcome {
        let mut blocks = [(Seq(0), Seq(0)); 4];
        let mut count = 0;
        if self.recovery.sack() {
            for (slot, block) in blocks.iter_mut().zip(segment.options.sack.iter()) {
                *slot = (block.left, block.right);
                count += 1;
            }
        }
        let input = AckInput {
            ack: segment.header.ack,
            sack: blocks.get(..count).unwrap_or(&[]),
            echoed_at: self.echoed_at(env.now, segment),
            window_changed,
            has_payload: segment.sequence_octets() > 0,
            new_data_ready: self.new_data_ready(),
            mss: self.send_mss(),
            marks: self.marks(segment),
            mtu_probe: self.mtu.probe(),
        };
        let smallest = self.controller.budget().window_octets <= input.mss;
        let outcome = self.recovery.on_ack(env.now, &input, &mut self.controller, env.prng);
        self.after_marks(env.now, segment, &outcome, smallest);
        outcome
    }

    /// When the segment whose timestamp comes back was sent.
    pub(super) fn echoed_at(&self, now: Instant, segment: &Segment) -> Option<Instant> {
        let echo = segment.options.timestamps?.echo;
        if self.timestamps.is_on() { self.sent_at(now, echo) } else { None }
    }

    /// When what was sent with the timestamp `echo` was sent.
    pub(crate) fn sent_at(&self, now: Instant, echo: u32) -> Option<Instant> {
        let age_millis = self.timestamp_value(now).wrapping_sub(echo);
        let sent = now.as_millis().checked_sub(u64::from(age_millis))?;
        // An echo from the future, or older than any timeout, is nonsense.
        (age_millis < 1 << 21).then(|| Instant::from_millis(sent))
    }

    /// New data waits and the window has room for some of it.
    pub(crate) fn new_data_ready(&self) -> bool {
        self.unsent_octets() > 0 && self.snd.usable() > 0
    }

    /// What follows once SND.UNA may have moved.
    fn after_ack<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        ack: Seq,
        outcome: &AckOutcome,
        effects: &mut Effects,
    ) {
        self.report(env, outcome);
        if outcome.spurious && self.mtu.on_spurious() {
            self.segment_changed(env, self.mtu.segment_octets());
        }
        self.advance(env, ack, effects);
    }

    /// SND.UNA moves to `ack`, and what was acknowledged leaves the queue.
    fn advance<O: Observer>(&mut self, env: &mut Env<'_, O>, ack: Seq, effects: &mut Effects) {
        let fin_seq = self.fin_seq();
        let fin_sent = self.fin_sent();
        let advanced = ack.since(self.snd.una);
        if advanced == 0 {
            return;
        }
        let fin_acked = fin_sent && ack.after(fin_seq);
        let octets = advanced - u32::from(fin_acked);
        self.queue.advance(octets as usize);
        self.rare.on_acknowledged(self.snd.una);
        self.snd.una = ack;
        self.octets_acknowledged = self.octets_acknowledged.wrapping_add(u64::from(octets));
        self.progress = env.now;
        if let Some(segment_octets) = self.mtu.on_progress(env.now, ack) {
            self.segment_changed(env, segment_octets);
        }
        if self.snd_up.is_some_and(|up| ack.at_or_after(up)) {
            self.snd_up = None;
        }
        // Follow SND.UNA, or 2^31 octets later the mark would lie ahead of it.
        self.snd.small = self.snd.small.latest(ack);
        if fin_acked && self.halves.send() == SendHalf::Closing {
            // An acknowledgement of our FIN: a declared arc from each closing state.
            let _ = self.halves.apply(Move::FinAcknowledged);
            self.queue = usertcp_frame::Chain::default();
            effects.transmit = true;
        }
    }

    fn report<O: Observer>(&mut self, env: &mut Env<'_, O>, outcome: &AckOutcome) {
        if outcome.newly_acked_octets > 0 {
            env.observe(&Event::Acknowledged(outcome.newly_acked_octets));
        }
        if outcome.newly_sacked_octets > 0 {
            env.observe(&Event::Sacked(outcome.newly_sacked_octets));
        }
        if outcome.lost_octets > 0 {
            env.observe(&Event::Lost(outcome.lost_octets));
        }
        if let Some(rtt) = outcome.rtt {
            env.observe(&Event::RoundTrip(rtt));
        }
        if outcome.dsack || outcome.spurious {
            let count = &mut env.counters.spurious_retransmissions;
            *count = count.wrapping_add(1);
            env.observe(&Event::Spurious);
        }
        let changed = outcome.entered_recovery || outcome.left_recovery || outcome.spurious;
        if changed || outcome.reduced_by_mark {
            let snapshot = self.controller.describe();
            env.observe(&Event::Window {
                window: snapshot.window_octets,
                threshold: snapshot.threshold_octets,
            });
        }
    }
}

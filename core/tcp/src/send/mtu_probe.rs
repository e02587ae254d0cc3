//! Probes for a larger path MTU, made of new data.
//! Owns: when there is enough behind a probe, how it leaves, what its loss and its arrival change.
//! Must not know: which size is tried (`mtu`), what is lost (`recovery`).
//! Implements: RFC 4821 §7.4, §7.6; RFC 8899 §3, §5.1.3 (P-1, P-2, P-7).

use super::poll::{Data, Held};
use crate::env::Env;
use crate::halves::SendHalf;
use crate::mtu::LostFlight;
use crate::recovery::RecoveryState;
use crate::settings::{HEADER_OCTETS, TIMESTAMP_OCTETS};
use crate::tcb::Tcb;
use usertcp_base::{Event, Instant, Limiter, Observer, Seq};
use usertcp_cc::{CongestionController, PathChange};

/// Full segments of data that must wait behind a probe.
const QUEUED_BEHIND: u32 = 10;
/// Full segments behind a probe that both windows must have room for: so many show its loss
/// (DupThresh).
const WINDOW_BEHIND: u32 = 3;

impl<C: CongestionController> Tcb<C> {
    /// A probe, or the reason to wait for it; `None` when none is due.
    pub(super) fn poll_mtu_probe<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Option<Data> {
        let segment_octets = self.mtu.probe_due(env.now, &self.settings)?;
        let octets = self.payload_of(segment_octets);
        if !self.may_probe_mtu(octets) {
            return None;
        }
        let budget = self.budget();
        let behind = self.send_mss().saturating_mul(WINDOW_BEHIND);
        if budget.window_octets < octets.saturating_add(behind) {
            return None;
        }
        // Acknowledgements free less than a probe at a time: wait for enough of them.
        let allowance = self.recovery.allowance(budget.window_octets);
        if allowance < octets {
            return Some(Err(Held::by(Limiter::Congestion)));
        }
        if let Err(held) = self.pace(env, allowance, &budget) {
            return Some(Err(held));
        }
        self.persist.stop();
        let seq = self.snd.nxt;
        self.snd.nxt += octets;
        self.recovery.on_sent(env.now, octets, octets, false);
        self.account_sent(env, octets, false);
        self.mtu.on_probe_sent(segment_octets, seq, self.snd.nxt);
        env.observe(&Event::Sent { seq, octets });
        let mut outgoing = self.build(env, seq, octets, octets);
        self.charge(env.now, &outgoing, &budget);
        self.mark_new_data(&mut outgoing.reply);
        Some(Ok(outgoing))
    }

    /// Whether a probe of `octets` has enough behind it, and disturbs nothing else.
    fn may_probe_mtu(&self, octets: u32) -> bool {
        let mss = self.send_mss();
        let queued = octets.saturating_add(mss.saturating_mul(QUEUED_BEHIND));
        let window = octets.saturating_add(mss.saturating_mul(WINDOW_BEHIND));
        self.recovery.state() == RecoveryState::Open
            && self.snd.outstanding() > 0
            && self.unsent_octets() >= queued
            && self.snd.usable() >= window
            // A tail loss probe, or what was flushed, does not wait for room.
            && !self.owed.partial
            && self.receiver.held().is_empty()
            && self.snd_up.is_none()
            // Its size is counted without an option that only now and then goes along.
            && self.ecn_option(true).is_none()
            && !self.ecn.owes_cwr()
            && self.halves.send() != SendHalf::Closed
    }

    /// `[seq, seq + octets)` left again: if it reaches the end of a probe, that one is lost.
    pub(super) fn note_resent(&mut self, now: Instant, seq: Seq, octets: u32) {
        let Some((from, to)) = self.mtu.probe() else { return };
        let end = seq + octets;
        if !seq.before(to) || !end.after(from) {
            return;
        }
        self.recovery.forgive(from.latest(seq), to.earliest(end));
        let alone = self.recovery.state() == RecoveryState::Open;
        if end.at_or_after(to) && self.mtu.on_probe_lost(now, self.snd.nxt, alone) {
            self.take_back_timeout(now);
        }
    }

    /// The timeout was for segments that were too large (IC-9): the threshold is what it was, and
    /// slow start leads there, from an initial window, as after a rest: what filled the path then is
    /// not in flight any more.
    fn take_back_timeout(&mut self, now: Instant) {
        let before = self.controller.budget().window_octets;
        self.controller.on_undo(now);
        if self.controller.budget().window_octets > before {
            let rto = self.recovery.rto();
            self.controller.on_path(now, &PathChange::Idle { idle: rto.saturating_mul(32), rto });
        }
    }

    /// Full segments have another size from now on.
    pub(crate) fn segment_changed<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment_octets: u16,
    ) {
        env.observe(&Event::PathMtu(segment_octets));
        self.controller.on_path(env.now, &PathChange::Mss(self.send_mss()));
    }

    /// What the timeout that just happened found in flight, in the terms of `mtu`.
    pub(crate) fn lost_flight(&self, timeouts: u8) -> LostFlight {
        let vanished = self.recovery.vanished();
        let options = if self.timestamps.is_on() { TIMESTAMP_OCTETS } else { 0 };
        let front = u16::try_from(vanished.front_octets).unwrap_or(u16::MAX);
        LostFlight {
            segment_octets: front.saturating_add(HEADER_OCTETS + options),
            repeated: vanished.repeated,
            silent_segments: vanished.silent_octets / vanished.front_octets.max(1),
            timeouts,
        }
    }
}

//! The steps before the acknowledgement: timestamps, window, reset, SYN.
//! Implements: RFC 7323 §4.3, §5.3 R1 (7323-8, -10, -12, -17), RFC 9293 §3.10.7.4 first, second and fourth
//! (E-9 … E-14), RFC 5961 §3–4, RFC 2883 §4.1.

use super::Step;
use crate::effects::{Effects, Ended};
use crate::env::Env;
use crate::halves::StateName;
use crate::recv::challenge::ChallengeVerdict;
use crate::recv::paws::PawsCheck;
use crate::recv::reset::{self, ResetDecision};
use crate::recv::window_check::{self, Acceptability, Extent, Side};
use crate::segment::Segment;
use crate::settings::Manner;
use crate::tcb::Tcb;
use core::ops::ControlFlow::{Break, Continue};
use usertcp_base::{CloseReason, DropReason, Observer};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::Flags;

/// Whether payload and FIN of an accepted segment may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acceptable {
    /// All of it.
    Whole,
    /// The window is closed: ACK, URG and RST only (E-11).
    ControlOnly,
}

/// What a segment occupies.
pub(crate) fn extent(segment: &Segment) -> Extent {
    Extent {
        seq: segment.header.seq,
        octets: u32::try_from(segment.payload.len()).unwrap_or(u32::MAX),
        syn: segment.has(Flags::SYN),
        fin: segment.has(Flags::FIN),
    }
}

impl<C: CongestionController> Tcb<C> {
    pub(super) fn timestamp_check<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
    ) -> Step {
        let exempt = segment.header.flags.intersects(Flags::RST | Flags::SYN);
        let value = segment.timestamp_value();
        match self.timestamps.check(env.now, exempt, value) {
            PawsCheck::Pass => Continue(()),
            // Linux takes what lacks the option (RFC 7323 §3.2 says SHOULD drop).
            PawsCheck::Missing if self.settings.manner == Manner::Linux => Continue(()),
            PawsCheck::Missing => {
                env.drop_segment(DropReason::TimestampMissing);
                Break(())
            }
            PawsCheck::Old => {
                env.drop_segment(DropReason::PawsOld);
                self.challenge(env);
                Break(())
            }
        }
    }

    pub(super) fn window_check<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
    ) -> Step<Acceptable> {
        // Resets and SYNs have window rules of their own, in the steps that follow.
        if segment.header.flags.intersects(Flags::RST | Flags::SYN) {
            return Continue(Acceptable::Whole);
        }
        let extent = extent(segment);
        let window = self.advertise.window(self.receiver.nxt());
        if extent.is_empty() && extent.seq == window.edge {
            // A peer that filled our window acknowledges from its right edge. The RFC's test calls
            // that outside; refusing it would stall our sending until the peer's loss is repaired.
            return Continue(Acceptable::ControlOnly);
        }
        match window_check::check(&extent, &window) {
            Acceptability::Accept => Continue(Acceptable::Whole),
            Acceptability::ControlOnly => {
                self.acks.demand();
                Continue(Acceptable::ControlOnly)
            }
            Acceptability::Outside(side) => {
                self.outside_window(env, segment, side);
                Break(())
            }
        }
    }

    /// Old data is answered at once, with what was duplicate (a lost acknowledgement made the
    /// peer repeat it); an empty segment may be a blind probe and is answered within the throttle.
    fn outside_window<O: Observer>(&mut self, env: &mut Env<'_, O>, segment: &Segment, side: Side) {
        let extent = extent(segment);
        if extent.is_empty() {
            env.drop_segment(DropReason::OutOfWindow);
            self.challenge(env);
            return;
        }
        let reason = match side {
            Side::Before => DropReason::DuplicateData,
            Side::Beyond => DropReason::OutOfWindow,
        };
        env.drop_segment(reason);
        if side == Side::Before && extent.octets > 0 {
            self.receiver.on_old(extent.data(), extent.octets);
            self.ecn.on_data_again();
        }
        if side == Side::Before && extent.end().at_or_after(self.timestamps.last_ack_sent()) {
            // What was acknowledged last came again, because that acknowledgement was lost, mostly. The next one answers
            // this segment and echoes it: with the echo before, the peer would take its timeout for a round trip.
            self.timestamps.observe(env.now, extent.seq, segment.timestamp_value());
        }
        self.acks.demand();
    }

    pub(super) fn reset_check<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
        effects: &mut Effects,
    ) -> Step {
        if !segment.has(Flags::RST) {
            return Continue(());
        }
        if matches!(self.halves.state(), StateName::TimeWait | StateName::Closed) {
            // Both FINs are acknowledged and the reader is still at it: as in TIME-WAIT proper,
            // a reset changes nothing (RFC 1337 F1).
            env.drop_segment(DropReason::TimeWait);
            return Break(());
        }
        let window = self.advertise.window(self.receiver.nxt());
        let highest = if self.recovery.sack() { self.receiver.highest_held() } else { None };
        match reset::decide(segment.header.seq, &window, highest) {
            ResetDecision::Reset => {
                env.counters.resets_in = env.counters.resets_in.wrapping_add(1);
                effects.end(Ended::Forget(CloseReason::Reset));
            }
            ResetDecision::Challenge => {
                env.drop_segment(DropReason::ResetChallenged);
                self.challenge(env);
            }
            ResetDecision::Ignore => env.drop_segment(DropReason::ResetOutOfWindow),
        }
        Break(())
    }

    pub(super) fn synchronise_check<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
    ) -> Step {
        if !segment.has(Flags::SYN) {
            return Continue(());
        }
        env.drop_segment(DropReason::SynChallenged);
        self.challenge(env);
        if self.owed.challenge {
            self.ecn.on_syn_again(segment);
        }
        Break(())
    }

    /// Owes a challenge acknowledgement, unless the throttle forbids it.
    pub(crate) fn challenge<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        match self.challenge.ask(env.now, self.snd.nxt, self.receiver.nxt(), env.limits) {
            ChallengeVerdict::Send => {
                env.counters.challenge_acks = env.counters.challenge_acks.wrapping_add(1);
                self.owed.challenge = true;
            }
            ChallengeVerdict::Limited => {
                env.counters.count_drop(DropReason::ChallengeLimited);
            }
        }
    }
}

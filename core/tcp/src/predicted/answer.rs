//! A question or an answer: a short segment in order that acknowledges all there was in flight.
//!
//! Of what `arrive` does with a segment, all that is left where each side says one thing at a time: what it would
//! ask is asked first, all of it, and what follows is done without another question.
//! Implements: what `crate::arrive` does with one, where the connection is plain.

use super::arrive::Said;
use super::{Prediction, UsualEffects, UsualSegment};
use crate::env::Env;
use crate::recv::ack_policy::{AckContext, AckSettings};
use crate::tcb::Tcb;
use core::num::NonZeroU32;
use usertcp_base::{Ecn, Event, Instant, Observer, Seq, Span, Stamp, WireWindow, expect_all};
use usertcp_cc::{CongestionController, WindowAfter};
use usertcp_frame::Chain;
use usertcp_wire::usual::Numbers;

/// The most octets that a question or an answer brings.
pub(super) const LONGEST_OCTETS: u32 = 511;

/// What one that was taken told.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answered {
    /// Octets of ours that it acknowledges.
    pub acked_octets: NonZeroU32,
    /// The round-trip sample, µs.
    pub rtt_micros: u32,
}

impl UsualEffects {
    /// Of a question or an answer.
    pub const ANSWER: UsualEffects =
        UsualEffects { transmit: true, readable: true, writable: false };
}

impl Answered {
    /// Tells of it.
    #[inline(always)] // nothing, mostly
    pub fn report(self, mut observe: impl FnMut(&Event)) {
        observe(&Event::Acknowledged(self.acked_octets.get()));
        observe(&Event::RoundTrip(Span::from_micros(u64::from(self.rtt_micros))));
    }
}

impl<C: CongestionController> Tcb<C> {
    /// Takes a segment of the usual shape, without FIN and not marked, that brings 1 to 511 octets, while memory is
    /// not tight: `packet` is one slice, its payload behind `HEADERS` octets; its numbers, its window and its
    /// timestamp. `None`: nothing has changed, it is for [`Tcb::handle_usual`]. Else there is something to read, and to
    /// send.
    #[inline(never)] // its registers are its own
    pub fn take_answer<const HEADERS: usize>(
        &mut self,
        now: Instant,
        packet: &mut Chain,
        numbers: Numbers,
        window: WireWindow,
        value: u32,
    ) -> Option<Answered> {
        let said = Said { seq: numbers.seq(), ack: numbers.ack(), window, value };
        self.answer(now, said, packet, HEADERS)
    }

    /// The same of a segment that was read, whatever it is.
    #[inline(never)]
    pub(crate) fn handle_answer<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        payload: &mut Chain,
    ) -> Option<UsualEffects> {
        let octets = payload.len();
        if octets == 0
            || octets > LONGEST_OCTETS as usize
            || segment.fin
            || segment.ecn == Ecn::CongestionExperienced
            || segment.wire_segments != 1
            || env.pool.is_tight()
        {
            return None;
        }
        let answered = self.answer(env.now, segment.said(), payload, 0)?;
        answered.report(|event| env.observe(event));
        Some(UsualEffects::ANSWER)
    }

    #[inline(always)] // twice
    fn answer(
        &mut self,
        now: Instant,
        said: Said,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<Answered> {
        let only = packet.only()?;
        if only.len() <= header_octets {
            return None;
        }
        let octets = (only.len() - header_octets) as u32;
        let charge = only.charge();
        let (asked_at, acked) = self.expects_answer(now, &said, octets, charge)?;
        debug_assert!(self.is_predicted() && self.has_calmed_down(), "a change was not noted");
        debug_assert!((1..=LONGEST_OCTETS).contains(&octets));
        debug_assert!(acked.get() <= self.usual_mss() * 2);
        let (ack, acked_octets) = (said.ack, acked.get());
        // It is as it was when it was looked at.
        if !self.receiver.take_only(packet, header_octets, octets, charge) {
            return None;
        }
        self.heard(now, said);
        self.advertise.on_arrival(octets, charge);
        self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
        let Tcb { acks, settings, mtu, recovery, .. } = self;
        acks.note_short(now, octets, |acks, gap| {
            let settings = AckSettings { longest: settings.ack_delay, ..AckSettings::default() };
            let (rmss, idle_after) = (mtu.announced_mss(), || recovery.rto());
            acks.follow_short(gap, &AckContext { settings: &settings, rmss, idle_after });
        });
        self.snd.una = ack;
        // Nothing that was sent lies behind it.
        self.snd.small = ack;
        self.octets_acknowledged = self.octets_acknowledged.wrapping_add(u64::from(acked_octets));
        self.progress = now;
        let (recovery, controller) = (&mut self.recovery, &mut self.controller);
        let answer = recovery.on_answer(now, ack, acked_octets, asked_at, controller);
        if answer.window == WindowAfter::Reduced {
            self.stir();
        }
        self.queue.clear();
        Some(Answered { acked_octets: acked, rtt_micros: answer.rtt_micros })
    }

    /// When what it answers was asked, and how much that is, if it is next in order, acknowledges all that was sent and
    /// written, if anything, and closes no window, and brings so little that neither buffer nor window is measured by
    /// it, and there is room.
    #[inline(always)] // as above
    fn expects_answer(
        &mut self,
        now: Instant,
        said: &Said,
        octets: u32,
        charge: u32,
    ) -> Option<(Stamp, NonZeroU32)> {
        let acked_octets = NonZeroU32::new(said.ack.0.wrapping_sub(self.snd.una.0))?;
        let nxt = said.seq + octets;
        expect_all! {
            said.seq == self.receiver.nxt(),
            said.ack == self.snd.nxt,
            self.queue.len() == acked_octets.get() as usize,
            !Seq(said.value).before(Seq(self.timestamps.recent())),
            said.window.0 > 0,
            self.is_calm(),
            self.receiver.has_read_all(),
            charge <= self.autotune.buffer(),
            self.advertise.edge().at_or_after(nxt),
            self.autotune.is_within_window(nxt),
            self.acks.takes_short(now),
        };
        Some((self.recovery.take_asked(now)?, acked_octets))
    }

    /// Whether the connection is plain, and whatever else a question or an answer asks of it that neither these nor
    /// what is sent between them change. True claims are checked where assertions are.
    #[inline(always)]
    fn is_calm(&mut self) -> bool {
        self.prediction >= Prediction::Calm || self.calms_down()
    }

    /// The same where it is not noted. It is now.
    #[inline(never)]
    fn calms_down(&mut self) -> bool {
        let calm = self.is_predicted() && self.has_calmed_down();
        if calm {
            self.prediction = if self.is_free() { Prediction::Free } else { Prediction::Calm };
        }
        calm
    }

    pub(super) fn has_calmed_down(&self) -> bool {
        let rmss = self.receive_mss();
        self.acks.is_calm(rmss, self.settings.ack_delay)
            && u32::from(rmss / 2) > LONGEST_OCTETS
            && u32::from(rmss) <= self.autotune.buffer() / 2
            && !self.wants.write
            && self.fits_short()
            && self.snd.wl1.before(self.receiver.nxt())
            && self.snd.wnd > 0
            && self.autotune.measures_window()
            && self.recovery.is_calm(self.usual_mss(), &self.controller)
    }
}

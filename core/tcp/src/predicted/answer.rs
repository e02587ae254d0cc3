//! A question or an answer: a short segment in order that acknowledges all there was in flight.
//!
//! Of what `arrive` does with a segment, all that is left where each side says one thing at a time: what it would
//! ask is asked first, all of it, and what follows is done without another question.
//! Implements: what `crate::arrive` does with one, where the connection is plain.

use super::{UsualEffects, UsualSegment};
use crate::env::Env;
use crate::tcb::Tcb;
use core::num::NonZeroU32;
use usertcp_base::{Ecn, Event, Instant, Observer, Prng, Seq, Span};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, FrameSlice};
use usertcp_wire::usual::{TCP_OCTETS, read_usual_tcp};

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
    /// Takes note of a segment of the usual shape with this header, not marked, that brings `octets`, 1 to 511,
    /// in `charge` real ones, while memory is not tight. `None`: nothing has changed, it is for
    /// [`Tcb::handle_usual`]. Else [`Tcb::put_answer`] comes next; there is something to read, and to send.
    #[inline(never)] // its registers are its own
    pub fn take_answer(
        &mut self,
        now: Instant,
        header: &[u8; TCP_OCTETS],
        octets: u32,
        charge: u32,
        prng: &mut Prng,
    ) -> Option<Answered> {
        let segment = UsualSegment::new(&read_usual_tcp(header), Ecn::NotCapable);
        self.note_answer(now, &segment, octets, charge, prng)
    }

    /// The same of a segment that was read, whatever it is, and its payload behind `header_octets` others in
    /// `packet`.
    #[inline(never)]
    pub fn handle_answer<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<UsualEffects> {
        let octets = packet.len() - header_octets;
        if octets == 0
            || segment.ecn == Ecn::CongestionExperienced
            || segment.wire_segments != 1
            || octets >= 512
            || packet.slice_count() != 1
            || env.pool.is_tight()
        {
            return None;
        }
        let charge = packet.charge();
        let answered = self.note_answer(env.now, segment, octets as u32, charge, env.prng)?;
        answered.report(|event| env.observe(event));
        self.put_answer(packet.take_only()?, header_octets);
        Some(UsualEffects::ANSWER)
    }

    #[inline(always)] // twice
    fn note_answer(
        &mut self,
        now: Instant,
        segment: &UsualSegment,
        octets: u32,
        charge: u32,
        prng: &mut Prng,
    ) -> Option<Answered> {
        let acked_octets = segment.ack.0.wrapping_sub(self.snd.una.0);
        if !self.is_predicted()
            || !self.is_all_in_order(segment, acked_octets)
            || !self.is_little(segment.seq, octets, charge)
        {
            return None;
        }
        let rmss = self.receive_mss();
        let mss = self.usual_mss();
        if !self.acks.takes_short(now, octets, rmss, self.settings.ack_delay)
            || !self.recovery.is_answer(segment.ack, mss, &self.controller)
        {
            return None;
        }
        self.heard(now, segment);
        self.snd.una = segment.ack;
        self.octets_acknowledged = self.octets_acknowledged.wrapping_add(u64::from(acked_octets));
        self.progress = now;
        self.snd.small = self.snd.small.latest(segment.ack);
        self.receiver.expect_next(octets, charge);
        self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
        self.acks.note_short(now, octets);
        let (recovery, controller) = (&mut self.recovery, &mut self.controller);
        let rtt_micros = recovery.on_answer(now, segment.ack, mss, controller, prng)?;
        Some(Answered { acked_octets: NonZeroU32::new(acked_octets)?, rtt_micros })
    }

    /// Whether it is next in order, acknowledges all that was sent and written, and closes no window.
    #[inline(always)]
    fn is_all_in_order(&self, segment: &UsualSegment, acked_octets: u32) -> bool {
        !segment.fin
            && segment.seq == self.receiver.nxt()
            && segment.ack == self.snd.nxt
            && acked_octets != 0
            && self.queue.len() == acked_octets as usize
            && !Seq(segment.value).before(Seq(self.timestamps.recent()))
            && self.snd.wl1.before(segment.seq)
            && self.snd.wnd > 0
            && segment.window.0 > 0
            && !self.wants.write
    }

    /// Whether it brings so little that neither buffer nor window is measured by it, and there is room.
    #[inline(always)]
    fn is_little(&self, seq: Seq, octets: u32, charge: u32) -> bool {
        octets < u32::from(self.receive_mss() / 2)
            && self.receiver.has_read_all()
            && charge <= self.autotune.buffer()
            && self.advertise.edge().at_or_after(seq + octets)
            && self.autotune.is_measuring(seq + octets)
    }

    /// All that was sent has arrived; what arrived is to be read: `packet` behind its headers.
    #[inline(always)] // as in `take_answer`
    pub fn put_answer(&mut self, mut packet: FrameSlice, header_octets: usize) {
        let octets = packet.len() - header_octets;
        self.advertise.on_arrival(octets as u32, packet.charge());
        if self.queue.take_only().is_none() {
            self.queue.clear();
        }
        packet.advance(header_octets);
        self.receiver.put_next(packet);
    }
}

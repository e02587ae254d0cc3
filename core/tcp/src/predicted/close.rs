//! The end of a connection: FIN, with or without the last data, and what acknowledges it.
//! Implements: what `crate::arrive` and `crate::send::poll` do with these, where the connection is
//! plain but for being closed (RFC 9293 §3.6, §3.10.7.4 fifth and eighth).

use super::answer::LONGEST_OCTETS;
use super::{Answered, Given, Prediction, Single, UsualSegment};
use crate::effects::{Effects, Ended};
use crate::env::Env;
use crate::halves::{Halves, RecvHalf, SendHalf, StateName};
use crate::tcb::Tcb;
use crate::transition::Move;
use core::num::NonZeroU32;
use usertcp_base::{CloseReason, ConnId, Event, Instant, Observer, Prng, Seq, Span, expect_all};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_wire::usual::Numbers;

/// What the last segment of a connection told.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// How the connection ended.
    pub ended: Ended,
    acked_octets: NonZeroU32,
    rtt: Span,
}

impl Last {
    /// Tells of what it acknowledged.
    #[inline(always)] // nothing, mostly
    pub fn report(self, mut observe: impl FnMut(&Event)) {
        observe(&Event::Acknowledged(self.acked_octets.get()));
        observe(&Event::RoundTrip(self.rtt));
    }
}

/// What a segment came to while a side is closed, or by which one is.
#[must_use]
#[derive(Debug)]
pub enum Closing {
    /// It was the last: how the connection ended.
    Over(Ended),
    /// It was an answer: there is something to read, and the end behind it, and something to send.
    Answered,
    /// Any other.
    Other(Effects),
}

impl Closing {
    /// What follows, of a segment with FIN or without.
    pub(crate) fn effects(self, fin: bool) -> Effects {
        let sends = Effects { transmit: true, peer_closed: fin, ..Effects::default() };
        match self {
            Closing::Over(ended) => sends.and_ended(ended),
            Closing::Answered => Effects { readable: true, ..sends },
            Closing::Other(effects) => effects,
        }
    }
}

impl<C: CongestionController> Tcb<C> {
    /// [`Tcb::close`] of a connection that is plain, or plain but for the peer's FIN, when all that arrived has been
    /// read: nothing follows but that there is something to be sent. False: nothing has changed.
    #[inline]
    pub fn close_in_order(&mut self) -> bool {
        let in_order = self.is_orderly()
            && self.halves.send() == SendHalf::Open
            && self.receiver.queued() == 0;
        if in_order {
            (self.wants.detached, self.wants.write) = (true, false);
            // A declared arc from each state that still sends.
            let _ = self.halves.apply(Move::Close);
            self.note_closing();
        }
        in_order
    }

    /// Whether a segment, with FIN or without, is for [`Tcb::handle_closing`], not for [`Tcb::handle_usual`].
    #[inline(always)] // for each packet
    pub fn is_closing_with(&self, fin: bool) -> bool {
        fin || self.is_closing()
    }

    /// Takes a segment that is not for [`Tcb::handle_usual`], because of its FIN, or as one side is closed
    /// already; its payload lies behind `header_octets` others in `packet`. `None`: nothing has changed, as there.
    #[inline(always)] // in two places: each asks its own of what it came to
    pub fn handle_closing<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<Closing> {
        let octets = packet.len() - header_octets;
        if octets == 0
            && let Some(last) = self.handle_last(env.now, env.prng, segment)
        {
            last.report(|event| env.observe(event));
            return Some(Closing::Over(last.ended));
        }
        if (1..=LONGEST_OCTETS as usize).contains(&octets)
            && segment.fin
            && !env.pool.is_tight()
            && let Some(answered) = self.take_last_answer(env.now, segment, packet, header_octets)
        {
            answered.report(|event| env.observe(event));
            return Some(Closing::Answered);
        }
        self.handle_fin(env, segment, packet, header_octets).map(Closing::Other)
    }

    /// Takes an answer behind which the peer has closed: a segment with FIN that brings 1 to 511 octets, acknowledges all
    /// there was in flight, and comes to a plain connection of which all was read, while memory is not tight. As
    /// [`Tcb::take_answer`] otherwise. `None`: nothing has changed, it is for [`Tcb::handle_fin`]. Else there is something
    /// to read, and the end behind it, and something to send.
    #[inline(never)]
    pub(crate) fn take_last_answer(
        &mut self,
        now: Instant,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<Answered> {
        let only = packet.only()?;
        let (octets, charge) = ((only.len() - header_octets) as u32, only.charge());
        let (ack, mss) = (segment.ack, self.usual_mss());
        let acked = NonZeroU32::new(ack.0.wrapping_sub(self.snd.una.0))?;
        expect_all! {
            self.is_predicted(),
            ack == self.snd.nxt,
            self.queue.len() == acked.get() as usize,
            self.is_next(segment),
            self.receiver.has_read_all(),
            self.receiver.has_room(charge, self.autotune.buffer()),
            self.advertise.window(segment.seq).octets() > octets,
            !self.wants.write,
            u32::from(self.receive_mss() / 2) > LONGEST_OCTETS,
            self.recovery.is_calm(mss, &self.controller),
        };
        let asked_at = self.recovery.take_asked(now)?;
        let (recovery, controller) = (&mut self.recovery, &mut self.controller);
        let answer = recovery.on_answer(now, ack, acked.get(), asked_at, controller);
        self.heard(now, segment.said());
        self.snd.una = ack;
        // Nothing that was sent lies behind it.
        self.snd.small = ack;
        self.octets_acknowledged = self.octets_acknowledged.wrapping_add(u64::from(acked.get()));
        self.progress = now;
        self.queue.clear();
        // It is as it was when it was looked at.
        if !self.receiver.take_only(packet, header_octets, octets, charge) {
            return None;
        }
        self.advertise.on_arrival(octets, charge);
        self.receiver.take_fin();
        self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
        let nxt = self.receiver.nxt();
        self.autotune.on_data(now, nxt, self.advertise.window(nxt).octets());
        // At once; what is learnt of how data arrives is of no use any more.
        self.acks.demand();
        // The peer's FIN: a declared arc from each state that still receives.
        let _ = self.halves.apply(Move::FinReceived);
        self.note_closing();
        Some(Answered { acked_octets: acked, rtt_micros: answer.rtt_micros })
    }

    /// The same where it is not for [`Tcb::handle_last`] either.
    #[inline(never)]
    fn handle_fin<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<Effects> {
        if !self.is_orderly() {
            return None;
        }
        let octets = u32::try_from(packet.len() - header_octets).ok()?;
        let charge = if octets > 0 { packet.charge() } else { 0 };
        let brings = octets > 0 || segment.fin;
        let takes = self.halves.recv() == RecvHalf::Open && (octets == 0 || !self.wants.detached);
        let advances = segment.ack != self.snd.una;
        if !self.is_next(segment) || !(advances || brings) {
            return None;
        }
        if brings && !(takes && self.has_room_at_end(env, segment, octets, charge)) {
            return None;
        }
        let now = env.now;
        let fin_acked = advances && segment.ack == self.snd.nxt && self.fin_sent();
        if advances {
            let mss = self.send_mss();
            let (recovery, controller) = (&mut self.recovery, &mut self.controller);
            let rtt = recovery.on_plain_ack(now, segment.ack, mss, controller, env.prng)?;
            self.heard(now, segment.said());
            let advanced = segment.ack.since(self.snd.una);
            env.observe(&Event::Acknowledged(advanced));
            env.observe(&Event::RoundTrip(rtt));
            self.retire(now, segment.ack, advanced - u32::from(fin_acked));
            if fin_acked {
                // An acknowledgement of our FIN: a declared arc from each closing state.
                let _ = self.halves.apply(Move::FinAcknowledged);
                self.queue = Chain::new();
            }
        } else {
            self.heard(now, segment.said());
        }
        if brings {
            self.take_expected(now, segment, packet, header_octets, charge);
        }
        let mut effects = Effects {
            transmit: true,
            readable: brings,
            writable: self.take_writable(env.limits, env.pool),
            peer_closed: segment.fin,
            ..Effects::default()
        };
        if segment.fin {
            // The peer's FIN: a declared arc from each state that still receives.
            let _ = self.halves.apply(Move::FinReceived);
        }
        self.end_if_over(env, &mut effects);
        self.note_closing();
        Some(effects)
    }

    /// Whether there is room for what the segment brings, its FIN too.
    fn has_room_at_end<O: Observer>(
        &self,
        env: &Env<'_, O>,
        segment: &UsualSegment,
        octets: u32,
        charge: u32,
    ) -> bool {
        let window = self.advertise.window(segment.seq).octets();
        window >= octets.saturating_add(u32::from(segment.fin))
            && !env.pool.is_tight()
            && self.receiver.has_room(charge, self.autotune.buffer())
    }

    /// Whether a segment without payload acknowledges our FIN, and nothing else, and ends the connection, with the peer's
    /// FIN or after it, when nobody will ask for figures and no other connection learns from this one: how many octets it
    /// acknowledges.
    #[inline(always)] // a part of `take_last`
    fn acked_at_last(&self, numbers: Numbers, value: u32, fin: bool) -> Option<NonZeroU32> {
        let (seq, ack, nxt) = (numbers.seq(), numbers.ack(), self.receiver.nxt());
        let acked = NonZeroU32::new(ack.0.wrapping_sub(self.snd.una.0))?;
        let ends = match self.halves.recv() {
            RecvHalf::Open => fin && self.advertise.edge().after(nxt),
            RecvHalf::Closed => !fin,
        };
        expect_all! {
            ends,
            self.wants.detached,
            seq == nxt,
            ack == self.snd.nxt,
            self.fin_sent(),
            !Seq(value).before(Seq(self.timestamps.recent())),
            !self.teaches(self.octets_acknowledged.saturating_add(u64::from(acked.get()))),
        };
        Some(acked)
    }

    /// Takes a segment without payload, its numbers and its timestamp, if it ends the connection, and there is nobody to
    /// be told: how. All that is of use yet is what a TIME-WAIT record repeats: nothing else is noted any more, not even
    /// that our FIN has arrived. `None`: nothing has changed.
    #[inline(always)] // in two places, one for packets that are looked at only as far as that goes
    pub fn take_last(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        numbers: Numbers,
        value: u32,
        fin: bool,
    ) -> Option<Last> {
        if !self.is_orderly() {
            return None;
        }
        let acked_octets = self.acked_at_last(numbers, value, fin)?;
        let rtt = self.recovery.on_last_ack(now, prng)?;
        let waits = fin || self.halves.state() == StateName::Closing;
        self.timestamps.observe(now, numbers.seq(), Some(value));
        if fin {
            self.receiver.take_fin();
            self.acks.demand();
        }
        let ended = if waits { Ended::TimeWait } else { Ended::Forget(CloseReason::Normal) };
        Some(Last { ended, acked_octets, rtt })
    }

    /// The same of a segment that was read.
    #[inline(never)]
    fn handle_last(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        segment: &UsualSegment,
    ) -> Option<Last> {
        let UsualSegment { seq, ack, value, fin, .. } = *segment;
        self.take_last(now, prng, Numbers::from((seq, ack)), value, fin)
    }

    /// [`Tcb::poll_usual`] while one side is closed.
    #[inline(never)]
    pub(super) fn poll_closing<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Given {
        if !self.is_orderly() || self.snd.wnd == 0 || self.wants.write {
            return Given::Unusual;
        }
        if self.owes_fin() {
            if env.ceiling.is_some() {
                return Given::Unusual;
            }
            return match self.poll_fin(env.now, env.id, env.observer) {
                Some(single) => Given::Segment(self.single(env.now, single)),
                None => Given::Unusual,
            };
        }
        match self.unsent_octets() {
            0 => self.give_acknowledgement(env),
            _ => Given::Unusual,
        }
    }

    /// Whether one side is closed, or the application has let go, and it is plain otherwise: then
    /// [`Tcb::poll_end`] may have a segment, and [`Tcb::poll_single`] has none.
    #[inline(always)] // a comparison
    pub fn is_closing(&self) -> bool {
        self.prediction == Prediction::Closing
    }

    /// [`Tcb::poll_single`] while one side is closed, where it is FIN that is to leave. `None`: nothing has
    /// changed.
    #[inline(always)] // in two places
    pub(super) fn poll_fin<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        expect_all! {
            self.is_closing(),
            self.owes_fin(),
            self.snd.wnd > 0,
            !self.wants.write,
            self.settings.rate_limit.is_unlimited(),
        };
        debug_assert!(self.is_settled(), "a change was not noted");
        self.poll_last(now, id, observer)
    }

    /// [`Tcb::poll_single`] while one side is closed, for whoever asks again and again: what leaves while nothing
    /// else is in flight, in less than a segment, is the commonest, and asks less.
    #[inline(always)] // in two places
    pub fn poll_end<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        match self.unsent_alone(now) {
            Some(octets) => Some(self.send_end(now, id, observer, octets)),
            None => self.poll_fin_apart(now, id, observer),
        }
    }

    #[inline(never)]
    fn poll_fin_apart<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        self.poll_fin(now, id, observer)
    }

    /// The octets that are to be sent with FIN: nothing is in flight, and nothing holds them back.
    #[inline(always)] // once
    fn unsent_alone(&self, now: Instant) -> Option<u32> {
        let octets = self.queue.len();
        expect_all! {
            self.is_closing(),
            // FIN is not acknowledged then, nor has it left if nothing is in flight.
            self.halves.send() == SendHalf::Closing,
            self.snd.nxt == self.snd.una,
            octets < self.usual_mss().min(self.snd.wnd) as usize,
            !self.wants.write,
            self.settings.rate_limit.is_unlimited(),
            self.controller.is_surely_unpaced(),
            self.recovery.begins_alone(self.settings.give_up.unwrap_or(Span::MAX)),
            self.recovery.is_soon(self.idle_ticks(now)),
        };
        let room = self.controller.window_octets();
        debug_assert!(room >= self.usual_mss(), "windows have room for segments");
        Some(octets as u32)
    }

    /// `octets` leave, and FIN.
    #[inline(always)] // once
    fn send_end<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
        octets: u32,
    ) -> Single {
        let (seq, length) = (self.snd.nxt, octets + 1);
        self.snd.nxt = seq + length;
        if octets > 0 {
            self.snd.small = self.snd.nxt;
        }
        self.progress = now;
        self.recovery.on_end_sent(now, (seq, length), self.usual_mss());
        self.note_sent(now, length, 0);
        let deadline = self.recovery.probe_at();
        self.given_as_single::<_, true>(now, id, observer, octets, deadline)
    }

    /// The application has closed its side, and FIN has not left.
    #[inline]
    fn owes_fin(&self) -> bool {
        self.halves.send() == SendHalf::Closing && !self.fin_sent()
    }

    /// Whether the connection is plain, or plain but for being closed. True claims are checked where
    /// assertions are.
    #[inline]
    pub(super) fn is_orderly(&self) -> bool {
        let orderly = self.prediction.is_known();
        debug_assert!(!orderly || self.is_settled(), "a change was not noted");
        orderly
    }

    /// The connection was orderly, and something was closed: it is still.
    #[inline]
    pub(crate) fn note_closing(&mut self) {
        // A time limit for the peer's end is something to be looked at.
        self.prediction =
            if self.rare.is_empty() { Prediction::Closing } else { Prediction::Unknown };
    }

    /// Nobody has closed anything.
    pub(super) fn is_all_open(&self) -> bool {
        self.halves == Halves::OPEN && !self.wants.detached
    }
}

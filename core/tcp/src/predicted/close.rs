//! The end of a connection: FIN, with or without the last data, and what acknowledges it.
//! Implements: what `crate::arrive` and `crate::send::poll` do with these, where the connection is
//! plain but for being closed (RFC 9293 §3.6, §3.10.7.4 fifth and eighth).

use super::{Given, Prediction, Single, UsualSegment};
use crate::effects::{Effects, Ended};
use crate::env::Env;
use crate::halves::{Halves, RecvHalf, SendHalf, StateName};
use crate::tcb::Tcb;
use crate::transition::Move;
use usertcp_base::{CloseReason, ConnId, Event, Instant, Observer, Prng, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;

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

    /// Whether a segment is for [`Tcb::handle_last`] and [`Tcb::handle_fin`], not for [`Tcb::handle_usual`].
    #[inline(always)] // for each packet
    pub fn is_closing_with(&self, segment: &UsualSegment) -> bool {
        segment.fin || self.prediction == Prediction::Closing
    }

    /// Takes a segment that is not for [`Tcb::handle_usual`], because of its FIN, or as one side is closed
    /// already; its payload lies behind `header_octets` others in `packet`. `None`: nothing has changed, as there.
    pub(crate) fn handle_closing<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<Effects> {
        if packet.len() == header_octets
            && let Some(ended) = self.handle_last(env.now, env.id, env.observer, env.prng, segment)
        {
            let effects =
                Effects { transmit: true, peer_closed: segment.fin, ..Effects::default() };
            return Some(effects.and_ended(ended));
        }
        self.handle_fin(env, segment, packet, header_octets)
    }

    /// The same where it is not for [`Tcb::handle_last`] either.
    #[inline(never)]
    pub fn handle_fin<O: Observer>(
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

    /// Whether a segment without payload acknowledges our FIN and ends the connection, with the peer's FIN
    /// or after it, when nobody will ask for figures and no other connection learns from this one.
    fn is_last(&self, segment: &UsualSegment) -> bool {
        let (rcv_nxt, acked) = (self.receiver.nxt(), segment.ack.since(self.snd.una));
        let ends = match self.halves.recv() {
            RecvHalf::Open => segment.fin && self.advertise.window(rcv_nxt).octets() > 0,
            RecvHalf::Closed => !segment.fin,
        };
        ends && self.wants.detached
            && segment.seq == rcv_nxt
            && segment.ack == self.snd.nxt
            && acked > 0
            && self.fin_sent()
            && !Seq(segment.value).before(Seq(self.timestamps.recent()))
            && !self.teaches(self.octets_acknowledged.saturating_add(u64::from(acked)))
    }

    /// Takes a segment without payload if it ends the connection, and there is nobody to be told: how. All that is of use
    /// yet is what a TIME-WAIT record repeats: nothing else is noted any more, not even that our FIN has arrived. `None`:
    /// nothing has changed.
    #[inline(never)]
    pub fn handle_last<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
        prng: &mut Prng,
        segment: &UsualSegment,
    ) -> Option<Ended> {
        if !self.is_orderly() || !self.is_last(segment) {
            return None;
        }
        let rtt = self.recovery.on_last_ack(now, prng)?;
        observer.on_event(Some(id), now, &Event::Acknowledged(segment.ack.since(self.snd.una)));
        observer.on_event(Some(id), now, &Event::RoundTrip(rtt));
        let waits = segment.fin || self.halves.state() == StateName::Closing;
        self.timestamps.observe(now, segment.seq, Some(segment.value));
        if segment.fin {
            self.receiver.take_fin();
            self.acks.demand();
        }
        Some(if waits { Ended::TimeWait } else { Ended::Forget(CloseReason::Normal) })
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

    /// [`Tcb::poll_single`] while one side is closed, where it is FIN that is to leave. `None`: nothing has
    /// changed.
    #[inline]
    pub(super) fn poll_fin<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        let leaves = self.prediction == Prediction::Closing
            && self.owes_fin()
            && self.snd.wnd > 0
            && !self.wants.write
            && self.settings.rate_limit.is_unlimited();
        debug_assert!(!leaves || self.is_settled(), "a change was not noted");
        if leaves { self.poll_last(now, id, observer) } else { None }
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

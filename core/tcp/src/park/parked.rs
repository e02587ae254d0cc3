//! What a parked connection does without its TCB: keep-alive, and acknowledgements that say nothing new.
//!
//! Owns: the deadline of a record, the probe built from it, the segments it answers to by itself.
//! Must not know: anything the TCB does not do: all of it could be done by waking the connection, and
//! a test compares.
//! Implements: RFC 9293 §3.8.4 (MUST-24 to MUST-29).

use super::{Moulds, Parked, rest_moment};
use crate::keepalive::{KeepAliveDue, KeepAliveState};
use crate::open::timestamp_clock;
use crate::predicted::UsualSegment;
use crate::recv::advertise::Advertise;
use crate::segment::Reply;
use crate::tcb::Tcb;
use usertcp_base::{Ecn, Instant, Seq};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::{Flags, Timestamps};

/// What the deadline of a parked connection brings.
#[must_use]
#[derive(Clone, Debug)]
pub enum ParkedDue {
    /// Nothing yet.
    NotYet,
    /// This keep-alive probe is sent; the connection stays parked.
    Probe(Reply),
    /// It is for the TCB.
    Wake,
}

/// What a segment for a parked connection brings.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParkedArrival {
    /// It said that the peer lives, and nothing else: the connection stays parked.
    Heard,
    /// It is for the TCB.
    Wake,
}

impl<C: CongestionController> Moulds<C> {
    /// When [`Moulds::handle_deadline`] has something to do for a record.
    #[inline(always)] // mostly there is none
    pub fn deadline(&self, now: Instant, parked: &Parked) -> Option<Instant> {
        let tcb = &self.of(parked).tcb;
        match tcb.acks.is_rested() && !tcb.settings.keep_alive.enabled {
            true => None,
            false => self.any_deadline(now, parked),
        }
    }

    #[inline(never)]
    fn any_deadline(&self, now: Instant, parked: &Parked) -> Option<Instant> {
        let tcb = &self.of(parked).tcb;
        let mut deadline = None;
        if tcb.settings.keep_alive.enabled {
            let state = KeepAliveState::of_unanswered(parked.unanswered);
            deadline = state.deadline(parked.last_heard(now), Seq(parked.snd_nxt), &tcb.settings);
        }
        if tcb.acks.is_rested() {
            return deadline;
        }
        let rest = self.rest_deadline(now, parked);
        Some(deadline.map_or(rest, |deadline| deadline.min(rest)))
    }

    /// When a connection that was parked early comes to rest.
    fn rest_deadline(&self, now: Instant, parked: &Parked) -> Instant {
        let tcb = self.copy(now, parked, 0);
        rest_moment(tcb.last_active(now), tcb.recovery.rto())
    }

    /// The deadline of a record may have passed.
    pub fn handle_deadline(
        &mut self,
        now: Instant,
        parked: &mut Parked,
        timestamp_offset: u32,
    ) -> ParkedDue {
        if !self.of(parked).tcb.acks.is_rested() && self.rest_deadline(now, parked) <= now {
            let mut tcb = self.copy(now, parked, timestamp_offset);
            tcb.rest(now);
            if !self.exchange(now, parked, &mut tcb) {
                return ParkedDue::Wake;
            }
        }
        let tcb = &self.of(parked).tcb;
        if !tcb.settings.keep_alive.enabled {
            return ParkedDue::NotYet;
        }
        let mut state = KeepAliveState::of_unanswered(parked.unanswered);
        match state.fire(now, parked.last_heard(now), Seq(parked.snd_nxt), &tcb.settings) {
            KeepAliveDue::NotYet => ParkedDue::NotYet,
            KeepAliveDue::GiveUp => ParkedDue::Wake,
            KeepAliveDue::Probe if !is_plain(tcb) => ParkedDue::Wake,
            KeepAliveDue::Probe => {
                let (reply, advertise) = probe(now, tcb, parked, timestamp_offset);
                if let Some(advertise) = advertise {
                    // It offers more than before: another mould.
                    let mut tcb = self.copy(now, parked, timestamp_offset);
                    tcb.advertise = advertise;
                    if !self.exchange(now, parked, &mut tcb) {
                        return ParkedDue::Wake;
                    }
                }
                parked.unanswered = state.unanswered();
                ParkedDue::Probe(reply)
            }
        }
    }

    /// Makes a record of `tcb`, which is the one of `parked` but for a change; whether it fits into one.
    fn exchange(&mut self, now: Instant, parked: &mut Parked, tcb: &mut Tcb<C>) -> bool {
        let before = *parked;
        let fits = self.park(now, tcb, parked);
        if fits {
            self.release(&before);
        }
        fits
    }

    /// A segment of the usual shape without payload arrived for a parked connection.
    #[inline]
    pub fn handle_usual(
        &self,
        now: Instant,
        parked: &mut Parked,
        segment: &UsualSegment,
    ) -> ParkedArrival {
        let tcb = &self.of(parked).tcb;
        let expected = segment.seq.0 == parked.rcv_nxt
            && segment.ack.0 == parked.snd_nxt
            && segment.window.0 == parked.peer_window
            && tcb.timestamps.is_on()
            && !Seq(segment.value).before(Seq(parked.recent))
            && segment.ecn != Ecn::CongestionExperienced
            && !segment.push
            && !segment.fin
            && is_plain(tcb);
        if !expected {
            return ParkedArrival::Wake;
        }
        parked.hear(now, segment.value);
        ParkedArrival::Heard
    }
}

/// Whether a mould is one whose connection an empty acknowledgement with the window of before tells
/// nothing, and whose own acknowledgements all say the same.
fn is_plain<C: CongestionController>(tcb: &Tcb<C>) -> bool {
    tcb.acks.is_rested()
        && !tcb.ecn.is_agreed()
        && (tcb.snd.wl1, tcb.snd.wl2, tcb.snd.wnd) == (Seq(0), Seq(0), 0)
        && tcb.timestamps.last_ack_sent() == Seq(0)
}

/// The keep-alive probe as the TCB would send it, and the window after it if that is another.
fn probe<C: CongestionController>(
    now: Instant,
    tcb: &Tcb<C>,
    parked: &Parked,
    timestamp_offset: u32,
) -> (Reply, Option<Advertise>) {
    let (scale, nxt) = (tcb.advertise.scale(), Seq(parked.rcv_nxt));
    let mut advertise = tcb.advertise;
    advertise.shift(parked.rcv_nxt);
    advertise.set_edge(advertise.edge() + (u32::from(parked.own_window) << scale.shift()));
    let before = advertise;
    let window = advertise.announce(nxt, &tcb.holding(), tcb.receive_mss());
    let mut reply = Reply::new(Flags::ACK, Seq(parked.snd_nxt) - 1, nxt, window);
    if tcb.timestamps.is_on() {
        let value = timestamp_clock(now, timestamp_offset);
        reply.options.timestamps = Some(Timestamps { value, echo: parked.recent });
    }
    reply.dscp = tcb.settings.dscp;
    reply.hop_limit = tcb.settings.hop_limit;
    (reply, (advertise != before).then_some(advertise))
}

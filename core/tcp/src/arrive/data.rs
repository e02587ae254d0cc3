//! Steps six to eight: urgent pointer, payload, FIN.
//! Implements: RFC 9293 §3.10.7.4 sixth to eighth (E-21, E-22, E-24), §3.6.1 (SHLD-3), §3.8.6.3.

use super::Step;
use super::check::Acceptable;
use crate::effects::{Effects, Then};
use crate::env::Env;
use crate::halves::{RecvHalf, SendHalf};
use crate::recv::ack_policy::{AckContext, Arrival, ArrivalKind};
use crate::recv::receiver::{DataOutcome, Intake};
use crate::recv::urgent::UrgentOutcome;
use crate::segment::Segment;
use crate::tcb::Tcb;
use crate::transition::Move;
use core::ops::ControlFlow::Continue;
use usertcp_base::{CloseReason, DropReason, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_wire::tcp::Flags;

impl<C: CongestionController> Tcb<C> {
    pub(super) fn urgent_step(&mut self, segment: &Segment, effects: &mut Effects) {
        if !segment.has(Flags::URG) {
            return;
        }
        let header = &segment.header;
        if self.receiver.on_urgent(header.seq, header.urgent) == UrgentOutcome::Advanced {
            effects.urgent = true;
        }
    }

    pub(super) fn data_step<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &mut Segment,
        acceptable: Acceptable,
        effects: &mut Effects,
    ) -> Step {
        let octets = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let fin = segment.has(Flags::FIN);
        if acceptable == Acceptable::ControlOnly || (octets == 0 && !fin) {
            return Continue(());
        }
        if self.refuses_data(env, segment, octets, effects) {
            return Continue(());
        }
        if self.ecn.on_data(segment) {
            self.acks.demand();
        }
        let wire_segments = segment.wire_segments;
        let push = segment.has(Flags::PSH);
        if env.pool.is_tight() && octets > 0 && !self.is_wanted_when_tight(segment) {
            env.drop_segment(DropReason::ReceiveMemory);
            let kind = ArrivalKind::Refused;
            self.note_arrival(env, Arrival { octets, wire_segments, kind, push });
            return Continue(());
        }
        let payload = core::mem::take(&mut segment.payload);
        let seq = segment.header.seq;
        let (outcome, kind) = self.take_payload(env, seq, payload, fin, effects);
        let octets = match outcome {
            DataOutcome::Delivered { octets, .. } => {
                self.measure_round_trip(env, segment, octets);
                octets
            }
            _ => octets,
        };
        self.note_arrival(env, Arrival { octets, wire_segments, kind, push });
        Continue(())
    }

    /// Data at RCV.NXT that is acknowledged by other means than an acknowledgement of ours: by the
    /// SYN-ACK of a fast open.
    pub(crate) fn take_early<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        payload: Chain,
        effects: &mut Effects,
    ) {
        let seq = self.receiver.nxt();
        let _ = self.take_payload(env, seq, payload, false, effects);
        self.timestamps.on_ack_sent(self.receiver.nxt());
    }

    /// Payload from `seq` on goes to the receiver, and is accounted for.
    #[inline]
    fn take_payload<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        seq: Seq,
        payload: Chain,
        fin: bool,
        effects: &mut Effects,
    ) -> (DataOutcome, ArrivalKind) {
        let mut intake = Intake {
            edge: self.advertise.edge(),
            buffer: self.autotune.buffer(),
            ranges: env.limits.reassembly_ranges,
            pool: env.pool,
            copied: &mut env.counters.octets_copied,
        };
        let octets = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.advertise.on_arrival(octets, payload.charge());
        let outcome = self.receiver.on_data(seq, payload, fin, &mut intake);
        (outcome, self.take_outcome(env, outcome, effects))
    }

    /// The last eighth of the pool is for sending, and for data that a reader waits for: one who
    /// answers could otherwise never write, and so never read on.
    fn is_wanted_when_tight(&self, segment: &Segment) -> bool {
        let next = segment.header.seq.at_or_before(self.receiver.nxt());
        next && self.receiver.queued() == 0
    }

    /// Data for an application that has let go of the stream: it will never be read, and the
    /// peer has to know (SHLD-3).
    fn refuses_data<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &Segment,
        octets: u32,
        effects: &mut Effects,
    ) -> bool {
        let new_data = (segment.header.seq + octets).after(self.receiver.nxt());
        // One that shut both directions has let go too, as far as the peer can tell.
        let let_go = self.wants.detached
            || (self.rare.is_read_shut() && self.halves.send() != SendHalf::Open);
        if !let_go || octets == 0 || !new_data || self.receiver.is_finished() {
            return false;
        }
        env.drop_segment(DropReason::DataAfterClose);
        let reset = self.reset_for(env, segment.header.ack);
        *effects = core::mem::take(effects).and_ended(CloseReason::Aborted, Then::Reset(reset));
        true
    }

    fn take_outcome<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        outcome: DataOutcome,
        effects: &mut Effects,
    ) -> ArrivalKind {
        match outcome {
            DataOutcome::Delivered { octets, fin_reached, filled_gap } => {
                self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
                effects.readable |= octets > 0 || fin_reached;
                if fin_reached && self.halves.recv() == RecvHalf::Open {
                    effects.peer_closed = true;
                    // The peer's FIN: a declared arc from each state that still receives.
                    let _ = self.halves.apply(Move::FinReceived);
                }
                if fin_reached {
                    ArrivalKind::Fin
                } else if filled_gap {
                    ArrivalKind::GapFilled
                } else {
                    ArrivalKind::InOrder
                }
            }
            DataOutcome::OutOfOrder => ArrivalKind::OutOfOrder,
            DataOutcome::Duplicate => {
                self.ecn.on_data_again();
                env.drop_segment(DropReason::DuplicateData);
                ArrivalKind::Duplicate
            }
            DataOutcome::Refused(reason) => {
                env.drop_segment(reason);
                ArrivalKind::Refused
            }
        }
    }

    /// The receiver's own estimate of the round trip, for right-sizing the buffer.
    fn measure_round_trip<O: Observer>(
        &mut self,
        env: &Env<'_, O>,
        segment: &Segment,
        octets: u32,
    ) {
        let window = self.advertise.window(self.receiver.nxt());
        if let Some(sent) = self.echoed_at(env.now, segment)
            && octets >= u32::from(self.receive_mss() / 2)
        {
            self.autotune.on_echo(env.now.since(sent));
        }
        self.autotune.on_data(env.now, self.receiver.nxt(), window.octets());
    }

    fn note_arrival<O: Observer>(&mut self, env: &Env<'_, O>, arrival: Arrival) {
        let settings = self.ack_settings();
        let context = AckContext {
            settings: &settings,
            rmss: self.receive_mss(),
            idle_after: || self.recovery.rto(),
        };
        let _ = self.acks.on_data(env.now, &arrival, &context);
    }
}

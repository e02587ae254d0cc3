//! The application's calls on a connection: read, close, abort, urgent data, settings, figures.
//! Must not know: handles, wakers.
//! Implements: RFC 9293 §3.9.1 (RECEIVE, CLOSE, ABORT, STATUS), §3.8.5, §3.6.1 (SHLD-3).

use crate::effects::{Effects, Ended};
use crate::env::Env;
use crate::halves::{Halves, RecvHalf, SendHalf, StateName};
use crate::info::Info;
use crate::recv::autotune::{Bounds, Resized};
use crate::settings::Settings;
use crate::signal::{Signal, SignalKind};
use crate::tcb::Tcb;
use crate::transition::Move;
use alloc::rc::Rc;
use usertcp_base::{CloseReason, Instant, Limiter, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::FrameSlice;

/// What a read gave.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadOutcome {
    /// So many octets.
    Octets(usize),
    /// Nothing now; `readable` tells when.
    Nothing,
    /// The peer closed, and everything before was read.
    End,
}

impl<C: CongestionController> Tcb<C> {
    /// Copies received octets out.
    pub fn read<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        into: &mut [u8],
    ) -> (ReadOutcome, Effects) {
        if self.receiver.queued() == 0 && !into.is_empty() {
            return (self.nothing_to_read(), self.after_any_read(env, false));
        }
        let count = self.receiver.read(into);
        (ReadOutcome::Octets(count), self.after_read(env, count))
    }

    /// Takes received octets out in the frame they came in.
    pub fn read_slice<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
    ) -> (Result<FrameSlice, ReadOutcome>, Effects) {
        match self.receiver.read_slice() {
            Some(slice) => {
                let count = slice.len();
                (Ok(slice), self.after_read(env, count))
            }
            None => (Err(self.nothing_to_read()), self.after_any_read(env, false)),
        }
    }

    fn nothing_to_read(&self) -> ReadOutcome {
        match self.halves.recv() {
            RecvHalf::Open => ReadOutcome::Nothing,
            RecvHalf::Closed => ReadOutcome::End,
        }
    }

    /// The buffer may grow, the window may open.
    #[inline(always)] // a part of each kind of read
    fn after_read<O: Observer>(&mut self, env: &mut Env<'_, O>, count: usize) -> Effects {
        if count == 0 {
            return self.after_any_read(env, false);
        }
        self.resize_buffer(env, u32::try_from(count).unwrap_or(u32::MAX));
        let holding = self.holding();
        let opens = self.halves.recv() == RecvHalf::Open
            && self.advertise.update_due(self.receiver.nxt(), &holding, self.receive_mss());
        if opens {
            self.acks.demand();
        }
        self.after_any_read(env, opens)
    }

    /// Something was read or nothing: with all read the connection may be over.
    #[inline]
    fn after_any_read<O: Observer>(&mut self, env: &mut Env<'_, O>, transmit: bool) -> Effects {
        if self.is_predicted() || self.halves == Halves::OPEN {
            return Effects { transmit, ..Effects::default() };
        }
        self.over_if_read(env, transmit)
    }

    #[inline(never)]
    fn over_if_read<O: Observer>(&mut self, env: &mut Env<'_, O>, transmit: bool) -> Effects {
        let mut effects = Effects { transmit, ..Effects::default() };
        self.end_if_over(env, &mut effects);
        effects
    }

    /// The reader took `octets`: the buffer follows, once a round trip.
    fn resize_buffer<O: Observer>(&mut self, env: &Env<'_, O>, octets: u32) {
        let tight = env.pool.is_tight();
        if self.autotune.is_due(env.now, octets) {
            // No connection is promised more than an eighth of what is free at the time.
            let stats = env.pool.stats();
            let free = stats.budget_octets.saturating_sub(stats.used_octets);
            let share = u32::try_from(free / 8).unwrap_or(u32::MAX);
            let bounds = Bounds {
                largest: match self.settings.receive_buffer_octets {
                    0 => env.limits.receive_buffer_octets.min(share),
                    fixed => fixed,
                },
                mss: self.receive_mss(),
                tight,
            };
            if self.autotune.on_copied(env.now, octets, &bounds) == Resized::Grown {
                return;
            }
        }
        if tight {
            let least = self.settings.least_receive_octets(env.limits);
            self.autotune.shrink((env.limits.receive_buffer_start_octets / 4).max(least));
            self.stir();
        }
    }

    /// Gives up what waits out of order: memory is short, and the peer still has it (RFC 2018 §8).
    /// Octets given up.
    pub fn renege(&mut self) -> u32 {
        self.receiver.renege()
    }

    /// Whether a read would find something: octets, or the end.
    pub fn is_readable(&self) -> bool {
        self.receiver.queued() > 0 || self.halves.recv() == RecvHalf::Closed
    }

    /// Octets that can be read now.
    pub fn readable_octets(&self) -> u32 {
        self.receiver.queued()
    }

    /// Closes the sending side: what is queued goes out, then FIN (E-27).
    pub fn shutdown_write<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        let mut effects = Effects::default();
        let _ = self.halves.apply(Move::Close);
        self.settle(env, &mut effects);
        if self.prediction.is_known() {
            self.note_closing();
        } else {
            self.predict();
        }
        effects
    }

    /// The application reads no more. What arrives is still acknowledged, as the peer's window
    /// promised, until the sending side is closed too: then new data is answered by a reset, for
    /// nobody will ever read it (SHLD-3).
    pub fn shutdown_read(&mut self) {
        self.unpredict();
        self.rare.shut_read();
    }

    /// Copies received octets out from `offset` on, and leaves them there.
    pub fn peek(&self, offset: usize, into: &mut [u8]) -> usize {
        self.receiver.peek(offset, into)
    }

    /// The application lets go. With data unread the peer is reset (SHLD-3), else closed.
    pub fn close<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        if self.close_in_order() {
            return Effects { transmit: true, ..Effects::default() };
        }
        let over = matches!(self.halves.state(), StateName::TimeWait | StateName::Closed);
        if self.receiver.queued() > 0 && !over {
            return self.end_by_reset(env);
        }
        self.wants.detached = true;
        self.wants.write = false;
        self.shutdown_write(env)
    }

    /// Ends the connection at once: with a reset (E-28), unless all of both streams has been sent
    /// (RFC 9293 §3.10.5: CLOSING, LAST-ACK and TIME-WAIT go without one).
    pub fn abort<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        self.unpredict();
        let all_sent = self.queue.is_empty() && self.fin_sent();
        Effects::default().and_ended(match self.halves.state() {
            StateName::TimeWait => Ended::AbortedTimeWait,
            StateName::Closed => Ended::Forget(CloseReason::Aborted),
            StateName::Closing | StateName::LastAck if all_sent => {
                Ended::Forget(CloseReason::Aborted)
            }
            _ => return self.end_by_reset(env),
        })
    }

    fn end_by_reset<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        let reset = self.reset(env);
        Effects::default().and_reset(CloseReason::Aborted, reset)
    }

    /// Marks everything written so far as urgent (MUST-30; new applications should not, SHLD-13).
    pub fn mark_urgent_written(&mut self) {
        self.unpredict();
        if self.halves.send() == SendHalf::Open {
            self.snd_up = Some(self.fin_seq());
        }
    }

    /// Urgent octets still to be read (MUST-33).
    pub fn urgent_octets(&self) -> u32 {
        self.receiver.urgent_octets()
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What holds it back at present.
    #[inline]
    pub fn limiter(&self) -> Limiter {
        self.stopwatches.running()
    }

    /// Changes settings; they hold from the next segment on.
    pub fn set_settings<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        settings: Rc<Settings>,
    ) -> Effects {
        self.unpredict();
        if settings.keep_alive.enabled && !self.settings.keep_alive.enabled {
            self.keep_alive.on_heard();
            self.last_heard = env.now;
        }
        self.user_timeout.on_settings(&self.settings, &settings);
        let (old, new) = (self.settings.rate_limit, settings.rate_limit);
        self.pacer.on_limit_changed(env.now, old, new, self.stopwatches.paced_by);
        if self.release != Instant::FAR {
            // What holds the data back is asked again: the transmission that follows does.
            self.release = Instant::FAR;
        }
        self.settings = settings;
        let mut effects = Effects::default();
        self.settle(env, &mut effects);
        effects
    }

    /// Sends what Nagle or a cork holds back.
    pub fn flush(&mut self) {
        self.unpredict();
        if self.unsent_octets() > 0 {
            self.owed.partial = true;
        }
    }

    /// The network said something about a segment of ours (RFC 5927).
    pub fn handle_signal<O: Observer>(&mut self, env: &mut Env<'_, O>, signal: &Signal) -> Effects {
        self.unpredict();
        let mut effects = Effects::default();
        if !signal.seq.within(self.snd.una, self.snd.nxt) {
            return effects;
        }
        match signal.kind {
            SignalKind::TooBig { segment_octets } => {
                let (una, nxt) = (self.snd.una, self.snd.nxt);
                let _ = self.mtu.on_claim(segment_octets, signal.seq, una, nxt);
            }
            // In a synchronised state hard errors are soft ones (IC-2).
            SignalKind::Hard | SignalKind::Soft => {
                effects.soft_error =
                    self.settings.soft_errors && self.soft_errors.on_error(env.now);
            }
        }
        effects
    }

    /// The next sequence number to be received; for tests and tools.
    pub fn rcv_nxt(&self) -> Seq {
        self.receiver.nxt()
    }

    /// The oldest unacknowledged sequence number; for tests and tools.
    pub fn snd_una(&self) -> Seq {
        self.snd.una
    }

    /// The connection's state.
    pub fn state(&self) -> StateName {
        self.halves.state()
    }

    /// The connection's figures.
    pub fn info(&self, now: Instant) -> Info {
        let snapshot = self.controller.describe();
        let budget = self.controller.budget();
        let counters = self.recovery.counters();
        let window = self.advertise.window(self.receiver.nxt());
        Info {
            state: self.halves.state(),
            controller: snapshot.name,
            srtt: self.recovery.srtt().unwrap_or_default(),
            rttvar: self.recovery.rttvar().unwrap_or_default(),
            min_rtt: self.recovery.min_rtt().unwrap_or_default(),
            rto: self.recovery.rto(),
            backoff: self.recovery.doublings(),
            timeouts_in_a_row: self.recovery.timeouts_in_a_row(),
            send_mss_octets: self.send_mss(),
            path_segment_octets: self.mtu.segment_octets(),
            congestion_window_octets: snapshot.window_octets,
            threshold_octets: snapshot.threshold_octets,
            peer_window_octets: self.snd.wnd,
            receive_window_octets: window.octets(),
            in_flight_octets: self.recovery.in_flight(),
            recovery: self.recovery.state(),
            sacked_octets: self.recovery.sacked_octets(),
            lost_octets: self.recovery.lost_octets(),
            resent_octets: self.recovery.resent_octets(),
            octets_delivered: self.recovery.delivered(),
            receive_mss_octets: self.receive_mss(),
            send_queue_octets: self.queue_octets(),
            unsent_octets: self.unsent_octets(),
            receive_queue_octets: self.receiver.queued(),
            out_of_order_octets: self.receiver.held().octets(),
            memory_octets: self.memory_octets(),
            octets_received: self.octets_received,
            octets_acknowledged: self.octets_acknowledged,
            octets_retransmitted: u64::from(counters.resent_octets),
            retransmissions: counters.resent_recovery.saturating_add(counters.resent_timeout),
            spurious_retransmissions: counters.duplicates_reported,
            timeouts: counters.timeouts,
            pacing_rate: budget.rate,
            rate_limit: self.settings.rate_limit,
            user_timeout: self.user_timeout(),
            limiter: self.stopwatches.running(),
            limited: self.stopwatches.read(now),
            last_heard: self.last_heard,
            established: self.established,
            sack: self.recovery.sack(),
            timestamps: self.timestamps.is_on(),
            ecn: self.ecn.is_on(),
            accurate_ecn: self.ecn.info(),
            syn_data: self.wants.syn_data,
            marks_received: self.ecn.marks(),
            mark_reductions: self.ecn.reductions(),
            scales: (self.send_scale.shift(), self.advertise.scale().shift()),
        }
    }
}

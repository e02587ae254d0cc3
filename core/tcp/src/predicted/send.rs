//! New data, or an acknowledgement.
//! Implements: what `crate::send::poll` gives out, where the connection is plain.

use crate::env::Env;
use crate::segment::{Outgoing, Reply};
use crate::send::SendRoom;
use crate::send::allow::{Allowed, NewData, new_data};
use crate::send::poll::Held;
use crate::tcb::Tcb;
use usertcp_base::{Event, Instant, Limiter, Observer, Seq, Span, TICK_SHIFT, WireWindow};
use usertcp_cc::{CongestionController, Sent};
use usertcp_frame::{Chain, FrameSlice};
use usertcp_wire::tcp::{Flags, Timestamps};
use usertcp_wire::usual::TCP_OCTETS;

/// A segment of the usual shape to be sent: ACK, perhaps PSH, no option but timestamps.
#[derive(Debug)]
pub struct UsualOutgoing {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The window field.
    pub window: WireWindow,
    /// PSH is to be set.
    pub push: bool,
    /// Our timestamp.
    pub value: u32,
    /// The timestamp to echo.
    pub echo: u32,
    /// Differentiated services code point.
    pub dscp: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Octets of payload.
    pub octets: u32,
    /// Payload, shared with the retransmission queue.
    pub payload: Chain,
    /// When the payload is more than one segment: octets of payload per wire segment.
    pub gso_octets: Option<u16>,
    /// No other segment follows: there is no need to poll again.
    pub last: bool,
}

impl From<UsualOutgoing> for Outgoing {
    fn from(usual: UsualOutgoing) -> Outgoing {
        let UsualOutgoing { seq, ack, window, value, echo, payload, gso_octets, last, .. } = usual;
        let flags = if usual.push { Flags::ACK | Flags::PSH } else { Flags::ACK };
        let mut reply = Reply::new(flags, seq, ack, window);
        reply.options.timestamps = Some(Timestamps { value, echo });
        reply.dscp = usual.dscp;
        reply.hop_limit = usual.hop_limit;
        Outgoing { reply, payload, gso_octets, last }
    }
}

/// What the predicted path gives.
#[must_use]
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives for one call
pub enum Given {
    /// A segment.
    Segment(UsualOutgoing),
    /// Nothing is to be sent: the application has nothing more.
    Nothing,
    /// Nothing has changed: ask the spine.
    Unusual,
}

impl<C: CongestionController> Tcb<C> {
    /// The next segment, if it is one of the usual shape. [`Given::Unusual`]: it is
    /// [`Tcb::poll_segment`] that has to be asked.
    #[inline]
    pub fn poll_usual<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> Given {
        let mut given = self.poll_to_cut(env, room);
        if let Given::Segment(segment) = &mut given {
            segment.payload = self.sent(segment.seq, segment.octets);
        }
        given
    }

    /// The octets from `seq` on, which were sent and are not acknowledged, as they lie in the queue.
    #[inline]
    pub fn sent(&self, seq: Seq, octets: u32) -> Chain {
        match octets {
            0 => Chain::new(),
            octets => self.queue.slice(seq.since(self.snd.una) as usize, octets as usize),
        }
    }

    /// The same with `front` octets before them that `write` writes, in one slice, as
    /// [`Chain::slice_behind`] does where it can.
    #[inline]
    pub fn sent_behind(
        &mut self,
        front: usize,
        seq: Seq,
        octets: u32,
        write: impl FnOnce(&mut [u8], &[u8]),
    ) -> Option<FrameSlice> {
        let offset = seq.since(self.snd.una) as usize;
        self.queue.slice_behind(front, offset, octets as usize, write)
    }

    /// As [`Tcb::poll_usual`], without the payload: the caller fetches it by [`Tcb::sent`], in the pieces
    /// that its device takes.
    #[inline]
    pub fn poll_to_cut<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> Given {
        if !self.is_predicted() {
            return Given::Unusual;
        }
        if self.unsent_octets() > 0 {
            return self.give_data(env, room);
        }
        if self.snd.wnd == 0 {
            return Given::Unusual;
        }
        self.release = Instant::FAR;
        if !self.acks.is_due() {
            self.switch(env, Limiter::Application);
            return Given::Nothing;
        }
        let mut outgoing = self.usual(env.now, self.snd.nxt, 0);
        outgoing.last = self.gives_no_more(env);
        Given::Segment(outgoing)
    }

    #[inline]
    fn give_data<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> Given {
        let mss = self.send_mss();
        let outstanding = self.snd.outstanding();
        let facts = NewData {
            unsent: self.unsent_octets(),
            usable: self.snd.usable(),
            mss,
            max_window: self.snd.max_wnd,
            outstanding: outstanding > 0,
            small_outstanding: self.snd.small.after(self.snd.una),
            no_delay: self.settings.no_delay,
            cork: false,
            closing: false,
        };
        let Allowed::Send(octets) = new_data(&facts) else { return Given::Unusual };
        if outstanding == 0 && self.was_idle(env.now) {
            return Given::Unusual;
        }
        let budget = self.controller.budget();
        let allowance = budget.window_octets.saturating_sub(outstanding);
        if allowance < octets.min(mss) {
            return Given::Unusual;
        }
        let paced = match self.pace(env, allowance, &budget) {
            Ok(paced) => paced,
            Err(held) => return self.wait_for_release(env, &held),
        };
        let rates = self.rates(&budget);
        // What is paced leaves a segment at a time where the device does not cut: the wire sees no burst.
        let unpaced = rates.are_unlimited() && env.ceiling.is_none();
        let room = if env.super_segments || unpaced { room.largest_payload_octets } else { 0 };
        let largest = paced.max(mss.min(allowance)).min(room.max(mss));
        let octets = if octets > largest { (largest - largest % mss).max(mss) } else { octets };
        self.release = Instant::FAR;
        let seq = self.snd.nxt;
        let last = octets == facts.unsent;
        if outstanding == 0 {
            self.progress = env.now;
        }
        self.snd.nxt += octets;
        if octets != mss && octets % mss != 0 {
            self.snd.small = self.snd.nxt;
        }
        self.recovery.on_sent(env.now, octets, mss, last && allowance > octets);
        self.last_sent = env.now.tick();
        if !rates.are_unlimited() {
            self.released(env.now, octets, mss, TCP_OCTETS as u32, &rates);
        }
        let in_flight_octets = outstanding + octets;
        self.controller.on_sent(&Sent {
            now: env.now,
            octets,
            in_flight_octets,
            retransmission: false,
            first_after_idle: outstanding == 0,
        });
        env.observe(&Event::Sent { seq, octets });
        let mut outgoing = self.usual(env.now, seq, octets);
        outgoing.push = last;
        outgoing.gso_octets = (octets > mss).then_some(mss.min(u32::from(u16::MAX)) as u16);
        self.switch(env, Limiter::Sending);
        outgoing.last = match last {
            true => self.gives_no_more(env),
            false => !unpaced && self.gives_no_more_yet(env),
        };
        Given::Segment(outgoing)
    }

    /// Time alone is what is waited for. As the spine would say it, unless something else is to be
    /// looked at.
    #[inline(never)]
    fn wait_for_release<O: Observer>(&mut self, env: &mut Env<'_, O>, held: &Held) -> Given {
        let told = self.settings.unsent_low_water_octets != u32::MAX;
        let Some(until) = held.until.filter(|_| !told && !self.acks.is_due()) else {
            return Given::Unusual;
        };
        self.limited(env, held.limiter);
        self.release = until;
        Given::Nothing
    }

    /// The rates let no more out before another moment, and there is nothing else to be asked for.
    #[inline(never)]
    fn gives_no_more_yet<O: Observer>(&mut self, env: &mut Env<'_, O>) -> bool {
        let told = self.settings.unsent_low_water_octets != u32::MAX;
        let until = self.pacer.release();
        if until <= env.now || told || self.acks.is_due() {
            return false;
        }
        self.limited(env, self.stopwatches.paced_by.into());
        self.release = until;
        true
    }

    /// The window must be looked at first (5681-6, RFC 7661).
    fn was_idle(&self, now: Instant) -> bool {
        let ticks = now.tick().distance_from(self.last_sent).unwrap_or(u32::MAX);
        Span::from_micros(u64::from(ticks) << TICK_SHIFT) > self.recovery.rto()
    }

    /// Nothing is left to be sent: notes that it is the application now that is waited for, unless
    /// it has to be told that it may write.
    #[inline]
    fn gives_no_more<O: Observer>(&mut self, env: &mut Env<'_, O>) -> bool {
        let told = self.settings.unsent_low_water_octets != u32::MAX;
        if told || self.acks.is_due() {
            return false;
        }
        self.switch(env, Limiter::Application);
        true
    }

    #[inline(always)]
    fn switch<O: Observer>(&mut self, env: &mut Env<'_, O>, limiter: Limiter) {
        if self.stopwatches.switch(env.now, limiter) {
            env.observe(&Event::Limited(limiter));
        }
    }

    /// A segment of `octets` payload from `seq` on. It carries the acknowledgement that was owed.
    #[inline]
    fn usual(&mut self, now: Instant, seq: Seq, octets: u32) -> UsualOutgoing {
        let ack = self.receiver.nxt();
        let window = self.announce_window();
        self.timestamps.on_ack_sent(ack);
        self.acks.on_ack_sent(now, octets > 0);
        UsualOutgoing {
            seq,
            ack,
            window,
            push: false,
            value: self.timestamp_value(now),
            echo: self.timestamps.recent(),
            dscp: self.settings.dscp,
            hop_limit: self.settings.hop_limit,
            octets,
            payload: Chain::new(),
            gso_octets: None,
            last: false,
        }
    }
}

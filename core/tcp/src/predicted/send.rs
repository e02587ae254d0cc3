//! New data, or an acknowledgement.
//! Implements: what `crate::send::poll` gives out, where the connection is plain.

use crate::env::Env;
use crate::open::timestamp_clock;
use crate::recv::paws::Timestamps;
use crate::recv::receiver::Receiver;
use crate::segment::{Outgoing, Reply};
use crate::send::allow::{Allowed, NewData, new_data};
use crate::send::poll::Held;
use crate::send::{SendRoom, Snd};
use crate::settings::Settings;
use crate::tcb::Tcb;
use alloc::rc::Rc;
use usertcp_base::{Event, Instant, Limiter, Observer, Seq, WireWindow};
use usertcp_cc::{CongestionController, Sent};
use usertcp_frame::{Chain, Pieces, Whole};
use usertcp_wire::tcp::{Flags, Timestamps as Stamps};
use usertcp_wire::usual::TCP_OCTETS;

/// Segments of a paced connection that leave at once where the device does not cut, if the rate's release has room
/// for them: as many as one acknowledgement answers.
const PACED_SEGMENTS: u32 = 2;

/// A segment of the usual shape to be sent: ACK, perhaps PSH and FIN, no option but timestamps. Its
/// payload lies in the retransmission queue, where [`Tcb::sent`] finds it.
#[derive(Clone, Copy, Debug)]
pub struct UsualOutgoing {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The window field.
    pub window: WireWindow,
    /// PSH is to be set.
    pub push: bool,
    /// FIN is to be set.
    pub fin: bool,
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
    /// When the payload is more than one segment: octets of payload per wire segment.
    pub gso_octets: Option<u16>,
    /// No other segment follows: there is no need to poll again.
    pub last: bool,
}

impl UsualOutgoing {
    /// The same as any segment, with its payload.
    #[must_use]
    pub fn with_payload(&self, payload: Chain) -> Outgoing {
        let UsualOutgoing { seq, ack, window, value, echo, gso_octets, last, .. } = *self;
        let mut flags = if self.push { Flags::ACK | Flags::PSH } else { Flags::ACK };
        if self.fin {
            flags = flags | Flags::FIN;
        }
        let mut reply = Reply::new(flags, seq, ack, window);
        reply.options.timestamps = Some(Stamps { value, echo });
        reply.dscp = self.dscp;
        reply.hop_limit = self.hop_limit;
        Outgoing { reply, payload, gso_octets, last }
    }
}

/// What the predicted path gives.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// A segment.
    Segment(UsualOutgoing),
    /// Nothing is to be sent: the application has nothing more.
    Nothing,
    /// Nothing has changed: ask the spine.
    Unusual,
}

impl<C: CongestionController> Tcb<C> {
    /// The octets from `seq` on, which were sent and are not acknowledged, as they lie in the queue.
    #[inline]
    pub fn sent(&self, seq: Seq, octets: u32) -> Chain {
        match octets {
            0 => Chain::new(),
            octets => self.queue.slice(seq.since(self.snd.una) as usize, octets as usize),
        }
    }

    /// The same in pieces of `each` octets, as [`Chain::pieces`] gives them.
    #[inline]
    pub fn sent_pieces(&self, seq: Seq, each: u32) -> Pieces<'_> {
        self.queue.pieces(seq.since(self.snd.una) as usize, each as usize)
    }

    /// The slices that begin at `seq`, about so `many` of them, as [`Chain::starting_at`] gives them.
    #[inline]
    pub fn sent_slices(&mut self, seq: Seq, many: usize) -> Whole<'_> {
        self.queue.starting_at(seq.since(self.snd.una) as usize, many)
    }

    /// The octets from `seq` on for a caller that copies them, where they lie in one piece at the front of
    /// the queue.
    #[inline(always)] // a load or two
    pub fn sent_piece(&self, seq: Seq, octets: u32) -> Option<&[u8]> {
        let first = self.queue.front()?;
        let from = seq.since(self.snd.una) as usize;
        let piece = first.get(from..from + octets as usize)?;
        first.count_copied(piece.len());
        Some(piece)
    }

    /// The same octets copied into `out`, wherever they lie.
    #[inline(never)]
    pub fn copy_sent(&self, seq: Seq, out: &mut [u8]) -> usize {
        self.queue.copy_to(seq.since(self.snd.una) as usize, out)
    }

    /// What else hears of `octets` that leave, behind `outstanding` of others.
    #[inline(always)]
    pub(super) fn note_sent(&mut self, now: Instant, octets: u32, outstanding: u32) {
        self.last_sent = now.tick();
        self.controller.on_sent(&Sent {
            now,
            octets,
            in_flight_octets: outstanding.saturating_add(octets),
            retransmission: false,
            first_after_idle: outstanding == 0,
        });
    }

    /// The next segment, if it is one of the usual shape; the caller fetches its payload in the pieces
    /// that its device takes. [`Given::Unusual`]: it is [`Tcb::poll_segment`] that has to be asked.
    #[inline(never)]
    pub fn poll_usual<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> Given {
        if !self.is_predicted() {
            return self.poll_closing(env);
        }
        let unsent = self.unsent_octets();
        if unsent > 0 {
            return self.give_data(env, room, unsent);
        }
        if self.snd.wnd == 0 {
            return Given::Unusual;
        }
        self.give_acknowledgement(env)
    }

    /// What is owed the peer, when there is nothing else.
    #[inline]
    pub(super) fn give_acknowledgement<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Given {
        if !self.acks.is_due() {
            self.wait_for_writer(env);
            return Given::Nothing;
        }
        self.release = Instant::FAR;
        let mut outgoing = self.usual(env.now, self.snd.nxt, 0);
        outgoing.last = self.gives_no_more(env);
        Given::Segment(outgoing)
    }

    #[inline]
    fn give_data<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        room: &SendRoom,
        unsent: u32,
    ) -> Given {
        let mss = self.send_mss();
        let outstanding = self.snd.outstanding();
        // Within the window, and Nagle lets a partial segment at the end go: the rules are done.
        let all = unsent <= self.snd.usable()
            && (self.settings.no_delay || !self.snd.small.after(self.snd.una));
        let octets = if all { Some(unsent) } else { self.allowed(unsent, mss, outstanding) };
        let Some(octets) = octets else { return Given::Unusual };
        if outstanding == 0 && self.was_idle(env.now) {
            return Given::Unusual;
        }
        let budget = self.controller.budget();
        let allowance = budget.window_octets.saturating_sub(outstanding);
        if allowance < octets.min(mss) {
            return Given::Unusual;
        }
        let unlimited = budget.rate.is_unlimited() && self.settings.rate_limit.is_unlimited();
        let unpaced = unlimited && env.ceiling.is_none();
        let paced = match if unpaced { Ok(allowance) } else { self.pace(env, allowance, &budget) } {
            Ok(paced) => paced,
            Err(held) => return self.wait_for_release(env, &held),
        };
        let mut octets = octets;
        if octets > mss {
            self.stir();
            // What is paced leaves in pairs at most where the device does not cut: one decision, one deadline
            // and one acknowledgement serve for two, and the wire sees no longer burst.
            let room = room.largest_payload_octets;
            let cut = env.super_segments || unpaced;
            let room = if cut { room } else { room.min(PACED_SEGMENTS * mss) };
            let largest = paced.max(mss.min(allowance)).min(room.max(mss));
            if octets > largest {
                octets = (largest - largest % mss).max(mss);
            }
        }
        self.release = Instant::FAR;
        let seq = self.snd.nxt;
        let last = octets == unsent;
        if outstanding == 0 {
            self.progress = env.now;
        }
        self.snd.nxt += octets;
        if octets < mss || octets > mss && octets % mss != 0 {
            self.snd.small = self.snd.nxt;
        }
        let limited = last && allowance > octets;
        let _ = self.recovery.on_plain_sent(env.now, (seq, octets), outstanding, mss, limited);
        if !unlimited {
            self.look_back(env.lags);
            let rates = self.rates(&budget);
            self.released(env.now, octets, mss, TCP_OCTETS as u32, &rates);
        }
        self.note_sent(env.now, octets, outstanding);
        env.observe(&Event::Sent { seq, octets });
        let mut outgoing = self.usual(env.now, seq, octets);
        outgoing.push = last;
        outgoing.gso_octets = (octets > mss).then_some(mss.min(u32::from(u16::MAX)) as u16);
        self.switch(env, Limiter::Sending);
        outgoing.last = match last {
            true => self.gives_no_more(env),
            false => !unpaced && self.gives_no_more_yet(env, allowance.saturating_sub(octets)),
        };
        Given::Segment(outgoing)
    }

    /// What the peer's window, Nagle and silly-window avoidance let go of what is unsent.
    #[inline(never)]
    fn allowed(&self, unsent: u32, mss: u32, outstanding: u32) -> Option<u32> {
        let facts = NewData {
            unsent,
            usable: self.snd.usable(),
            mss,
            max_window: self.snd.max_wnd,
            outstanding: outstanding > 0,
            small_outstanding: self.snd.small.after(self.snd.una),
            no_delay: self.settings.no_delay,
            cork: false,
            closing: false,
        };
        match new_data(&facts) {
            Allowed::Send(octets) => Some(octets),
            Allowed::Nothing | Allowed::Company | Allowed::Window => None,
        }
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

    /// The rates let no more out before another moment, and there is nothing else to be asked for. `allowance` is what is
    /// left of the congestion window.
    #[inline(never)]
    fn gives_no_more_yet<O: Observer>(&mut self, env: &mut Env<'_, O>, allowance: u32) -> bool {
        let told = self.settings.unsent_low_water_octets != u32::MAX;
        let until = self.pacer.release();
        if until <= env.now || told || self.acks.is_due() {
            return false;
        }
        // Else it is one of the windows that holds the rest back, or Nagle, and no limit.
        let unsent = self.unsent_octets();
        let goes = unsent <= self.snd.usable()
            && unsent.min(self.usual_mss()) <= allowance
            && (self.settings.no_delay || !self.snd.small.after(self.snd.una));
        if !goes && !self.settings.rate_limit.is_unlimited() {
            return false;
        }
        self.limited(env, self.stopwatches.paced_by.into());
        self.release = until;
        true
    }

    /// The window must be looked at first (5681-6, RFC 7661).
    #[inline(always)]
    pub(super) fn was_idle(&self, now: Instant) -> bool {
        self.recovery.is_beyond_timeout(self.idle_ticks(now))
    }

    /// Ticks since something was sent, counted in a circle: what seems to lie ahead is long ago.
    #[inline(always)]
    pub(super) fn idle_ticks(&self, now: Instant) -> u32 {
        now.tick().0.wrapping_sub(self.last_sent.0)
    }

    /// Nothing is left to be sent: notes that it is the application now that is waited for, unless
    /// it has to be told that it may write.
    #[inline]
    fn gives_no_more<O: Observer>(&mut self, env: &mut Env<'_, O>) -> bool {
        let told = self.settings.unsent_low_water_octets != u32::MAX;
        if told || self.acks.is_due() {
            return false;
        }
        self.wait_for_writer(env);
        true
    }

    /// Nothing waits to be sent.
    #[inline(always)]
    fn wait_for_writer<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        let held = self.held_by_writer(env.now);
        self.release = held.until.unwrap_or(Instant::FAR);
        self.switch(env, held.limiter);
    }

    #[inline(always)]
    fn switch<O: Observer>(&mut self, env: &mut Env<'_, O>, limiter: Limiter) {
        if self.stopwatches.switch(env.now, limiter) {
            self.stir();
            env.observe(&Event::Limited(limiter));
        }
    }

    /// Whether an acknowledgement is due, and nothing else is to be sent.
    #[inline]
    pub fn only_acknowledges(&self) -> bool {
        self.acks.is_due() && self.unsent_octets() == 0
    }

    /// A segment of `octets` payload from `seq` on. It carries the acknowledgement that was owed.
    #[inline(always)] // what it returns is large
    pub(crate) fn usual(&mut self, now: Instant, seq: Seq, octets: u32) -> UsualOutgoing {
        let window = self.acknowledge(now, octets);
        self.facts().outgoing(now, seq, octets, window)
    }

    /// The acknowledgement that was owed leaves with `octets` of payload: the window field that goes with it.
    #[inline(always)]
    pub(super) fn acknowledge(&mut self, now: Instant, octets: u32) -> WireWindow {
        self.timestamps.on_ack_sent(self.receiver.nxt());
        if octets > 0 {
            self.acks.end_silence(now, self.last_heard);
        }
        self.acks.on_ack_sent(now, octets > 0);
        self.announce_in_order()
    }

    /// The window field of a segment that acknowledges all that has arrived, where nothing is held out of order.
    #[inline(always)]
    pub(crate) fn announce_in_order(&mut self) -> WireWindow {
        let Tcb { receiver, autotune, advertise, .. } = self;
        let (nxt, buffer, mss) = (receiver.nxt(), autotune.buffer(), self.mtu.announced_mss());
        advertise.announce_in_order(nxt, buffer, mss, || receiver.holding(buffer))
    }

    /// What headers say of the connection.
    #[inline(always)]
    pub(super) fn facts(&self) -> HeaderFacts<'_> {
        HeaderFacts {
            snd: &self.snd,
            receiver: &self.receiver,
            timestamps: &self.timestamps,
            timestamp_offset: &self.timestamp_offset,
            settings: &self.settings,
        }
    }
}

/// What headers say of a connection.
pub struct HeaderFacts<'a> {
    pub(super) snd: &'a Snd,
    pub(super) receiver: &'a Receiver,
    pub(super) timestamps: &'a Timestamps,
    pub(super) timestamp_offset: &'a u32,
    pub(super) settings: &'a Rc<Settings>,
}

impl HeaderFacts<'_> {
    /// A segment of `octets` payload from `seq` on.
    #[inline(always)] // it is put together in registers
    pub(super) fn outgoing(
        &self,
        now: Instant,
        seq: Seq,
        octets: u32,
        window: WireWindow,
    ) -> UsualOutgoing {
        UsualOutgoing {
            seq,
            ack: self.receiver.nxt(),
            window,
            push: false,
            fin: false,
            value: timestamp_clock(now, *self.timestamp_offset),
            echo: self.timestamps.recent(),
            dscp: self.settings.dscp,
            hop_limit: self.settings.hop_limit,
            octets,
            gso_octets: None,
            last: false,
        }
    }
}

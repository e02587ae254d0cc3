//! The only segment that a connection has to send.
//!
//! Of what `send` does, all that is left where one segment is to leave and nothing after it. The most frequent one, a
//! question or an answer while nothing else is in flight, has a way that is shorter still (`message`).
//! Implements: what `crate::send::poll` gives out, where the connection is plain.

use super::{HeaderFacts, UsualOutgoing};
use crate::env::Env;
use crate::tcb::Tcb;
use usertcp_base::{
    ConnId, Event, Instant, Limiter, Observer, Span, Tick, WireWindow, expect_all, seldom,
};
use usertcp_cc::CongestionController;
use usertcp_frame::Behind;
use usertcp_wire::usual::TCP_OCTETS;

/// The only segment that a connection has to send: all that was unsent, with PSH, and FIN perhaps, or an
/// acknowledgement. [`Tcb::single`] tells the rest of it.
#[derive(Clone, Copy, Debug)]
pub struct Single {
    /// Octets of payload.
    pub octets: u32,
    /// FIN is behind them.
    pub fin: bool,
    /// The window field.
    pub window: WireWindow,
    /// With payload or FIN: the connection's deadline after it.
    pub deadline: Tick,
}

impl Single {
    /// SEG.LEN: FIN takes a number too.
    #[inline(always)] // for each packet
    fn length(self) -> u32 {
        self.octets + u32::from(self.fin)
    }

    /// With payload or FIN: the connection's deadline after it.
    #[inline(always)] // as above
    pub fn deadline(self) -> Option<Tick> {
        (self.octets > 0 || self.fin).then_some(self.deadline)
    }
}

impl<C: CongestionController> Tcb<C> {
    /// The one segment that carries all that is unsent, and FIN perhaps, or the acknowledgement that is owed: nothing
    /// holds it back, and nothing is left to be asked for after it. `None`: nothing has changed, ask
    /// [`Tcb::poll_usual`], which also has to be asked instead when there are rates that are shared.
    #[inline(never)] // its registers are its own
    pub fn poll_single<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        if !self.is_predicted() || !self.sends_freely() {
            return seldom();
        }
        let unsent = self.unsent_octets();
        let mut deadline = Instant::FAR;
        if unsent > 0 {
            deadline = self.send_single::<false>(now, unsent)?;
        } else if self.snd.wnd == 0 || !self.acks.is_due() {
            return seldom();
        }
        Some(self.given_as_single::<_, false>(now, id, observer, unsent, deadline))
    }

    /// Whether no rate is set, and nobody to be told of room.
    #[inline(always)]
    pub(super) fn sends_freely(&self) -> bool {
        let settings = &*self.settings;
        settings.unsent_low_water_octets == u32::MAX && settings.rate_limit.is_unlimited()
    }

    /// The same of a connection that is plain but for being closed, where FIN leaves with all that is unsent.
    #[inline(always)] // of `poll_fin`
    pub(super) fn poll_last<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        let unsent = self.unsent_octets();
        let deadline = self.send_single::<true>(now, unsent)?;
        Some(self.given_as_single::<_, true>(now, id, observer, unsent, deadline))
    }

    /// All that was unsent was sent, with FIN or without, or there is the acknowledgement alone.
    #[inline(always)] // the end of both above
    pub(super) fn given_as_single<O: Observer, const FIN: bool>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
        octets: u32,
        deadline: Instant,
    ) -> Single {
        let sent = FIN || octets > 0;
        if sent {
            let seq = self.snd.nxt - (octets + u32::from(FIN));
            observer.on_event(Some(id), now, &Event::Sent { seq, octets });
        }
        self.release = Instant::FAR;
        self.waits_again(now, id, observer, sent);
        let window = self.acknowledge(now, octets);
        Single { octets, fin: FIN, window, deadline: deadline.tick() }
    }

    /// The same for whoever asks for any segment.
    #[inline(never)]
    pub(crate) fn poll_only<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Option<UsualOutgoing> {
        if env.ceiling.is_some() {
            return None;
        }
        let (now, id) = (env.now, env.id);
        let single = match self.poll_message(now, id, env.observer) {
            Some(message) => message,
            None if self.is_closing() => self.poll_end(now, id, env.observer)?,
            None => self.poll_single(now, id, env.observer)?,
        };
        Some(self.single(now, single))
    }

    /// The payload of the segment that [`Tcb::poll_single`] has just given behind `headers` octets to be written, in
    /// the frame in which it lies in the queue: no copy; and what they say. `None`: there is none, it is not the first
    /// in flight, or another holds the frame too.
    #[inline(always)] // for each packet
    pub fn single_in_place(
        &mut self,
        single: Single,
        headers: usize,
    ) -> Option<(Behind<'_>, HeaderFacts<'_>)> {
        expect_all!(single.octets > 0, self.snd.outstanding() == single.length());
        let Tcb { queue, snd, receiver, timestamps, timestamp_offset, settings, .. } = self;
        let behind = queue.behind(headers, single.octets as usize)?;
        Some((behind, HeaderFacts { snd, receiver, timestamps, timestamp_offset, settings }))
    }

    /// All of the segment that [`Tcb::poll_single`] has just given.
    #[inline(always)] // it is put together in registers
    pub fn single(&self, now: Instant, single: Single) -> UsualOutgoing {
        self.facts().single(now, single)
    }

    /// What was to be sent is sent: it is the application now that is waited for.
    #[inline(always)]
    fn waits_again<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
        with_data: bool,
    ) {
        let before = self.stopwatches.running();
        if before != Limiter::Application {
            self.stopwatches.switch(now, Limiter::Application);
        }
        // It sends and waits again at one moment: no time passes between the two.
        if with_data && before != Limiter::Sending {
            observer.on_event(Some(id), now, &Event::Limited(Limiter::Sending));
        }
        if with_data || before != Limiter::Application {
            observer.on_event(Some(id), now, &Event::Limited(Limiter::Application));
        }
    }

    /// Sends all that is unsent, if it is a segment at most, the windows have room for it, Nagle lets it go
    /// and the pacer too. With FIN nothing has to be waited for or paced, or else it is for the steps. The deadline then.
    #[inline(always)] // a part of the two above
    fn send_single<const FIN: bool>(&mut self, now: Instant, octets: u32) -> Option<Instant> {
        let mss = self.usual_mss();
        let outstanding = self.snd.outstanding();
        let unpaced = self.controller.unpaced_window();
        if unpaced.is_none() && (FIN || self.pacer.release() > now) {
            return seldom();
        }
        // FIN takes a number of the peer's window, as an octet does.
        let length = octets + u32::from(FIN);
        let window = unpaced.unwrap_or_else(|| self.controller.window_octets());
        let mut allowance = window.saturating_sub(outstanding);
        let fits = octets <= mss && octets <= allowance && length <= self.snd.usable();
        let goes = FIN || self.settings.no_delay || !self.snd.small.after(self.snd.una);
        if !fits || !goes {
            return seldom();
        }
        if outstanding == 0 && self.was_idle(now) {
            if FIN {
                return seldom();
            }
            allowance = self.window_after_idle(now, octets);
        }
        if unpaced.is_none() {
            self.pace_single(now, octets, mss);
        }
        let limited = !FIN && allowance > octets;
        Some(self.send_now::<FIN>(now, octets, outstanding, mss, limited))
    }

    /// Takes note of a segment of `octets` that leaves behind `outstanding` others: `limited` by what there is to
    /// send. The deadline then.
    #[inline(always)] // with what its callers know of it
    fn send_now<const FIN: bool>(
        &mut self,
        now: Instant,
        octets: u32,
        outstanding: u32,
        mss: u32,
        limited: bool,
    ) -> Instant {
        let (seq, length) = (self.snd.nxt, octets + u32::from(FIN));
        self.snd.nxt = seq + length;
        if octets < mss && !(FIN && octets == 0) {
            self.snd.small = self.snd.nxt;
        }
        if outstanding == 0 {
            self.progress = now;
        }
        let timer = self.recovery.on_plain_sent(now, (seq, length), outstanding, mss, limited);
        self.note_sent(now, length, outstanding);
        // Nothing else is waited for while data is in flight: `Tcb::next_deadline`.
        timer.min(self.progress + self.settings.give_up.unwrap_or(Span::MAX))
    }

    /// The pacer hears of a segment of `octets` that leaves now.
    #[inline(never)]
    fn pace_single(&mut self, now: Instant, octets: u32, mss: u32) {
        let budget = self.controller.budget();
        debug_assert_eq!(budget.window_octets, self.controller.window_octets());
        if !budget.rate.is_unlimited() {
            let rates = self.rates(&budget);
            self.released(now, octets, mss, TCP_OCTETS as u32, &rates);
        }
    }

    /// The window after an idle time. It has room for a segment of `octets` as before: windows are not less than
    /// one.
    #[inline(never)]
    fn window_after_idle(&mut self, now: Instant, octets: u32) -> u32 {
        self.resume_from_idle(now);
        let window = self.controller.window_octets();
        debug_assert!(octets <= window);
        window
    }
}

impl HeaderFacts<'_> {
    /// As [`Tcb::single`].
    #[inline(always)] // it is put together in registers
    pub fn single(&self, now: Instant, single: Single) -> UsualOutgoing {
        let Single { octets, fin, window, .. } = single;
        let push = octets > 0;
        let seq = self.snd.nxt - single.length();
        UsualOutgoing { push, fin, last: true, ..self.outgoing(now, seq, octets, window) }
    }
}

//! A message: a short question or answer that leaves while nothing else is in flight.
//!
//! Of what `single` does with a segment, all that is left where each side says one thing at a time: as `answer` is to
//! what arrives. What a message needs that hardly ever changes is known of a connection that is
//! [free](super::Prediction::Free); what is left is asked first, and what follows is done without another question.
//! Implements: what `crate::send::poll` gives out, where the connection is plain.

use super::answer::LONGEST_OCTETS;
use super::{HeaderFacts, Prediction, Single};
use crate::open::timestamp_clock;
use crate::tcb::Tcb;
use usertcp_base::{ConnId, Event, Instant, Limiter, Observer, Span, WireWindow, expect_all};
use usertcp_cc::CongestionController;
use usertcp_frame::Behind;
use usertcp_wire::usual::MessageHeader;

impl<C: CongestionController> Tcb<C> {
    /// The message that is to be sent, and nothing after it: it leaves now. `None`: there is none, nothing has changed,
    /// ask [`Tcb::poll_single`].
    #[inline(always)] // where nearly all leave, and in two other places
    pub fn poll_message<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<Single> {
        let octets = self.unsent_message(now)?;
        let window = self.send_message(now, id, observer, octets);
        let deadline = self.recovery.probe_at().tick();
        Some(Single { octets, fin: false, window, deadline })
    }

    /// Whether anything of what was sent was acknowledged.
    #[inline]
    pub fn was_acknowledged(&self) -> bool {
        self.octets_acknowledged > 0
    }

    /// The message with this window that [`Tcb::poll_message`] has just given out.
    pub fn message(&self, window: WireWindow) -> Single {
        let (octets, deadline) = (self.snd.outstanding(), self.recovery.probe_at().tick());
        Single { octets, fin: false, window, deadline }
    }

    /// The payload of the message that [`Tcb::poll_message`] has just given out, as [`Tcb::single_in_place`] gives it, and
    /// what [its headers](HeaderFacts::message) are made of.
    #[inline(always)] // once
    pub fn message_in_place(
        &mut self,
        message: Single,
        headers: usize,
    ) -> Option<(Behind<'_>, HeaderFacts<'_>)> {
        debug_assert_eq!(message.octets, self.snd.outstanding());
        let Tcb { queue, snd, receiver, timestamps, timestamp_offset, settings, .. } = self;
        let behind = queue.behind(headers, message.octets as usize)?;
        Some((behind, HeaderFacts { snd, receiver, timestamps, timestamp_offset, settings }))
    }

    /// The octets of the message that is to be sent: nothing is in flight, nothing holds it back, and it is the
    /// application that was waited for.
    #[inline(always)] // once
    fn unsent_message(&self, now: Instant) -> Option<u32> {
        let octets = self.queue.len();
        expect_all! {
            self.prediction == Prediction::Free,
            self.snd.nxt == self.snd.una,
            octets.wrapping_sub(1) < LONGEST_OCTETS as usize,
            octets as u32 <= self.snd.wnd,
            self.controller.is_surely_unpaced(),
            self.recovery.has_short_record(),
            self.recovery.is_soon(self.idle_ticks(now)),
        };
        debug_assert!(self.is_predicted() && self.has_calmed_down() && self.is_free());
        debug_assert!(
            self.controller.window_octets() > octets as u32,
            "windows have room for segments"
        );
        debug_assert_eq!(
            self.release,
            Instant::FAR,
            "it is not the pacer that holds anything back"
        );
        Some(octets as u32)
    }

    /// Whether nothing in its settings limits or watches how a message leaves, and it is the application that is waited
    /// for, while the connection is calm.
    pub(super) fn is_free(&self) -> bool {
        let give_up = self.settings.give_up.unwrap_or(Span::MAX);
        self.sends_freely()
            && self.stopwatches.running() == Limiter::Application
            && self.usual_mss() > LONGEST_OCTETS
            && self.recovery.awaits_probes(give_up)
    }

    /// A message of `octets` leaves: takes note of it. The window field.
    #[inline(always)] // once
    fn send_message<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
        octets: u32,
    ) -> WireWindow {
        let seq = self.snd.nxt;
        self.snd.nxt = seq + octets;
        self.snd.small = self.snd.nxt;
        self.progress = now;
        self.recovery.on_message_sent(now, seq, octets);
        self.note_sent(now, octets, 0);
        let mut tell = |event| observer.on_event(Some(id), now, &event);
        tell(Event::Sent { seq, octets });
        // It sends and waits again at one moment: no time passes between the two.
        tell(Event::Limited(Limiter::Sending));
        tell(Event::Limited(Limiter::Application));
        self.acknowledge_with_message(now, octets)
    }

    /// As [`Tcb::acknowledge`], which it comes to if a silence has ended or the window's edge may move.
    #[inline(always)] // once
    fn acknowledge_with_message(&mut self, now: Instant, octets: u32) -> WireWindow {
        let (nxt, buffer) = (self.receiver.nxt(), self.autotune.buffer());
        let full = self.advertise.is_surely_full(nxt, buffer, self.receive_mss());
        if !full || !self.acks.goes_on() {
            return self.acknowledge_by_steps(now, octets);
        }
        self.timestamps.on_usual_ack_sent(nxt);
        self.acks.on_message_sent(now);
        self.advertise.stay(nxt)
    }

    #[inline(never)]
    fn acknowledge_by_steps(&mut self, now: Instant, octets: u32) -> WireWindow {
        self.acknowledge(now, octets)
    }
}

impl HeaderFacts<'_> {
    /// What the headers of a message say, which is all that is in flight.
    #[inline(always)] // once, late: none of it is kept at hand before
    pub fn message(&self, now: Instant, window: WireWindow) -> MessageHeader {
        MessageHeader {
            seq: self.snd.una,
            ack: self.receiver.nxt(),
            window,
            value: timestamp_clock(now, *self.timestamp_offset),
            echo: self.timestamps.recent(),
        }
    }
}

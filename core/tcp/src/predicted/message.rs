//! A message: a short question or answer that leaves while nothing else is in flight.
//!
//! Of what `single` does with a segment, all that is left where each side says one thing at a time: as `answer` is to
//! what arrives. What a message needs that hardly ever changes is known of a connection that is
//! [free](super::Prediction::Free); what is left is asked first, and what follows is done without another question.
//! Implements: what `crate::send::poll` gives out, where the connection is plain.

use super::answer::LONGEST_OCTETS;
use super::{Prediction, Single};
use crate::tcb::Tcb;
use usertcp_base::{ConnId, Event, Instant, Limiter, Observer, Span, WireWindow, expect_all};
use usertcp_cc::CongestionController;

impl<C: CongestionController> Tcb<C> {
    /// The message that is to be sent, and nothing after it: it leaves now, and [`Tcb::message`] tells what it was. The
    /// window field. `None`: there is none, nothing has changed, ask [`Tcb::poll_single`].
    #[inline(never)] // its registers are its own
    pub fn poll_message<O: Observer>(
        &mut self,
        now: Instant,
        id: ConnId,
        observer: &mut O,
    ) -> Option<WireWindow> {
        let octets = self.unsent_message(now)?;
        self.send_message(now, id, observer, octets)
    }

    /// The message that [`Tcb::poll_message`] has just given out.
    #[inline(always)] // for each packet
    pub fn message(&self, window: WireWindow) -> Single {
        let (octets, deadline) = (self.snd.outstanding(), self.recovery.probe_at().tick());
        Single { octets, fin: false, window, deadline }
    }

    /// The octets of the message that is to be sent: nothing is in flight, nothing holds it back, and it is the
    /// application that was waited for.
    #[inline(always)] // once
    fn unsent_message(&self, now: Instant) -> Option<u32> {
        let octets = self.queue.len();
        expect_all! {
            self.prediction == Prediction::Free,
            self.snd.nxt == self.snd.una,
            octets.wrapping_sub(1) < LONGEST_OCTETS.min(self.snd.wnd) as usize,
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
    ) -> Option<WireWindow> {
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
    fn acknowledge_with_message(&mut self, now: Instant, octets: u32) -> Option<WireWindow> {
        let (nxt, buffer) = (self.receiver.nxt(), self.autotune.buffer());
        let full = self.advertise.surely_full(nxt, buffer, self.mtu.announced_mss());
        let Some(offered) = full.filter(|_| self.acks.goes_on()) else {
            return self.acknowledge_by_steps(now, octets);
        };
        self.timestamps.on_usual_ack_sent(nxt);
        self.acks.on_message_sent(now);
        Some(self.advertise.stay_beyond(nxt, offered))
    }

    #[inline(never)]
    fn acknowledge_by_steps(&mut self, now: Instant, octets: u32) -> Option<WireWindow> {
        Some(self.acknowledge(now, octets))
    }
}

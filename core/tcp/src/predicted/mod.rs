//! The predicted path: the segments of a connection that has nothing but data to carry.
//!
//! Owns: when a connection is *plain*, and what an expected segment in (`arrive`) or out (`send`), or a
//! read (`read`), does to one, in one piece instead of step by step; the same where one is plain but for being closed
//! (`close`).
//! Must not know: anything the spine does not know. It may only be faster: a test drives pairs of
//! connections with it and without, and compares every segment, event and figure
//! (`crate::tests::predicted`).
//! Implements: RFC 9293 §3.10.7.4 and §3.9.1.2 where nothing unusual is going on (header prediction, as
//! Van Jacobson proposed it in 1990).
//!
//! Whether a connection is plain is noted at the end of the slow calls, and forgotten at the
//! beginning of every call that may change it.

mod answer;
mod arrive;
mod close;
mod first;
mod message;
mod read;
mod send;
mod single;

pub use answer::Answered;
pub use arrive::{UsualEffects, UsualSegment};
pub use close::{Closing, Last};
pub use send::{Given, HeaderFacts, UsualOutgoing};
pub use single::Single;

use crate::send::probe::Persisting;
use crate::settings::{Manner, UserTimeoutOption};
use crate::tcb::Tcb;
use alloc::rc::Rc;
use usertcp_base::Instant;
use usertcp_cc::CongestionController;
use usertcp_frame::FrameSlice;

/// What is known of a connection, the more the later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Prediction {
    /// It shall not be asked: a test compares.
    #[cfg(test)]
    Forbidden,
    /// Nothing.
    #[default]
    Unknown,
    /// It would be plain, but one side is closed, or the application has let go.
    Closing,
    /// It is plain.
    Plain,
    /// It is, and lately there was nothing but questions and answers: what hardly ever changes meanwhile is as these
    /// need it (`answer`).
    Calm,
    /// It is calm, and what else a message needs in order to leave hardly ever changes either: nothing in its settings
    /// limits or watches that (`message`).
    Free,
}

impl Prediction {
    /// Whether it is plain, or would be were it not for closing.
    #[inline]
    pub(crate) fn is_known(self) -> bool {
        self >= Prediction::Closing
    }
}

impl<C: CongestionController> Tcb<C> {
    /// Something changes: it may be plain no more.
    #[inline]
    pub(crate) fn unpredict(&mut self) {
        if self.prediction.is_known() {
            self.prediction = Prediction::Unknown;
        }
    }

    /// Something changes that a plain connection may differ in, but no question and no answer brings about.
    #[inline]
    pub(crate) fn stir(&mut self) {
        if self.prediction >= Prediction::Calm {
            self.prediction = Prediction::Plain;
        }
    }

    /// A slow call ends: is it plain now?
    pub(crate) fn predict(&mut self) {
        self.prediction = self.predicted();
    }

    /// What is known of it then.
    pub(crate) fn predicted(&self) -> Prediction {
        match self.prediction {
            Prediction::Unknown if self.is_settled() => match self.is_all_open() {
                true => Prediction::Plain,
                false => Prediction::Closing,
            },
            known => known,
        }
    }

    /// The same of a connection that has just begun: all that may be otherwise is what was agreed and set.
    #[inline]
    pub(crate) fn predict_newborn(&mut self) {
        let settled = self.timestamps.is_on()
            && self.recovery.sack()
            && !self.ecn.is_agreed()
            && !self.mtu.is_searching()
            && self.has_plain_settings();
        debug_assert_eq!(settled, self.is_settled(), "it has a past");
        self.prediction = if settled { Prediction::Plain } else { Prediction::Unknown };
    }

    /// Whether the connection is plain. True claims are checked where assertions are.
    #[inline]
    pub(crate) fn is_predicted(&self) -> bool {
        let plain = self.prediction >= Prediction::Plain;
        debug_assert!(!plain || self.is_all_open() && self.is_settled(), "a change was not noted");
        plain
    }

    /// Reads a little of every line of what an expected segment needs, so that all of them are on their way
    /// from memory: one field of each line, in their order. The sum means nothing.
    #[inline]
    pub fn touch(&self) -> u32 {
        let queues = self.receiver.nxt().0 ^ self.settings_place();
        let numbers = self.timestamps.recent() ^ self.last_sent.0 ^ self.prediction as u32;
        self.controller.threshold() ^ queues ^ numbers ^ self.recovery.touch()
    }

    /// Where the settings are, which says that the line of it is at hand.
    #[inline]
    fn settings_place(&self) -> u32 {
        Rc::as_ptr(&self.settings).addr() as u32
    }

    /// The same of what is rare, when the rest is at hand: if the connection is about to rest, or to be parked,
    /// all of it is looked at.
    #[inline]
    pub fn touch_rest(&self) -> u32 {
        if self.release != Instant::FAR || self.snd.outstanding() > 0 || !self.queue.is_empty() {
            return 0;
        }
        self.touch_rare()
    }

    #[inline]
    fn touch_rare(&self) -> u32 {
        let others = self.user_timeout.is_owed() as u32 ^ self.persist.why() as u32;
        self.touch_paced() ^ self.recovery.touch_rest() ^ others
    }

    /// The same of what messages do not need: of what a release does.
    #[inline]
    pub fn touch_paced(&self) -> u32 {
        self.release.stamp().0 ^ self.recovery.touch_more()
    }

    /// The same of what is noted of the octets that are acknowledged or sent next, when the TCB itself is at hand.
    #[inline]
    pub fn touch_queue(&self) -> u32 {
        self.queue.touch()
    }

    /// The same, and of what messages do not need, if it is no message that is expected; and of what is rare, if the
    /// connection may rest again soon.
    #[inline]
    pub fn touch_more(&self) -> u32 {
        let paced = match self.prediction {
            Prediction::Free => 0,
            _ => self.touch_paced() ^ self.recovery.touch_rest(),
        };
        let rare = if self.acks.has_had_one_exchange() { self.touch_rare() } else { 0 };
        self.touch_queue() ^ paced ^ rare
    }

    /// The slices in which they lie, when that is at hand.
    #[inline]
    pub fn next_slices(&self) -> impl Iterator<Item = &FrameSlice> {
        self.queue.next_slices()
    }

    /// Whether of their frames more is needed than what it takes to give them back: headers are to be written, or a message's
    /// frame is the one that the next message is written into.
    #[inline]
    pub fn needs_fronts(&self) -> bool {
        self.prediction == Prediction::Free || self.unsent_octets() > 0
    }

    /// Whether an acknowledgement of new data, or of our FIN, is one like those of a plain connection,
    /// whatever else the segment does: nothing is lost, marked or probed.
    #[inline]
    pub(crate) fn acknowledges_plainly(&self) -> bool {
        #[cfg(test)]
        if self.prediction == Prediction::Forbidden {
            return false;
        }
        self.timestamps.is_on()
            && self.recovery.is_plain()
            && !self.ecn.is_agreed()
            && self.persist.why() == Persisting::Off
            && !self.mtu.is_searching()
    }

    /// Timestamps and SACK agreed; nothing lost, held, urgent, probed, owed or marked.
    fn is_settled(&self) -> bool {
        self.timestamps.is_on()
            && self.recovery.is_plain()
            && self.receiver.is_in_order()
            && !self.ecn.is_agreed()
            && self.persist.why() == Persisting::Off
            && self.rare.is_empty()
            && self.snd_up.is_none()
            && !self.owed.anything()
            && !self.mtu.is_searching()
            && self.has_plain_settings()
    }

    /// Whether nothing is to be done otherwise, told in options or held back.
    fn has_plain_settings(&self) -> bool {
        let settings = &self.settings;
        settings.manner == Manner::Own
            && settings.user_timeout_option == UserTimeoutOption::Off
            && !settings.cork
    }
}

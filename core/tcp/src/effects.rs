//! What a call on a connection brings about. Owns: `Effects`, `Ended`. Must not know: who acts.

use crate::predicted::UsualOutgoing;
use crate::segment::Reply;
use alloc::boxed::Box;
use usertcp_base::CloseReason;
use usertcp_frame::Chain;

/// What the caller has to see to after a call. Every field is a fact, none is an order of calls.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Something may be sent: poll for segments.
    pub transmit: bool,
    /// New data, or the end of the stream, can be read.
    pub readable: bool,
    /// There is room to write again.
    pub writable: bool,
    /// The peer closed its sending side (reported once, when all data before it has arrived).
    pub peer_closed: bool,
    /// Urgent data was announced, or its end moved on (MUST-32).
    pub urgent: bool,
    /// Repeated retransmission: the path is suspect (R1, SHLD-9).
    pub path_suspect: bool,
    /// A soft error was reported by the network.
    pub soft_error: bool,
    /// The connection is over.
    pub ended: Option<Ended>,
    /// The reset it ended with: to be sent. In a box, as few connections have one.
    pub reset: Option<Box<Reply>>,
}

/// Every call returns them: in two registers.
const _: () = assert!(size_of::<Effects>() == 16);

/// The end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// For this reason. Nothing remains.
    Forget(CloseReason),
    /// Both sides sent FIN, and ours was first: [`crate::Tcb::time_wait`] has the record that remains.
    TimeWait,
    /// The same, by an application that did not wait for the end of reading.
    AbortedTimeWait,
}

impl Ended {
    /// Why.
    pub const fn reason(self) -> CloseReason {
        match self {
            Ended::Forget(reason) => reason,
            Ended::TimeWait => CloseReason::Normal,
            Ended::AbortedTimeWait => CloseReason::Aborted,
        }
    }
    /// Whether a TIME-WAIT record remains.
    pub const fn waits(self) -> bool {
        matches!(self, Ended::TimeWait | Ended::AbortedTimeWait)
    }
}

/// What a connection that leaves a TIME-WAIT record owes at the birth of it.
#[must_use]
#[derive(Clone, Debug)]
pub enum LastWord {
    /// Nothing.
    Nothing,
    /// An acknowledgement of the usual shape.
    Usual(UsualOutgoing),
    /// An acknowledgement with other options.
    Any(Box<Reply>),
}

impl LastWord {
    /// The same in the form that can be anything.
    pub fn reply(self) -> Option<Reply> {
        match self {
            LastWord::Nothing => None,
            LastWord::Usual(segment) => Some(segment.with_payload(Chain::new()).reply),
            LastWord::Any(reply) => Some(*reply),
        }
    }
}

impl Effects {
    /// The connection ended for `reason`, leaving nothing.
    pub fn ended(reason: CloseReason) -> Effects {
        Effects::default().and_ended(Ended::Forget(reason))
    }
    /// These effects, and the connection ended.
    pub fn and_ended(mut self, ended: Ended) -> Effects {
        self.end(ended);
        self
    }
    /// These effects, and the connection ended for `reason` with this reset.
    pub fn and_reset(mut self, reason: CloseReason, reset: Reply) -> Effects {
        self.end(Ended::Forget(reason));
        self.reset = Some(Box::new(reset));
        self
    }
    /// The connection ended.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
        self.readable = true;
        self.writable = true;
    }
    /// Whether nothing happened that anybody is to be told: at most, something may be sent.
    pub fn are_silent(&self) -> bool {
        let told = self.readable | self.writable | self.peer_closed | self.urgent;
        !(told | self.path_suspect | self.soft_error) && self.ended.is_none()
    }
    /// Adds what another call brought about.
    pub fn merge(&mut self, other: Effects) {
        self.transmit |= other.transmit;
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.peer_closed |= other.peer_closed;
        self.urgent |= other.urgent;
        self.path_suspect |= other.path_suspect;
        self.soft_error |= other.soft_error;
        if self.ended.is_none() {
            self.ended = other.ended;
            self.reset = other.reset;
        }
    }
}

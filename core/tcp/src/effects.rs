//! What a call on a connection brings about. Owns: `Effects`, `Ended`. Must not know: who acts.

use crate::close::TimeWait;
use alloc::boxed::Box;
use usertcp_base::CloseReason;

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
    /// The connection is over. In a box: of thousands of calls one brings this about.
    pub ended: Option<Box<Ended>>,
}

/// The end of a connection.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Why.
    pub reason: CloseReason,
    /// What remains of it.
    pub then: Then,
}

/// What remains of a connection that ended.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // lives for one call
pub enum Then {
    /// Nothing.
    Forget,
    /// A TIME-WAIT record, and the acknowledgement it owes at birth.
    TimeWait {
        /// The record.
        record: TimeWait,
        /// To be sent now.
        reply: Option<crate::Reply>,
    },
    /// Nothing, once this reset has been sent.
    Reset(crate::Reply),
}

impl Effects {
    /// The connection ended for `reason`, leaving nothing.
    pub fn ended(reason: CloseReason) -> Effects {
        Effects::default().and_ended(reason, Then::Forget)
    }
    /// These effects, and the connection ended.
    pub fn and_ended(mut self, reason: CloseReason, then: Then) -> Effects {
        self.ended = Some(Box::new(Ended { reason, then }));
        self.readable = true;
        self.writable = true;
        self
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
        }
    }
}

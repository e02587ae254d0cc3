//! The urgent mechanism as the receiver sees it: a mark in the stream, not data beside it.
//!
//! Owns: RCV.UP and whether it lies ahead of the reader.
//! Must not know: payload; the octet at the mark is never taken out of the stream.
//! Implements: RFC 9293 §3.8.5, §3.10.7.4 sixth check (MUST-30, -31, -32, -33, -62, E-24); RFC 6093;
//! AT-27.

use usertcp_base::Seq;

/// What an urgent pointer changed.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UrgentOutcome {
    /// It appeared or advanced: the application is told, once (MUST-32).
    Advanced,
    /// Nothing: lower, repeated, or already read past.
    Unchanged,
}

/// The urgent mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Urgent {
    /// RCV.UP: the number after the last urgent octet.
    up: Seq,
    active: bool,
}

impl Urgent {
    /// No urgent data.
    pub const fn new() -> Urgent {
        Urgent { up: Seq(0), active: false }
    }

    /// A segment at `seq` has URG set and `pointer` in the field; `read` is the first octet that
    /// the application has not taken. Any value is harmless: the mark only moves forward, and a
    /// mark at or before `read` says nothing (a pointer of zero on the next segment, AT-27).
    pub fn on_pointer(&mut self, seq: Seq, pointer: u16, read: Seq) -> UrgentOutcome {
        self.on_read(read);
        let up = seq + u32::from(pointer);
        if !up.after(read) || (self.active && !up.after(self.up)) {
            return UrgentOutcome::Unchanged;
        }
        *self = Urgent { up, active: true };
        UrgentOutcome::Advanced
    }

    /// The application took everything before `read`.
    pub fn on_read(&mut self, read: Seq) {
        if self.active && self.up.at_or_before(read) {
            self.active = false;
        }
    }

    /// Whether the mark lies ahead of the reader.
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// Octets from `read` up to the mark, arrived or not; zero outside urgent mode (MUST-33).
    pub fn pending(&self, read: Seq) -> u32 {
        if self.active { self.up.since(read) } else { 0 }
    }

    /// The stream ends at `end`: a mark beyond it stands for nothing.
    pub fn on_end(&mut self, end: Seq) {
        if self.active {
            self.up = self.up.earliest(end);
        }
    }
}

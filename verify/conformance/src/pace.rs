//! When the events of a script are due. Owns: what their times count from. Must not know: a clock.

use crate::script::Event;

/// How far a script has come, in microseconds from its beginning.
#[derive(Default)]
pub(crate) struct Pace {
    /// The time that relative times count from.
    pub(crate) base: u64,
    /// The time of the event before.
    pub(crate) previous: u64,
    /// The event before was an inbound packet.
    after_inbound: bool,
}

impl Pace {
    /// `event` comes next, at the time `now`.
    pub(crate) fn begin(&mut self, event: &Event, now: u64) {
        // Inbound packets in a row count from each other's scheduled time.
        let is_inbound = event.is_inbound();
        self.base = if is_inbound && self.after_inbound { self.previous } else { now };
        self.after_inbound = is_inbound;
    }
}

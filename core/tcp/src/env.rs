//! What every call on a connection is given. Owns: `Env`. Must not know: where it comes from.

use crate::pace::{Ceiling, Lags};
use usertcp_base::{ConnId, Counters, DropReason, Event, Instant, Limits, Observer, Prng};
use usertcp_frame::FramePool;

/// The surroundings of one call: the time, the bounds, and places to count and to report.
pub struct Env<'a, O: Observer> {
    /// The moment. Never goes back.
    pub now: Instant,
    /// The connection's handle, for events.
    pub id: ConnId,
    /// Bounds.
    pub limits: &'a Limits,
    /// Public randomness, for jitter.
    pub prng: &'a mut Prng,
    /// Counters of the shard.
    pub counters: &'a mut Counters,
    /// Who looks.
    pub observer: &'a mut O,
    /// Where frames come from.
    pub pool: &'a FramePool,
    /// The device cuts segments: payload is best kept in large frames.
    pub super_segments: bool,
    /// What left last and came to the device late.
    pub lags: &'a Lags,
    /// What rates that several connections share say of this one's next release; `None`: nothing.
    pub ceiling: Option<Ceiling>,
}

impl<O: Observer> Env<'_, O> {
    /// Reports an event of this connection.
    pub fn observe(&mut self, event: &Event) {
        self.observer.on_event(Some(self.id), self.now, event);
    }
    /// Counts and reports a dropped segment.
    pub fn drop_segment(&mut self, reason: DropReason) {
        self.counters.count_drop(reason);
        self.observe(&Event::Dropped(reason));
    }
}

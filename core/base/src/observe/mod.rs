//! What may be observed. Owns: events, drop reasons, counters, the `Observer` trait.
//! Must not know: who looks, or how it is printed.

mod counters;
mod drops;
mod event;

pub use counters::Counters;
pub use drops::DropReason;
pub use event::{CloseReason, Event, Limiter, RetransmitCause};

use crate::{ConnId, Instant};

/// Receives events as they happen, at the place they happen. It may keep state; it has no way
/// to act. `()` is the observer that looks at nothing and compiles away; a pair is two observers.
pub trait Observer {
    /// `who` is `None` for what belongs to no connection.
    fn on_event(&mut self, who: Option<ConnId>, now: Instant, event: &Event);
}

impl Observer for () {
    #[inline(always)]
    fn on_event(&mut self, _: Option<ConnId>, _: Instant, _: &Event) {}
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on_event(&mut self, who: Option<ConnId>, now: Instant, event: &Event) {
        self.0.on_event(who, now, event);
        self.1.on_event(who, now, event);
    }
}

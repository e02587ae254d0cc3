//! The one place of this crate that reads a clock.
//! Owns: the origin of the stack's time. Must not know: who asks.

use std::time::Instant as SystemInstant;
use usertcp_base::Instant;

/// A monotonic clock in the core's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: SystemInstant,
}

/// Moments begin here rather than at zero: a connection may then look back from its start
/// (to "an hour ago") without running into the origin.
const LEAD_MICROS: u64 = 1 << 33;

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Clock {
        Clock { origin: SystemInstant::now() }
    }

    /// The moment it is. Rounded down, so a wait computed from it ends at its deadline or after.
    pub(crate) fn now(&self) -> Instant {
        let micros = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(micros.saturating_add(LEAD_MICROS))
    }
}

//! What the network may say about a segment of ours. Owns: `Signal`, and how often a soft one is told.
//! Must not know: ICMP; the layer below translates.
//! Implements: the TCP side of RFC 5927 and RFC 9293 §3.9.2.2.

use usertcp_base::{Instant, Seq, Span, TICK_SHIFT, Tick};

/// A path signal, already matched to this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    /// The quoted sequence number.
    pub seq: Seq,
    /// What is said.
    pub kind: SignalKind,
}

/// Kinds of path signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalKind {
    /// The path carries no more than this: TCP header and payload, octets.
    TooBig {
        /// Largest segment.
        segment_octets: u16,
    },
    /// Ends an open that is under way; in synchronised states as good as soft.
    Hard,
    /// Told to the application, no more.
    Soft,
}

/// Soft errors are told ten times a second at most (IC-12): whoever can guess a sequence number in
/// flight could otherwise keep the application busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoftErrors {
    last: Tick,
}

/// Least time between two that are told, in ticks.
const GAP_TICKS: u32 = (Span::from_millis(100).as_micros() >> TICK_SHIFT) as u32;

impl SoftErrors {
    /// None was told yet.
    pub fn new(now: Instant) -> SoftErrors {
        SoftErrors { last: Tick(now.tick().0.wrapping_sub(GAP_TICKS + 1)) }
    }
    /// Whether one was told of late.
    pub(crate) fn is_recent(&self, now: Instant) -> bool {
        now.tick().distance_from(self.last).is_some_and(|ticks| ticks <= GAP_TICKS)
    }
    /// Whether the one that comes now is told.
    #[must_use]
    pub fn on_error(&mut self, now: Instant) -> bool {
        // One of more than 38 hours ago looks like one to come, and is none of this second.
        if now.tick().distance_from(self.last).is_some_and(|ticks| ticks <= GAP_TICKS) {
            return false;
        }
        self.last = now.tick();
        true
    }
}

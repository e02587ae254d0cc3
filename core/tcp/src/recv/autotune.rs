//! How large the receive buffer should be: dynamic right-sizing.
//!
//! Owns: the buffer target; the receiver's own estimate of the round trip.
//! Must not know: what the buffer holds, the window on the wire, the sender's round-trip estimate.
//! Implements: no RFC; the idea is Fisk and Feng's "Dynamic Right-Sizing" (2001), as Linux has it.

use usertcp_base::{Instant, Seq, Span, Stamp};

/// Segments of slack on top of twice the data of a round: enough for a first window.
const SLACK_SEGMENTS: u64 = 16;
/// A round trip no sample is believed to exceed.
const LONGEST_MICROS: u32 = 60_000_000;

/// What bounds the growth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// `Limits.receive_buffer_octets`.
    pub largest: u32,
    /// The peer's segment size.
    pub mss: u16,
    /// The stack is short of memory: nobody grows.
    pub tight: bool,
}

/// What became of the buffer.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resized {
    /// As it was.
    Same,
    /// Larger; a window update may be due.
    Grown,
}

/// The buffer target and what it is derived from.
///
/// Moments are 32-bit stamps whose *difference* is used unsigned: after 71 idle minutes a round
/// looks shorter than it was, which costs one round of waiting and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Autotune {
    buffer: u32,
    /// Round-trip estimate in microseconds; zero: unknown.
    rtt: u32,
    /// The window measurement ends when RCV.NXT reaches this.
    window_end: Seq,
    window_since: Stamp,
    round_since: Stamp,
    /// Octets the application took in this round.
    copied: u32,
    /// The most it took in any round.
    space: u32,
    /// A window measurement runs.
    measuring: bool,
}

impl Autotune {
    /// A connection that starts with a buffer of `octets` (`Limits.receive_buffer_start_octets`).
    pub const fn new(now: Instant, octets: u32) -> Autotune {
        Autotune {
            buffer: octets,
            rtt: 0,
            window_end: Seq(0),
            window_since: now.stamp(),
            round_since: now.stamp(),
            copied: 0,
            space: octets / 4,
            measuring: false,
        }
    }

    /// After a long silence: what one round showed is forgotten, the buffer stays.
    pub(crate) fn rest(&mut self) {
        *self = Autotune {
            rtt: 0,
            window_end: Seq(0),
            window_since: Stamp(0),
            round_since: Stamp(0),
            copied: 0,
            space: self.space.checked_next_power_of_two().unwrap_or(self.space),
            measuring: false,
            ..*self
        };
    }

    /// The numbers of a connection whose RCV.NXT is `by` larger.
    pub(crate) fn shift(&mut self, by: u32) {
        if self.measuring {
            self.window_end += by;
        } else {
            self.window_end = Seq(0);
        }
    }

    /// For the hash of a mould.
    pub(crate) fn fold(&self) -> u64 {
        u64::from(self.buffer) << 32 | u64::from(self.space ^ self.copied ^ self.rtt)
    }

    /// The buffer in octets.
    pub const fn buffer(&self) -> u32 {
        self.buffer
    }

    /// The round trip as the receiver sees it; `None` before the first sample.
    pub const fn rtt(&self) -> Option<Span> {
        if self.rtt == 0 { None } else { Some(Span::from_micros(self.rtt as u64)) }
    }

    /// A sample from timestamps: now minus the moment our echoed TSval was sent. Only for segments
    /// that bring full-sized new data in order; the smoothing forgives an idle sender.
    pub fn on_echo(&mut self, sample: Span) {
        let sample = micros(sample);
        // Delay of the application is in the sample, never less than the path: fall at once, rise
        // an eighth.
        self.rtt = if self.rtt == 0 || sample < self.rtt {
            sample
        } else {
            self.rtt.saturating_add((sample - self.rtt) / 8)
        };
    }

    /// Whether data in order up to `nxt` is still of the window that is measured.
    #[inline]
    pub(crate) fn is_measuring(&self, nxt: Seq) -> bool {
        self.measures_window() && self.is_within_window(nxt)
    }

    /// Whether a window is measured. It stays so while data arrives.
    pub(crate) fn measures_window(&self) -> bool {
        self.measuring
    }

    /// Whether it does not end before `nxt`, while one is measured.
    #[inline(always)]
    pub(crate) fn is_within_window(&self, nxt: Seq) -> bool {
        nxt.before(self.window_end)
    }

    /// New data in order up to `nxt` with `window` octets offered beyond: without timestamps, the
    /// time in which one whole window arrives is at least a round trip.
    pub fn on_data(&mut self, now: Instant, nxt: Seq, window: u32) {
        if self.is_measuring(nxt) {
            return;
        }
        if self.measuring {
            let sample = elapsed(now.stamp(), self.window_since).clamp(1, LONGEST_MICROS);
            if self.rtt == 0 || sample < self.rtt {
                self.rtt = sample;
            }
        }
        self.measure(now, nxt, window);
    }

    /// A window measurement begins, of `window` octets beyond `nxt`.
    #[inline(always)] // twice
    pub(crate) fn measure(&mut self, now: Instant, nxt: Seq, window: u32) {
        self.measuring = window > 0;
        self.window_end = nxt + window;
        self.window_since = now.stamp();
    }

    /// Whether a round trip has passed since the buffer was measured last. If not, `octets` that the
    /// application took are noted; else [`Autotune::on_copied`] is to be told of them.
    #[inline]
    pub fn is_due(&mut self, now: Instant, octets: u32) -> bool {
        let due = self.is_round_over(now);
        if !due {
            self.note_copied(octets);
        }
        due
    }

    /// Whether a round trip has passed since the buffer was measured last.
    #[inline]
    pub(crate) fn is_round_over(&self, now: Instant) -> bool {
        self.rtt != 0 && elapsed(now.stamp(), self.round_since) >= self.rtt
    }

    /// The application took `octets` in a round that goes on.
    #[inline]
    pub(crate) fn note_copied(&mut self, octets: u32) {
        self.copied = self.copied.saturating_add(octets);
    }

    /// The application took `octets`. Once per round trip the buffer is measured against twice
    /// what it took, plus its growth, so that a sender in slow start is never held back.
    pub fn on_copied(&mut self, now: Instant, octets: u32, bounds: &Bounds) -> Resized {
        self.copied = self.copied.saturating_add(octets);
        if self.rtt == 0 || elapsed(now.stamp(), self.round_since) < self.rtt {
            return Resized::Same;
        }
        let (copied, space) = (u64::from(self.copied), u64::from(self.space.max(1)));
        self.copied = 0;
        self.round_since = now.stamp();
        if copied <= space {
            return Resized::Same;
        }
        self.space = copied as u32;
        if bounds.tight {
            return Resized::Same;
        }
        let base = copied.saturating_mul(2) + SLACK_SEGMENTS * u64::from(bounds.mss);
        let growth = u128::from(base) * 2 * u128::from(copied - space) / u128::from(space);
        let target = (u128::from(base) + growth).min(u128::from(bounds.largest)) as u32;
        if target <= self.buffer {
            return Resized::Same;
        }
        self.buffer = target;
        Resized::Grown
    }

    /// The pool is tight: gives up what is not in use, down to `floor`. The right edge stays where
    /// it is (`advertise` keeps it); the window closes as data arrive.
    pub fn shrink(&mut self, floor: u32) {
        let wanted = self.space.saturating_mul(2).max(floor);
        self.buffer = self.buffer.min(wanted);
        // What was once needed may be needed again: let it grow back when the shortage is over.
        self.space = self.space.min(self.buffer / 4).max(1);
    }
}

/// Microseconds from `earlier` to `now`, modulo 71 minutes.
const fn elapsed(now: Stamp, earlier: Stamp) -> u32 {
    now.0.wrapping_sub(earlier.0)
}

fn micros(span: Span) -> u32 {
    span.as_micros().clamp(1, u64::from(LONGEST_MICROS)) as u32
}

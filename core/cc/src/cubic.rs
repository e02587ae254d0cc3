//! CUBIC.
//!
//! Owns: the epoch (curve, time spent on it, Reno's window beside it), the way down and back.
//! Must not know: which segments were lost or how they are repaired.
//! Implements: RFC 9438 §4 and §5.8, RFC 9406 (first slow start), RFC 8511 §3.1 (opt-in).
//!
//! Units: windows in octets, fractions of an octet in 1/65536, time in microseconds.

use usertcp_base::{Instant, Prng, Span, Stamp};

use crate::api::*;
use crate::curve::{Curve, inflection_micros};
use crate::residue::Tag;
use crate::window::{Backoff, Fraction, MAX_WINDOW, Restart, Saved, Undone, Window};

/// β = 0.7 (RFC 9438 §4.6); 0.85 after an early mark (RFC 8511 §3.1).
const BACKOFF: Backoff = Backoff {
    loss: Fraction { numerator: 7, denominator: 10 },
    early_mark: Fraction { numerator: 17, denominator: 20 },
};

/// The CUBIC controller. In the order in which it lies in memory: what each acknowledgement looks at comes last,
/// beside what else it looks at in a TCB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Cubic {
    saved: Option<SavedCubic>,
    epoch: Epoch,
    /// Up to when time has been accounted for.
    last: Stamp,
    window: Window,
}

/// A stage of congestion avoidance. Time is accumulated rather than measured from a start, so
/// that what must not count — idle, application-limited, repairing — simply is not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// W_est: what Reno would have.
    estimate: Fine,
    /// W_max; zero while undefined.
    peak: u32,
    /// cwnd_prior: the window before the last reduction; zero while there was none.
    prior: u32,
    /// K.
    k_micros: u32,
    /// t. Saturates after 71 minutes, when every curve has left the range of windows.
    elapsed_micros: u32,
    /// The fraction of an octet, in 1/65536, by which the window is larger than it says.
    part: u16,
    running: bool,
}

/// Octets and 1/65536 of one, in six octets of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fine {
    octets: u32,
    part: u16,
}

impl Fine {
    const fn octets(octets: u32) -> Fine {
        Fine { octets, part: 0 }
    }
    /// The sum, at most the largest window.
    fn plus(self, fine: u64) -> Fine {
        let all = (u64::from(self.octets) << 16 | u64::from(self.part)).saturating_add(fine);
        let all = all.min(u64::from(MAX_WINDOW) << 16);
        // At most 2^46.
        Fine { octets: (all >> 16) as u32, part: all as u16 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SavedCubic {
    window: Saved,
    epoch: Epoch,
}

impl Epoch {
    const fn none() -> Epoch {
        Epoch {
            estimate: Fine::octets(0),
            peak: 0,
            prior: 0,
            k_micros: 0,
            elapsed_micros: 0,
            part: 0,
            running: false,
        }
    }

    /// Congestion avoidance begins with `window`. Without a W_max above it — after HyStart++
    /// (RFC 9438 §4.10) or a timeout (§4.8) — the curve starts at its flat point.
    fn begin(&mut self, window: u32, mss: u32) {
        if self.peak <= window {
            self.peak = window;
            self.k_micros = 0;
        } else {
            self.k_micros = inflection_micros(self.peak - window, mss);
        }
        if self.prior == 0 {
            self.prior = window;
        }
        self.estimate = Fine::octets(window);
        self.elapsed_micros = 0;
        self.part = 0;
        self.running = true;
    }

    /// A loss or mark at `window`: where the curve shall be flat. Below the last such point, make
    /// room for newcomers (RFC 9438 §4.7, SHOULD).
    fn end_at(&mut self, window: u32) {
        self.peak = if window < self.peak { fraction_of(window, 17, 20) } else { window };
        self.prior = window;
        self.running = false;
    }

    /// W_est (RFC 9438 §4.3): α = 3(1 − β)/(1 + β) = 9/17 below cwnd_prior, 1 from there on.
    fn advance_estimate(&mut self, octets: u32, window: &Window) {
        let (numerator, denominator) =
            if self.estimate.octets < self.prior { (9, 17) } else { (1, 1) };
        // At most 2^16 · 9 · 2^32.
        let step = ((u64::from(window.mss()) * numerator) << 32)
            / (u64::from(window.octets().max(1)) * denominator);
        self.estimate = self.estimate.plus(share(step, octets));
    }
}

const fn fraction_of(octets: u32, numerator: u64, denominator: u64) -> u32 {
    // The fractions used are below one, so the result fits.
    (octets as u64 * numerator / denominator) as u32
}

/// `octets` times a factor in 1/2^32, in 1/65536 octet. The factor is at most one and the octets
/// at most a window, so the product stays below 2^62.
const fn share(factor: u64, octets: u32) -> u64 {
    factor.saturating_mul(octets as u64) >> 16
}

impl Cubic {
    pub(crate) fn with_window(window: Window, now: Instant) -> Cubic {
        Cubic { window, epoch: Epoch::none(), last: now.stamp(), saved: None }
    }
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }
    pub(crate) fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The window was reduced for want of use. The curve belonged to the larger one: a new one
    /// begins when slow start ends, and what was saved is too old to be gone back to.
    #[inline]
    fn begin_again(&mut self) {
        self.epoch.running = false;
        self.saved = None;
    }

    /// Time since the last call, which the caller counts or forgets.
    #[inline]
    fn take_time(&mut self, now: Instant) -> u32 {
        let passed = now.stamp().micros_since(self.last);
        self.last = now.stamp();
        passed
    }

    /// Congestion avoidance for `octets` delivered (RFC 9438 §4.2 to §4.5).
    #[inline(never)]
    fn avoid(&mut self, octets: u32) {
        if !self.epoch.running {
            self.epoch.begin(self.window.octets(), self.window.mss());
        }
        self.epoch.advance_estimate(octets, &self.window);
        let Epoch { peak, k_micros, elapsed_micros, estimate, .. } = self.epoch;
        let curve = Curve { peak, k_micros, mss: self.window.mss() };
        let friendly = estimate.octets;
        if curve.at(elapsed_micros) < friendly {
            self.follow_reno(friendly);
        } else {
            let ahead = elapsed_micros.saturating_add(self.window.srtt_micros());
            self.approach(curve.at(ahead), octets);
        }
    }

    /// The Reno-friendly region (RFC 9438 §4.3, SHOULD).
    fn follow_reno(&mut self, friendly: u32) {
        let window = self.window.octets();
        if friendly > window {
            self.window.grow(friendly - window);
            self.epoch.part = self.epoch.estimate.part;
        }
    }

    /// Grows by (target − cwnd)/cwnd per octet, the target not above 1.5 windows (RFC 9438 §4.2).
    fn approach(&mut self, target: u32, octets: u32) {
        let window = self.window.octets();
        let missing = target.clamp(window, window.saturating_add(window / 2)) - window;
        let factor = (u64::from(missing) << 32) / u64::from(window.max(1));
        let growth = u64::from(self.epoch.part) + share(factor, octets);
        self.epoch.part = growth as u16;
        self.window.grow(u32::try_from(growth >> 16).unwrap_or(MAX_WINDOW));
    }
}

impl Cubic {
    #[inline(always)] // of a sample that is known in part
    fn take(&mut self, sample: &AckSample) {
        let before = self.window.octets();
        let octets = self.window.on_ack(sample);
        if self.window.octets() < before {
            self.begin_again();
        }
        // No octets: slow start, recovery, or the window was not the limit. Such time does not count.
        if octets == 0 {
            self.last = sample.now.stamp();
            return;
        }
        let passed = self.take_time(sample.now);
        if self.epoch.running {
            self.epoch.elapsed_micros = self.epoch.elapsed_micros.saturating_add(passed);
        }
        self.avoid(octets);
    }
}

impl CongestionController for Cubic {
    const WANTS_RATE: bool = false;

    fn start(path: &PathStart) -> Self {
        Cubic::with_window(Window::start(path), path.now)
    }

    /// Time with nothing in flight does not count (RFC 9438 §5.8, MUST NOT).
    #[inline]
    fn on_sent(&mut self, sent: &Sent) {
        self.window.on_sent(sent);
        if sent.first_after_idle {
            self.take_time(sent.now);
        }
    }

    #[inline(always)]
    fn on_ack(&mut self, sample: &AckSample, _prng: &mut Prng) {
        self.take(sample);
    }

    fn expects_answers(&self) -> bool {
        self.window.expects_answers()
    }

    #[inline(always)]
    fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        // As of any time in which the window was not the limit.
        self.last = answer.now.stamp();
        let after = self.window.on_answer(answer);
        if after == WindowAfter::Reduced {
            self.begin_again();
        }
        after
    }

    fn on_congestion(&mut self, event: &Congestion) {
        let window = self.window.octets();
        let before = SavedCubic { window: self.window.save(), epoch: self.epoch };
        match event.kind {
            CongestionKind::Loss => {
                self.saved = Some(before);
                self.epoch.end_at(window);
            }
            // A mark is never spurious (RFC 9438 §4.9).
            CongestionKind::Marked => {
                self.saved = None;
                self.epoch.end_at(window);
            }
            // The next epoch starts flat, wherever slow start ends (RFC 9438 §4.8).
            CongestionKind::Timeout { first } => {
                if first {
                    self.saved = Some(before);
                    self.epoch.prior = window;
                }
                self.epoch.peak = 0;
                self.epoch.running = false;
            }
        }
        self.window.on_congestion(event, &BACKOFF);
    }

    fn on_undo(&mut self, now: Instant) {
        let Some(saved) = self.saved.take() else { return };
        if self.window.restore(&saved.window) == Undone::Restored {
            self.epoch = saved.epoch;
            self.take_time(now);
        }
    }

    fn on_path(&mut self, now: Instant, change: &PathChange) {
        match *change {
            PathChange::Mss(mss) => self.window.set_mss(mss),
            PathChange::Idle { idle, rto } => {
                self.take_time(now);
                if self.window.on_idle(now, idle, rto) == Restart::Reduced {
                    self.begin_again();
                }
            }
            PathChange::RecoveryEnded => self.window.on_recovery_ended(&BACKOFF),
        }
    }

    fn budget(&self) -> Budget {
        self.window.budget()
    }
    fn threshold(&self) -> u32 {
        self.window.threshold()
    }
    fn window_octets(&self) -> u32 {
        self.window.octets()
    }
    #[inline]
    fn unpaced_window(&self) -> Option<u32> {
        self.window.unpaced()
    }
    fn in_slow_start(&self) -> bool {
        self.window.in_slow_start()
    }
    fn park(&self) -> Residue {
        self.window.park(Tag::Cubic)
    }
    fn resume(residue: Residue, path: &PathStart, idle: Span) -> Self {
        Cubic::with_window(Window::resume(residue, path, idle), path.now)
    }
    fn describe(&self) -> Snapshot {
        self.window.describe("cubic")
    }
}

#[cfg(test)]
mod tests;

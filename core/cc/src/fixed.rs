//! A controller that does not control.
//!
//! Owns: a constant window and rate, for tests and for links whose capacity is known and owned.
//! Must not know: anything about the network; it would not listen.
//! Implements: no RFC. Never the right choice on a path that is shared.

use usertcp_base::{Instant, Prng, Rate, Span};

use crate::api::*;
use crate::pacing;
use crate::residue::{Parked, Tag};
use crate::window::{MAX_WINDOW, Window};

/// What `start` chooses: 10 Gbit/s over 3 ms.
const DEFAULT_WINDOW_OCTETS: u32 = 4 << 20;
/// A parked rate is counted in these, so that it fits: up to 2^42 octets per second.
const PARKED_RATE_UNIT: u64 = 1024;

/// A constant window and rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    window: u32,
    rate: Rate,
    mss: u32,
    srtt: Span,
}

impl FixedWindow {
    /// A window of `window_octets` (at least a segment, at most 2^30) sent at `rate`.
    pub fn with(window_octets: u32, rate: Rate, path: &PathStart) -> FixedWindow {
        let mss = path.mss_octets.max(1);
        let srtt = path.rtt.unwrap_or(Span::ZERO);
        FixedWindow { window: window_octets, rate, mss, srtt }
    }

    fn window(&self) -> u32 {
        self.window.max(self.mss).min(MAX_WINDOW)
    }

    /// The same window for a controller that does control: neither slow start nor a jump.
    pub(crate) fn into_window(self, now: Instant) -> Window {
        let rtt = if self.srtt.is_zero() { None } else { Some(self.srtt) };
        let path = PathStart {
            now,
            mss_octets: self.mss,
            rtt,
            handshake_lost: false,
            threshold_octets: None,
        };
        Window::taken_over(&path, self.window(), self.window())
    }
}

impl CongestionController for FixedWindow {
    const WANTS_RATE: bool = false;

    fn start(path: &PathStart) -> Self {
        FixedWindow::with(DEFAULT_WINDOW_OCTETS, Rate::UNLIMITED, path)
    }
    #[inline]
    fn on_sent(&mut self, _sent: &Sent) {}
    #[inline]
    fn on_ack(&mut self, sample: &AckSample, _prng: &mut Prng) {
        self.srtt = sample.srtt;
    }
    fn expects_answers(&self) -> bool {
        true
    }
    #[inline]
    fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        self.srtt = Span::from_micros(u64::from(answer.srtt_micros));
        WindowAfter::Same
    }
    fn on_congestion(&mut self, _event: &Congestion) {}
    fn on_undo(&mut self, _now: Instant) {}
    fn on_path(&mut self, _now: Instant, change: &PathChange) {
        if let PathChange::Mss(mss) = *change {
            self.mss = mss.max(1);
        }
    }
    fn budget(&self) -> Budget {
        Budget {
            window_octets: self.window(),
            rate: self.rate,
            quantum_octets: pacing::quantum(self.rate, self.mss),
        }
    }
    fn threshold(&self) -> u32 {
        self.window()
    }
    fn park(&self) -> Residue {
        let units = self.rate.octets_per_second() / PARKED_RATE_UNIT;
        // Too fast to be counted is unlimited.
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Parked { tag: Tag::Fixed, window: self.window(), threshold: units }.encode()
    }
    fn resume(residue: Residue, path: &PathStart, _idle: Span) -> Self {
        let parked = Parked::decode(residue);
        if parked.tag != Tag::Fixed || parked.window == 0 {
            return FixedWindow::start(path);
        }
        let rate = match parked.threshold {
            u32::MAX => Rate::UNLIMITED,
            units => Rate::from_octets_per_second(u64::from(units) * PARKED_RATE_UNIT),
        };
        FixedWindow::with(parked.window, rate, path)
    }
    fn describe(&self) -> Snapshot {
        Snapshot {
            name: "fixed",
            window_octets: self.window(),
            threshold_octets: self.window(),
            slow_start: false,
        }
    }
}

#[cfg(test)]
mod tests;

//! The choice among the built-in controllers.
//!
//! Owns: the enum a TCB holds, the names of the algorithms, exchanging one for another.
//! Must not know: how any of them works.
//! Implements: no RFC of its own.

use core::fmt;
use core::str::FromStr;

use usertcp_base::{Instant, Prng, Rate, Span};

use crate::api::*;
use crate::cubic::Cubic;
use crate::fixed::FixedWindow;
use crate::reno::Reno;
use crate::residue::{Parked, Tag};
use crate::window::Window;

/// The algorithms one may choose by name. A fixed window is none of them: a word in a
/// configuration file must not be able to switch congestion control off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 5681.
    Reno,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 2] = [Algorithm::Cubic, Algorithm::Reno];

    /// The name it is chosen by.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Cubic => "cubic",
            Algorithm::Reno => "reno",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No algorithm has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown congestion control algorithm; known are cubic, reno (or newreno)")
    }
}

impl core::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Algorithm, UnknownAlgorithm> {
        if name.eq_ignore_ascii_case("newreno") {
            return Ok(Algorithm::Reno);
        }
        let found = Algorithm::ALL.into_iter().find(|a| name.eq_ignore_ascii_case(a.name()));
        found.ok_or(UnknownAlgorithm)
    }
}

/// Any built-in controller: direct calls, no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyController {
    /// CUBIC.
    Cubic(Cubic),
    /// NewReno.
    Reno(Reno),
    /// A constant window.
    Fixed(FixedWindow),
}

// It sits in every TCB (DESIGN §5.3).
const _: () = assert!(size_of::<AnyController>() <= 144);

/// Calls the same method of whichever controller it is.
macro_rules! each {
    ($any:expr, $controller:ident => $call:expr) => {
        match $any {
            AnyController::Cubic($controller) => $call,
            AnyController::Reno($controller) => $call,
            AnyController::Fixed($controller) => $call,
        }
    };
}

impl AnyController {
    /// A controller of the given kind for a new connection.
    pub fn start_with(algorithm: Algorithm, path: &PathStart) -> AnyController {
        AnyController::with_window(algorithm, Window::start(path), path.now)
    }

    /// A constant window, see [`FixedWindow::with`].
    pub fn fixed(window_octets: u32, rate: Rate, path: &PathStart) -> AnyController {
        AnyController::Fixed(FixedWindow::with(window_octets, rate, path))
    }

    /// The algorithm, `None` for a constant window.
    pub const fn algorithm(&self) -> Option<Algorithm> {
        match self {
            AnyController::Cubic(_) => Some(Algorithm::Cubic),
            AnyController::Reno(_) => Some(Algorithm::Reno),
            AnyController::Fixed(_) => None,
        }
    }

    /// Exchanges the algorithm while running. Window, threshold and slow start go on where they
    /// were; what the old algorithm could have undone, the new one cannot.
    pub fn switch(&mut self, algorithm: Algorithm, now: Instant) {
        if self.algorithm() == Some(algorithm) {
            return;
        }
        let window = match self {
            AnyController::Cubic(cubic) => cubic.window().clone(),
            AnyController::Reno(reno) => reno.window().clone(),
            AnyController::Fixed(fixed) => fixed.clone().into_window(now),
        };
        *self = AnyController::with_window(algorithm, window, now);
    }

    /// Says that marks on this path come from queues that mark early, so that a mark costs less
    /// than a loss (RFC 8511 §3.1, MAY). Off by default.
    pub fn set_early_marks(&mut self, early: bool) {
        match self {
            AnyController::Cubic(cubic) => cubic.window_mut().set_early_marks(early),
            AnyController::Reno(reno) => reno.window_mut().set_early_marks(early),
            AnyController::Fixed(_) => {}
        }
    }

    fn with_window(algorithm: Algorithm, window: Window, now: Instant) -> AnyController {
        match algorithm {
            Algorithm::Cubic => AnyController::Cubic(Cubic::with_window(window, now)),
            Algorithm::Reno => AnyController::Reno(Reno::with_window(window)),
        }
    }
}

impl CongestionController for AnyController {
    const WANTS_RATE: bool = Cubic::WANTS_RATE | Reno::WANTS_RATE | FixedWindow::WANTS_RATE;

    /// CUBIC.
    fn start(path: &PathStart) -> Self {
        AnyController::start_with(Algorithm::Cubic, path)
    }
    #[inline(always)]
    fn on_sent(&mut self, sent: &Sent) {
        each!(self, controller => controller.on_sent(sent));
    }
    /// A part of the caller, and a copy for those that are not: so the sample of the default controller
    /// is never put together in memory.
    #[inline(always)]
    fn on_ack(&mut self, sample: &AckSample, prng: &mut Prng) {
        match self {
            AnyController::Cubic(cubic) => cubic.on_ack(sample, prng),
            AnyController::Reno(reno) => reno.on_ack(&{ *sample }, prng),
            AnyController::Fixed(fixed) => fixed.on_ack(sample, prng),
        }
    }
    fn expects_answers(&self) -> bool {
        each!(self, controller => controller.expects_answers())
    }
    #[inline(always)] // in one place
    fn on_answer(&mut self, answer: &Answer) -> WindowAfter {
        // Nearly always it is CUBIC, and then that is one comparison.
        if let AnyController::Cubic(cubic) = self {
            return cubic.on_answer(answer);
        }
        each!(self, controller => controller.on_answer(&{ *answer }))
    }
    fn on_congestion(&mut self, event: &Congestion) {
        each!(self, controller => controller.on_congestion(event));
    }
    fn on_undo(&mut self, now: Instant) {
        each!(self, controller => controller.on_undo(now));
    }
    fn on_path(&mut self, now: Instant, change: &PathChange) {
        each!(self, controller => controller.on_path(now, change));
    }
    fn budget(&self) -> Budget {
        each!(self, controller => controller.budget())
    }
    fn threshold(&self) -> u32 {
        each!(self, controller => controller.threshold())
    }
    fn window_octets(&self) -> u32 {
        each!(self, controller => controller.window_octets())
    }
    #[inline]
    fn unpaced_window(&self) -> Option<u32> {
        each!(self, controller => controller.unpaced_window())
    }
    #[inline(always)] // as above
    fn is_surely_unpaced(&self) -> bool {
        match self {
            AnyController::Cubic(cubic) => cubic.window().is_local(),
            _ => false,
        }
    }
    fn in_slow_start(&self) -> bool {
        each!(self, controller => controller.in_slow_start())
    }
    fn park(&self) -> Residue {
        each!(self, controller => controller.park())
    }
    /// The residue knows which controller wrote it; an empty one starts CUBIC.
    fn resume(residue: Residue, path: &PathStart, idle: Span) -> Self {
        match Parked::decode(residue).tag {
            Tag::Cubic => AnyController::Cubic(Cubic::resume(residue, path, idle)),
            Tag::Reno => AnyController::Reno(Reno::resume(residue, path, idle)),
            Tag::Fixed => AnyController::Fixed(FixedWindow::resume(residue, path, idle)),
        }
    }
    fn describe(&self) -> Snapshot {
        each!(self, controller => controller.describe())
    }
}

#[cfg(test)]
mod tests;

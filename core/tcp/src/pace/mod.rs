//! The one place that answers "now, or when?".
//!
//! Owns: the release time of a connection's next data octet. Congestion controller and rate limits
//! both enter here and nowhere else (DESIGN §6.2).
//! Must not know: queues, segments, why data are sent.
//! Implements: the pacing that RFC 9937 §6.4, RFC 9406 §4.3 and RFC 7661 §4.4.2 ask for.

use usertcp_base::{Instant, Limiter, Rate};
use usertcp_cc::Budget;

/// The answer.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// So many octets may leave now.
    Send(u32),
    /// Nothing before this moment; the limiter says whose rate it is.
    Wait(Instant, Limiter),
    /// Nothing until something else changes.
    Blocked(Limiter),
}

/// Release time of the next octet, in nanoseconds so that fast rates do not round away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pacer {
    release_nanos: u64,
}

/// The rate in force and whose it is.
fn rate_in_force(budget: &Budget, limit: Rate) -> (Rate, Limiter) {
    if limit < budget.rate { (limit, Limiter::Rate) } else { (budget.rate, Limiter::Congestion) }
}

/// Least octets released at once under a rate limit: two segments of the usual size, so that a
/// limit does not turn every segment into a timer.
const LEAST_QUANTUM_OCTETS: u32 = 2 * 1460;

/// Under a rate limit lower than the controller's, bursts shrink to about a millisecond of it.
fn quantum_in_force(budget: &Budget, rate: Rate, whose: Limiter) -> u32 {
    match whose {
        Limiter::Rate => {
            let millisecond = (rate.octets_per_second() / 1000).min(u64::from(u32::MAX)) as u32;
            budget.quantum_octets.min(millisecond.max(LEAST_QUANTUM_OCTETS))
        }
        _ => budget.quantum_octets,
    }
}

impl Pacer {
    /// May octets leave now, given how many are in flight, the controller's budget and the lowest
    /// rate limit that applies? `allowance` is what recovery lets out of the window.
    pub fn decide(&self, now: Instant, allowance: u32, budget: &Budget, limit: Rate) -> Verdict {
        if allowance == 0 {
            return Verdict::Blocked(Limiter::Congestion);
        }
        let (rate, whose) = rate_in_force(budget, limit);
        if rate.is_unlimited() {
            return Verdict::Send(allowance);
        }
        let release = Instant::from_micros(self.release_nanos.div_ceil(1000));
        if release > now {
            return Verdict::Wait(release, whose);
        }
        Verdict::Send(allowance.min(quantum_in_force(budget, rate, whose).max(1)))
    }

    /// Octets left. What was not used in the past is lost but for one quantum: a late timer is
    /// made up for, an idle time is not.
    pub fn on_sent(&mut self, now: Instant, octets: u32, budget: &Budget, limit: Rate) {
        let (rate, whose) = rate_in_force(budget, limit);
        if rate.is_unlimited() {
            return;
        }
        let now_nanos = now.as_micros().saturating_mul(1000);
        let quantum = quantum_in_force(budget, rate, whose);
        let credit = rate.nanos_for(u64::from(quantum));
        self.release_nanos = self
            .release_nanos
            .max(now_nanos.saturating_sub(credit))
            .saturating_add(rate.nanos_for(u64::from(octets)));
    }

    /// When the next octet may leave.
    pub fn release(&self) -> Instant {
        Instant::from_micros(self.release_nanos.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests;

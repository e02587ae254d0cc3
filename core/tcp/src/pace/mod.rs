//! The one place that answers "now, or when?".
//!
//! Owns: the release time of a connection's next data octet. Congestion controller, the stream's own
//! rate limit and what rates shared with other streams say enter here and nowhere else (DESIGN §6.2).
//! Must not know: queues, segments, why data are sent, who shares a rate with whom.
//! Implements: the pacing that RFC 9937 §6.4, RFC 9406 §4.3 and RFC 7661 §4.4.2 ask for.
//!
//! A rate limit counts the octets of packets that carry data or FIN, from the IP header on, what is
//! retransmitted included: it is a link that a limit protects. A controller's rate counts payload, as
//! its window does. Both advance one clock, by whichever wants more time: that is the lower of the
//! two, and its name is kept with the clock.

use usertcp_base::{Instant, Limiter, Rate, Span};
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

/// What rates that several connections share say of the next release of one of them. It counts for
/// who would send otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ceiling {
    /// Nothing before this moment.
    pub release: Instant,
    /// Octets that may leave then; a segment may always.
    pub octets: u32,
    /// Whose rate it is.
    pub limiter: Limiter,
}

/// The rates of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// The controller's.
    pub budget: Budget,
    /// The stream's limit.
    pub limit: Rate,
    /// Which of them made the release time.
    pub whose: Whose,
}

/// What left at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Released {
    /// Payload octets.
    pub payload_octets: u32,
    /// The same and the headers in front of it.
    pub packet_octets: u32,
    /// Of the largest packet among them, from the IP header on.
    pub largest_octets: u32,
}

/// Release time of the next octet, in nanoseconds so that fast rates do not round away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pacer {
    release_nanos: u64,
}

/// Whose rate made the release time what it is: the stream's limit, or the controller's rate. Kept
/// beside the pacer where it takes no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Whose {
    /// The controller's.
    #[default]
    Controller,
    /// The stream's.
    Stream,
}

impl From<Whose> for Limiter {
    fn from(whose: Whose) -> Limiter {
        match whose {
            Whose::Controller => Limiter::Congestion,
            Whose::Stream => Limiter::Rate,
        }
    }
}

/// Least octets released at once under a rate limit: two segments of the usual size, so that a
/// limit does not turn every segment into a timer.
pub const LEAST_RELEASE_OCTETS: u32 = 2 * USUAL_PACKET_OCTETS;

/// At high rates a release is what the limit carries in so many nanoseconds.
pub const RELEASE_NANOS: u64 = 250_000;

/// What is always reckoned with between a decision and the device: nearly as much as [`made_up_octets`] leaves for it.
const RECKONED: Span = Span::from_micros(RELEASE_NANOS / 1000 / 5 * 4);

/// The last packets that came to the device much later than the moment which the pacer had been told: because nobody gave
/// the processor, or the device took long. The next ones follow them sooner by that, as if so much had been made up for
/// already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag {
    /// When they were there.
    at: Instant,
    /// How late that was.
    span: Span,
}

impl Lag {
    /// Nothing was late.
    pub const NONE: Lag = Lag { at: Instant::ZERO, span: Span::ZERO };

    /// What left last, as of `decided`, was at the device at `now`.
    pub fn tell(&mut self, decided: Instant, now: Instant) {
        let span = now.since(decided);
        if span <= RECKONED {
            return;
        }
        let before = if now.since(self.at) < self.span { self.span } else { Span::ZERO };
        *self = Lag { at: now, span: span.max(before) };
    }

    /// Of nanoseconds that are made up for: less by the lag, but for what passed since. So whoever left with it leaves
    /// again now, and then not before a release, and what is reckoned with, have passed since it was there; and who has long
    /// releases, which did not become due meanwhile, loses next to nothing.
    fn leaves(&self, now: Instant, nanos: u64) -> u64 {
        let lag = self.span.as_micros().saturating_mul(1000);
        let since = now.since(self.at).as_micros().saturating_sub(RECKONED.as_micros());
        let since = since.saturating_mul(1000);
        nanos.min(nanos.saturating_sub(lag).max(since))
    }
}

impl Rates {
    /// Nothing limits.
    #[inline]
    pub fn are_unlimited(&self) -> bool {
        self.limit.is_unlimited() && self.budget.rate.is_unlimited()
    }

    /// A quarter of a millisecond of the limit, two segments at least; no more than the controller's
    /// quantum, whose rate may be the lower one.
    fn release_octets(&self) -> u32 {
        if self.limit.is_unlimited() {
            return self.budget.quantum_octets;
        }
        self.budget.quantum_octets.min(release_octets(self.limit))
    }
}

/// Octets that a limit of this rate releases at once.
pub fn release_octets(rate: Rate) -> u32 {
    let octets = rate.octets_per_second() / (1_000_000_000 / RELEASE_NANOS);
    u32::try_from(octets).unwrap_or(u32::MAX).max(LEAST_RELEASE_OCTETS)
}

/// Octets of a packet of the usual size.
const USUAL_PACKET_OCTETS: u32 = 1500;

/// What a late or an idle stream is made up for: the quantum, which is two releases, each rounded up to whole packets (of
/// the usual size, or of `packet_octets` if those are larger), less what leaves at once, which is rounded down, and less
/// what passes in a quarter of a millisecond; half a release at least. With the release that leaves after it that is less
/// than the quantum, which is never ahead of the rate in any window. The rest is for what passes between a decision and
/// the moment at which its packet comes to the device.
pub fn made_up_octets(release_octets: u32, packet_octets: u32, rate: Rate) -> u32 {
    let packet = packet_octets.max(USUAL_PACKET_OCTETS);
    let release = release_octets.checked_next_multiple_of(packet).unwrap_or(release_octets);
    // A release is counted in payload: with headers it is no more than an eighth longer.
    let leaves = release_octets.saturating_add(release_octets / 8) / packet * packet;
    let leaves = leaves.clamp(packet.min(release), release);
    let passes = rate.octets_per_second() / (1_000_000_000 / RELEASE_NANOS);
    let passes = u32::try_from(passes).unwrap_or(u32::MAX);
    release.saturating_mul(2).saturating_sub(leaves).saturating_sub(passes).max(release / 2)
}

impl Pacer {
    /// May octets leave now, given the rates that apply? `allowance` is what recovery lets out of the
    /// window.
    #[inline]
    pub fn decide(
        &self,
        now: Instant,
        allowance: u32,
        rates: &Rates,
        ceiling: Option<&Ceiling>,
    ) -> Verdict {
        if allowance == 0 {
            return Verdict::Blocked(Limiter::Congestion);
        }
        let mut octets = allowance;
        if !rates.are_unlimited() {
            let release = self.release();
            if release > now {
                return Verdict::Wait(release, rates.whose.into());
            }
            octets = octets.min(rates.release_octets());
        }
        if let Some(ceiling) = ceiling {
            if ceiling.release > now {
                return Verdict::Wait(ceiling.release, ceiling.limiter);
            }
            octets = octets.min(ceiling.octets);
        }
        Verdict::Send(octets.max(1))
    }

    /// Octets left. What was not used in the past, be it that the stream was idle or that the timer was late, is
    /// lost but for [`made_up_octets`], however late the timer was. Whose rate makes the next release time is
    /// returned.
    ///
    /// `lag`: when what left before came to the device late.
    #[must_use]
    pub fn on_sent(&mut self, now: Instant, lag: &Lag, what: &Released, rates: &Rates) -> Whose {
        let by_limit = rates.limit.nanos_for(u64::from(what.packet_octets));
        let by_controller = rates.budget.rate.nanos_for(u64::from(what.payload_octets));
        let limited = by_limit >= by_controller;
        let now_nanos = now.as_micros().saturating_mul(1000);
        if self.release_nanos < now_nanos {
            let credit = match limited {
                true => {
                    let release = rates.release_octets();
                    let made_up = made_up_octets(release, what.largest_octets, rates.limit);
                    lag.leaves(now, rates.limit.nanos_for(u64::from(made_up)))
                }
                false => rates.budget.rate.nanos_for(u64::from(rates.budget.quantum_octets)),
            };
            self.release_nanos = self.release_nanos.max(now_nanos.saturating_sub(credit));
        }
        self.release_nanos = self.release_nanos.saturating_add(by_limit.max(by_controller));
        if limited { Whose::Stream } else { Whose::Controller }
    }

    /// The limit is another one from now on: what is still to be waited for shrinks or grows with it.
    pub fn on_limit_changed(&mut self, now: Instant, old: Rate, new: Rate, whose: Whose) {
        let now_nanos = now.as_micros().saturating_mul(1000);
        if whose != Whose::Stream || self.release_nanos <= now_nanos || old == new {
            return;
        }
        let left = u128::from(self.release_nanos - now_nanos);
        let left = match new.is_unlimited() || old.is_unlimited() {
            true => 0,
            false => {
                left * u128::from(old.octets_per_second()) / u128::from(new.octets_per_second())
            }
        };
        self.release_nanos = now_nanos.saturating_add(u64::try_from(left).unwrap_or(u64::MAX));
    }

    /// When the next octet may leave.
    #[inline]
    pub fn release(&self) -> Instant {
        Instant::from_micros(self.release_nanos.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests;

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

use usertcp_base::{Instant, Limiter, Rate, Span, Tick};
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

/// Of what a quantum leaves for the way to the device so many fifths may be used up before anything is late: the
/// rest is for the clocks.
const USABLE_FIFTHS: u64 = 4;

/// How many late flushes are known.
const RECENT: usize = 8;

/// Less than this is never late: what is usable of the least that a quantum leaves for the way.
const PROMPT: Span = Span::from_micros(RELEASE_NANOS / 1000 / 2 * USABLE_FIFTHS / 5);

/// Flushes whose packets came to the device much later than the moment which the pacer had been told, because nobody gave
/// the processor, or the device took long. Who left with one of them is followed as if it had left when it was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lags {
    recent: [Lag; RECENT],
    next: usize,
    /// Of the last of them.
    last: Tick,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lag {
    decided: Instant,
    there: Instant,
}

impl Lags {
    /// Nothing was late.
    pub const NONE: Lags = {
        let none = Lag { decided: Instant::ZERO, there: Instant::ZERO };
        Lags { recent: [none; RECENT], next: 0, last: Tick(0) }
    };

    /// What left last, as of `decided`, was at the device when it was `there`. Whether that is late.
    pub fn tell(&mut self, decided: Instant, there: Instant) -> bool {
        if there.since(decided) <= PROMPT {
            return false;
        }
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = Lag { decided, there };
        }
        self.last = decided.tick();
        self.next = (self.next + 1) % RECENT;
        true
    }

    /// When what left at `sent` was there, if that was late. There is no other flush in the same tick
    /// as a late one.
    #[inline]
    pub fn of(&self, sent: Tick) -> Option<Instant> {
        // Mostly it left after all of these.
        match sent.distance_from(self.last) {
            Some(ticks) if ticks > 0 => None,
            _ => self.find(sent),
        }
    }

    #[inline(never)]
    fn find(&self, sent: Tick) -> Option<Instant> {
        let is_late = |lag: &&Lag| lag.decided.tick() == sent && lag.there > lag.decided;
        self.recent.iter().find(is_late).map(|lag| lag.there)
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

    /// The limit's.
    fn quantum(&self, packet_octets: u32) -> Quantum {
        Quantum::of(self.limit, self.release_octets(), packet_octets)
    }
}

/// Octets that a limit of this rate releases at once.
pub fn release_octets(rate: Rate) -> u32 {
    let octets = rate.octets_per_second() / (1_000_000_000 / RELEASE_NANOS);
    u32::try_from(octets).unwrap_or(u32::MAX).max(LEAST_RELEASE_OCTETS)
}

/// Octets of a packet of the usual size.
const USUAL_PACKET_OCTETS: u32 = 1500;

/// The quantum of a limit, which is two releases, each rounded up to whole packets: what its parts are for. Together they are
/// what the limit is never ahead by in any window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quantum {
    /// Leaves at once: whole packets, rounded down.
    pub leaves_octets: u32,
    /// What a late or an idle stream is made up for.
    pub made_up_octets: u32,
    /// What passes between a decision and the moment at which its packet comes to the device.
    pub way_octets: u32,
}

impl Quantum {
    /// Of a limit that releases so many octets at once, in packets of the usual size, or of `packet_octets` if those are
    /// larger. For the way it leaves what passes in a quarter of a millisecond, if what is made up for is half a release
    /// then.
    pub fn of(rate: Rate, release_octets: u32, packet_octets: u32) -> Quantum {
        let packet = packet_octets.max(USUAL_PACKET_OCTETS);
        let release = release_octets.checked_next_multiple_of(packet).unwrap_or(release_octets);
        // A release is counted in payload: with headers it is no more than an eighth longer.
        let leaves = release_octets.saturating_add(release_octets / 8) / packet * packet;
        let leaves_octets = leaves.clamp(packet.min(release), release);
        let passes = rate.octets_per_second() / (1_000_000_000 / RELEASE_NANOS);
        let passes = u32::try_from(passes).unwrap_or(u32::MAX);
        let rest = release.saturating_mul(2).saturating_sub(leaves_octets);
        let made_up_octets = rest.saturating_sub(passes).max(release / 2);
        Quantum { leaves_octets, made_up_octets, way_octets: rest.saturating_sub(made_up_octets) }
    }

    /// By how many octets what leaves may be late at the device: what is made up for, and of what is left for the way what
    /// may be used up.
    pub fn borne_octets(&self) -> u64 {
        u64::from(self.made_up_octets) + u64::from(self.way_octets) * USABLE_FIFTHS / 5
    }
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
    /// lost but for what a [`Quantum`] makes up for, however late the timer was. Whose rate makes the next release time
    /// is returned.
    #[must_use]
    pub fn on_sent(&mut self, now: Instant, what: &Released, rates: &Rates) -> Whose {
        let by_limit = rates.limit.nanos_for(u64::from(what.packet_octets));
        let by_controller = rates.budget.rate.nanos_for(u64::from(what.payload_octets));
        let limited = by_limit >= by_controller;
        let now_nanos = now.as_micros().saturating_mul(1000);
        if self.release_nanos < now_nanos {
            let credit = match limited {
                true => {
                    let quantum = rates.quantum(what.largest_octets);
                    rates.limit.nanos_for(u64::from(quantum.made_up_octets))
                }
                false => rates.budget.rate.nanos_for(u64::from(rates.budget.quantum_octets)),
            };
            self.release_nanos = self.release_nanos.max(now_nanos.saturating_sub(credit));
        }
        self.release_nanos = self.release_nanos.saturating_add(by_limit.max(by_controller));
        if limited { Whose::Stream } else { Whose::Controller }
    }

    /// What left last, in packets of `packet_octets` at most, was at the device only when it was `there`: what was made up for
    /// then is less by that, as far as the way there used up more than is left for it. To be told before the next leaves,
    /// which may leave all the same: it is the one after it that would be ahead.
    pub fn on_late(&mut self, there: Instant, packet_octets: u32, rates: &Rates) {
        if rates.limit.is_unlimited() {
            return;
        }
        let quantum = rates.quantum(packet_octets);
        let nanos = there.as_micros().saturating_mul(1000);
        let least = nanos.saturating_sub(rates.limit.nanos_for(quantum.borne_octets()));
        let leaves = rates.limit.nanos_for(u64::from(quantum.leaves_octets));
        self.release_nanos = self.release_nanos.max(least.saturating_add(leaves));
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

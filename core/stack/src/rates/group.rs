//! One rate and its clock.
//!
//! Owns: how far a rate has come by a moment, what of it is promised, and when a position is reached.
//! Must not know: who shares it.
//!
//! The clock counts octets, not time: what is promised keeps its place when the rate changes, and only
//! the moments move. Nothing is rounded twice: a moment is computed from the last change of the rate.

use crate::rates::RateGroupInfo;
use usertcp_base::{Instant, Limiter, Rate, Span};
use usertcp_tcp::{Lags, Quantum, release_octets};

/// A round lasts about so long: every member that has something to send gets its part of it.
const ROUNDS_PER_SECOND: u64 = 1000;

/// What members did not use because they waited for another of their rates is made up for, up to so many
/// nanoseconds. What a late timer cost is not: see [`Group::keep`].
const LATE_NANOS: u64 = 10_000_000;

/// Where a clock begins: it goes back by what was lost, and is a number that is not negative.
const BEGIN: u64 = 1 << 40;

/// A rate that is shared.
#[derive(Clone, Debug)]
pub(super) struct Group {
    rate: Rate,
    /// What its members are said to be limited by.
    pub limiter: Limiter,
    /// From this moment on the rate holds, …
    since: Instant,
    /// … and it had come so far by then.
    base: u64,
    /// Everything before this position is sent or promised.
    promised: u64,
    /// Weights of the members that hold a ticket, summed up.
    pub active: u64,
    /// The smallest weight among them.
    least_weight: u16,
    /// Two packets of the usual size, or of the device's if that is larger.
    least_octets: u32,
    /// Octets of packets that left.
    pub octets: u64,
    /// When the last of them left, …
    left: Instant,
    /// … and by how many octets what left then was late at most: that is made up for.
    late: u64,
}

impl Group {
    pub(super) fn new(now: Instant, rate: Rate, limiter: Limiter, packet_octets: u32) -> Group {
        let least_octets = packet_octets.clamp(1500, 1 << 20) * 2;
        Group {
            rate,
            limiter,
            since: now,
            base: BEGIN,
            promised: BEGIN,
            active: 0,
            least_weight: 1,
            least_octets,
            octets: 0,
            left: Instant::ZERO,
            late: 0,
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn info(&self) -> RateGroupInfo {
        RateGroupInfo { rate: self.rate, octets: self.octets, waiting_weight: self.active }
    }

    /// From now on the rate is another one.
    pub(super) fn set_rate(&mut self, now: Instant, rate: Rate) {
        let base = if self.rate.is_unlimited() { self.promised } else { self.position(now) };
        (self.base, self.since, self.rate) = (base, now, rate);
    }

    /// How far it has come.
    pub(super) fn position(&mut self, now: Instant) -> u64 {
        let rate = self.rate.octets_per_second();
        let mut micros = now.since(self.since).as_micros();
        if micros >= 1_000_000 {
            // Whole seconds are whole octets.
            let seconds = micros / 1_000_000;
            self.since = self.since + Span::from_secs(seconds);
            self.base = self.base.saturating_add(rate.saturating_mul(seconds));
            micros -= seconds * 1_000_000;
        }
        self.base.saturating_add(rate.saturating_mul(micros) / 1_000_000)
    }

    /// When it comes to `position`.
    pub(super) fn moment(&self, position: u64) -> Instant {
        let octets = position.saturating_sub(self.base);
        let rate = self.rate.octets_per_second();
        self.since + Span::from_micros(octets.saturating_mul(1_000_000).div_ceil(rate))
    }

    /// Octets that leave at once.
    pub(super) fn release(&self) -> u32 {
        release_octets(self.rate).max(self.least_octets)
    }

    /// As of a stream's own limit.
    fn quantum(&self) -> Quantum {
        Quantum::of(self.rate, self.release(), self.least_octets / 2)
    }

    /// What is made up for after an idle time, or when a timer was late.
    fn credit(&self) -> u64 {
        u64::from(self.quantum().made_up_octets)
    }

    /// Where the next promise begins. An idle time leaves what is made up for, and who waits for another rate
    /// meanwhile more, within bounds.
    pub(super) fn next(&mut self, now: Instant) -> u64 {
        let credit = match self.active {
            0 => self.credit(),
            _ => (self.rate.octets_per_second() / (1_000_000_000 / LATE_NANOS)).max(self.credit()),
        };
        self.promised.max(self.position(now).saturating_sub(credit))
    }

    /// A promise is kept so many octets late. What is not made up for is nobody's: the clock goes back by it, and with
    /// it the moment of every promise. Else all that came due meanwhile would leave at once.
    pub(super) fn keep(&mut self, now: Instant, late_octets: u64) {
        let made_up = late_octets.min(self.credit());
        self.base = self.base.saturating_sub(late_octets - made_up);
        if self.left != now {
            (self.left, self.late) = (now, 0);
        }
        self.late = self.late.max(made_up);
    }

    /// What left last may have come late to the device: then it was later than it seemed, by what the way took beyond
    /// what is left for it.
    pub(super) fn look_back(&mut self, lags: &Lags) {
        let Some(there) = lags.of(self.left.tick()) else { return };
        let late = self.late.saturating_add(self.rate.octets_in(there.since(self.left)));
        let borne = self.quantum().borne_octets();
        self.base = self.base.saturating_sub(late.saturating_sub(borne));
        // Once.
        self.left = Instant::ZERO;
    }

    /// How many octets of it pass in so long.
    pub(super) fn octets_in(&self, span: Span) -> u64 {
        self.rate.octets_in(span)
    }

    /// What a member of this weight is promised at a time: its part of a round among those that wait
    /// too, and no less than `least_octets` for the one of least weight. `counted`: it is one of them already.
    pub(super) fn part(&self, weight: u16, counted: bool) -> u32 {
        let mine = u64::from(weight);
        let active = self.active + if counted { 0 } else { mine };
        let least_weight = if self.active == 0 { weight } else { self.least_weight.min(weight) };
        let round = self.rate.octets_per_second() / ROUNDS_PER_SECOND;
        let part = round.saturating_mul(mine) / active.max(1);
        let least = u64::from(self.least_octets) * mine / u64::from(least_weight.max(1));
        u32::try_from(part.max(least)).unwrap_or(u32::MAX).min(1 << 30)
    }

    /// One more member waits.
    pub(super) fn enter(&mut self, weight: u16) {
        self.least_weight = if self.active == 0 { weight } else { self.least_weight.min(weight) };
        self.active += u64::from(weight);
    }

    /// Promises `octets`; where they begin.
    pub(super) fn promise(&mut self, now: Instant, octets: u32) -> u64 {
        let position = self.next(now);
        self.promised = position.saturating_add(u64::from(octets));
        position
    }

    /// Octets left for which nothing was promised.
    pub(super) fn take(&mut self, now: Instant, octets: u32) {
        let next = self.next(now);
        let late = self.position(now).saturating_sub(next);
        self.promised = next.saturating_add(u64::from(octets));
        self.keep(now, late);
    }

    /// Octets left beyond a promise, as packets are whole. Whatever is promised behind it comes later by them.
    pub(super) fn overdraw(&mut self, octets: u32) {
        self.base = self.base.saturating_sub(u64::from(octets));
    }

    /// A member waits no more; what is left of its promise goes back.
    pub(super) fn settle(&mut self, weight: u16, left: u32) {
        self.active = self.active.saturating_sub(u64::from(weight));
        self.promised = self.promised.saturating_sub(u64::from(left));
    }

    /// Whether somebody who asks now, and nobody waits, may send now.
    pub(super) fn is_free(&mut self, now: Instant) -> bool {
        self.active == 0 && self.promised <= self.position(now)
    }
}

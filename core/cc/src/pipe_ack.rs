//! pipeACK: how much of a window its user has lately had acknowledged per round trip.
//!
//! Owns: the samples of the sampling period, what was sent again while a loss is repaired.
//! Must not know: the window, what is made of the figure.
//! Implements: RFC 7661 §4.2 (the measure) and the R of §4.4.1.

use usertcp_base::{Instant, Span};

/// The sampling period is three round trips, but at least this (RFC 7661 §4.2).
const LEAST_PERIOD: Span = Span::from_secs(1);
/// Microseconds in the unit of [`PipeAck::since`], as a power of two: about a quarter second.
const UNIT_SHIFT: u32 = 18;

/// What is measured now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Octets acknowledged in the round under way.
    Sampling,
    /// Nothing: a loss is repaired (frozen, §4.2).
    Frozen,
    /// A loss in a window that was not validated is repaired: octets sent again (R).
    Reduced,
}

/// How long the period has lasted.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// It goes on, or nobody asked.
    GoesOn,
    /// As long as one does at least.
    Old,
}

/// The measure of one connection. The largest sample of two periods is kept: each is forgotten between
/// one and two periods after it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PipeAck {
    /// By [`Stage`].
    octets: u32,
    /// Largest sample in this period; zero: none.
    newest: u32,
    /// Largest sample in the period before; zero: none.
    older: u32,
    /// When this period began, circular.
    since: u16,
    stage: Stage,
}

const _: () = assert!(size_of::<PipeAck>() <= 16);

/// The least period in whole units.
const LEAST_UNITS: u16 = LEAST_PERIOD.as_micros().div_ceil(1 << UNIT_SHIFT) as u16;

fn unit(now: Instant) -> u16 {
    (now.as_micros() >> UNIT_SHIFT) as u16
}

impl PipeAck {
    /// Undefined, as at the start of a connection.
    pub(crate) const fn undefined() -> PipeAck {
        PipeAck { octets: 0, newest: 0, older: 0, since: 0, stage: Stage::Sampling }
    }

    /// The most octets acknowledged in a round of the sampling period; `None` while undefined.
    pub(crate) fn octets(&self) -> Option<u32> {
        Some(self.newest.max(self.older)).filter(|octets| *octets > 0)
    }

    /// An acknowledgement; `round_ended`: it covers what was sent since the last round began.
    #[inline(always)]
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        acked: u32,
        round_ended: bool,
        srtt_micros: u32,
    ) -> Period {
        if self.stage != Stage::Sampling {
            return Period::GoesOn;
        }
        self.octets = self.octets.saturating_add(acked);
        if !round_ended {
            return Period::GoesOn;
        }
        let period = self.period(now);
        if period == Period::Old {
            self.turn(now, srtt_micros);
        }
        let octets = core::mem::take(&mut self.octets);
        self.on_round(octets);
        period
    }

    /// Whether this period has lasted as long as one does at least.
    #[inline(always)]
    pub(crate) fn period(&self, now: Instant) -> Period {
        match unit(now).wrapping_sub(self.since) >= LEAST_UNITS {
            true => Period::Old,
            false => Period::GoesOn,
        }
    }

    /// Whether nothing was acknowledged of the round under way, and no loss is repaired.
    pub(crate) fn is_between_rounds(&self) -> bool {
        self.stage == Stage::Sampling && self.octets == 0
    }

    /// A round of this period, of which `octets` were acknowledged, ended.
    #[inline(always)]
    pub(crate) fn on_round(&mut self, octets: u32) {
        self.newest = self.newest.max(octets);
    }

    /// Begins another period when this one is over.
    #[inline(never)] // seldom
    pub(crate) fn turn(&mut self, now: Instant, srtt_micros: u32) {
        let period = Span::from_micros(u64::from(srtt_micros) * 3).max(LEAST_PERIOD);
        let period = period.as_micros().div_ceil(1 << UNIT_SHIFT);
        let age = u64::from(unit(now).wrapping_sub(self.since));
        if age < period {
            return;
        }
        self.older = if age < 2 * period { self.newest } else { 0 };
        self.newest = 0;
        self.since = unit(now);
    }

    /// A loss is to be repaired. `reduced`: the window was not validated, and what is sent again
    /// is to be known at the end.
    pub(crate) fn on_loss(&mut self, reduced: bool) {
        self.octets = 0;
        self.stage = if reduced { Stage::Reduced } else { Stage::Frozen };
    }

    /// Octets were sent again.
    pub(crate) fn on_resent(&mut self, octets: u32) {
        if self.stage == Stage::Reduced {
            self.octets = self.octets.saturating_add(octets);
        }
    }

    /// The repair is over: undefined until there is a new sample (§4.4.1, MUST). R, if the window
    /// was not validated when it began.
    pub(crate) fn on_recovered(&mut self) -> Option<u32> {
        let resent = (self.stage == Stage::Reduced).then_some(self.octets);
        *self = PipeAck::undefined();
        resent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRTT: u32 = 100_000;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    // proves 7661-1
    #[test]
    fn the_largest_round_of_the_period_counts() {
        let mut pipe = PipeAck::undefined();
        let _ = pipe.on_ack(at(0), 500, false, SRTT);
        assert_eq!(pipe.octets(), None, "no round has ended");
        let _ = pipe.on_ack(at(50), 700, true, SRTT);
        assert_eq!(pipe.octets(), Some(1200));
        for round in 1..6 {
            let _ = pipe.on_ack(at(50 + round * 100), 300, true, SRTT);
            assert_eq!(pipe.octets(), Some(1200), "a second has not passed");
        }
        let mut now = 650;
        while pipe.octets() == Some(1200) {
            now += 100;
            let _ = pipe.on_ack(at(now), 300, true, SRTT);
        }
        assert!((1000..=2600).contains(&now), "{now}");
        assert_eq!(pipe.octets(), Some(300));
        // After a long silence nothing of before counts.
        let _ = pipe.on_ack(at(now + 60_000), 10, true, SRTT);
        assert_eq!(pipe.octets(), Some(10));
    }

    // proves 7661-1
    #[test]
    fn three_long_round_trips_are_the_period() {
        let (mut pipe, srtt) = (PipeAck::undefined(), 2_000_000);
        let _ = pipe.on_ack(at(0), 1200, true, srtt);
        let _ = pipe.on_ack(at(5_000), 300, true, srtt);
        assert_eq!(pipe.octets(), Some(1200));
        let _ = pipe.on_ack(at(13_000), 300, true, srtt);
        assert_eq!(pipe.octets(), Some(300));
    }

    // proves 7661-1
    #[test]
    fn frozen_while_a_loss_is_repaired_and_undefined_after() {
        for reduced in [false, true] {
            let mut pipe = PipeAck::undefined();
            let _ = pipe.on_ack(at(0), 1200, true, SRTT);
            pipe.on_loss(reduced);
            pipe.on_resent(100);
            pipe.on_resent(50);
            let _ = pipe.on_ack(at(100), 5000, true, SRTT);
            assert_eq!(pipe.octets(), Some(1200));
            assert_eq!(pipe.on_recovered(), reduced.then_some(150));
            assert_eq!(pipe.octets(), None);
        }
    }
}

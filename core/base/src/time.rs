//! Time as a value. Owns: `Instant`, `Span`, `Stamp`, `Tick`. Must not know: any clock.

use core::ops::{Add, Sub};

/// A moment, in microseconds since an origin the caller chose. Never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant {
    micros: u64,
}

/// A length of time in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    micros: u64,
}

/// A moment in 32 bits: circular microseconds, comparable within about 35 minutes.
///
/// Held where many are kept (one per transmission); everything long-lived keeps an [`Instant`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stamp(pub u32);

/// A moment in 32 bits of 64 µs: circular, comparable within about 38 hours. What the timer
/// wheel and permanent records store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tick(pub u32);

/// Microseconds in one [`Tick`], as a power of two.
pub const TICK_SHIFT: u32 = 6;

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant { micros: 0 };
    /// Later than anything a program lives to see.
    pub const FAR: Instant = Instant { micros: u64::MAX };

    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant { micros }
    }
    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Instant { micros: millis.saturating_mul(1000) }
    }
    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }
    /// Milliseconds since the origin, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.micros / 1000
    }
    /// Time since `earlier`, zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Instant) -> Span {
        Span { micros: self.micros.saturating_sub(earlier.micros) }
    }
    /// The 32-bit form.
    pub const fn stamp(self) -> Stamp {
        Stamp(self.micros as u32)
    }
    /// The tick this moment lies in (rounded down).
    pub const fn tick(self) -> Tick {
        Tick((self.micros >> TICK_SHIFT) as u32)
    }
    /// The first tick not before this moment: what a deadline is stored as, so it never fires early.
    pub const fn tick_after(self) -> Tick {
        Tick((self.micros.saturating_add((1 << TICK_SHIFT) - 1) >> TICK_SHIFT) as u32)
    }
}

impl Add<Span> for Instant {
    type Output = Instant;
    fn add(self, span: Span) -> Instant {
        Instant { micros: self.micros.saturating_add(span.micros) }
    }
}

impl Sub<Span> for Instant {
    type Output = Instant;
    fn sub(self, span: Span) -> Instant {
        Instant { micros: self.micros.saturating_sub(span.micros) }
    }
}

impl Span {
    /// No time.
    pub const ZERO: Span = Span { micros: 0 };
    /// The longest span.
    pub const MAX: Span = Span { micros: u64::MAX };

    /// `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Span { micros }
    }
    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Span { micros: millis.saturating_mul(1000) }
    }
    /// `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Span { micros: secs.saturating_mul(1_000_000) }
    }
    /// Microseconds.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }
    /// Milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.micros / 1000
    }
    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.micros == 0
    }
    /// The sum, at most [`Span::MAX`].
    pub const fn saturating_add(self, other: Span) -> Span {
        Span { micros: self.micros.saturating_add(other.micros) }
    }
    /// The difference, at least zero.
    pub const fn saturating_sub(self, other: Span) -> Span {
        Span { micros: self.micros.saturating_sub(other.micros) }
    }
    /// `factor` times as long, at most [`Span::MAX`].
    pub const fn saturating_mul(self, factor: u64) -> Span {
        Span { micros: self.micros.saturating_mul(factor) }
    }
    /// This span divided; a divisor of zero counts as one.
    pub const fn divided_by(self, divisor: u64) -> Span {
        Span { micros: self.micros / if divisor == 0 { 1 } else { divisor } }
    }
    /// Doubled `times` times, at most [`Span::MAX`].
    pub const fn doubled(self, times: u32) -> Span {
        if times >= 63 {
            return Span::MAX;
        }
        self.saturating_mul(1 << times)
    }
}

impl Stamp {
    /// Time from `earlier` to this moment; zero when `earlier` is the later one.
    pub const fn since(self, earlier: Stamp) -> Span {
        Span { micros: self.micros_since(earlier) as u64 }
    }
    /// The same in microseconds.
    pub const fn micros_since(self, earlier: Stamp) -> u32 {
        let distance = self.0.wrapping_sub(earlier.0);
        if distance < 1 << 31 { distance } else { 0 }
    }
    /// Whether this moment is after `other`.
    pub const fn after(self, other: Stamp) -> bool {
        let distance = self.0.wrapping_sub(other.0);
        distance != 0 && distance < 1 << 31
    }
    /// The full moment, given any `now` within 35 minutes after it.
    pub const fn before_now(self, now: Instant) -> Instant {
        Instant { micros: now.micros.saturating_sub(now.stamp().since(self).micros) }
    }
}

impl Tick {
    /// Whether this tick is after `other`.
    pub const fn after(self, other: Tick) -> bool {
        self.0.wrapping_sub(other.0) as i32 > 0
    }
    /// Ticks from `earlier` to this one, `None` when `earlier` is the later one.
    pub const fn distance_from(self, earlier: Tick) -> Option<u32> {
        let distance = self.0.wrapping_sub(earlier.0);
        if distance < 1 << 31 { Some(distance) } else { None }
    }
    /// The start of this tick, as the moment nearest to `now`.
    pub const fn instant_near(self, now: Instant) -> Instant {
        let current = now.micros >> TICK_SHIFT;
        let ahead = self.0.wrapping_sub(current as u32) as i32 as i64;
        let tick = current.saturating_add_signed(ahead);
        Instant { micros: tick << TICK_SHIFT }
    }
}

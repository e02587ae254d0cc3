//! The one timer of the send side.
//!
//! Owns: `SendTimer` (retransmit, tail probe, reorder: they exclude each other), its deadline,
//! back-off, jitter, the count of expiries without progress.
//! Must not know: what is sent when it fires. (Persist, the fourth member of DESIGN §7.4, begins
//! where nothing is outstanding; its owner is the caller.)
//! Implements: RFC 6298 §5, RFC 8961 §4, RFC 8985 §8; AT-37.

use super::rtt::Bounds;
use usertcp_base::{Instant, Prng, Span};

/// Doublings beyond which the longest timeout is certain.
const MOST_DOUBLINGS: u8 = 20;

/// What the timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendTimer {
    Off,
    Retransmit,
    TailProbe,
    Reorder,
}

/// The timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timer {
    kind: SendTimer,
    /// Doublings of the timeout; ends only with a valid sample (6298-11).
    backoff: u8,
    /// Expiries without progress of SND.UNA.
    expiries: u8,
    /// In 1/2560 of the timeout.
    jitter: u8,
    jittery: bool,
    /// Of the doublings, those while the peer's window was closed: they say nothing of the path.
    closed: u8,
    /// Deadline of a probe or of the reordering window.
    at: Instant,
    /// When the retransmission timeout was last started.
    started: Instant,
}

impl Timer {
    pub(super) fn new(now: Instant, jittery: bool) -> Timer {
        Timer {
            kind: SendTimer::Off,
            backoff: 0,
            expiries: 0,
            jitter: 0,
            jittery,
            closed: 0,
            at: now,
            started: now,
        }
    }
    /// It does not run: when it last did means nothing.
    pub(super) fn forget_times(&mut self) {
        self.at = Instant::ZERO;
        self.started = Instant::ZERO;
    }
    /// Whether two that do not run, and forgot when they did, are equal.
    #[inline(always)] // a part of a comparison
    pub(super) fn is_same_off(&self, other: &Timer) -> bool {
        let Timer { kind: _, at: _, started: _, backoff, expiries, jitter, jittery, closed } =
            *self;
        (backoff, expiries, jitter) == (other.backoff, other.expiries, other.jitter)
            && (jittery, closed) == (other.jittery, other.closed)
    }
    pub(super) fn kind(&self) -> SendTimer {
        self.kind
    }
    pub(super) fn expiries(&self) -> u8 {
        self.expiries
    }
    pub(super) fn backoff(&self) -> u8 {
        self.backoff
    }
    /// The timeout with back-off, at most the longest.
    #[inline]
    pub(super) fn timeout(&self, base: u32, bounds: &Bounds) -> Span {
        match (self.backoff, self.jitter) {
            (0, 0) => Span::from_micros(u64::from(base)),
            _ => self.longer_timeout(base, bounds),
        }
    }
    #[inline(never)]
    fn longer_timeout(&self, base: u32, bounds: &Bounds) -> Span {
        let base = u64::from(base);
        let doubled = base.checked_shl(u32::from(self.backoff)).unwrap_or(u64::MAX);
        let longest = u64::from(bounds.rto_max).max(base);
        let capped = doubled.min(longest);
        let jitter = capped.saturating_mul(u64::from(self.jitter)) / 2560;
        Span::from_micros(capped.saturating_add(jitter).min(longest))
    }
    /// Whether the timeout is what was estimated.
    #[inline(always)]
    pub(super) fn is_exact(&self) -> bool {
        self.backoff | self.jitter == 0
    }
    /// When the retransmission timeout passes.
    #[inline]
    pub(super) fn expiry(&self, base: u32, bounds: &Bounds) -> Instant {
        self.started + self.timeout(base, bounds)
    }
    /// [`Instant::FAR`] while it does not run.
    #[inline]
    pub(super) fn deadline(&self, base: u32, bounds: &Bounds) -> Instant {
        match self.kind {
            SendTimer::Off => Instant::FAR,
            SendTimer::Retransmit => self.expiry(base, bounds),
            SendTimer::TailProbe | SendTimer::Reorder => self.at,
        }
    }
    /// What it waits for happens then, while that comes before the timeout.
    #[inline(always)] // a load
    pub(super) fn at(&self) -> Instant {
        self.at
    }
    /// Starts the retransmission timeout anew.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started = now;
    }
    pub(super) fn wait_for_timeout(&mut self) {
        self.kind = SendTimer::Retransmit;
    }
    /// Waits for something that happens at `at`, before the timeout.
    pub(super) fn wait_until(&mut self, kind: SendTimer, at: Instant) {
        self.kind = kind;
        self.at = at;
    }
    pub(super) fn stop(&mut self) {
        self.kind = SendTimer::Off;
    }
    /// It expired: the next one is twice as long.
    pub(super) fn on_expiry(&mut self, now: Instant) {
        self.kind = SendTimer::Retransmit;
        self.started = now;
        self.expiries = self.expiries.saturating_add(1);
        self.backoff = self.backoff.saturating_add(1).min(MOST_DOUBLINGS);
    }
    /// It expired while the peer's window was closed: only the next time to look is put off.
    pub(super) fn on_closed_expiry(&mut self, now: Instant) {
        let (expiries, before) = (self.expiries, self.backoff);
        self.on_expiry(now);
        self.expiries = expiries;
        self.closed = self.closed.saturating_add(self.backoff - before);
    }
    /// The window is open again.
    pub(super) fn on_window_opened(&mut self) {
        self.backoff = self.backoff.saturating_sub(self.closed);
        self.closed = 0;
    }
    /// SND.UNA advanced.
    pub(super) fn on_progress(&mut self, now: Instant, prng: &mut Prng) {
        self.expiries = 0;
        self.started = now;
        if self.jittery {
            self.jitter = prng.next_u32() as u8;
        }
    }
    /// Whether it did not expire since the last sample, and progress draws no other jitter.
    pub(super) fn is_undelayed(&self) -> bool {
        self.expiries == 0 && self.backoff == 0 && self.closed == 0 && !self.jittery
    }
    /// A valid sample arrived.
    pub(super) fn end_backoff(&mut self) {
        self.backoff = 0;
        self.closed = 0;
    }
}

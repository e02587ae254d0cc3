//! What was delivered, how fast, in which round, and whether the window was the limit.
//!
//! Owns: the delivered count, rate samples, rounds, the flight's peak.
//! Must not know: loss, the controller.
//! Implements: delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation §3), rounds as
//! in draft-ietf-ccwg-bbr; RFC 7661 §4.4 (growth only when the window was used).

use super::records::{Marks, Record, Taken};
use usertcp_base::{Instant, Rate, Span, Stamp};
use usertcp_cc::RateSample;

/// The connection's delivery so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Delivery {
    total: u64,
    /// When something was delivered last.
    at: Stamp,
    /// Send time of the newest transmission delivered.
    first_sent: Stamp,
    /// The round going on ends when data sent after this count are delivered.
    round_end: u32,
    /// While it is ahead of the count, samples are application-limited.
    limited_until: u32,
    /// Most in flight in this round and the one before.
    peak: u32,
    last_peak: u32,
}

impl Delivery {
    pub(super) fn new(now: Instant) -> Delivery {
        Delivery {
            total: 0,
            at: now.stamp(),
            first_sent: now.stamp(),
            round_end: 0,
            limited_until: 0,
            peak: 0,
            last_peak: 0,
        }
    }
    pub(super) fn total(&self) -> u64 {
        self.total
    }
    /// Nothing is in flight: the moments are those of the next flight, and counts that lie behind
    /// are as good as the count itself.
    pub(super) fn forget_times(&mut self) {
        self.at = Stamp(0);
        self.first_sent = Stamp(0);
        if !after(self.round_end, self.low()) {
            self.round_end = self.low();
        }
        if !after(self.limited_until, self.low()) {
            self.limited_until = self.low();
        }
    }
    /// What the last rounds had in flight says nothing of the next one.
    pub(super) fn rest(&mut self) {
        self.peak = 0;
        self.last_peak = 0;
    }
    /// Counts from another origin: `octets` more (modulo 2^64).
    pub(super) fn shift(&mut self, octets: u64) {
        self.total = self.total.wrapping_add(octets);
        self.round_end = self.round_end.wrapping_add(octets as u32);
        self.limited_until = self.limited_until.wrapping_add(octets as u32);
    }
    /// Whether two that forgot their times are equal.
    #[inline(always)] // a part of a comparison
    pub(super) fn is_same_quiet(&self, other: &Delivery) -> bool {
        let Delivery { total, at: _, first_sent: _, round_end, limited_until, peak, last_peak } =
            *self;
        total == other.total
            && (round_end, limited_until) == (other.round_end, other.limited_until)
            && (peak, last_peak) == (other.peak, other.last_peak)
    }
    fn low(&self) -> u32 {
        self.total as u32
    }
    /// Nothing is in flight and something is about to be sent.
    pub(super) fn on_flight_begun(&mut self, now: Instant) {
        self.at = now.stamp();
        self.first_sent = now.stamp();
    }
    /// Notes in `record` what a sample needs when it is delivered.
    #[inline(always)]
    pub(super) fn stamp(&self, record: &mut Record, at: Stamp) {
        record.sent_at = at;
        record.first_sent = self.first_sent;
        record.delivered_at = self.at;
        record.delivered = self.low();
        record.marks &= !Marks::APPLICATION_LIMITED;
        if after(self.limited_until, self.low()) {
            record.marks |= Marks::APPLICATION_LIMITED;
        }
    }
    /// Something left; `in_flight` includes it.
    pub(super) fn on_sent(&mut self, in_flight: u32, application_limited: bool) {
        self.peak = self.peak.max(in_flight);
        if application_limited {
            self.limited_until = self.low().wrapping_add(in_flight);
        }
    }
    /// A message of `octets` leaves, and the application has nothing more; the last one was answered. What was delivered
    /// before it.
    #[inline(always)] // once
    pub(super) fn begin_with_message(&mut self, now: Instant, octets: u32) -> u32 {
        debug_assert!(self.is_between_flights(), "an answer ended a round");
        self.limited_until = self.low().wrapping_add(octets);
        self.begin_alone(now, octets)
    }
    /// The same where the application is no limit.
    #[inline(always)] // a part of the above, and once
    pub(super) fn begin_alone(&mut self, now: Instant, octets: u32) -> u32 {
        debug_assert_eq!(self.peak, 0, "an answer ended a round");
        self.on_flight_begun(now);
        self.peak = octets;
        self.low()
    }
    /// Whether nothing has been in flight in this round, and the application is no limit of what was.
    #[inline(always)] // two comparisons
    pub(super) fn is_between_flights(&self) -> bool {
        self.peak == 0 && !after(self.limited_until, self.low())
    }
    /// Most octets in flight in this round and the one before.
    pub(super) fn peak(&self) -> u32 {
        self.peak.max(self.last_peak)
    }
    /// Whether the window was used in the flight being acknowledged: up to the last segment, or
    /// half of it while it doubles.
    pub(super) fn window_limited(&self, window: u32, mss: u32, doubling: bool) -> bool {
        let (peak, mss, window) = (u64::from(self.peak()), u64::from(mss), u64::from(window));
        peak + mss > window || (doubling && peak * 2 > window)
    }
    /// `octets`, at least one, were delivered.
    #[inline]
    pub(super) fn on_delivered(&mut self, now: Instant, octets: u32) {
        self.total = self.total.wrapping_add(u64::from(octets));
        self.at = now.stamp();
        if !after(self.limited_until, self.low()) {
            self.limited_until = self.low();
        }
    }
    /// Whether the round ends with what was sent when `delivered` had been delivered.
    #[inline]
    pub(super) fn ends_round(&self, delivered: u32) -> bool {
        !after(self.round_end, delivered)
    }
    /// The newest transmission among them was sent at `sent_at`, when `delivered` had been delivered.
    /// Returns whether a round ended.
    #[inline]
    pub(super) fn on_newest(&mut self, sent_at: Stamp, delivered: u32) -> bool {
        self.first_sent = sent_at;
        let round_ended = self.ends_round(delivered);
        if round_ended {
            self.round_end = self.low();
            self.last_peak = self.peak;
            self.peak = 0;
        }
        round_ended
    }
    /// All there was in flight, `octets` in one transmission, was delivered, and the round ends with it. The moments
    /// are those of the next flight.
    #[inline(always)]
    pub(super) fn on_answer(&mut self, octets: u32) {
        self.total = self.total.wrapping_add(u64::from(octets));
        self.limited_until = self.low();
        self.round_end = self.low();
        self.last_peak = self.peak;
        self.peak = 0;
    }
    /// The rate sample of what was `taken` just now.
    pub(super) fn rate(&self, taken: &Taken, min_rtt: Option<Span>) -> Option<RateSample> {
        let sending = taken.sent_at.since(taken.first_sent);
        let arriving = self.at.since(taken.delivered_at);
        let interval = sending.max(arriving);
        // Shorter than any round trip: acknowledgements were compressed or the clock is too coarse.
        if interval.is_zero() || min_rtt.is_some_and(|least| interval < least) {
            return None;
        }
        let delivered_octets = u64::from(self.low().wrapping_sub(taken.delivered));
        Some(RateSample {
            rate: Rate::over(delivered_octets, interval),
            interval,
            delivered_octets,
            application_limited: taken.application_limited,
        })
    }
}

fn after(count: u32, other: u32) -> bool {
    (count.wrapping_sub(other) as i32) > 0
}

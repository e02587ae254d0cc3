//! Timestamps as the receiver sees them.
//!
//! Owns: TS.Recent with its age, Last.ACK.sent, the check against wrapped sequence numbers.
//! Must not know: our own timestamp clock, round-trip samples.
//! Implements: RFC 7323 §3.2, §4.3, §5.3, §5.5 (7323-8, -10, -12, -13, -14, -17, -18, -19).

use usertcp_base::{Instant, Seq};

/// After so long the peer's clock may have gone half its circle: TS.Recent says nothing. 24 days in [units](unit()).
const EXPIRY_UNITS: u32 = unit(Instant::from_millis(24 * 24 * 3_600_000));

/// What the timestamps of a segment say about it.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PawsCheck {
    /// Go on to the window check.
    Pass,
    /// Older than what was seen: acknowledge and drop.
    Old,
    /// The option was agreed on and is not there: drop without a word; never abort for it.
    Missing,
}

/// TS.Recent and what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timestamps {
    recent: u32,
    /// When `recent` was last confirmed, in [units](unit()): outlives any circle of ticks.
    recent_unit: u32,
    last_ack_sent: Seq,
    negotiated: bool,
}

impl Timestamps {
    /// A connection whose handshake did not agree on timestamps: the option is ignored (7323-18).
    pub const fn off() -> Timestamps {
        Timestamps { recent: 0, recent_unit: 0, last_ack_sent: Seq(0), negotiated: false }
    }

    /// Both SYNs carried the option; the peer's said `recent` and we acknowledged `last_ack_sent`.
    pub const fn negotiated(now: Instant, recent: u32, last_ack_sent: Seq) -> Timestamps {
        Timestamps { recent, recent_unit: unit(now), last_ack_sent, negotiated: true }
    }

    /// The same after parking: `age_units` passed since TS.Recent was confirmed.
    pub const fn resumed(now: Instant, recent: u32, age_units: u32, last_ack_sent: Seq) -> Self {
        let recent_unit = unit(now).wrapping_sub(age_units);
        Timestamps { recent, recent_unit, last_ack_sent, negotiated: true }
    }

    /// The numbers of a connection whose RCV.NXT is `by` larger.
    pub(crate) fn shift(&mut self, by: u32) {
        if self.negotiated {
            self.last_ack_sent += by;
        }
    }

    /// TS.Recent and the [unit](unit()) it was confirmed in; both become zero.
    pub(crate) fn take_recent(&mut self) -> (u32, u32) {
        (core::mem::take(&mut self.recent), core::mem::take(&mut self.recent_unit))
    }

    /// Whether two that were taken out are equal.
    #[inline(always)] // a part of a comparison
    pub(crate) fn is_same_taken(&self, other: &Timestamps) -> bool {
        let Timestamps { recent: _, recent_unit: _, last_ack_sent, negotiated } = *self;
        (last_ack_sent, negotiated) == (other.last_ack_sent, other.negotiated)
    }

    /// Sets them.
    pub(crate) fn set_recent(&mut self, recent: u32, unit: u32) {
        (self.recent, self.recent_unit) = (recent, unit);
    }

    /// The [unit](unit()) TS.Recent was confirmed in.
    pub(crate) const fn recent_unit(&self) -> u32 {
        self.recent_unit
    }

    /// Whether the option is in use.
    pub const fn is_on(&self) -> bool {
        self.negotiated
    }

    /// TS.Recent, when the option was agreed on.
    pub const fn recent(&self) -> u32 {
        self.recent
    }

    /// What to echo, when the option is in use.
    pub const fn echo(&self) -> Option<u32> {
        if self.negotiated { Some(self.recent) } else { None }
    }

    /// Units of [`paws`](self) since TS.Recent was last confirmed.
    pub const fn age_units(&self, now: Instant) -> u32 {
        unit(now).wrapping_sub(self.recent_unit)
    }

    /// The first check of all (7323-17). `exempt`: RST or SYN is set; those have rules of their
    /// own and need no timestamp. `value`: SEG.TSval if the option was there.
    pub fn check(&self, now: Instant, exempt: bool, value: Option<u32>) -> PawsCheck {
        if !self.negotiated || exempt {
            return PawsCheck::Pass;
        }
        match value {
            None => PawsCheck::Missing,
            Some(value) if Seq(value).before(Seq(self.recent)) && !self.expired(now) => {
                PawsCheck::Old
            }
            Some(_) => PawsCheck::Pass,
        }
    }

    /// Takes SEG.TSval of a segment that passed the window check, or repeats what was acknowledged last: only one that
    /// begins at or before the last acknowledgement we sent, so that the echo is that of the earliest segment not yet
    /// acknowledged.
    pub fn observe(&mut self, now: Instant, seq: Seq, value: Option<u32>) {
        let Some(value) = value.filter(|_| self.negotiated) else { return };
        let newer = Seq(value).at_or_after(Seq(self.recent)) || self.expired(now);
        if newer && seq.at_or_before(self.last_ack_sent) {
            self.recent = value;
            self.recent_unit = unit(now);
        }
    }

    /// The same where the option was agreed on and `value` is not before TS.Recent.
    #[inline]
    pub(crate) fn observe_newer(&mut self, now: Instant, seq: Seq, value: u32) {
        if seq.at_or_before(self.last_ack_sent) {
            self.recent = value;
            self.recent_unit = unit(now);
        }
    }

    /// Notes that an acknowledgement of `rcv_nxt` leaves.
    pub fn on_ack_sent(&mut self, rcv_nxt: Seq) {
        // Without the option nobody asks, and connections that park would differ by it.
        if self.negotiated {
            self.last_ack_sent = rcv_nxt;
        }
    }

    /// The same where the option was agreed on.
    #[inline(always)] // for each packet
    pub(crate) fn on_usual_ack_sent(&mut self, rcv_nxt: Seq) {
        debug_assert!(self.negotiated);
        self.last_ack_sent = rcv_nxt;
    }

    /// Last.ACK.sent.
    pub const fn last_ack_sent(&self) -> Seq {
        self.last_ack_sent
    }

    const fn expired(&self, now: Instant) -> bool {
        self.age_units(now) > EXPIRY_UNITS
    }
}

/// An instant in units of 2^20 µs, a second and a little: 142 years fit, and it takes no division.
pub(crate) const fn unit(now: Instant) -> u32 {
    (now.as_micros() >> 20) as u32
}

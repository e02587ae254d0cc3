//! Duplicate acknowledgements, for peers without SACK.
//!
//! Owns: their count, and the octets they stand for (each one segment that left the network).
//! Must not know: marks, the controller.
//! Implements: RFC 5681 §3.2, RFC 3042, RFC 6582 (careful variant), RFC 9937 §6.2 (estimate of
//! DeliveredData without SACK); AT-13.

/// Duplicates that show a loss.
pub(super) const DUPLICATES: u8 = 3;
/// Duplicates that each let one new segment out before that.
const LIMITED_TRANSMIT: u32 = 2;

/// The count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct NewReno {
    duplicates: u8,
    /// Octets believed delivered above SND.UNA.
    credit: u32,
}

impl NewReno {
    pub(super) fn credit(&self) -> u32 {
        self.credit
    }
    pub(super) fn reset(&mut self) {
        *self = NewReno::default();
    }
    /// A duplicate arrived. Whether it is the one that shows a loss.
    pub(super) fn on_duplicate(&mut self) -> bool {
        self.duplicates = self.duplicates.saturating_add(1);
        self.duplicates == DUPLICATES
    }
    /// Takes the duplicate's segment as delivered, in all at most what lies between SND.UNA's
    /// segment and `bound` octets, so that made-up duplicates gain nothing. Returns octets believed
    /// delivered by it.
    pub(super) fn credit_duplicate(&mut self, mss: u32, bound: u32, recovering: bool) -> u32 {
        let most = bound.saturating_sub(mss);
        let most = if recovering { most } else { most.min(LIMITED_TRANSMIT.saturating_mul(mss)) };
        let before = self.credit;
        self.credit = before.saturating_add(mss).min(most).max(before);
        self.credit - before
    }
    /// SND.UNA advanced by `acked`. Returns the octets of it not believed delivered before.
    pub(super) fn on_advance(&mut self, acked: u32, mss: u32, recovering: bool) -> u32 {
        let known = self.credit.min(acked.saturating_sub(mss.min(acked)));
        self.credit = if recovering { self.credit - known } else { 0 };
        self.duplicates = 0;
        acked - known
    }
}

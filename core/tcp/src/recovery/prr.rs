//! Proportional rate reduction.
//!
//! Owns: how much may leave per acknowledgement in fast recovery.
//! Must not know: what is sent, the controller beyond its threshold.
//! Implements: RFC 9937 §6.

/// One acknowledgement as PRR sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) octets: u32,
    /// In flight after it.
    pub(super) in_flight: u32,
    /// The controller's threshold (ssthresh).
    pub(super) threshold: u32,
    pub(super) mss: u32,
    /// SND.UNA advanced and nothing more was found lost (SafeACK).
    pub(super) safe: bool,
}

/// PRR's variables, and what is left of the last SndCnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prr {
    /// RecoverFS.
    flight: u32,
    delivered: u32,
    out: u32,
    allowed: u32,
}

impl Prr {
    /// `flight`: octets outstanding when recovery began, what was SACKed before not counted.
    pub(super) fn start(flight: u32) -> Prr {
        Prr { flight: flight.max(1), ..Prr::default() }
    }
    pub(super) fn allowed(&self) -> u32 {
        self.allowed
    }
    /// One segment at least: the first retransmission, or what a timer found lost.
    pub(super) fn allow_segment(&mut self, mss: u32) {
        self.allowed = self.allowed.max(mss);
    }
    pub(super) fn on_sent(&mut self, octets: u32) {
        self.out = self.out.saturating_add(octets);
        self.allowed = self.allowed.saturating_sub(octets);
    }
    /// RFC 9937 §6.2. An acknowledgement that delivers nothing does nothing.
    pub(super) fn on_ack(&mut self, ack: &Delivered) {
        if ack.octets == 0 {
            return;
        }
        self.delivered = self.delivered.saturating_add(ack.octets);
        let count = if ack.in_flight > ack.threshold {
            let share = u64::from(self.delivered) * u64::from(ack.threshold);
            let due = share.div_ceil(u64::from(self.flight.max(1)));
            u32::try_from(due).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let behind = self.delivered.saturating_sub(self.out).max(ack.octets);
            let growth = if ack.safe { ack.mss } else { 0 };
            behind.saturating_add(growth).min(ack.threshold - ack.in_flight)
        };
        // The first retransmission leaves at once, whatever the proportion of it is due.
        self.allowed = if self.out == 0 { count.max(ack.mss) } else { count };
    }
}

//! What one acknowledgement delivered.
//!
//! Owns: `Tally`, filled while the scoreboard digests an acknowledgement, read by every step after.
//! Must not know: what follows from it.
//! Implements: RFC 6298 §3 (Karn), RFC 8985 §6.2 steps 2 and 3 (its inputs), AT-12.

use super::records::{Marks, Record};
use usertcp_base::{Seq, Span, Stamp};

/// The newest transmission of those delivered, as far as RACK may trust it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) at: Stamp,
    pub(super) end: Seq,
    pub(super) rtt: Span,
}

/// What one acknowledgement delivered.
#[derive(Debug)]
pub(super) struct Tally {
    now: Stamp,
    /// Least age of the echoed timestamp; `None` without one, or when it is of this millisecond.
    echo_age: Option<Span>,
    min_rtt: Option<Span>,
    /// RACK.fack before this acknowledgement.
    fack: Seq,
    /// Octets newly known to have arrived.
    pub(super) delivered: u32,
    pub(super) newly_sacked: u32,
    /// Highest end of what was delivered.
    pub(super) highest: Option<Seq>,
    /// Send time of the oldest transmission delivered cumulatively, never repeated.
    pub(super) oldest_acked: Option<Stamp>,
    /// Send time of the oldest transmission delivered selectively, never repeated.
    pub(super) oldest_sacked: Option<Stamp>,
    /// Send time of the newest transmission delivered, never repeated.
    pub(super) newest_original: Option<Stamp>,
    /// What was cumulatively acknowledged includes a repeated transmission.
    pub(super) repeated_acked: bool,
    /// Data sent once and believed lost arrived.
    pub(super) lost_original: bool,
    /// Data believed lost and not sent again arrived.
    pub(super) pending_acked: bool,
    /// Data sent once arrived below data that had arrived earlier.
    pub(super) reordered: bool,
    /// At least one whole segment arrived.
    pub(super) whole_unit: bool,
    pub(super) newest: Option<Newest>,
    /// The newest transmission delivered, for the rate sample.
    pub(super) sampled: Option<Record>,
}

impl Tally {
    pub(super) fn new(
        now: Stamp,
        echo_age: Option<Span>,
        min_rtt: Option<Span>,
        fack: Seq,
    ) -> Tally {
        Tally {
            now,
            echo_age,
            min_rtt,
            fack,
            delivered: 0,
            newly_sacked: 0,
            highest: None,
            oldest_acked: None,
            oldest_sacked: None,
            newest_original: None,
            repeated_acked: false,
            lost_original: false,
            pending_acked: false,
            reordered: false,
            whole_unit: false,
            newest: None,
            sampled: None,
        }
    }

    /// `record`, or the front part of one, was cumulatively acknowledged.
    pub(super) fn acknowledged(&mut self, record: &Record, whole_unit: bool) {
        if record.has(Marks::SACKED) {
            return;
        }
        if record.has(Marks::REPEATED) {
            self.repeated_acked = true;
        } else if whole_unit {
            self.oldest_acked = Some(older(self.oldest_acked, record.sent_at));
        }
        self.arrived(record, whole_unit);
    }
    /// `record` is about to be marked SACKed.
    pub(super) fn sacked(&mut self, record: &Record) {
        self.newly_sacked = self.newly_sacked.saturating_add(record.octets);
        if !record.has(Marks::REPEATED) {
            self.oldest_sacked = Some(older(self.oldest_sacked, record.sent_at));
        }
        self.arrived(record, true);
    }

    fn arrived(&mut self, record: &Record, whole_unit: bool) {
        self.delivered = self.delivered.saturating_add(record.octets);
        if record.has(Marks::LOST) && !record.has(Marks::RESENT) {
            self.pending_acked = true;
        }
        // A part of a segment proves nothing about a transmission (AT-12).
        if !whole_unit {
            return;
        }
        self.whole_unit = true;
        self.highest = Some(self.highest.map_or(record.end(), |seq| seq.latest(record.end())));
        if !record.has(Marks::REPEATED) {
            self.reordered |= record.end().before(self.fack);
            self.lost_original |= record.has(Marks::LOST);
            let newer = self.newest_original.is_none_or(|at| record.sent_at.after(at));
            if newer {
                self.newest_original = Some(record.sent_at);
            }
        }
        if self.sampled.is_none_or(|sampled| record.sent_after(sampled.sent_at, sampled.end())) {
            self.sampled = Some(*record);
        }
        self.offer_newest(record);
    }
    /// RFC 8985 §6.2 step 2: an acknowledgement of a retransmission may have been caused by the
    /// original.
    fn offer_newest(&mut self, record: &Record) {
        let rtt = self.now.since(record.sent_at);
        if record.has(Marks::REPEATED) {
            let echoes_original = self.echo_age.is_some_and(|age| age >= rtt);
            if echoes_original || self.min_rtt.is_some_and(|least| rtt < least) {
                return;
            }
        }
        if self.newest.is_none_or(|newest| record.sent_after(newest.at, newest.end)) {
            self.newest = Some(Newest { at: record.sent_at, end: record.end(), rtt });
        }
    }
}

fn older(known: Option<Stamp>, at: Stamp) -> Stamp {
    match known {
        Some(known) if !known.after(at) => known,
        _ => at,
    }
}

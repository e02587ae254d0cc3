//! RACK: loss by time.
//!
//! Owns: the newest delivered transmission, the reordering window and how it adapts, the loss scan.
//! Must not know: the controller, windows, timers beyond the deadline it asks for.
//! Implements: RFC 8985 §6.2, §6.3, §3.3.2; the scan is two cursors, amortised O(1) (8985-14):
//! originals are in time order by sequence, retransmissions in the order they left.

use super::records::{Marks, Record};
use super::rtt::RttEstimator;
use super::scoreboard::Scoreboard;
use super::tally::Tally;
use usertcp_base::{Instant, Seq, Span, Stamp};

/// SACKed segments that end the patience with reordering (DupThresh).
const DUP_THRESHOLD: u32 = 3;
/// Recoveries without a reported duplicate after which the window is small again.
const PERSISTENCE: u8 = 16;
/// Records looked at in one scan. What is left is looked at when the timer fires, at once: a single
/// acknowledgement never costs more than this (BG-2).
const SCAN_LIMIT: u32 = 512;

/// Those of RACK's variables that every acknowledgement sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Latest {
    /// Round trip of the transmission delivered last, in microseconds; zero before any (RACK.rtt).
    pub(super) rtt_micros: u32,
    /// Highest sequence number delivered (RACK.fack).
    pub(super) fack: Seq,
}

/// The others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rack {
    /// Send time and end of the newest transmission delivered, in this flight when `known`.
    sent_at: Stamp,
    end: Seq,
    known: bool,
    /// Originals below it are judged.
    scanned: Seq,
    /// A round in which a duplicate was reported ends here.
    dsack_round: Seq,
    in_dsack_round: bool,
    reordering_seen: bool,
    multiplier: u8,
    persist: u8,
}

/// What one scan found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    pub(super) lost_octets: u32,
    /// A retransmission was found lost.
    pub(super) lost_retransmission: bool,
    /// When the next one may be.
    pub(super) next: Option<Instant>,
}

impl Rack {
    pub(super) fn new(una: Seq, reordering_seen: bool) -> Rack {
        Rack {
            sent_at: Stamp(0),
            end: una,
            known: false,
            scanned: una,
            dsack_round: una,
            in_dsack_round: false,
            reordering_seen,
            multiplier: 1,
            persist: 0,
        }
    }
    pub(super) fn reordering_seen(&self) -> bool {
        self.reordering_seen
    }
    /// As if reordering had been seen.
    #[cfg(test)]
    pub(super) fn note_reordering(&mut self) {
        self.reordering_seen = true;
    }
    /// A fast recovery was none: what filled the hole was the original after all. That shows
    /// reordering, and that the window was too small for it, as a reported duplicate would.
    pub(super) fn on_undone(&mut self, una: Seq, nxt: Seq) {
        self.reordering_seen = true;
        self.widen(una, nxt);
    }
    /// Steps 2 and 3: the newest delivered transmission, and reordering.
    pub(super) fn on_delivered(&mut self, latest: &mut Latest, tally: &Tally, una: Seq) {
        if let Some(newest) = tally.newest {
            if !self.known || later(newest.at, newest.end, self.sent_at, self.end) {
                self.sent_at = newest.at;
                self.end = newest.end;
                self.known = true;
            }
            latest.rtt_micros = micros(newest.rtt);
        }
        latest.fack = latest.fack.latest(una);
        if let Some(highest) = tally.highest {
            latest.fack = latest.fack.latest(highest);
        }
        self.reordering_seen |= tally.reordered;
    }
    /// The same of an acknowledgement of originals in order, the last of which left at `sent_at` and
    /// ends where SND.UNA is now.
    #[inline]
    pub(super) fn on_plain_delivered(
        &mut self,
        latest: &mut Latest,
        sent_at: Stamp,
        rtt_micros: u32,
        una: Seq,
    ) {
        if !self.known || later(sent_at, una, self.sent_at, self.end) {
            self.sent_at = sent_at;
            self.end = una;
            self.known = true;
        }
        self.on_plain_round(latest, rtt_micros, una);
    }
    /// The same where nothing is left in flight.
    #[inline]
    pub(super) fn on_all_delivered(&mut self, latest: &mut Latest, rtt_micros: u32, una: Seq) {
        self.on_flight_ended();
        self.on_plain_round(latest, rtt_micros, una);
    }
    /// Whether no round with a reported duplicate goes on, and nothing was delivered of what is in flight.
    pub(super) fn is_quiet(&self) -> bool {
        !self.in_dsack_round && !self.known
    }
    fn on_plain_round(&mut self, latest: &mut Latest, rtt_micros: u32, una: Seq) {
        *latest = Latest { rtt_micros: rtt_micros.max(1), fack: una };
        self.end_dsack_round(una);
    }
    /// Step 4, first half: a reported duplicate widens the window, once per round.
    pub(super) fn widen(&mut self, una: Seq, nxt: Seq) {
        self.end_dsack_round(una);
        if !self.in_dsack_round {
            self.in_dsack_round = true;
            self.dsack_round = nxt;
            self.multiplier = self.multiplier.saturating_add(1);
            self.persist = PERSISTENCE;
        }
    }
    /// SND.UNA moved.
    pub(super) fn end_dsack_round(&mut self, una: Seq) {
        if self.in_dsack_round && una.at_or_after(self.dsack_round) {
            self.in_dsack_round = false;
        }
    }
    /// Nothing is in flight: what is known of the last flight, in one form.
    pub(super) fn forget_flight(&mut self, latest: &mut Latest, una: Seq) {
        self.known = false;
        self.sent_at = Stamp(0);
        self.end = una;
        self.scanned = una;
        if !latest.fack.after(una) {
            latest.fack = una;
        }
        self.end_dsack_round(una);
        if !self.in_dsack_round {
            self.dsack_round = una;
        }
    }
    /// Whether two that forgot their flight, and count from the same number, are equal.
    #[inline(always)] // a part of a comparison
    pub(super) fn is_same_quiet(&self, other: &Rack) -> bool {
        let Rack { sent_at: _, end: _, known: _, scanned: _, dsack_round, .. } = *self;
        let Rack { in_dsack_round, reordering_seen, multiplier, persist, .. } = *self;
        dsack_round == other.dsack_round
            && (in_dsack_round, reordering_seen) == (other.in_dsack_round, other.reordering_seen)
            && (multiplier, persist) == (other.multiplier, other.persist)
    }

    /// The numbers of a connection whose SND.UNA is `by` larger.
    pub(super) fn shift(&mut self, by: u32) {
        for seq in [&mut self.end, &mut self.scanned, &mut self.dsack_round] {
            *seq += by;
        }
    }
    /// Nothing is outstanding: the next flight is compared with itself only, for a 32-bit send time
    /// means nothing after an hour.
    pub(super) fn on_flight_ended(&mut self) {
        self.known = false;
    }
    /// A recovery ended, and was one.
    pub(super) fn on_recovery_ended(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 1;
        }
    }
    /// Step 4: the reordering window.
    pub(super) fn window(
        &self,
        latest: Latest,
        rtt: &RttEstimator,
        recovering: bool,
        sacked_units: u32,
    ) -> Span {
        if !self.reordering_seen && (recovering || sacked_units >= DUP_THRESHOLD) {
            return Span::ZERO;
        }
        let least = rtt.min_rtt().unwrap_or(latest.rtt());
        let window = least.saturating_mul(u64::from(self.multiplier)).divided_by(4);
        window.min(rtt.srtt().unwrap_or(least))
    }
    /// Judge every original again (after an undo, or when SACK marks were taken back).
    pub(super) fn rescan(&mut self, una: Seq) {
        self.scanned = una;
    }
    fn sent_after(&self, record: &Record) -> bool {
        record.sent_after(self.sent_at, self.end)
    }
    /// Step 5: what is lost now, and when to look again: what was sent so long ago that `patience` is over.
    pub(super) fn scan(&mut self, now: Instant, board: &mut Scoreboard, patience: Span) -> Scan {
        let mut scan = Scan::default();
        if !self.known {
            return scan;
        }
        let budget = self.scan_originals(now, board, patience, &mut scan);
        self.scan_resent(now, board, patience, budget, &mut scan);
        scan
    }
    fn scan_originals(
        &mut self,
        now: Instant,
        board: &mut Scoreboard,
        patience: Span,
        scan: &mut Scan,
    ) -> u32 {
        let mut index = board.find(self.scanned.latest(board.una()));
        let mut left = SCAN_LIMIT;
        while left != 0 {
            left -= 1;
            let Some(&record) = board.record(index) else { return left };
            if !record.has(Marks::SACKED | Marks::LOST | Marks::RESENT) {
                if self.sent_after(&record) {
                    return left;
                }
                if let Some(time) = remaining(now, record.sent_at, patience) {
                    scan.look_at(now + time);
                    return left;
                }
                scan.lost_octets = scan.lost_octets.saturating_add(board.mark_lost(index));
            }
            self.scanned = record.end();
            index += 1;
        }
        scan.look_at(now);
        0
    }
    fn scan_resent(
        &mut self,
        now: Instant,
        board: &mut Scoreboard,
        patience: Span,
        mut budget: u32,
        scan: &mut Scan,
    ) {
        while let Some(resent) = board.oldest_resent() {
            let from = resent.from.latest(board.una());
            let index = board.find(from);
            let live = from.before(resent.to);
            let Some(&record) = board.record(index).filter(|_| live) else {
                board.judged_resent(resent.to);
                continue;
            };
            let Some(left) = budget.checked_sub(1) else { return scan.look_at(now) };
            budget = left;
            if record.has(Marks::RESENT) && record.sent_at == resent.at {
                if self.sent_after(&record) {
                    return;
                }
                if let Some(time) = remaining(now, record.sent_at, patience) {
                    return scan.look_at(now + time);
                }
                scan.lost_retransmission = true;
                scan.lost_octets = scan.lost_octets.saturating_add(board.mark_lost(index));
            }
            board.judged_resent(record.end());
        }
    }
}

impl Latest {
    /// The round trip of the transmission delivered last; nought before any.
    pub(super) fn rtt(self) -> Span {
        Span::from_micros(u64::from(self.rtt_micros))
    }
    /// How long a transmission may take before it is lost, the reordering window being so long.
    pub(super) fn patience(self, window: Span) -> Span {
        self.rtt().saturating_add(window)
    }
    /// Whether a timeout should call `record` lost: sent longer ago than a round trip and the
    /// reordering window (RFC 8985 §6.3). Without a round trip, everything is.
    pub(super) fn expired(self, now: Instant, record: &Record, window: Span) -> bool {
        self.rtt_micros == 0 || remaining(now, record.sent_at, self.patience(window)).is_none()
    }
}

/// Time until a transmission of `at` is overdue; `None` when it is.
fn remaining(now: Instant, at: Stamp, patience: Span) -> Option<Span> {
    let left = patience.saturating_sub(now.stamp().since(at));
    (!left.is_zero()).then_some(left)
}

impl Scan {
    fn look_at(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

pub(super) fn micros(span: Span) -> u32 {
    span.as_micros().clamp(1, u64::from(u32::MAX)) as u32
}

fn later(at: Stamp, end: Seq, than: Stamp, than_end: Seq) -> bool {
    at.after(than) || (at == than && end.after(than_end))
}

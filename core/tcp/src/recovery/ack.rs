//! The steps of one acknowledgement.
//!
//! Owns: their order. Every rule is in the module that owns its variables.
//! Must not know: headers; whether the segment was acceptable (its caller checked).
//! Implements: RFC 5681 §3.2, 6582 §3.2, 6675 §5, 8985 §6.2, §7.4, 9937 §6.2, 4015 §3.

use super::prr::{Delivered, Prr};
use super::rack::Scan;
use super::records::Taken;
use super::rtt::micros;
use super::tail_probe::{Seen, Verdict};
use super::tally::Tally;
use super::timeout::SendTimer;
use super::undo::{Frto, FrtoAck, Undo};
use super::{AckInput, AckOutcome, Grant, Marks, Recovery, RecoveryState};
use crate::ecn::Marked;
use usertcp_base::{Instant, Prng, Seq, Span};
use usertcp_cc::{AckSample, Congestion, CongestionController, CongestionKind, PathChange};

/// Resolution of the timestamp clock (7323-15).
const TIMESTAMP_TICK: Span = Span::from_millis(1);
/// Ranges reported as duplicates further below SND.UNA than this are not believed.
const OLDEST_DSACK: u32 = 1 << 30;

/// What was true before the acknowledgement.
struct Before {
    una: Seq,
    /// FlightSize (RFC 5681 §2): sent and not acknowledged cumulatively.
    outstanding: u32,
    in_flight: u32,
    /// Of what is outstanding, SACKed.
    sacked: u32,
    state: RecoveryState,
    window_limited: bool,
}

/// What was sent and not acknowledged cumulatively when a loss was noticed (FlightSize of RFC 5681),
/// and what of it was SACKed.
#[derive(Clone, Copy)]
pub(super) struct Flight {
    pub(super) octets: u32,
    pub(super) sacked: u32,
}

/// What of an acknowledgement the steps ask for again and again.
struct Ack<'a> {
    now: Instant,
    input: &'a AckInput<'a>,
    advanced: bool,
    duplicate: bool,
    /// The range its first block reported as a duplicate.
    dsack: Option<(Seq, Seq)>,
    /// Least age of what the timestamp echoes.
    echo_age: Option<Span>,
}

impl Recovery {
    /// Digests one acceptable acknowledgement and tells the controller what it means. One beyond
    /// SND.NXT changes nothing (AT-11); one below SND.UNA counts for its SACK blocks only.
    pub fn on_ack<C: CongestionController>(
        &mut self,
        now: Instant,
        input: &AckInput<'_>,
        cc: &mut C,
        prng: &mut Prng,
    ) -> AckOutcome {
        if input.ack.after(self.board.nxt()) {
            return AckOutcome::default();
        }
        self.mss = super::short(input.mss);
        let before = self.before(cc);
        let echo_age = self.echo_age(now, input);
        let fack = self.latest.fack;
        let mut tally = Tally::new(now.stamp(), echo_age, self.rtt.min_rtt(), fack);
        let dsack = self.digest(input, &mut tally);
        let acked = self.board.una().since(before.una);
        let ack = Ack {
            now,
            input,
            advanced: acked != 0,
            duplicate: self.is_duplicate(input, &before, tally.newly_sacked),
            dsack,
            echo_age,
        };
        let mut outcome = AckOutcome {
            newly_acked_octets: acked,
            newly_sacked_octets: tally.newly_sacked,
            duplicate: ack.duplicate,
            dsack: dsack.is_some(),
            ..AckOutcome::default()
        };
        if ack.advanced {
            self.on_progress(now, acked, &mut tally, prng);
        }
        // What a timeout promised stays promised until SND.UNA moves; a probe is stale with any
        // news.
        if ack.advanced || (tally.newly_sacked != 0 && self.grant != Grant::First) {
            self.grant = Grant::None;
        }
        outcome.spurious = self.undo_if_spurious(&ack, &tally, cc);
        outcome.rtt = self.sample(&ack, &tally, outcome.spurious, &before);
        self.judge_probe(&ack, &before, cc, &mut outcome);
        outcome.left_recovery = self.leave_if_complete(now, before.state, outcome.spurious, cc);
        let scan = self.find_lost(&ack, &before, &mut tally, &mut outcome, cc);
        outcome.delivered_octets = tally.delivered;
        outcome.marked = input.marks.resolve(tally.delivered, self.mss());
        outcome.reduced_by_mark = self.heed_mark(&ack, &before, &outcome.marked, cc);
        self.reduce(&ack, &scan, &outcome, cc);
        self.tell(&ack, &before, &tally, &outcome, cc, prng);
        self.arm_after_ack(&ack, &scan);
        outcome
    }

    fn before<C: CongestionController>(&self, cc: &C) -> Before {
        let outstanding = self.board.outstanding();
        let window = cc.budget().window_octets;
        let doubling = cc.describe().slow_start;
        Before {
            una: self.board.una(),
            outstanding,
            in_flight: self.in_flight(),
            sacked: self.board.sums().sacked,
            state: self.state,
            window_limited: self.delivery.window_limited(window, self.mss(), doubling),
        }
    }
    fn echo_age(&self, now: Instant, input: &AckInput<'_>) -> Option<Span> {
        let echoed = input.echoed_at.filter(|_| self.timestamps)?;
        let age = now.since(echoed);
        (age >= TIMESTAMP_TICK).then(|| age.saturating_sub(TIMESTAMP_TICK))
    }

    /// Marks what arrived. Returns the range reported as a duplicate, if the first block is a
    /// DSACK.
    fn digest(&mut self, input: &AckInput<'_>, tally: &mut Tally) -> Option<(Seq, Seq)> {
        let una = self.board.una();
        if input.ack.after(una) {
            self.board.advance(input.ack, tally);
        }
        if !self.sack {
            return None;
        }
        let dsack = dsack_of(input, una, self.board.nxt());
        let skip = usize::from(dsack.is_some());
        for &(left, right) in input.sack.iter().skip(skip) {
            // Anything else is nonsense (2018-7).
            let (una, nxt) = (self.board.una(), self.board.nxt());
            let sound = left.before(right) && left.at_or_after(una) && right.at_or_before(nxt);
            if sound {
                self.board.sack(left, right, usize::from(self.sack_limit), tally);
            }
        }
        dsack
    }
    /// RFC 5681 §2; with SACK, RFC 6675 §2: it SACKs something new.
    fn is_duplicate(&self, input: &AckInput<'_>, before: &Before, newly_sacked: u32) -> bool {
        if input.ack != before.una || before.outstanding == 0 {
            return false;
        }
        if self.sack {
            return newly_sacked != 0;
        }
        !input.has_payload && !input.window_changed
    }
    fn on_progress(&mut self, now: Instant, acked: u32, tally: &mut Tally, prng: &mut Prng) {
        self.timer.on_progress(now, prng);
        if !self.sack {
            let fast = self.state == RecoveryState::FastRecovery;
            tally.delivered = self.reno.on_advance(acked, self.mss(), fast);
        }
    }

    /// RFC 6298 §3 (Karn): never-repeated data, else the timestamp of an acknowledgement that
    /// advanced SND.UNA (7323-11). After a spurious timeout it counts as the first (4015-2).
    fn sample(
        &mut self,
        ack: &Ack<'_>,
        tally: &Tally,
        undone: bool,
        before: &Before,
    ) -> Option<Span> {
        let now = ack.now.stamp();
        let acked = tally.oldest_acked.filter(|_| !tally.repeated_acked);
        let timed = acked.or(tally.oldest_sacked).map(|at| now.since(at));
        let echoed = || {
            let at = ack.input.echoed_at.filter(|_| self.timestamps)?;
            (ack.advanced && tally.whole_unit).then(|| ack.now.since(at))
        };
        let sample = timed.or_else(echoed)?.max(Span::from_micros(1));
        if undone && before.state == RecoveryState::TimeoutRecovery {
            self.rtt.forget();
        }
        let per_round = self.samples_per_round();
        self.rtt.on_sample(micros(sample), per_round, &self.bounds);
        if timed.is_some() {
            let newest = tally.newest_original.map_or(sample, |at| now.since(at));
            self.rtt.on_minimum(micros(newest), ack.now);
        }
        self.timer.end_backoff();
        self.tail.on_sample();
        Some(sample)
    }

    /// Undoes the last congestion event if this acknowledgement shows that it was none.
    fn undo_if_spurious<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        tally: &Tally,
        cc: &mut C,
    ) -> bool {
        if let Some((left, right)) = ack.dsack {
            self.counters.duplicates_reported = self.counters.duplicates_reported.wrapping_add(1);
            // Without a retransmission of ours the network made the duplicate.
            if self.counters.resent_octets != 0 {
                self.rack.widen(self.board.una(), self.board.nxt());
            }
            if self.undo.on_dsack(left, right) {
                return self.undo_event(ack.now, cc);
            }
        }
        if self.state == RecoveryState::Open || !self.undo.is_open() {
            return false;
        }
        let eifel = ack.advanced
            && ack.dsack.is_none()
            && self.undo.answers_original(ack.now, ack.echo_age);
        let before_resending = ack.advanced && !self.undo.any_resent() && tally.pending_acked;
        let facts = FrtoAck {
            advanced: ack.advanced,
            duplicate: ack.duplicate,
            complete: self.board.una().at_or_after(self.recover),
            new_data_ready: ack.input.new_data_ready,
            sack: self.sack,
        };
        let delayed = self.undo.frto.on_ack(&facts, tally);
        if !(eifel || before_resending || delayed) {
            return false;
        }
        if self.state == RecoveryState::FastRecovery {
            self.rack.on_undone(self.board.una(), self.board.nxt());
        }
        self.undo_event(ack.now, cc)
    }
    fn undo_event<C: CongestionController>(&mut self, now: Instant, cc: &mut C) -> bool {
        self.board.unmark_lost();
        self.rack.rescan(self.board.una());
        self.state = RecoveryState::Open;
        self.grant = Grant::None;
        self.undo.close();
        self.reno.reset();
        self.counters.undone = self.counters.undone.wrapping_add(1);
        cc.on_undo(now);
        true
    }

    /// A tail loss probe that repaired a loss hid it: reduce the window once (RFC 8985 §7.4).
    fn judge_probe<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        before: &Before,
        cc: &mut C,
        outcome: &mut AckOutcome,
    ) {
        let bare = ack.input.sack.is_empty() && !ack.advanced && !ack.input.has_payload;
        let seen = Seen {
            ack: ack.input.ack,
            dsack_end: ack.dsack.map(|range| range.1),
            bare_duplicate: bare && !ack.input.window_changed,
        };
        if self.tail.on_ack(&seen) == Verdict::Repaired && self.state == RecoveryState::Open {
            outcome.probe_repaired = true;
            self.undo.close();
            cc.on_congestion(&Congestion {
                now: ack.now,
                kind: CongestionKind::Loss,
                flight_octets: before.outstanding,
                lost_octets: self.mss(),
            });
            cc.on_path(ack.now, &PathChange::RecoveryEnded);
        }
    }

    /// All that was outstanding when recovery began has arrived.
    fn leave_if_complete<C: CongestionController>(
        &mut self,
        now: Instant,
        was: RecoveryState,
        undone: bool,
        cc: &mut C,
    ) -> bool {
        let una = self.board.una();
        if self.state != RecoveryState::Open && una.at_or_after(self.recover) {
            if self.state == RecoveryState::FastRecovery {
                cc.on_path(now, &PathChange::RecoveryEnded);
            }
            self.state = RecoveryState::Open;
            self.undo.frto = Frto::Off;
            self.grant = Grant::None;
            self.reno.reset();
        }
        let left = was != RecoveryState::Open && self.state == RecoveryState::Open;
        if left && !undone {
            self.rack.on_recovery_ended();
        }
        // Follow SND.UNA, so that the mark never falls half the sequence space behind.
        if self.state == RecoveryState::Open && una.after(self.recover) {
            self.recover = una - 1;
            self.undo.by_mark = false;
        }
        left
    }

    /// Marks what is lost and enters fast recovery if that is news.
    fn find_lost<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        before: &Before,
        tally: &mut Tally,
        outcome: &mut AckOutcome,
        cc: &mut C,
    ) -> Scan {
        let scan = if self.sack {
            self.rack.on_delivered(&mut self.latest, tally, self.board.una());
            self.rack.end_dsack_round(self.board.una());
            if self.board.outstanding() == 0 {
                self.rack.on_flight_ended();
            }
            self.scan(ack.now)
        } else {
            self.count_duplicate(ack)
        };
        outcome.lost_octets = scan.lost_octets;
        self.counters.lost_octets = self.counters.lost_octets.wrapping_add(scan.lost_octets);
        let news = self.board.sums().lost != 0 && self.state == RecoveryState::Open;
        if news && self.only_probe_lost(ack.input.mtu_probe) {
            outcome.lost_octets = 0;
        } else if news {
            outcome.entered_recovery = true;
            let flight = Flight { octets: before.outstanding, sacked: before.sacked };
            self.enter_fast_recovery(ack.now, flight, scan.lost_octets, cc);
        }
        if !self.sack && ack.duplicate && self.state != RecoveryState::TimeoutRecovery {
            let fast = self.state == RecoveryState::FastRecovery;
            let end = if fast { self.recover } else { self.board.nxt() };
            let bound = end.since(self.board.una());
            let octets = self.reno.credit_duplicate(self.mss(), bound, fast);
            tally.delivered = tally.delivered.saturating_add(octets);
        }
        scan
    }
    pub(super) fn scan(&mut self, now: Instant) -> Scan {
        let recovering = self.state != RecoveryState::Open;
        let units = self.board.sums().sacked_units;
        let window = self.rack.window(self.latest, &self.rtt, recovering, units);
        self.rack.scan(now, &mut self.board, self.latest.patience(window))
    }
    /// RFC 5681 §3.2 and 6582 §3.2: the third duplicate, and each partial acknowledgement, show
    /// that the first segment is lost.
    fn count_duplicate(&mut self, ack: &Ack<'_>) -> Scan {
        let fast = self.state == RecoveryState::FastRecovery;
        let mut scan = Scan::default();
        if ack.advanced {
            let resent = self.board.front().is_none_or(|front| front.has(Marks::RESENT));
            if fast && !resent {
                scan.lost_octets = self.board.mark_front_lost();
            }
        } else if ack.duplicate
            && self.reno.on_duplicate()
            && self.state == RecoveryState::Open
            && (self.board.una().after(self.recover) || self.undo.by_mark)
        {
            scan.lost_octets = self.board.mark_front_lost();
        }
        scan
    }
    pub(super) fn enter_fast_recovery<C: CongestionController>(
        &mut self,
        now: Instant,
        flight: Flight,
        lost_octets: u32,
        cc: &mut C,
    ) {
        self.state = RecoveryState::FastRecovery;
        self.recover = self.board.nxt();
        self.tail.on_recovery();
        let reduced = self.undo.by_mark;
        self.undo = Undo::start(self.board.una());
        // What was SACKed before is not delivered during recovery (RFC 9937 §6.1).
        self.prr = Prr::start(flight.octets.saturating_sub(flight.sacked));
        self.grant = Grant::None;
        // The window in which the loss lies may have been reduced for a mark already.
        if !reduced {
            let (kind, flight_octets) = (CongestionKind::Loss, flight.octets);
            cc.on_congestion(&Congestion { now, kind, flight_octets, lost_octets });
        }
    }

    /// The peer reports a mark: as a loss, but nothing was lost. Once per window of data, and not
    /// when that was reduced for a loss (RFC 3168 §6.1.2); accurate ECN may report more of them, and
    /// changes nothing in that. Whether the window was reduced.
    fn heed_mark<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        before: &Before,
        marked: &Marked,
        cc: &mut C,
    ) -> bool {
        let heard = marked.is_congestion() && before.outstanding != 0;
        let settled = before.state == RecoveryState::Open && self.state == RecoveryState::Open;
        if !heard || !settled || !self.board.una().after(self.recover) {
            return false;
        }
        self.recover = self.board.nxt();
        self.undo = Undo::of_mark();
        let kind = CongestionKind::Marked;
        cc.on_congestion(&Congestion {
            now: ack.now,
            kind,
            flight_octets: before.outstanding,
            lost_octets: 0,
        });
        true
    }

    /// PRR (RFC 9937 §6.2).
    fn reduce<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        scan: &Scan,
        outcome: &AckOutcome,
        cc: &C,
    ) {
        if self.state != RecoveryState::FastRecovery {
            return;
        }
        self.prr.on_ack(&Delivered {
            octets: outcome.delivered_octets,
            in_flight: self.in_flight(),
            threshold: cc.threshold(),
            mss: self.mss(),
            safe: ack.advanced && scan.lost_octets == 0 && !scan.lost_retransmission,
        });
        // A partial acknowledgement resends the next hole at once (RFC 6582 §3.2 step 3).
        if !self.sack && scan.lost_octets != 0 {
            self.prr.allow_segment(self.mss());
        }
    }

    /// One sample for the controller, if anything was delivered.
    fn tell<C: CongestionController>(
        &mut self,
        ack: &Ack<'_>,
        before: &Before,
        tally: &Tally,
        outcome: &AckOutcome,
        cc: &mut C,
        prng: &mut Prng,
    ) {
        let min_rtt = self.rtt.min_rtt();
        if tally.delivered != 0 {
            self.delivery.on_delivered(ack.now, tally.delivered);
        }
        let sampled = tally.sampled.as_ref();
        let round_ended =
            sampled.is_some_and(|record| self.delivery.on_newest(record.sent_at, record.delivered));
        let rated = sampled.filter(|_| C::WANTS_RATE);
        let rate = rated
            .and_then(|record| self.delivery.rate(&Taken::of(record.sent_at, record), min_rtt));
        let marked = &outcome.marked;
        let congestion = marked.is_congestion();
        if tally.delivered == 0 && !congestion {
            return;
        }
        let newest = tally.newest_original.filter(|_| !tally.repeated_acked);
        let sample = AckSample {
            now: ack.now,
            acked_octets: outcome.newly_acked_octets,
            delivered_octets: tally.delivered,
            lost_octets: outcome.lost_octets,
            in_flight_before: before.in_flight,
            in_flight_after: self.in_flight(),
            delivered_total: self.delivery.total(),
            rate,
            rtt: newest.map(|at| ack.now.stamp().since(at)).or(outcome.rtt),
            srtt: self.rtt.srtt().unwrap_or(Span::ZERO),
            min_rtt: min_rtt.unwrap_or(Span::ZERO),
            marked_octets: if congestion { marked.octets } else { 0 },
            marked_packets: if congestion { marked.packets } else { 0 },
            window_limited: before.window_limited,
            round_ended,
            // A report of a mark never opens the window (RFC 3168 §6.1.2).
            in_recovery: before.state != RecoveryState::Open
                || self.state != RecoveryState::Open
                || congestion,
        };
        cc.on_ack(&sample, prng);
    }

    fn arm_after_ack(&mut self, ack: &Ack<'_>, scan: &Scan) {
        if self.board.outstanding() == 0 {
            self.timer.stop();
            return;
        }
        let expiry = self.expiry();
        match scan.next {
            Some(at) => self.timer.wait_until(SendTimer::Reorder, at.min(expiry)),
            None if self.may_probe() && ack.advanced => self.arm_probe(ack.now),
            None if self.may_probe() && self.timer.kind() == SendTimer::TailProbe => {}
            None => self.timer.wait_for_timeout(),
        }
    }
}

/// RFC 2883 §4, §5: the first block lies below the acknowledgement, or inside the second.
fn dsack_of(input: &AckInput<'_>, una: Seq, nxt: Seq) -> Option<(Seq, Seq)> {
    let &(left, right) = input.sack.first()?;
    let sound = left.before(right) && right.at_or_before(nxt) && left.before(nxt);
    if !sound || una.since(left) > OLDEST_DSACK {
        return None;
    }
    if right.at_or_before(input.ack) {
        return Some((left, right));
    }
    let &(outer_left, outer_right) = input.sack.get(1)?;
    let inside = left.at_or_after(outer_left) && right.at_or_before(outer_right);
    inside.then_some((left, right))
}

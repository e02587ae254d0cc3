//! Loss recovery of the send side: what is lost, what to send again, when to look again.
//!
//! Owns: `Recovery`, the one owner of SND.UNA, SND.NXT, the scoreboard, the round-trip estimate and
//! the send timer. Steps per acknowledgement are in `ack`, per expiry in `expiry`.
//! Must not know: frames, headers, the clock (`now` is an argument), how much is queued.
//! Implements: RFC 6298, 5681 §3.2, 6582, 3042, 6675, 8985, 9937, 2883, 3522, 5682, 4015.
//!
//! SND.NXT never goes back: what must leave again is marked, not resent from SND.UNA on.
//!
//! How it is driven. To send: while `allowance(window)` lasts, first `next_retransmission`, then
//! new data, and with neither `next_rescue`; report each with `on_retransmitted` or `on_sent`, then
//! tell the controller (`on_sent` of its own). Each acceptable acknowledgement: `on_ack`, which
//! tells the controller everything itself. When `deadline` passes: `on_timer`; then try to send.
//! While nothing is outstanding and the window is closed, the caller's persist timer takes this
//! one's place.

mod ack;
mod api;
mod delivery;
mod expiry;
mod mtu_probe;
mod newreno;
mod park;
mod predicted;
mod prr;
mod rack;
mod ranges;
mod records;
mod rtt;
mod scoreboard;
mod tail_probe;
mod tally;
mod timeout;
mod undo;

#[cfg(test)]
mod tests;

pub use mtu_probe::Vanished;

pub use api::{
    AckInput, AckOutcome, RecoveryCounters, RecoverySettings, RecoveryStart, RecoveryState,
    SendWindowFacts, TimerOutcome,
};

use delivery::Delivery;
use newreno::NewReno;
use prr::Prr;
use rack::{Latest, Rack};
use records::{Marks, Record};
pub(crate) use rtt::RttTimes;
use rtt::{Bounds, RttEstimator, micros};
use scoreboard::Scoreboard;
use tail_probe::TailProbe;
use timeout::{SendTimer, Timer};
use undo::Undo;
use usertcp_base::observe::RetransmitCause;
use usertcp_base::{Instant, Seq, Span, Stamp};

/// One segment that may leave whatever the window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    None,
    /// The first segment, after a timeout.
    First,
    /// The last segment, as a tail loss probe.
    Last,
    /// New data, as a tail loss probe.
    NewData,
}

/// The send side's loss recovery. In the order in which it lies in memory: what a segment alone in flight looks at comes
/// first, what only loss needs last.
#[derive(Debug)]
#[repr(C)]
pub struct Recovery {
    delivery: Delivery,
    timer: Timer,
    rtt: RttEstimator,
    bounds: Bounds,
    /// SND.NXT when the recovery going on began, or the window was reduced for a mark. Afterwards it keeps late duplicates from beginning
    /// another (6582-2) until SND.UNA is beyond it.
    recover: Seq,
    /// Send time of the last transmission.
    last_sent: Stamp,
    mss: u16,
    sack_limit: u16,
    state: RecoveryState,
    grant: Grant,
    sack: bool,
    timestamps: bool,
    latest: Latest,
    board: Scoreboard,
    // Each transmission looks at this, and not at what follows.
    tail: TailProbe,
    rack: Rack,
    undo: Undo,
    prr: Prr,
    reno: NewReno,
    counters: RecoveryCounters,
}

#[cfg(test)]
impl Recovery {
    /// Octets that a segment alone in flight looks at.
    pub(crate) const ALONE_IN_FLIGHT: usize =
        core::mem::offset_of!(Recovery, board) + Scoreboard::ONE_RECORD;
    /// Where what `Tcb::touch` reads lies, and what it reads more.
    pub(crate) const RTO: usize = core::mem::offset_of!(Recovery, rtt) + 8;
    pub(crate) const UNA: usize = core::mem::offset_of!(Recovery, board);
    pub(crate) const TAIL: usize = core::mem::offset_of!(Recovery, tail);
    pub(crate) const CREDIT: usize = core::mem::offset_of!(Recovery, reno);
}

/// It lives in every TCB.
const _: () = assert!(size_of::<Recovery>() <= 320);

impl Recovery {
    /// Recovery for a connection that just became synchronised, or woke.
    pub fn new(settings: &RecoverySettings, start: &RecoveryStart) -> Recovery {
        let mut recovery = Recovery::vacant();
        recovery.begin(settings, start);
        recovery
    }

    /// Of no connection: [`Recovery::begin`] comes next.
    pub(crate) fn vacant() -> Recovery {
        let bounds = Bounds::of(&RecoverySettings::default());
        Recovery {
            rtt: RttEstimator::default(),
            bounds,
            recover: Seq(0),
            last_sent: Stamp(0),
            mss: 0,
            sack_limit: 0,
            state: RecoveryState::Open,
            grant: Grant::None,
            sack: false,
            timestamps: false,
            timer: Timer::new(Instant::ZERO, false),
            delivery: Delivery::new(Instant::ZERO),
            latest: Latest { rtt_micros: 0, fack: Seq(0) },
            rack: Rack::new(Seq(0), false),
            tail: TailProbe::new(Seq(0), false),
            undo: Undo::default(),
            board: Scoreboard::new(Seq(0)),
            prr: Prr::default(),
            reno: NewReno::default(),
            counters: RecoveryCounters::default(),
        }
    }

    /// Becomes that of such a connection, where it is: nothing stays as it was.
    #[inline(always)] // a part of a birth
    pub(crate) fn begin(&mut self, settings: &RecoverySettings, start: &RecoveryStart) {
        let Recovery {
            rtt,
            bounds,
            recover,
            last_sent,
            mss,
            sack_limit,
            state,
            grant,
            sack,
            timestamps,
            timer,
            delivery,
            latest,
            rack,
            tail,
            undo,
            board,
            prr,
            reno,
            counters,
        } = self;
        *bounds = Bounds::of(settings);
        *rtt = RttEstimator::new(bounds, start.handshake_timed_out);
        if let Some((srtt, rttvar)) = start.earlier_rtt {
            rtt.resume(srtt, rttvar, bounds);
        }
        let sample = start.rtt.map(micros);
        if let Some(sample) = sample {
            rtt.on_sample(sample, 1, bounds);
            rtt.on_minimum(sample, start.now);
            if start.handshake_timed_out {
                rtt.distrust_start();
            }
        }
        *recover = start.una - 1;
        *last_sent = start.now.stamp();
        *mss = short(start.mss);
        *sack_limit = settings.sack_ranges;
        *state = RecoveryState::Open;
        *grant = Grant::None;
        *sack = start.sack;
        *timestamps = start.timestamps;
        *timer = Timer::new(start.now, settings.rto_jitter);
        *delivery = Delivery::new(start.now);
        *latest = Latest { rtt_micros: sample.unwrap_or(0), fack: start.una };
        *rack = Rack::new(start.una, start.reorders);
        *tail = TailProbe::new(start.una, settings.tail_probe);
        *undo = Undo::default();
        board.begin(start.una);
        *prr = Prr::default();
        *reno = NewReno::default();
        *counters = RecoveryCounters::default();
    }

    /// Of a connection that ended: gives back what is on the heap of what was sent.
    #[inline]
    pub(crate) fn leave_records(&mut self) {
        self.board.leave_records();
    }

    /// The same of what was lost.
    pub(crate) fn leave(&mut self) {
        self.board.leave();
    }

    /// A handshake that data was sent before the end of is complete (RFC 7413): its round trip, if
    /// it is known, and whether a SYN-ACK was lost. What is outstanding waits anew: it can have
    /// reached nobody who knew the connection.
    pub fn on_handshake_completed(&mut self, now: Instant, rtt: Option<Span>, lost: bool) {
        if lost {
            self.rtt = RttEstimator::new(&self.bounds, true);
        }
        if let Some(sample) = rtt {
            self.rtt.on_sample(micros(sample), 1, &self.bounds);
            self.rtt.on_minimum(micros(sample), now);
            if lost {
                self.rtt.distrust_start();
            }
        }
        if self.board.outstanding() > 0 {
            self.timer.restart(now);
            self.wait_for_timeout(now);
        }
    }

    /// Segments carry `mss` octets now.
    pub(crate) fn note_mss(&mut self, mss: u32) {
        self.mss = short(mss);
    }

    /// New data `[SND.NXT, SND.NXT + octets)` left now as segments of `mss` octets; a super-segment
    /// is one call, SYN and FIN count one octet each. `application_limited`: after it nothing waits
    /// although the window has room.
    pub fn on_sent(&mut self, now: Instant, octets: u32, mss: u32, application_limited: bool) {
        if octets == 0 {
            return;
        }
        self.mss = short(mss);
        let first = self.board.outstanding() == 0;
        if first {
            self.delivery.on_flight_begun(now);
            self.timer.restart(now);
        }
        let at = self.send_time(now, false);
        let mut record = Record::new(self.board.nxt(), octets, mss, at);
        self.delivery.stamp(&mut record, at);
        self.board.push(record);
        self.delivery.on_sent(self.in_flight(), application_limited);
        self.prr.on_sent(octets);
        if self.grant == Grant::NewData {
            self.grant = Grant::None;
            self.counters.probes = self.counters.probes.wrapping_add(1);
            self.tail.sent(self.board.nxt(), false);
            self.wait_for_timeout(now);
        } else {
            self.arm_after_sending(now);
        }
    }

    /// `[seq, seq + octets)` left again now. Returns why, for whoever reports it.
    pub fn on_retransmitted(&mut self, now: Instant, seq: Seq, octets: u32) -> RetransmitCause {
        let cause = match (self.grant, self.state) {
            (Grant::Last, _) => RetransmitCause::TailProbe,
            (Grant::First, _) | (_, RecoveryState::TimeoutRecovery) => RetransmitCause::Timeout,
            _ => RetransmitCause::Recovery,
        };
        let delivery = self.delivery;
        let at = self.send_time(now, true);
        let lost = self.board.resend(seq, octets, at, |record| delivery.stamp(record, at));
        self.delivery.on_sent(self.in_flight(), false);
        self.prr.on_sent(octets);
        self.undo.on_resent(octets, at);
        self.count_retransmission(cause, octets);
        if cause == RetransmitCause::TailProbe {
            self.tail.sent(self.board.nxt(), true);
        } else if !lost && self.state == RecoveryState::FastRecovery {
            self.tail.rescued = true;
        }
        // A segment is not sent again for a timeout within one timeout of its last transmission
        // (6298-9).
        if cause == RetransmitCause::TailProbe || seq == self.board.una() {
            self.wait_for_timeout(now);
        }
        self.grant = Grant::None;
        cause
    }
    fn count_retransmission(&mut self, cause: RetransmitCause, octets: u32) {
        let counters = &mut self.counters;
        counters.resent_octets = counters.resent_octets.wrapping_add(octets);
        let counter = match cause {
            RetransmitCause::TailProbe => &mut counters.probes,
            RetransmitCause::Timeout => &mut counters.resent_timeout,
            _ => &mut counters.resent_recovery,
        };
        *counter = counter.wrapping_add(1);
    }

    /// When to call [`Recovery::on_timer`].
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.deadline_or_far()).filter(|deadline| *deadline != Instant::FAR)
    }
    /// The same, and [`Instant::FAR`] for never.
    #[inline]
    pub(crate) fn deadline_or_far(&self) -> Instant {
        self.timer.deadline(self.rtt.rto_micros(), &self.bounds)
    }
    /// What to send again first: start and length, the longest contiguous stretch that is lost and
    /// begins before `right_edge` (SND.UNA + SND.WND), not beyond it.
    pub fn next_retransmission(&self, right_edge: Seq) -> Option<(Seq, u32)> {
        let (seq, octets) = match self.grant {
            Grant::First => self.board.front_segment()?,
            Grant::Last => self.board.last_segment()?,
            Grant::None | Grant::NewData if self.undo.frto.holds_retransmissions() => return None,
            Grant::None | Grant::NewData => {
                let (from, to) = self.board.first_pending()?;
                (from, to.since(from))
            }
        };
        clip(seq, octets, right_edge)
    }
    /// In fast recovery, with nothing lost and no new data to send: one last segment, so that a
    /// lost tail shows (6675-3, RFC 6675 §4 NextSeg rule 4). Once per recovery, and only of what
    /// was out when it began: what was sent since is too young to be missed.
    pub fn next_rescue(&self, right_edge: Seq) -> Option<(Seq, u32)> {
        let wanted = self.sack
            && self.state == RecoveryState::FastRecovery
            && !self.tail.rescued
            && self.board.first_pending().is_none();
        let last = self.board.last().filter(|last| wanted && !last.has(Marks::RESENT))?;
        if last.seq.at_or_after(self.recover) {
            return None;
        }
        if self.board.highest_sacked().is_some_and(|sacked| last.seq.before(sacked)) {
            return None;
        }
        let (seq, octets) = self.board.last_segment()?;
        clip(seq, octets, right_edge)
    }
    /// Octets that may leave now, retransmissions included, while the controller's window is
    /// `window_octets`: what PRR allows in fast recovery, the free part of the window otherwise; at
    /// least the one segment of a timeout or a tail loss probe. While something waits to be sent
    /// again, less than a whole segment of it is nothing: PRR counts in fractions.
    pub fn allowance(&self, window_octets: u32) -> u32 {
        let regular = match self.state {
            RecoveryState::FastRecovery => self.prr.allowed(),
            _ => window_octets.saturating_sub(self.in_flight()),
        };
        let granted = match self.grant {
            Grant::None => 0,
            Grant::First => self.board.front_segment().map_or(0, |segment| segment.1),
            Grant::Last => self.board.last_segment().map_or(0, |segment| segment.1),
            Grant::NewData => self.mss(),
        };
        let next = self.board.first_pending().filter(|_| !self.undo.frto.holds_retransmissions());
        let least = next.map_or(0, |(from, to)| to.since(from).min(self.mss()));
        let regular = if regular < least { 0 } else { regular };
        regular.max(granted)
    }
    /// Octets in flight: the pipe of RFC 6675 §4; without SACK less what duplicates stand for.
    pub fn in_flight(&self) -> u32 {
        self.board.pipe().saturating_sub(self.reno.credit())
    }
    /// SND.UNA.
    pub fn una(&self) -> Seq {
        self.board.una()
    }
    /// SND.NXT.
    pub fn nxt(&self) -> Seq {
        self.board.nxt()
    }
    /// Octets sent and not cumulatively acknowledged.
    pub fn outstanding(&self) -> u32 {
        self.board.outstanding()
    }
    /// Outstanding octets the peer reported as received.
    pub fn sacked_octets(&self) -> u32 {
        self.board.sums().sacked
    }
    /// Outstanding octets taken for lost.
    pub fn lost_octets(&self) -> u32 {
        self.board.sums().lost
    }
    /// Outstanding octets whose last transmission was a repeated one.
    pub fn resent_octets(&self) -> u32 {
        self.board.sums().resent
    }
    /// Which recovery is going on.
    pub fn state(&self) -> RecoveryState {
        self.state
    }
    /// Retransmission timeout, back-off included.
    #[inline]
    pub fn rto(&self) -> Span {
        self.timer.timeout(self.rtt.rto_micros(), &self.bounds)
    }
    /// Both ends permitted SACK.
    pub fn sack(&self) -> bool {
        self.sack
    }
    /// Smoothed round-trip time; `None` before a sample.
    pub fn srtt(&self) -> Option<Span> {
        self.rtt.srtt()
    }
    /// Round-trip time variation; `None` before a sample.
    pub fn rttvar(&self) -> Option<Span> {
        self.rtt.rttvar()
    }
    /// Least round-trip time of the last five minutes.
    pub fn min_rtt(&self) -> Option<Span> {
        self.rtt.min_rtt()
    }
    /// Expiries of the retransmission timer in a row without progress (for R1 and R2).
    pub fn timeouts_in_a_row(&self) -> u8 {
        self.timer.expiries()
    }
    /// Doublings of the retransmission timeout; only a valid sample ends them (RFC 6298 §5).
    pub fn doublings(&self) -> u8 {
        self.timer.backoff()
    }
    /// Whether the path was seen to reorder.
    pub fn reorders(&self) -> bool {
        self.rack.reordering_seen()
    }
    /// Octets delivered in all.
    pub fn delivered(&self) -> u64 {
        self.delivery.total()
    }
    /// What happened so far.
    pub fn counters(&self) -> RecoveryCounters {
        self.counters
    }

    /// The time to note for what leaves now. Much can leave at one reading of the clock, and RACK
    /// tells equal times apart by sequence, which is wrong for a retransmission behind new data: it
    /// counts as a microsecond later than all before it.
    fn send_time(&mut self, now: Instant, again: bool) -> Stamp {
        let now = now.stamp();
        let ahead = self.last_sent.since(now);
        let believable = ahead < Span::from_secs(1);
        self.last_sent = match believable && (!ahead.is_zero() || self.last_sent == now) {
            true if again => Stamp(self.last_sent.0.wrapping_add(1)),
            true => self.last_sent,
            false => now,
        };
        self.last_sent
    }
    fn mss(&self) -> u32 {
        u32::from(self.mss)
    }
    /// Round-trip samples to be expected per round trip: one for two segments (RFC 7323 appendix G).
    fn samples_per_round(&self) -> u32 {
        let (peak, two) = (self.delivery.peak(), u32::from(self.mss.max(1)) * 2);
        if peak <= two { 1 } else { peak.div_ceil(two) }
    }
    #[inline]
    fn expiry(&self) -> Instant {
        self.timer.expiry(self.rtt.rto_micros(), &self.bounds)
    }
    fn wait_for_timeout(&mut self, now: Instant) {
        self.timer.restart(now);
        if self.timer.kind() != SendTimer::Reorder {
            self.timer.wait_for_timeout();
        }
    }
    /// RFC 8985 §7.2: not in recovery, nothing SACKed, no probe in flight.
    fn may_probe(&self) -> bool {
        self.sack
            && self.state == RecoveryState::Open
            && self.board.outstanding() != 0
            && self.board.sums().sacked == 0
            && self.grant == Grant::None
            && self.tail.may_probe()
    }
    fn arm_probe(&mut self, now: Instant) {
        self.arm_probe_behind(now, self.board.outstanding());
    }
    /// The same behind `outstanding` octets. The deadline.
    #[inline(always)]
    fn arm_probe_behind(&mut self, now: Instant, outstanding: u32) -> Instant {
        let at = (now + self.probe_wait(outstanding)).min(self.expiry());
        self.timer.wait_until(SendTimer::TailProbe, at);
        at
    }
    /// The same when the flight begins, and with it the timeout.
    #[inline(always)]
    fn arm_first_probe(&mut self, now: Instant, outstanding: u32) -> Instant {
        let at = now + self.probe_wait(outstanding).min(self.rto());
        self.timer.wait_until(SendTimer::TailProbe, at);
        at
    }
    /// How long a probe waits for an acknowledgement of `outstanding` octets.
    #[inline(always)]
    fn probe_wait(&self, outstanding: u32) -> Span {
        let delay = Span::from_micros(u64::from(self.bounds.ack_delay));
        TailProbe::wait(self.rtt.srtt(), outstanding <= self.mss(), delay)
    }
    fn arm_after_sending(&mut self, now: Instant) {
        match self.timer.kind() {
            SendTimer::Reorder => {}
            _ if self.may_probe() => self.arm_probe(now),
            _ => self.timer.wait_for_timeout(),
        }
    }
}

fn short(mss: u32) -> u16 {
    u16::try_from(mss.max(1)).unwrap_or(u16::MAX)
}
fn clip(seq: Seq, octets: u32, right_edge: Seq) -> Option<(Seq, u32)> {
    let room = right_edge.since(seq);
    (room != 0 && octets != 0).then_some((seq, octets.min(room)))
}

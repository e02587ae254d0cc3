//! Tests of loss recovery, by behaviour. This file owns the harness: a connection that sends whole
//! segments, numbered from one, with a controller that records what it is told.

mod attack;
mod delivery;
mod model;
mod mtu_probe;
mod newreno;
mod path;
mod probe;
mod prr;
mod rack;
mod rto;
mod sack;
mod undo;

use super::records::Marks;
use super::undo::Frto;
use super::*;
use crate::ecn::MarkReport;
use std::vec::Vec;
use usertcp_base::{Prng, Rate};
use usertcp_cc::{
    AckSample, Budget, Congestion, CongestionController, CongestionKind, PathChange, PathStart,
    Residue, Sent, Snapshot,
};

/// Octets per segment.
pub(super) const MSS: u32 = 1000;
/// The first sequence number: it wraps within the sixth segment (AT-41).
pub(super) const START: Seq = Seq(u32::MAX - 5500);

/// What a controller was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Call {
    Ack(AckSample),
    Congestion(Congestion),
    Undo,
    Ended,
}

/// Halves its window on congestion, restores it on undo, never grows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Recorder {
    pub(super) window: u32,
    pub(super) threshold: u32,
    saved: u32,
    pub(super) calls: Vec<Call>,
}

impl CongestionController for Recorder {
    fn start(_: &PathStart) -> Self {
        Recorder { window: 100 * MSS, threshold: u32::MAX, saved: 100 * MSS, calls: Vec::new() }
    }
    fn on_sent(&mut self, _: &Sent) {}
    fn on_ack(&mut self, sample: &AckSample, _: &mut Prng) {
        self.calls.push(Call::Ack(*sample));
    }
    fn on_congestion(&mut self, event: &Congestion) {
        self.calls.push(Call::Congestion(*event));
        if event.kind != (CongestionKind::Timeout { first: false }) {
            self.saved = self.window;
            self.threshold = (event.flight_octets / 2).max(2 * MSS);
        }
        self.window = match event.kind {
            CongestionKind::Timeout { .. } => MSS,
            _ => self.threshold,
        };
    }
    fn on_undo(&mut self, _: Instant) {
        self.calls.push(Call::Undo);
        self.window = self.saved;
    }
    fn on_path(&mut self, _: Instant, change: &PathChange) {
        assert_eq!(*change, PathChange::RecoveryEnded);
        self.calls.push(Call::Ended);
    }
    fn budget(&self) -> Budget {
        Budget { window_octets: self.window, rate: Rate::UNLIMITED, quantum_octets: u32::MAX }
    }
    fn threshold(&self) -> u32 {
        self.threshold
    }
    fn park(&self) -> Residue {
        Residue::default()
    }
    fn resume(_: Residue, path: &PathStart, _: Span) -> Self {
        Self::start(path)
    }
    fn describe(&self) -> Snapshot {
        Snapshot {
            name: "recorder",
            window_octets: self.window,
            threshold_octets: self.threshold,
            slow_start: self.window < self.threshold,
        }
    }
}

/// A sender. Time is in milliseconds, segments are numbered from one.
pub(super) struct Sender {
    /// The peer's window, octets.
    pub(super) window: u32,
    pub(super) recovery: Recovery,
    pub(super) cc: Recorder,
    prng: Prng,
    pub(super) now: Instant,
    pub(super) new_data_ready: bool,
    pub(super) echoed_at: Option<Instant>,
    pub(super) mtu_probe: Option<(Seq, Seq)>,
}

pub(super) fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}
/// The first octet of segment `number`, counted from one.
pub(super) fn seq(number: u32) -> Seq {
    START + (number - 1) * MSS
}

impl Sender {
    pub(super) fn with(change: impl FnOnce(&mut RecoverySettings, &mut RecoveryStart)) -> Sender {
        let now = Instant::from_millis(10_000);
        let mut settings = RecoverySettings::default();
        let mut start = RecoveryStart {
            now,
            una: START,
            mss: MSS,
            sack: true,
            timestamps: false,
            rtt: Some(ms(100)),
            handshake_timed_out: false,
            earlier_rtt: None,
            reorders: false,
        };
        change(&mut settings, &mut start);
        let path = PathStart {
            now,
            mss_octets: MSS,
            rtt: start.rtt,
            handshake_lost: false,
            threshold_octets: None,
        };
        Sender {
            recovery: Recovery::new(&settings, &start),
            cc: Recorder::start(&path),
            prng: Prng::from_seed(1),
            now,
            window: 1 << 20,
            new_data_ready: false,
            echoed_at: None,
            mtu_probe: None,
        }
    }
    /// RTT 100 ms from the handshake, SACK, no timestamps.
    pub(super) fn new() -> Sender {
        Sender::with(|_, _| {})
    }
    pub(super) fn without_sack() -> Sender {
        Sender::with(|_, start| start.sack = false)
    }
    pub(super) fn with_timestamps() -> Sender {
        Sender::with(|_, start| start.timestamps = true)
    }
    pub(super) fn pass(&mut self, millis: u64) -> &mut Sender {
        self.now = self.now + ms(millis);
        self
    }
    /// Sends `count` segments now, each by itself.
    pub(super) fn send(&mut self, count: u32) -> &mut Sender {
        for _ in 0..count {
            self.recovery.on_sent(self.now, MSS, MSS, false);
            self.recovery.check();
        }
        self
    }
    /// Sends `count` segments now, as one super-segment.
    pub(super) fn send_merged(&mut self, count: u32) -> &mut Sender {
        self.recovery.on_sent(self.now, count * MSS, MSS, false);
        self.recovery.check();
        self
    }
    pub(super) fn input<'a>(&self, ack: Seq, sack: &'a [(Seq, Seq)]) -> AckInput<'a> {
        AckInput {
            ack,
            sack,
            echoed_at: self.echoed_at,
            window_changed: false,
            has_payload: false,
            new_data_ready: self.new_data_ready,
            mss: MSS,
            marks: MarkReport::None,
            mtu_probe: self.mtu_probe,
        }
    }
    pub(super) fn give(&mut self, input: &AckInput<'_>) -> AckOutcome {
        let outcome = self.recovery.on_ack(self.now, input, &mut self.cc, &mut self.prng);
        self.recovery.check();
        outcome
    }
    /// An acknowledgement of all before segment `next`.
    pub(super) fn ack(&mut self, next: u32) -> AckOutcome {
        self.give(&self.input(seq(next), &[]))
    }
    /// An acknowledgement that waits for segment `next` and holds the segments of each `blocks`,
    /// both ends included.
    pub(super) fn sack(&mut self, next: u32, blocks: &[(u32, u32)]) -> AckOutcome {
        let blocks: Vec<_> = blocks.iter().map(|b| (seq(b.0), seq(b.1 + 1))).collect();
        self.give(&self.input(seq(next), &blocks))
    }
    pub(super) fn fire(&mut self) -> TimerOutcome {
        let window = SendWindowFacts {
            right_edge: self.recovery.una() + self.window,
            new_data_ready: self.new_data_ready,
            mtu_probe: self.mtu_probe,
        };
        let outcome = self.recovery.on_timer(self.now, &mut self.cc, window);
        self.recovery.check();
        outcome
    }
    /// Moves to the deadline and fires the timer.
    pub(super) fn expire(&mut self) -> TimerOutcome {
        self.now = self.recovery.deadline().expect("a timer runs");
        self.fire()
    }
    /// Milliseconds until the deadline.
    pub(super) fn wait(&self) -> u64 {
        self.recovery.deadline().expect("a timer runs").since(self.now).as_millis()
    }
    pub(super) fn allowance(&self) -> u32 {
        self.recovery.allowance(self.cc.window)
    }
    /// Sends again what may be, one segment at a time. Returns the segments' numbers.
    pub(super) fn resend(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some((from, octets)) =
            self.recovery.next_retransmission(self.recovery.una() + (1 << 20))
        {
            let octets = octets.min(MSS);
            if self.allowance() < octets {
                break;
            }
            let _ = self.recovery.on_retransmitted(self.now, from, octets);
            self.recovery.check();
            sent.push(from.since(START) / MSS + 1);
        }
        sent
    }
    pub(super) fn congestions(&self) -> Vec<Congestion> {
        let events = self.cc.calls.iter();
        events
            .filter_map(|call| if let Call::Congestion(c) = call { Some(*c) } else { None })
            .collect()
    }
    pub(super) fn samples(&self) -> Vec<AckSample> {
        let calls = self.cc.calls.iter();
        calls
            .filter_map(|call| if let Call::Ack(sample) = call { Some(*sample) } else { None })
            .collect()
    }
}

impl Recovery {
    /// What must always hold.
    pub(super) fn check(&self) {
        let (mut at, mut sacked, mut lost, mut resent) = (self.una(), 0, 0, 0);
        let (mut held, mut pending) = (Vec::new(), Vec::new());
        for record in self.board.records() {
            assert_eq!(record.seq, at, "records are contiguous");
            assert!(record.octets > 0);
            at = record.end();
            if record.has(Marks::SACKED) {
                assert!(!record.has(Marks::LOST | Marks::RESENT));
                sacked += record.octets;
                extend(&mut held, record);
            }
            if record.has(Marks::LOST) {
                lost += record.octets;
                if !record.has(Marks::RESENT) {
                    extend(&mut pending, record);
                }
            }
            if record.has(Marks::RESENT) {
                resent += record.octets;
            }
        }
        assert_eq!(at, self.nxt(), "records end at SND.NXT");
        let sums = self.board.sums();
        assert_eq!((sums.sacked, sums.lost, sums.resent), (sacked, lost, resent));
        assert_eq!(self.board.sacked_ranges(), held, "the set of SACKed ranges");
        assert_eq!(self.board.pending_ranges(), pending, "the set of waiting ranges");
        assert!(self.in_flight() <= self.outstanding() + resent);
        assert_eq!(
            self.deadline().is_some(),
            self.outstanding() != 0,
            "a timer while data are out"
        );
        if self.outstanding() == 0 {
            assert!(!self.board.holds_heap(), "an idle connection holds no heap");
            assert_eq!((self.in_flight(), self.grant), (0, Grant::None));
        }
    }
}

fn extend(ranges: &mut Vec<(Seq, Seq)>, record: &Record) {
    match ranges.last_mut() {
        Some(last) if last.1 == record.seq => last.1 = record.end(),
        _ => ranges.push((record.seq, record.end())),
    }
}

//! A path that acknowledges what a controller lets out, for tests.
//!
//! Owns: the clock of a test and the facts told to the controller under test.
//! Must not know: which controller that is.

use usertcp_base::{Instant, Prng, Span};

use crate::api::*;

pub(crate) const MSS: u32 = 1460;

pub(crate) fn path(rtt_millis: u64) -> PathStart {
    PathStart {
        now: Instant::from_millis(1000),
        mss_octets: MSS,
        rtt: Some(Span::from_millis(rtt_millis)),
        handshake_lost: false,
        threshold_octets: None,
    }
}

pub(crate) fn slow_start_until(segments: u32, rtt_millis: u64) -> PathStart {
    PathStart { threshold_octets: Some(segments * MSS), ..path(rtt_millis) }
}

/// A controller and its path.
pub(crate) struct Bench<C> {
    pub(crate) controller: C,
    pub(crate) now: Instant,
    pub(crate) rtt: Span,
    pub(crate) window_limited: bool,
    pub(crate) in_recovery: bool,
    prng: Prng,
    delivered_total: u64,
}

impl<C: CongestionController> Bench<C> {
    pub(crate) fn new(path: &PathStart) -> Bench<C> {
        Bench::around(C::start(path), path)
    }

    pub(crate) fn around(controller: C, path: &PathStart) -> Bench<C> {
        Bench {
            controller,
            now: path.now,
            rtt: path.rtt.unwrap_or(Span::from_millis(100)),
            window_limited: true,
            in_recovery: false,
            prng: Prng::from_seed(1),
            delivered_total: 0,
        }
    }

    pub(crate) fn window(&self) -> u32 {
        self.controller.budget().window_octets
    }

    pub(crate) fn segments(&self) -> u32 {
        self.window() / MSS
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// One acknowledgement for `octets`.
    pub(crate) fn ack(&mut self, octets: u32, round_ended: bool) {
        let in_flight = self.window();
        self.delivered_total += u64::from(octets);
        let sample = AckSample {
            now: self.now,
            acked_octets: octets,
            delivered_octets: octets,
            lost_octets: 0,
            in_flight_before: if self.window_limited { in_flight } else { 0 },
            in_flight_after: in_flight.saturating_sub(octets),
            delivered_total: self.delivered_total,
            rate: None,
            rtt: Some(self.rtt),
            srtt: self.rtt,
            min_rtt: self.rtt,
            marked_octets: 0,
            marked_packets: 0,
            window_limited: self.window_limited,
            round_ended,
            in_recovery: self.in_recovery,
        };
        self.controller.on_ack(&sample, &mut self.prng);
    }

    /// A round trip in which the window it began with is acknowledged segment by segment.
    pub(crate) fn round(&mut self) {
        self.round_in_parts(MSS);
    }

    /// The same with acknowledgements of `part` octets.
    pub(crate) fn round_in_parts(&mut self, part: u32) {
        let window = self.window();
        let began = self.now;
        let mut done = 0;
        while done < window {
            let octets = part.min(window - done);
            done += octets;
            let share = self.rtt.as_micros() * u64::from(done) / u64::from(window);
            self.now = began + Span::from_micros(share);
            self.ack(octets, done == octets);
        }
    }

    pub(crate) fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
        }
    }

    pub(crate) fn congestion(&mut self, kind: CongestionKind, flight_octets: u32) {
        self.controller.on_congestion(&Congestion {
            now: self.now,
            kind,
            flight_octets,
            lost_octets: MSS,
        });
    }

    /// A loss at full window, repaired within one round trip.
    pub(crate) fn lose(&mut self) {
        let flight = self.window();
        self.congestion(CongestionKind::Loss, flight);
        self.in_recovery = true;
        self.round();
        self.in_recovery = false;
        self.controller.on_path(self.now, &PathChange::RecoveryEnded);
    }

    pub(crate) fn time_out(&mut self, first: bool) {
        let flight = self.window();
        self.congestion(CongestionKind::Timeout { first }, flight);
    }

    /// Nothing is sent for `idle`; then sending resumes.
    pub(crate) fn rest(&mut self, idle: Span, rto: Span) {
        self.pass(idle);
        self.controller.on_path(self.now, &PathChange::Idle { idle, rto });
        self.controller.on_sent(&Sent {
            now: self.now,
            octets: MSS,
            in_flight_octets: MSS,
            retransmission: false,
            first_after_idle: true,
        });
    }
}

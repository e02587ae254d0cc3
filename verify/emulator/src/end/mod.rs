//! What runs at an end: a sender of a known pattern, a receiver that compares and counts.
//! Owns: the job, the pattern, the reports. Must not know: the path.

pub mod kernel;
pub mod usertcp;

use crate::namespace::HostConfig;
use std::time::{Duration, Instant};
use usertcp_base::{Limiter, Prng};

/// Where receivers listen.
pub const PORT: u16 = 5001;
/// The sender goes on for so much longer than is measured, so that the end is like the rest.
pub const OVERTIME: Duration = Duration::from_millis(500);
/// Time between two looks at the sender's state.
pub const SAMPLE_TIME: Duration = Duration::from_millis(20);
/// Octets of one write and of one read.
pub const CHUNK: usize = 64 << 10;

/// What an end is to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The hosts.
    pub host: HostConfig,
    /// Time that is measured.
    pub seconds: Duration,
    /// How long an end waits for the other: for its connection, for what it sends, for its end.
    pub patience: Duration,
    /// Whether the sender's state is sampled.
    pub sampled: bool,
    /// When samples begin to count.
    pub origin: Instant,
}

/// The octets that are sent, over and over. Their number is a prime, so that no shift by a round
/// number of octets goes unnoticed.
#[derive(Debug)]
pub struct Pattern {
    octets: Vec<u8>,
}

impl Default for Pattern {
    fn default() -> Pattern {
        const OCTETS: usize = 1_048_573;
        let mut prng = Prng::from_seed(0x7061_7474_6572_6e21);
        let mut octets: Vec<u8> =
            (0..OCTETS.div_ceil(8)).flat_map(|_| prng.next_u64().to_le_bytes()).collect();
        octets.truncate(OCTETS);
        Pattern { octets }
    }
}

impl Pattern {
    /// At most a chunk of the stream from `offset` on.
    pub fn piece(&self, offset: u64) -> &[u8] {
        let at = (offset % self.octets.len() as u64) as usize;
        let end = self.octets.len().min(at + CHUNK);
        &self.octets[at..end]
    }

    /// Whether `octets` are those of the stream from `offset` on.
    pub fn matches(&self, mut offset: u64, mut octets: &[u8]) -> bool {
        while !octets.is_empty() {
            let piece = self.piece(offset);
            let count = piece.len().min(octets.len());
            if piece[..count] != octets[..count] {
                return false;
            }
            offset += count as u64;
            octets = &octets[count..];
        }
        true
    }
}

/// The sender's state at a moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// Since the origin.
    pub at: Duration,
    /// Congestion window, octets.
    pub window_octets: u64,
    /// Slow-start threshold, octets.
    pub threshold_octets: u64,
    /// Octets in flight.
    pub in_flight_octets: u64,
    /// Smoothed round trip, microseconds.
    pub srtt_micros: u64,
    /// Retransmissions so far.
    pub retransmissions: u64,
    /// What holds it back, where that is told.
    pub limiter: &'static str,
}

impl Sample {
    /// What our stack tells of a connection.
    pub(crate) fn of(at: Duration, info: &::usertcp::Info) -> Sample {
        Sample {
            at,
            window_octets: info.congestion_window_octets.into(),
            threshold_octets: info.threshold_octets.into(),
            in_flight_octets: info.in_flight_octets.into(),
            srtt_micros: info.srtt.as_micros(),
            retransmissions: info.retransmissions.into(),
            limiter: Limiter::NAMES.get(info.limiter as usize).copied().unwrap_or(""),
        }
    }
}

/// What a sender says of itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SenderReport {
    /// The congestion control in use.
    pub controller: String,
    /// Octets written.
    pub written: u64,
    /// Its state over time.
    pub samples: Vec<Sample>,
}

/// What a receiver got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiverReport {
    /// Octets in the time measured.
    pub measured: u64,
    /// Octets in all.
    pub octets: u64,
    /// All of them were the right ones, and the end was seen.
    pub intact: bool,
}

/// What has come in so far.
#[derive(Debug)]
pub struct Received {
    pattern: Pattern,
    began: Instant,
    seconds: Duration,
    right: bool,
    report: ReceiverReport,
}

impl Received {
    /// Nothing, from now on.
    pub fn begin(seconds: Duration) -> Received {
        Received {
            pattern: Pattern::default(),
            began: Instant::now(),
            seconds,
            right: true,
            report: ReceiverReport::default(),
        }
    }

    /// Octets came.
    pub fn take(&mut self, octets: &[u8]) {
        self.right &= self.pattern.matches(self.report.octets, octets);
        self.report.octets += octets.len() as u64;
        if self.began.elapsed() <= self.seconds {
            self.report.measured = self.report.octets;
        }
    }

    /// The end came.
    pub fn end(&mut self) -> ReceiverReport {
        self.report.intact = self.right;
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_recognised_at_its_place_only() {
        let pattern = Pattern::default();
        let mut stream = Vec::new();
        while stream.len() < 3 << 20 {
            stream.extend_from_slice(pattern.piece(stream.len() as u64));
        }
        assert!(pattern.matches(0, &stream));
        assert!(pattern.matches(1 << 20, &stream[1 << 20..]));
        assert!(!pattern.matches(0, &stream[1 << 20..]));
        assert!(!pattern.matches(1, &stream));
        let middle = stream.len() / 2;
        stream[middle] ^= 1;
        assert!(!pattern.matches(0, &stream));
    }

    #[test]
    fn what_comes_after_the_time_is_not_measured() {
        let pattern = Pattern::default();
        let mut received = Received::begin(Duration::from_secs(3600));
        received.take(&pattern.piece(0)[..1000]);
        received.seconds = Duration::ZERO;
        received.take(&pattern.piece(1000)[..500]);
        let expected = ReceiverReport { measured: 1000, octets: 1500, intact: true };
        assert_eq!(received.end(), expected);
        received.take(&[0; 64]);
        assert!(!received.end().intact);
    }
}

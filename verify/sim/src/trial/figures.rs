//! What a trial reached. Owns: the figures, and what is computed from them, in integers.
//! Must not know: how they came about.

use crate::link::LinkCounts;
use usertcp_base::{Rate, Span};

/// One flow's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFigures {
    /// Octets the receiving application read, from the flow's start on.
    pub octets: u64,
    /// Of these, in the second half of the time the trial may last.
    pub late_octets: u64,
    /// Segments sent again.
    pub resent: u64,
    /// Of these, those the stack itself came to know as needless.
    pub spurious: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
}

/// One flow at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowMoment {
    /// Octets read so far.
    pub octets: u64,
    /// Congestion window.
    pub window_octets: u32,
}

/// A moment of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the start.
    pub at: Span,
    /// Octets that wait at the bottleneck.
    pub queue_octets: u64,
    /// The flows, in order.
    pub flows: Vec<FlowMoment>,
}

/// What a trial reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The flows, in order.
    pub flows: Vec<FlowFigures>,
    /// How long it lasted.
    pub lasted: Span,
    /// Of this, in the second half of the time it may last; zero when it ended before.
    pub late: Span,
    /// Data segments sent, those sent again included.
    pub sent: u64,
    /// Of these, those of which an onlooker at the link knows that nothing in them was lost before.
    pub needless: u64,
    /// What the bottleneck did.
    pub link: LinkCounts,
    /// The noted moments.
    pub moments: Vec<Moment>,
}

impl Figures {
    /// Sum over the flows.
    fn sum(&self, pick: impl Fn(&FlowFigures) -> u64) -> u64 {
        self.flows.iter().map(pick).sum()
    }
    /// Segments sent again.
    pub fn resent(&self) -> u64 {
        self.sum(|flow| flow.resent)
    }
    /// Needless ones as the stack counts them.
    pub fn spurious(&self) -> u64 {
        self.sum(|flow| flow.spurious)
    }
    /// Timeouts.
    pub fn timeouts(&self) -> u64 {
        self.sum(|flow| flow.timeouts)
    }
    /// What all flows read, from the first SYN on.
    pub fn goodput(&self) -> Rate {
        Rate::over(self.sum(|flow| flow.octets), self.lasted)
    }
    /// What all flows read in the second half.
    pub fn late_goodput(&self) -> Rate {
        self.late_rate(self.sum(|flow| flow.late_octets))
    }
    /// Segments sent again of a hundred thousand sent.
    pub fn resent_per_100_000(&self) -> u64 {
        self.resent() * 100_000 / self.sent.max(1)
    }
    /// Needless ones of a hundred thousand sent.
    pub fn needless_per_100_000(&self) -> u64 {
        self.needless * 100_000 / self.sent.max(1)
    }
    /// Jain's index of the flows in the second half, in thousandths.
    pub fn jain_per_mille(&self) -> u64 {
        let shares: Vec<u64> = self.flows.iter().map(|flow| flow.late_octets).collect();
        jain_per_mille(&shares)
    }
    /// What the flows of `from..to` read in the second half, each on average.
    pub fn share_of(&self, flows: core::ops::Range<usize>) -> Rate {
        let count = flows.len().max(1) as u64;
        let octets: u64 = self.flows[flows].iter().map(|flow| flow.late_octets).sum();
        self.late_rate(octets / count)
    }

    fn late_rate(&self, octets: u64) -> Rate {
        if self.late.is_zero() {
            Rate::from_octets_per_second(0)
        } else {
            Rate::over(octets, self.late)
        }
    }
}

/// Jain's fairness index (Σx)² / (n Σx²), in thousandths: 1000 when all have the same, 1000/n when
/// one has it all.
pub fn jain_per_mille(shares: &[u64]) -> u64 {
    let sum: u128 = shares.iter().copied().map(u128::from).sum();
    let squares: u128 = shares.iter().map(|&share| u128::from(share) * u128::from(share)).sum();
    if squares == 0 {
        return 1000;
    }
    u64::try_from(sum * sum * 1000 / (shares.len() as u128 * squares)).unwrap_or(1000)
}

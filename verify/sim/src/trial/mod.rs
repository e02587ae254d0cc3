//! A trial: bulk flows through one bottleneck for a fixed virtual time, and what they reached.
//!
//! Owns: what a trial is determined by (`Trial`). The same trial gives the same figures on every
//! machine: nothing in it reads a clock, a random source or the order of a hash table.
//! Must not know: how a stack works, which trials make a table (`table`).

mod ends;
mod figures;
mod repairs;
mod run;

pub use figures::{Figures, FlowFigures, FlowMoment, Moment, jain_per_mille};

use crate::link::LinkConfig;
use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;

/// Octets of a full packet on the link.
pub const PACKET_OCTETS: u64 = 1500;
/// The least a buffer holds: ten full packets, whatever the product of rate and round trip is.
pub const LEAST_BUFFER_OCTETS: u64 = 10 * PACKET_OCTETS;

/// How packets of a trial are put out of order. Chances are in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reorder {
    /// They are not.
    None,
    /// Held back until 1 to `packets` later ones have passed, an eighth of the round trip at most.
    Overtaken {
        /// How many of a million.
        chance: u32,
        /// By how many others.
        packets: u8,
    },
    /// Delayed by up to `most`, evenly.
    Delayed {
        /// How many of a million.
        chance: u32,
        /// By how much.
        most: Span,
    },
}

/// One flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its congestion control.
    pub algorithm: Algorithm,
    /// Added to the trial's round trip, on a way of its own behind the bottleneck.
    pub detour: Span,
}

/// Everything a trial is determined by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Faults and start times are drawn from it.
    pub seed: u64,
    /// Rate of the bottleneck.
    pub rate: Rate,
    /// Shortest round trip, queues empty.
    pub rtt: Span,
    /// The bottleneck's buffer, in thousandths of rate × round trip.
    pub buffer_per_mille: u64,
    /// Data packets lost by chance, per million.
    pub loss: u32,
    /// Data packets put out of order.
    pub reorder: Reorder,
    /// The bottleneck marks ECN-capable packets when its buffer is half full, and the flows ask
    /// for ECN.
    pub ecn: bool,
    /// The flows.
    pub flows: Vec<Flow>,
    /// How long they send at most.
    pub lasts: Span,
    /// The trial ends before that when so many octets have been read in all.
    pub most_octets: u64,
    /// So many moments are noted, evenly spaced; zero for none.
    pub moments: u32,
}

impl Trial {
    /// One flow over a link without faults.
    pub fn plain(rate: Rate, rtt: Span, algorithm: Algorithm) -> Trial {
        Trial {
            seed: 1,
            rate,
            rtt,
            buffer_per_mille: 1000,
            loss: 0,
            reorder: Reorder::None,
            ecn: false,
            flows: vec![Flow { algorithm, detour: Span::ZERO }],
            lasts: Span::from_secs(30),
            most_octets: u64::MAX,
            moments: 0,
        }
    }

    /// Runs it; the error tells what was not legal, or which flow ended.
    pub fn run(&self) -> Result<Figures, String> {
        run::run(self)
    }

    /// Rate × round trip, in octets.
    pub fn product_octets(&self) -> u64 {
        self.rate.octets_in(self.rtt)
    }

    /// The bottleneck's buffer, in octets.
    pub fn buffer_octets(&self) -> u64 {
        let wanted = u128::from(self.product_octets()) * u128::from(self.buffer_per_mille) / 1000;
        u64::try_from(wanted).unwrap_or(u64::MAX).max(LEAST_BUFFER_OCTETS)
    }

    /// The way of the data.
    fn ahead(&self) -> LinkConfig {
        let (mut reorder, mut overtaken, mut overtaken_by, mut reorder_by) = (0, 0, 0, Span::ZERO);
        match self.reorder {
            Reorder::None => {}
            Reorder::Overtaken { chance, packets } => {
                (overtaken, overtaken_by, reorder_by) = (chance, packets, self.rtt.divided_by(8));
            }
            Reorder::Delayed { chance, most } => (reorder, reorder_by) = (chance, most),
        }
        let buffer = self.buffer_octets();
        LinkConfig {
            rate: self.rate,
            queue_octets: buffer,
            loss: self.loss,
            reorder,
            reorder_by,
            overtaken,
            overtaken_by,
            mark_beyond_octets: if self.ecn { buffer / 2 } else { u64::MAX },
            ..LinkConfig::clean(self.rtt.divided_by(2))
        }
    }

    /// The way of the acknowledgements: as fast, and without faults.
    fn back(&self) -> LinkConfig {
        LinkConfig { rate: self.rate, ..LinkConfig::clean(self.rtt.divided_by(2)) }
    }
}

#[cfg(test)]
mod tests;

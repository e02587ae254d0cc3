//! What happens to the n-th packet. Owns: the draws. Must not know: queues, times.

use super::{PathConfig, PerMillion};
use usertcp_base::Prng;

/// What happens to one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// Lost.
    pub lost: bool,
    /// Out of order, by this part (in 2^32) of the most.
    pub reordered: Option<u32>,
    /// Delivered twice.
    pub duplicated: bool,
    /// Marked, if ECN-capable.
    pub marked: bool,
    /// The part (in 2^32) of the jitter it meets.
    pub jitter: u32,
}

impl Fate {
    /// The same, but it keeps its place: for the second copy of a packet.
    pub fn in_order(self) -> Fate {
        Fate { reordered: None, ..self }
    }
}

/// The fates of all packets of one direction.
#[derive(Clone, Debug)]
pub struct Fates {
    seed: u64,
    next: u64,
}

impl Fates {
    /// From the first packet on.
    pub fn new(seed: u64) -> Fates {
        Fates { seed, next: 0 }
    }

    /// The next packet's. Every chance has a draw of its own, taken whether it is wanted or not:
    /// adding reordering to a path does not move its losses.
    pub fn next(&mut self, config: &PathConfig) -> Fate {
        let packet = self.next;
        self.next += 1;
        // An odd factor: different packets have different seeds.
        let seed = self.seed ^ packet.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut prng = Prng::from_seed(seed);
        let mut chance = |parts: PerMillion| (prng.next_u64() % 1_000_000) < u64::from(parts);
        let lost = chance(config.loss);
        let reordered = chance(config.reorder);
        let duplicated = chance(config.duplicate);
        let marked = chance(config.mark);
        let jitter = prng.next_u32();
        let how_far = prng.next_u32();
        Fate { lost, reordered: reordered.then_some(how_far), duplicated, marked, jitter }
    }
}

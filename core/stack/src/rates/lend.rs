//! One rate, several shards: how it is divided among them as they need it.
//!
//! Owns: what a shard says of its use, what part everybody is due, when a part changes hands.
//! Must not know: threads; how what is said reaches the others.
//! Implements: no RFC; docs/decisions/0008.
//!
//! Each shard keeps its part of a rate by itself. Every few milliseconds it says what it used; from what all
//! have said each computes the same parts ([`share_of`]). Who has more than its part lowers its rate, and only
//! then puts the difference into a common pot; who has less takes out of the pot first, and raises its rate
//! then. So the sum of all rates and the pot is the whole, at every moment, whatever was said and whoever is late.

use crate::rates::RateGroupInfo;
use usertcp_base::{Instant, Rate, Span};

/// A shard keeps its part of one in so many at least, of an even part: who begins to send can, until more
/// is lent.
const LEAST_PARTS: u64 = 64;
/// Who has too little, or too much, by less than one part in so many of what it has, makes no change.
const SLACK_PARTS: u64 = 40;
/// A sample of weights counts as one in so many.
const WEIGHT_SAMPLES: u64 = 4;
/// Weights are kept in parts of one in so many.
const WEIGHT_UNIT: u64 = 16;

/// Who sent nothing for so long, or said nothing, needs nothing.
pub const SILENCE: Span = Span::from_millis(20);

/// What a shard says of its part of a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    /// Octets per second it could use; `u64::MAX`: it was held back by its part.
    pub wanted: u64,
    /// Weights of the members that waited, in sixteenths.
    pub weight: u64,
    /// Octets per second it has.
    pub held: u64,
}

/// What every shard keeps.
fn least(total: u64, parties: u64) -> u64 {
    total / (parties * LEAST_PARTS)
}

/// The part of `total` that is due to who is at `index`: everybody what it wants, as far as that is no more than
/// the part its weight is of all weights; what is left goes to those who want more, by weight; and to all if
/// nobody does.
pub fn share_of(total: u64, demands: &[Demand], index: usize) -> u64 {
    let parties = demands.len().max(1) as u64;
    let least = least(total, parties);
    let Some(mine) = demands.get(index).filter(|_| least > 0) else {
        // As it is divided in the beginning: too little to lend.
        return total / parties;
    };
    let rest = total - least * parties;
    let weight = |demand: &Demand| demand.weight.clamp(1, u64::from(u32::MAX));
    let more = |demand: &Demand| demand.wanted.saturating_sub(least);
    // The level: so many octets (`left`) for so much weight. It only rises as the modest are served.
    let (mut left, mut heavy) = (rest, demands.iter().map(weight).sum::<u64>());
    let is_modest = |demand: &Demand, left: u64, heavy: u64| {
        u128::from(more(demand)) * u128::from(heavy)
            <= u128::from(weight(demand)) * u128::from(left)
    };
    for _ in 0..=demands.len() {
        let others = demands.iter().filter(|demand| !is_modest(demand, left, heavy));
        let still = others.map(weight).sum::<u64>();
        let modest = demands.iter().filter(|demand| is_modest(demand, left, heavy));
        let served = modest.map(more).fold(0, u64::saturating_add);
        let after = rest.saturating_sub(served);
        if still == 0 {
            return least + more(mine) + after / parties;
        }
        if (after, still) == (left, heavy) {
            break;
        }
        (left, heavy) = (after, still);
    }
    if is_modest(mine, left, heavy) {
        return least + more(mine);
    }
    let part = u128::from(left) * u128::from(weight(mine)) / u128::from(heavy.max(1));
    least + u64::try_from(part).unwrap_or(u64::MAX)
}

/// One shard's part of a rate.
#[derive(Clone, Copy, Debug)]
pub struct Loan {
    total: u64,
    held: u64,
    demand: Demand,
    /// As they were when it was looked at last.
    octets: u64,
    looked: Instant,
}

/// What is to be done about a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Step {
    /// Nothing.
    Keep,
    /// The rate is to be lowered to [`Loan::rate`], and then so much put into the pot.
    Give(u64),
    /// So much may be taken from the pot; what was is [`Loan::receive`]d, and the rate raised then.
    Take(u64),
}

impl Loan {
    /// Of a rate of `total` octets per second that is divided among `parties`: an even part.
    pub fn new(now: Instant, total: u64, parties: usize, info: &RateGroupInfo) -> Loan {
        let held = total / parties.max(1) as u64;
        let demand = Demand { wanted: held, weight: 0, held };
        Loan { total, held, demand, octets: info.octets, looked: now }
    }

    /// What all parties have at first leaves so much in the pot.
    pub fn remainder(total: u64, parties: usize) -> u64 {
        total % parties.max(1) as u64
    }

    /// The shard's rate.
    pub fn rate(&self) -> Rate {
        Rate::from_octets_per_second(self.held)
    }

    /// Octets per second it has.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// What the shard is to say, of the time since it was asked last.
    pub fn demand(&mut self, now: Instant, info: &RateGroupInfo) -> Demand {
        let since = now.since(self.looked);
        let micros = since.as_micros().max(1);
        let octets = info.octets.wrapping_sub(self.octets);
        (self.octets, self.looked) = (info.octets, now);
        let used = u128::from(octets) * 1_000_000 / u128::from(micros);
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        let could = used.saturating_add(used / 16);
        let before = self.demand.wanted.min(self.held);
        self.demand.held = self.held;
        if info.waiting_weight > 0 {
            let sample = info.waiting_weight.min(1 << 40) * WEIGHT_UNIT;
            let weight = match self.demand.weight {
                0 => sample,
                weight => (weight * (WEIGHT_SAMPLES - 1) + sample).div_ceil(WEIGHT_SAMPLES),
            };
            self.demand = Demand { wanted: u64::MAX, weight, held: self.held };
        } else if octets == 0 {
            self.demand.wanted = if since > SILENCE { 0 } else { before / 4 };
        } else {
            // Who sends in bursts keeps for a while what a burst needs.
            self.demand.wanted = could.max(before - before / 8);
        }
        self.demand
    }

    /// What follows from what all have said.
    pub fn step(&mut self, demands: &[Demand], index: usize) -> Step {
        let due = share_of(self.total, demands, index);
        if is_to_give(self.total, demands, self.held, due) {
            let given = self.held - due;
            self.held = due;
            return Step::Give(given);
        }
        match is_short(due, self.held) {
            true => Step::Take(due - self.held),
            false => Step::Keep,
        }
    }

    /// So much was taken from the pot.
    pub fn receive(&mut self, octets: u64) {
        self.held = self.held.saturating_add(octets);
    }
}

/// Whether the party at `index` has more than it is due, by what all have said, and is to give it.
pub fn has_too_much(total: u64, demands: &[Demand], index: usize) -> bool {
    let due = share_of(total, demands, index);
    demands.get(index).is_some_and(|demand| is_to_give(total, demands, demand.held, due))
}

/// Whether who has `held` and is `due` less is to give the difference: if it is worth a change by itself, or to somebody
/// who lacks it. What each has too much may be little when there are many of them.
fn is_to_give(total: u64, demands: &[Demand], held: u64, due: u64) -> bool {
    let wants = |demand: &Demand| demand.wanted > demand.held;
    let is_much = held.saturating_sub(due) > held / SLACK_PARTS;
    // Nothing moves for nobody's sake.
    held > due
        && demands.iter().enumerate().any(|(index, demand)| {
            wants(demand) && (is_much || is_short(share_of(total, demands, index), demand.held))
        })
}

/// Whether what is lacking is worth a change.
fn is_short(due: u64, held: u64) -> bool {
    due.saturating_sub(held) > held / SLACK_PARTS
}

#[cfg(test)]
mod tests;

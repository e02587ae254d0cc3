//! What the shards of a stack share of one rate.
//!
//! Owns: what each of them said of its part, the pot of what none of them has, who is to look soon.
//! Must not know: how parts are computed (`usertcp_stack::lend`), what the rate is of.
//!
//! There is no lock, and nobody waits for another: what was said are plain stores, and the pot is one number.
//! An octet per second is in exactly one place: a shard lowers its rate before it adds to the pot, and has
//! taken from the pot before it raises its rate.

use crate::runtime::doorbell::Doorbell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use usertcp_base::{Instant, Span};
use usertcp_stack::lend::{Demand, Loan, SILENCE};

/// One rate of a stack.
#[derive(Debug)]
pub(crate) struct Purse {
    total: u64,
    pot: AtomicU64,
    /// Shards that have their part. Before all have, none changes hands.
    joined: AtomicUsize,
    seats: Vec<Seat>,
}

/// What one shard said.
#[derive(Debug, Default)]
struct Seat {
    wanted: AtomicU64,
    weight: AtomicU64,
    held: AtomicU64,
    micros: AtomicU64,
}

impl Purse {
    /// Of `total` octets per second, for so many shards, each of which has an even part.
    pub(crate) fn new(total: u64, shards: usize) -> Purse {
        Purse {
            total,
            pot: AtomicU64::new(Loan::remainder(total, shards)),
            joined: AtomicUsize::new(0),
            seats: (0..shards).map(|_| Seat::default()).collect(),
        }
    }

    /// The whole rate.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn shards(&self) -> usize {
        self.seats.len()
    }

    /// One shard more has its part.
    pub(crate) fn join(&self) {
        self.joined.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether all have.
    pub(crate) fn is_whole(&self) -> bool {
        self.joined.load(Ordering::Acquire) >= self.seats.len()
    }

    /// The shard at `index` says something.
    pub(crate) fn say(&self, now: Instant, index: usize, demand: Demand) {
        let Some(seat) = self.seats.get(index) else { return };
        seat.wanted.store(demand.wanted, Ordering::Relaxed);
        seat.weight.store(demand.weight, Ordering::Relaxed);
        seat.held.store(demand.held, Ordering::Relaxed);
        seat.micros.store(now.since(Instant::ZERO).as_micros(), Ordering::Relaxed);
    }

    /// What all have said. It need not fit together: parts are conserved whatever it is.
    pub(crate) fn listen(&self, now: Instant, into: &mut Vec<Demand>) {
        into.clear();
        into.extend(self.seats.iter().map(|seat| {
            let said = Instant::ZERO + Span::from_micros(seat.micros.load(Ordering::Relaxed));
            let sleeps = now.since(said) > SILENCE;
            Demand {
                wanted: if sleeps { 0 } else { seat.wanted.load(Ordering::Relaxed) },
                weight: seat.weight.load(Ordering::Relaxed),
                held: seat.held.load(Ordering::Relaxed),
            }
        }));
    }

    /// Nobody has these any more.
    pub(crate) fn give(&self, octets: u64) {
        self.pot.fetch_add(octets, Ordering::AcqRel);
    }

    /// Takes so many at most; how many.
    pub(crate) fn take(&self, most: u64) -> u64 {
        let less = |pot: u64| Some(pot - pot.min(most));
        match self.pot.fetch_update(Ordering::AcqRel, Ordering::Acquire, less) {
            Ok(pot) | Err(pot) => pot.min(most),
        }
    }
}

/// How the shards of a stack ask each other to look.
#[derive(Debug)]
pub(crate) struct Nudges {
    seats: Vec<(AtomicBool, Arc<Doorbell>)>,
}

impl Nudges {
    /// For the shards whose threads listen to `bells`.
    pub(crate) fn new(bells: &[Arc<Doorbell>]) -> Nudges {
        let seat = |bell: &Arc<Doorbell>| (AtomicBool::new(false), Arc::clone(bell));
        Nudges { seats: bells.iter().map(seat).collect() }
    }

    /// Somebody needs what the shard at `index` may not.
    pub(crate) fn ask(&self, index: usize) {
        if let Some((asked, bell)) = self.seats.get(index)
            && !asked.swap(true, Ordering::AcqRel)
        {
            bell.ring();
        }
    }

    /// Whether the shard at `index` was asked.
    pub(crate) fn is_asked(&self, index: usize) -> bool {
        self.seats.get(index).is_some_and(|(asked, _)| asked.load(Ordering::Relaxed))
    }

    /// It looks now.
    pub(crate) fn heard(&self, index: usize) {
        if let Some((asked, _)) = self.seats.get(index) {
            asked.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_take_and_give_lose_nothing() {
        const TOTAL: u64 = 1_000_003;
        let purse = Purse::new(TOTAL, 4);
        let mut parts = [TOTAL / 4; 4];
        std::thread::scope(|scope| {
            for (seed, part) in (1_u64..).zip(&mut parts) {
                let purse = &purse;
                scope.spawn(move || {
                    let mut state = seed;
                    for _ in 0..50_000 {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let amount = state >> 48;
                        if state & 1 << 40 == 0 {
                            *part += purse.take(amount);
                        } else {
                            let given = amount.min(*part);
                            *part -= given;
                            purse.give(given);
                        }
                    }
                });
            }
        });
        assert_eq!(parts.iter().sum::<u64>() + purse.take(u64::MAX), TOTAL);
        assert_eq!(purse.take(1), 0);
    }

    #[test]
    fn who_is_silent_wants_nothing() {
        let purse = Purse::new(100, 2);
        let demand = Demand { wanted: 70, weight: 3, held: 50 };
        let mut said = Vec::new();
        purse.say(Instant::ZERO + SILENCE, 1, demand);
        purse.listen(Instant::ZERO + SILENCE + SILENCE, &mut said);
        assert_eq!(said, [Demand::default(), demand]);
        purse.listen(Instant::ZERO + SILENCE + SILENCE + Span::from_micros(1), &mut said);
        assert_eq!(said, [Demand::default(), Demand { wanted: 0, ..demand }]);
        assert!(!purse.is_whole());
        purse.join();
        purse.join();
        assert!(purse.is_whole());
    }
}

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

fn demand() -> impl Strategy<Value = Demand> {
    let wanted = prop_oneof![Just(u64::MAX), Just(0), 0_u64..2_000_000_000];
    let weight = prop_oneof![Just(0_u64), 1..100_000_u64, Just(u64::MAX)];
    (wanted, weight).prop_map(|(wanted, weight)| Demand { wanted, weight, held: 0 })
}

fn shares(total: u64, demands: &[Demand]) -> Vec<u64> {
    (0..demands.len()).map(|index| share_of(total, demands, index)).collect()
}

proptest! {
    #[test]
    fn parts_are_never_more_than_the_whole_and_nobody_is_left_without(
        demands in prop::collection::vec(demand(), 1..20),
        total in prop_oneof![0..10_000_u64, 1000..2_000_000_000_u64, Just(u64::MAX - 1)],
    ) {
        let parts = shares(total, &demands);
        let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
        prop_assert!(sum <= u128::from(total));
        let parties = demands.len() as u64;
        for part in &parts {
            prop_assert!(*part >= total / (parties * LEAST_PARTS));
        }
        // If somebody wants more than it gets, little lies idle: what is rounded away.
        let least = least(total, parties);
        let hungry = parts.iter().zip(&demands).any(|(part, demand)| demand.wanted > *part);
        if hungry && least > 0 {
            prop_assert!(u128::from(total) - sum <= u128::from(parties));
        }
        // Nobody with more octets for its weight than another that wants more.
        for (part, one) in parts.iter().zip(&demands) {
            for (other_part, other) in parts.iter().zip(&demands) {
                let (weight, other_weight) = (one.weight.clamp(1, u64::from(u32::MAX)), other.weight.clamp(1, u64::from(u32::MAX)));
                let starved = other.wanted > *other_part && least > 0;
                let mine = u128::from(*part - least.min(*part)) * u128::from(other_weight);
                let its = u128::from(*other_part - least.min(*other_part) + 1) * u128::from(weight);
                prop_assert!(!starved || mine <= its + u128::from(other_weight));
            }
        }
    }
}

#[test]
fn parts_of_examples() {
    let wants = |wanted, weight| Demand { wanted, weight, held: 0 };
    let all = u64::MAX;
    // All on one of two shards; evenly spread; by weight; one that wants little.
    assert_eq!(shares(128_000, &[wants(all, 1), wants(0, 0)]), [127_000, 1000]);
    assert_eq!(shares(128_000, &[wants(all, 5), wants(all, 5)]), [64_000, 64_000]);
    assert_eq!(shares(128_000, &[wants(all, 3), wants(all, 1)]), [95_500, 32_500]);
    assert_eq!(shares(128_000, &[wants(all, 1), wants(21_000, 9)]), [107_000, 21_000]);
    // Nobody is held back: what is left is everybody's.
    assert_eq!(shares(128_000, &[wants(0, 7), wants(0, 0)]), [64_000, 64_000]);
    assert_eq!(shares(128_000, &[wants(31_000, 0), wants(1000, 0)]), [79_000, 49_000]);
    // Too little to lend.
    assert_eq!(shares(100, &[wants(all, 1), wants(0, 0)]), [50, 50]);
    assert_eq!(share_of(100, &[], 0), 100);
}

/// Shards with loads of their own that look in any order and say late what they do.
struct World {
    now: Instant,
    total: u64,
    pot: u64,
    loans: Vec<Loan>,
    said: Vec<Demand>,
    octets: Vec<u64>,
    /// Octets per second that come to be sent, and the weight of who sends.
    loads: Vec<(u64, u64)>,
}

impl World {
    fn new(total: u64, loads: &[(u64, u64)]) -> World {
        let loans: Vec<_> = loads
            .iter()
            .map(|_| Loan::new(Instant::ZERO, total, loads.len(), &info(0, 0)))
            .collect();
        World {
            now: Instant::ZERO,
            total,
            pot: Loan::remainder(total, loads.len()),
            said: loans.iter().map(|loan| loan.demand).collect(),
            octets: loads.iter().map(|_| 0).collect(),
            loads: loads.to_vec(),
            loans,
        }
    }

    /// So much time passes, and one looks.
    fn look(&mut self, index: usize, span: Span) {
        self.now = self.now + span;
        for ((octets, load), loan) in self.octets.iter_mut().zip(&self.loads).zip(&self.loans) {
            *octets += load.0.min(loan.held) * span.as_micros() / 1_000_000;
        }
        let (load, weight) = self.loads[index];
        let waiting = if load > self.loans[index].held { weight } else { 0 };
        let loan = &mut self.loans[index];
        self.said[index] = loan.demand(self.now, &info(self.octets[index], waiting));
        match loan.step(&self.said, index) {
            Step::Keep => {}
            Step::Give(octets) => self.pot += octets,
            Step::Take(most) => {
                let taken = most.min(self.pot);
                self.pot -= taken;
                loan.receive(taken);
            }
        }
        let held: u64 = self.loans.iter().map(Loan::held).sum();
        assert_eq!(held + self.pot, self.total, "conserved at every step");
    }

    /// What all can send together.
    fn served(&self) -> u64 {
        self.loads.iter().zip(&self.loans).map(|(load, loan)| load.0.min(loan.held)).sum()
    }

    fn held(&self) -> Vec<u64> {
        self.loans.iter().map(Loan::held).collect()
    }
}

fn info(octets: u64, waiting_weight: u64) -> RateGroupInfo {
    RateGroupInfo { rate: Rate::UNLIMITED, octets, waiting_weight }
}

proptest! {
    #[test]
    fn rates_are_conserved_at_every_step_and_end_where_they_should(
        loads in prop::collection::vec((0..4_000_000_u64, 1..1000_u64), 2..6),
        later in prop::collection::vec((0..4_000_000_u64, 1..1000_u64), 6),
        order in prop::collection::vec((any::<prop::sample::Index>(), 1000..9000_u64), 600),
    ) {
        let total = 3_000_001;
        let mut world = World::new(total, &loads);
        for change in 0..2 {
            // Who has little more than it needs is held back at times, says so, and is lent much for a moment: what counts is
            // what is so mostly.
            let (begin, end) = order.split_at(order.len() / 2);
            begin.iter().for_each(|(who, micros)| world.look(who.index(loads.len()), Span::from_micros(*micros)));
            let mut served = 0;
            for (who, micros) in end {
                world.look(who.index(loads.len()), Span::from_micros(*micros));
                served += world.served();
            }
            // Everybody has what it needs, or the whole is in use.
            let served = served / end.len() as u64;
            let needed: u64 = world.loads.iter().map(|load| load.0).sum::<u64>().min(total);
            prop_assert!(served >= needed - needed / 6, "{served} of {needed}: {:?} {:?}", world.loads, world.held());
            if change == 0 {
                world.loads = later.iter().copied().take(loads.len()).collect();
            }
        }
    }

    #[test]
    fn those_who_want_all_have_it_by_weight(
        weights in prop::collection::vec(1..50_u64, 2..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 300),
    ) {
        have_it_by_weight(&weights, order.iter().map(|who| who.index(weights.len())));
    }
}

/// All want all, and look in an order: each comes to have the part of its weight, within 3 %.
fn have_it_by_weight(weights: &[u64], order: impl Iterator<Item = usize>) {
    let loads: Vec<_> = weights.iter().map(|weight| (u64::MAX / 4, *weight)).collect();
    let total = 100_000_000;
    let mut world = World::new(total, &loads);
    for who in order {
        world.look(who, Span::from_millis(1));
    }
    let parties = weights.len() as u64;
    let least = least(total, parties);
    let rest = total - least * parties;
    for (held, weight) in world.held().into_iter().zip(weights) {
        let ideal = least + rest * weight / weights.iter().sum::<u64>();
        assert!(held.abs_diff(ideal) <= ideal * 3 / 100, "{held} for {ideal}: {weights:?}");
    }
}

/// Three have a little too much, which together is a lot to the fourth.
#[test]
fn what_many_have_too_much_is_given_to_one_who_lacks_it() {
    have_it_by_weight(&[45, 41, 41, 41], (0..100).map(|turn| turn % 4));
}

#[test]
fn a_group_on_one_shard_has_its_rate_and_gives_it_back() {
    let total = 1_000_000;
    let mut world = World::new(total, &[(5_000_000, 1), (0, 0)]);
    let looks = |world: &mut World, count| {
        for turn in 0..count {
            world.look(turn % 2, Span::from_micros(2500));
        }
    };
    looks(&mut world, 20);
    assert!(world.held()[0] > total * 97 / 100, "{:?}", world.held());
    // The other begins to send as much: even parts after a few looks.
    world.loads[1] = (5_000_000, 1);
    looks(&mut world, 12);
    for held in world.held() {
        assert!(held.abs_diff(total / 2) < total / 30, "{held}");
    }
    // All are content with less.
    world.loads = [(100_000, 1), (10_000, 1)].to_vec();
    looks(&mut world, 60);
    assert!(world.held()[0] > 300_000 && world.held()[1] > 300_000, "{:?}", world.held());
}

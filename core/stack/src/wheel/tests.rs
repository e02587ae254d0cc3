//! The wheel against a naive model: an ordered map of deadlines.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use usertcp_base::Span;

struct Records(Vec<WheelLinks>);

impl Links for Records {
    fn links(&self, index: u32) -> &WheelLinks {
        &self.0[index as usize]
    }
    fn links_mut(&mut self, index: u32) -> &mut WheelLinks {
        &mut self.0[index as usize]
    }
    fn find(&self, index: u32) -> Option<&WheelLinks> {
        self.0.get(index as usize)
    }
}

fn records(count: usize) -> Records {
    Records(vec![WheelLinks::UNLINKED; count])
}

fn tick(count: u64) -> Instant {
    Instant::from_micros(count << TICK_MICROS_SHIFT)
}

fn pop(wheel: &mut Wheel, now: Instant, records: &mut Records) -> Option<u32> {
    wheel.pop_due(now, &mut u32::MAX.clone(), records)
}

#[test]
fn is_small() {
    assert!(size_of::<Wheel>() <= 1536);
    assert_eq!(size_of::<WheelLinks>(), 12);
}

#[test]
fn comes_due_in_order_and_never_early() {
    let mut records = records(4);
    let mut wheel = Wheel::new(Instant::ZERO);
    wheel.schedule(0, Instant::from_millis(500), &mut records);
    wheel.schedule(1, Instant::from_micros(65), &mut records);
    wheel.schedule(2, Instant::from_millis(40), &mut records);
    assert_eq!(wheel.next_deadline(), Some(Instant::from_micros(128)));
    assert_eq!(pop(&mut wheel, Instant::from_micros(127), &mut records), None);
    assert_eq!(pop(&mut wheel, Instant::from_micros(128), &mut records), Some(1));
    assert_eq!(pop(&mut wheel, Instant::from_millis(1000), &mut records), Some(2));
    assert_eq!(pop(&mut wheel, Instant::from_millis(1000), &mut records), Some(0));
    assert_eq!(pop(&mut wheel, Instant::from_millis(1000), &mut records), None);
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn moving_later_does_nothing_until_the_old_deadline_fires() {
    let mut records = records(1);
    let mut wheel = Wheel::new(Instant::ZERO);
    wheel.schedule(0, tick(10), &mut records);
    wheel.schedule(0, tick(1000), &mut records);
    assert_eq!(wheel.len(), 1);
    assert_eq!(pop(&mut wheel, tick(10), &mut records), Some(0));
    wheel.schedule(0, tick(1000), &mut records);
    wheel.schedule(0, tick(20), &mut records);
    assert_eq!(pop(&mut wheel, tick(20), &mut records), Some(0));
    assert!(wheel.is_empty());
}

#[test]
fn an_overdue_deadline_is_due_now() {
    let mut records = records(1);
    let mut wheel = Wheel::new(tick(5000));
    wheel.schedule(0, tick(3), &mut records);
    assert!(wheel.next_deadline().unwrap() <= tick(5000));
    assert_eq!(pop(&mut wheel, tick(5000), &mut records), Some(0));
}

#[test]
fn a_deadline_from_long_ago_is_due_now() {
    let mut records = records(1);
    let start = tick(5 << 31);
    let mut wheel = Wheel::new(start);
    wheel.schedule(0, Instant::ZERO, &mut records);
    assert_eq!(pop(&mut wheel, start, &mut records), Some(0));
}

#[test]
fn far_deadlines_wake_early_but_not_for_nothing() {
    let mut records = records(1);
    let mut wheel = Wheel::new(Instant::ZERO);
    let day = Instant::from_millis(86_400_000);
    wheel.schedule(0, day, &mut records);
    let mut now = Instant::ZERO;
    let mut wakes = 0;
    while now < day {
        now = wheel.next_deadline().unwrap();
        wakes += 1;
        if pop(&mut wheel, now, &mut records).is_some() && now < day {
            assert!(now.since(Instant::ZERO) >= Span::from_secs(19 * 3600));
            wheel.schedule(0, day, &mut records);
        }
    }
    assert!(wheel.is_empty());
    assert!(wakes < 15, "{wakes} wakes");
    wheel.schedule(0, Instant::FAR, &mut records);
    assert!(wheel.next_deadline().is_some());
}

#[test]
fn an_interrupted_cascade_is_finished_before_time_advances() {
    let mut records = records(1000);
    let mut wheel = Wheel::new(Instant::ZERO);
    for index in 0..1000 {
        wheel.schedule(index, tick(4096 + u64::from(index) % 64), &mut records);
    }
    let mut fired = Vec::new();
    for now in 4096..14_096 {
        let mut work = 7;
        while let Some(index) = wheel.pop_due(tick(now), &mut work, &mut records) {
            assert!(4096 + u64::from(index) % 64 <= now);
            fired.push(index);
        }
        if fired.len() == 1000 {
            break;
        }
        assert!(work == 0 || wheel.next_deadline().unwrap() > tick(now));
    }
    fired.sort_unstable();
    assert_eq!(fired, (0..1000).collect::<Vec<_>>());
}

/// Records that tell which of them were looked at.
struct Watched {
    records: Records,
    seen: core::cell::RefCell<Vec<u32>>,
}

impl Watched {
    fn seen(&self) -> Vec<u32> {
        let mut seen = self.seen.take();
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

impl Links for Watched {
    fn links(&self, index: u32) -> &WheelLinks {
        self.seen.borrow_mut().push(index);
        self.records.links(index)
    }
    fn links_mut(&mut self, index: u32) -> &mut WheelLinks {
        self.seen.borrow_mut().push(index);
        self.records.links_mut(index)
    }
    fn find(&self, index: u32) -> Option<&WheelLinks> {
        self.seen.borrow_mut().push(index);
        self.records.find(index)
    }
}

#[test]
fn who_stands_in_line_is_looked_at_when_it_comes_goes_or_is_due_and_nobody_else_is() {
    let mut records = Watched { records: records(100), seen: Default::default() };
    let mut wheel = Wheel::new(Instant::ZERO);
    let second = 15_625;
    for index in 0..100 {
        wheel.line_up(index, tick(second + u64::from(index) / 10), &mut records);
        assert_eq!(records.seen(), [index]);
    }
    // One leaves for an earlier deadline, one leaves for good, one stays as it is.
    wheel.schedule(50, tick(7), &mut records);
    assert_eq!(records.seen(), [50]);
    wheel.cancel(51, &mut records);
    assert_eq!(records.seen(), [51]);
    wheel.line_up(52, tick(second + 6), &mut records);
    assert_eq!((records.seen(), wheel.len()), (alloc::vec![52], 99));
    let mut due = Vec::new();
    for now in [6, 7, second - 1] {
        due.extend(wheel.pop_due(tick(now), &mut 9, &mut records));
    }
    assert_eq!((due, records.seen()), (alloc::vec![50], alloc::vec![50]));
    assert_eq!(wheel.due_in_line(tick(second - 1)).next(), None);
    assert!(wheel.due_in_line(tick(second)).take(3).eq(0..3));
    for now in 0..11 {
        let mut work = 100;
        while let Some(index) = wheel.pop_due(tick(second + now), &mut work, &mut records) {
            assert_eq!(u64::from(index) / 10, now);
        }
    }
    assert!(wheel.is_empty() && wheel.next_deadline().is_none());
}

#[test]
fn what_is_less_than_a_round_away_is_not_looked_at_before_it_is_due() {
    let mut records = Watched { records: records(2), seen: Default::default() };
    let mut wheel = Wheel::new(tick(4000));
    wheel.schedule(0, tick(4000 + 4095), &mut records);
    wheel.schedule(1, tick(4000 + 4097), &mut records);
    assert_eq!(records.seen(), [0, 1]);
    let mut pop = |now, work: &mut u32| wheel.pop_due(tick(now), work, &mut records);
    let mut work = 9;
    assert_eq!((pop(8094, &mut work), work), (None, 9));
    // The other one is filed anew, as its round has begun.
    assert_eq!((pop(8095, &mut work), work), (Some(0), 7));
    assert_eq!((pop(8096, &mut work), work), (None, 7));
    assert_eq!(pop(8097, &mut work), Some(1));
    assert!(wheel.is_empty());
}

#[test]
fn of_the_next_slots_one_record_each_is_looked_at_together_and_remembered_until_it_is_due() {
    let mut records = Watched { records: records(61), seen: Default::default() };
    let mut wheel = Wheel::new(Instant::ZERO);
    for index in 0..60 {
        wheel.schedule(index, tick(1 + u64::from(index) / 3), &mut records);
    }
    records.seen();
    let sorted = |found: [Option<u32>; SCOUTS]| {
        let mut found = found.into_iter().flatten().collect::<Vec<_>>();
        found.sort_unstable();
        found
    };
    for behind in [2, 1, 0] {
        let found = sorted(wheel.look_ahead(&records));
        assert!(found.iter().copied().eq((0..SCOUTS as u32 - 1).map(|slot| slot * 3 + behind)));
        assert_eq!(records.seen(), found);
    }
    assert_eq!(sorted(wheel.look_ahead(&records)), []);
    // Where time has come nearer, others are next. Who has left since leads nowhere, and who came is known already.
    let due = |wheel: &mut Wheel, records: &mut Watched, now| -> Vec<u32> {
        core::iter::from_fn(|| wheel.pop_due(tick(now), &mut 9, records)).collect()
    };
    assert_eq!(due(&mut wheel, &mut records, 2), [2, 1, 0, 5, 4, 3]);
    assert!(wheel.due_ahead().into_iter().flatten().eq([5, 4, 3]));
    assert_eq!(wheel.due_ahead(), [None; SCOUTS]);
    assert_eq!(due(&mut wheel, &mut records, 3), [8, 7, 6]);
    assert_eq!(sorted(wheel.look_ahead(&records)), [47, 50, 53]);
    wheel.cancel(49, &mut records);
    wheel.schedule(60, tick(16), &mut records);
    assert_eq!(sorted(wheel.look_ahead(&records)), [46, 49, 52]);
    assert_eq!(sorted(wheel.look_ahead(&records)), [45, 51]);
    // Of what was not looked at before its time nothing is told.
    assert_eq!(pop(&mut wheel, tick(40), &mut records.records), Some(11));
    for _ in 0..50 {
        pop(&mut wheel, tick(40), &mut records.records);
    }
    assert_eq!((wheel.due_ahead(), wheel.is_empty()), ([None; SCOUTS], true));
}

#[test]
fn a_line_is_not_much_longer_than_there_are_records_in_it() {
    let mut records = records(2);
    let mut wheel = Wheel::new(Instant::ZERO);
    for _ in 0..1000 {
        wheel.line_up(0, tick(15_700), &mut records);
        wheel.schedule(0, tick(3), &mut records);
    }
    assert!(wheel.due_in_line(tick(15_700)).count() <= 20);
    assert_eq!(pop(&mut wheel, tick(3), &mut records), Some(0));
    assert_eq!(pop(&mut wheel, tick(20_000), &mut records), None);
}

#[derive(Clone, Debug)]
enum Step {
    Schedule { index: u32, ahead_ticks: u64, behind: bool },
    Postpone { index: u32, ahead_ticks: u64 },
    LineUp { index: u32, ahead_ticks: u64 },
    Cancel { index: u32 },
    Advance { ticks: u64, work: u32 },
}

/// Spans that reach every level, and beyond the last.
fn span_ticks() -> impl Strategy<Value = u64> {
    (0u32..33, any::<u64>()).prop_map(|(bits, noise)| noise & ((1 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..40, span_ticks(), prop::bool::weighted(0.1)).prop_map(
            |(index, ahead_ticks, behind)| Step::Schedule { index, ahead_ticks, behind }
        ),
        1 => (0u32..40, span_ticks())
            .prop_map(|(index, ahead_ticks)| Step::Postpone { index, ahead_ticks }),
        3 => (0u32..40, prop_oneof![Just(15_700u64), 15_000u64..16_000, span_ticks()])
            .prop_map(|(index, ahead_ticks)| Step::LineUp { index, ahead_ticks }),
        1 => (0u32..40).prop_map(|index| Step::Cancel { index }),
        3 => (span_ticks(), prop_oneof![0u32..4, Just(u32::MAX)])
            .prop_map(|(ticks, work)| Step::Advance { ticks, work }),
    ]
}

/// What the wheel promises, in the plainest form: an entry's deadline only moves earlier, unless it is
/// postponed.
struct Model {
    deadlines: BTreeMap<u32, u64>,
    now: u64,
}

impl Model {
    fn schedule(&mut self, index: u32, deadline: u64) {
        let entry = self.deadlines.entry(index).or_insert(u64::MAX);
        *entry = deadline.min(*entry);
    }
    fn earliest(&self) -> Option<u64> {
        self.deadlines.values().min().copied()
    }
}

fn run(start: u64, steps: &[Step]) {
    let mut records = records(40);
    let mut wheel = Wheel::new(tick(start));
    let mut model = Model { deadlines: BTreeMap::new(), now: start };
    // The wheel clamps to its own current tick, which lags behind `now` while work is short.
    for step in steps {
        match *step {
            Step::Schedule { index, ahead_ticks, behind } => {
                let deadline = if behind {
                    model.now.saturating_sub(ahead_ticks % 100_000)
                } else {
                    model.now + ahead_ticks
                };
                wheel.schedule(index, tick(deadline), &mut records);
                model.schedule(index, deadline.min(wheel.current + HORIZON_TICKS));
            }
            Step::Postpone { index, ahead_ticks } => {
                let deadline = model.now + ahead_ticks;
                wheel.postpone(index, tick(deadline), &mut records);
                model.deadlines.insert(index, deadline.min(wheel.current + HORIZON_TICKS));
            }
            Step::LineUp { index, ahead_ticks } => {
                let deadline = model.now + ahead_ticks;
                let stands = records.links(index).prev == LINED_UP;
                wheel.line_up(index, tick(deadline), &mut records);
                let deadline = deadline.min(wheel.current + HORIZON_TICKS);
                if !(stands && model.deadlines[&index] <= deadline) {
                    model.deadlines.insert(index, deadline);
                }
            }
            Step::Cancel { index } => {
                wheel.cancel(index, &mut records);
                model.deadlines.remove(&index);
            }
            Step::Advance { ticks, mut work } => {
                model.now += ticks;
                let mut last = 0;
                while let Some(index) = wheel.pop_due(tick(model.now), &mut work, &mut records) {
                    let deadline = model.deadlines.remove(&index).expect("was scheduled");
                    assert!(deadline <= model.now, "early");
                    assert!(wheel.current >= last, "out of order");
                    last = wheel.current;
                }
                if work > 0 {
                    assert!(model.earliest().is_none_or(|earliest| earliest > model.now), "late");
                }
            }
        }
        let next = wheel.next_deadline();
        assert_eq!(next.is_some(), !model.deadlines.is_empty());
        if let (Some(next), Some(earliest)) = (next, model.earliest()) {
            assert!(next <= tick(earliest.max(wheel.current)), "would oversleep");
        }
        assert_eq!(wheel.len() as usize, model.deadlines.len());
        for index in 0..40 {
            assert_eq!(records.0[index].is_linked(), model.deadlines.contains_key(&(index as u32)));
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..120)) {
        run(0, &steps);
    }

    #[test]
    fn agrees_with_the_model_where_ticks_wrap(
        before in 0u64..5_000_000, steps in prop::collection::vec(step(), 1..120)
    ) {
        run((1 << 32) - before, &steps);
    }
}

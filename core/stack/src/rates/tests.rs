use super::*;
use alloc::format;
use usertcp_base::Span;

const PACKET: u32 = 1500;

/// Members that always have a packet to send, at a line that is asked in the order of time.
struct Line {
    rates: Rates,
    now: Instant,
    /// Shares, when it is to be asked, octets sent, and how many it has.
    members: Vec<(Shares, Instant, u64, u64)>,
    log: Vec<(Instant, u32)>,
    limiters: Vec<Limiter>,
    /// Every so many times the thread gets to it so late.
    late: Option<(u32, Span)>,
    /// After so many looks what was decided is at the device so late.
    lag: Option<(u32, Span)>,
    lags: Lags,
    looks: u32,
}

impl Line {
    fn new() -> Line {
        let rates = Rates::new(PACKET);
        Line {
            rates,
            now: Instant::ZERO,
            members: Vec::new(),
            log: Vec::new(),
            limiters: Vec::new(),
            late: None,
            lag: None,
            lags: Lags::NONE,
            looks: 0,
        }
    }

    fn join(&mut self, group: RateGroupId, weight: u16) {
        let shares = Shares { group, weight, ..Shares::default() };
        self.members.push((shares, self.now, 0, u64::MAX));
    }

    /// As a shard does: whoever is due is asked, one packet each in turn, and waits in ticks.
    fn run(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            let due =
                self.members.iter().filter(|member| member.3 > 0).map(|member| member.1).min();
            let Some(due) = due.filter(|due| *due < end) else { break };
            self.now = self.now.max(due);
            self.looks += 1;
            let late = self.late.filter(|(every, _)| self.looks.is_multiple_of(*every));
            self.now = self.now + late.map_or(Span::ZERO, |(_, late)| late);
            let (mut asked, log_from) = (true, self.log.len());
            while asked {
                asked = false;
                // Who is due first comes first, as out of the wheel.
                let mut due: Vec<usize> = (0..self.members.len())
                    .filter(|hot| self.members[*hot].1 <= self.now && self.members[*hot].3 > 0)
                    .collect();
                due.sort_by_key(|hot| self.members[*hot].1);
                for hot in due {
                    asked |= self.ask(hot);
                }
            }
            self.arrive_at_device(log_from);
        }
        self.now = end;
    }

    /// What was decided on just now is there.
    fn arrive_at_device(&mut self, log_from: usize) {
        let Some((_, lag)) = self.lag.filter(|(every, _)| self.looks.is_multiple_of(*every)) else {
            return;
        };
        let decided = self.now;
        self.now = self.now + lag;
        let _ = self.lags.tell(decided, self.now);
        self.log[log_from..].iter_mut().for_each(|(at, _)| *at = self.now);
    }

    fn ask(&mut self, hot: usize) -> bool {
        let who = (hot as u32, hot as u32);
        let (shares, at, sent, left) = &mut self.members[hot];
        let ceiling = self.rates.ceiling(self.now, who.0, shares, &self.lags);
        if let Some(ceiling) = ceiling.filter(|ceiling| ceiling.release > self.now) {
            self.rates.wait(self.now, who, shares, ceiling.limiter);
            self.limiters.push(ceiling.limiter);
            *at = ceiling.release.tick_after().instant_near(ceiling.release);
            return false;
        }
        self.rates.charge(self.now, who, shares, PACKET);
        (*sent, *left) = (*sent + u64::from(PACKET), *left - 1);
        self.log.push((self.now, PACKET));
        if *left == 0 {
            self.rates.leave(who.0);
        }
        true
    }

    fn sent(&self) -> Vec<u64> {
        self.members.iter().map(|member| member.2).collect()
    }

    fn group(&mut self, kilobits: u64) -> RateGroupId {
        let rate = Rate::from_bits_per_second(kilobits * 1000);
        self.rates.create(self.now, rate, Limiter::GroupRate).unwrap()
    }

    /// The most octets that were ahead of `rate` in any window.
    fn ahead(&self, rate: Rate) -> i64 {
        let (mut ahead, mut least, mut octets) = (0, i64::MAX, 0);
        for (at, sent) in &self.log {
            let line = octets - rate.octets_in(at.since(Instant::ZERO)) as i64;
            least = least.min(line);
            octets += i64::from(*sent);
            ahead = ahead.max(line + i64::from(*sent) - least);
        }
        ahead
    }

    /// In no window it was ahead of `rate` by more than a quantum.
    fn keeps_to_its_quantum(&self, rate: Rate, what: &str) {
        let (ahead, most) = (self.ahead(rate), 2 * i64::from(release(rate)));
        assert!(ahead <= most, "{what}: {ahead} ahead of {most}");
    }
}

/// What leaves at once, in whole packets.
fn release(rate: Rate) -> u32 {
    usertcp_tcp::release_octets(rate).next_multiple_of(PACKET)
}

fn within(found: u64, asked: u64, per_mille: u64) -> bool {
    found.abs_diff(asked) * 1000 <= asked * per_mille
}

#[test]
fn a_groups_rate_is_met_by_one_and_by_many() {
    for kilobits in [1_000, 10_000, 100_000, 1_000_000] {
        for members in [1, 2, 7, 100] {
            let mut line = Line::new();
            let group = line.group(kilobits);
            (0..members).for_each(|_| line.join(group, 1));
            let span = Span::from_micros(8 * 1500 * 1000 * 4000 / kilobits);
            line.run(span);
            let sent = line.sent();
            let rate = Rate::from_bits_per_second(kilobits * 1000);
            let (total, asked) = (sent.iter().sum::<u64>(), rate.octets_in(span));
            assert!(within(total, asked, 10), "{kilobits} {members}: {total} {asked}");
            let ahead = line.ahead(rate);
            let release = i64::from(usertcp_tcp::release_octets(rate));
            // What is due within one tick leaves at once, each release whole packets.
            let most = 2 * (release + 1500) + rate.octets_in(Span::from_micros(64)) as i64;
            assert!(ahead <= most, "{kilobits} {members}: {ahead} ahead, {most}");
            // The first round is by who came first.
            line.run(span);
            let later =
                line.sent().iter().zip(&sent).map(|(now, old)| now - old).collect::<Vec<_>>();
            let fair = later.iter().sum::<u64>() / members;
            let worst = later.iter().map(|one| one.abs_diff(fair)).max().unwrap();
            assert!(worst * 100 <= fair * 3 + 100 * 3000, "{kilobits} {members}: {later:?}");
        }
    }
}

// Whoever's thread comes late, and however late: a quantum ahead is the most, and the rate is met while that is less than
// what is made up for.
#[test]
fn a_group_that_comes_late_is_never_ahead_by_more_than_a_quantum() {
    for (kilobits, members) in [(1_000, 1), (10_000, 2), (50_000, 10), (50_000, 1), (400_000, 30)] {
        let rate = Rate::from_bits_per_second(kilobits * 1000);
        let release = release(rate);
        let release_micros = rate.nanos_for(u64::from(release)) / 1000;
        for (tenths, met) in [(2, true), (20, false), (300, false)] {
            let mut line = Line::new();
            line.late = Some((3, Span::from_micros(release_micros * tenths / 10)));
            let group = line.group(kilobits);
            (0..members).for_each(|_| line.join(group, 1));
            let span = Span::from_micros(8 * 1500 * 1000 * 4000 / kilobits);
            line.run(span);
            let what = format!("{kilobits} kbit/s, {members}, {tenths} tenths late");
            let total: u64 = line.sent().iter().sum();
            assert!(!met || within(total, rate.octets_in(span), 10), "{what}: {total}");
            line.keeps_to_its_quantum(rate, &what);
        }
    }
}

// What a ticket is overdrawn by, as packets are whole, is nobody else's: many members that do so one after the other are no more
// ahead together than one.
#[test]
fn tickets_of_broken_packets_leave_a_group_within_its_quantum() {
    for (kilobits, weights) in [(10_000, &[3, 5][..]), (10_000, &[7, 10, 13]), (400_000, &[3, 5])] {
        for members in [2, 30, 100] {
            let rate = Rate::from_bits_per_second(kilobits * 1000);
            let mut line = Line::new();
            let group = line.group(kilobits);
            (0..members).for_each(|at| line.join(group, weights[at % weights.len()]));
            line.run(Span::from_micros(8 * 1500 * 1000 * 6000 / kilobits));
            let what = format!("{kilobits} kbit/s, {members} of {weights:?}");
            line.keeps_to_its_quantum(rate, &what);
            for window in line.log.windows(500) {
                let sent: u64 = window[1..].iter().map(|(_, octets)| u64::from(*octets)).sum();
                let asked = rate.octets_in(window[499].0.since(window[0].0));
                assert!(within(sent, asked, 10), "{what}: {sent} of {asked}");
            }
        }
    }
}

// What was decided in time is late at the device now and then: seen from there a quantum ahead is the most.
#[test]
fn a_group_whose_device_takes_long_is_never_ahead_by_more_than_a_quantum() {
    for (kilobits, members) in [(1_000, 1), (10_000, 2), (50_000, 10), (50_000, 1), (400_000, 30)] {
        let rate = Rate::from_bits_per_second(kilobits * 1000);
        let release = release(rate);
        let release_micros = rate.nanos_for(u64::from(release)) / 1000;
        for (late_tenths, lag_tenths) in [(0, 5), (5, 5), (9, 3), (9, 12), (30, 9), (9, 300)] {
            let tenths = |tenths: u64| Span::from_micros(release_micros * tenths / 10);
            let mut line = Line::new();
            (line.late, line.lag) = (Some((3, tenths(late_tenths))), Some((7, tenths(lag_tenths))));
            let group = line.group(kilobits);
            (0..members).for_each(|_| line.join(group, 1));
            line.run(Span::from_micros(8 * 1500 * 1000 * 4000 / kilobits));
            let what =
                format!("{kilobits} kbit/s, {members}, {late_tenths} and {lag_tenths} tenths");
            line.keeps_to_its_quantum(rate, &what);
        }
    }
}

// A member that waits for the shard's rate is not late for its group's: neither loses anything.
#[test]
fn what_is_waited_for_another_rate_is_not_lost() {
    let mut line = Line::new();
    line.rates.set_shard_rate(line.now, Rate::from_bits_per_second(100_000_000));
    let groups: Vec<RateGroupId> = (0..4).map(|_| line.group(25_000)).collect();
    (0..20).for_each(|at| line.join(groups[at % 4], 1));
    line.run(Span::from_secs(2));
    let sent = line.sent();
    for group in 0..4 {
        let sent: u64 = sent.iter().skip(group).step_by(4).sum();
        assert!(within(sent, 25_000 * 125 * 2, 10), "{group}: {sent}");
    }
}

#[test]
fn weights_share_a_rate() {
    for kilobits in [1_000, 20_000, 1_000_000] {
        for weights in [&[1u16, 2, 3][..], &[10, 1], &[100, 200, 300, 400], &[1, 1, 5, 1, 8]] {
            let mut line = Line::new();
            let group = line.group(kilobits);
            weights.iter().for_each(|weight| line.join(group, *weight));
            line.run(Span::from_micros(8 * 1500 * 1000 * 1000 / kilobits));
            let first = line.sent();
            line.run(Span::from_micros(8 * 1500 * 1000 * 8000 / kilobits));
            let sent: Vec<u64> =
                line.sent().iter().zip(first).map(|(now, old)| now - old).collect();
            let total: u64 = sent.iter().sum();
            let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (sent, weight) in sent.iter().zip(weights) {
                let asked = total * u64::from(*weight) / all;
                assert!(within(*sent, asked, 30), "{kilobits} {weights:?}: {sent} of {asked}");
            }
        }
    }
}

#[test]
fn what_one_does_not_use_is_the_others_at_once() {
    let mut line = Line::new();
    let group = line.group(12_000);
    (0..4).for_each(|_| line.join(group, 1));
    line.members[3].3 = 20;
    line.run(Span::from_millis(100));
    assert_eq!(line.members[3].2, 20 * 1500);
    let before = line.sent();
    line.run(Span::from_millis(100));
    let gained: Vec<u64> = line.sent().iter().zip(before).map(|(now, old)| now - old).collect();
    assert_eq!(gained[3], 0);
    for one in &gained[..3] {
        assert!(within(*one, 50_000, 60), "{gained:?}");
    }
    // And back: it gets its quarter.
    line.members[3].3 = u64::MAX;
    line.members[3].1 = line.now;
    let before = line.sent();
    line.run(Span::from_millis(200));
    let gained: Vec<u64> = line.sent().iter().zip(before).map(|(now, old)| now - old).collect();
    assert!(gained.iter().all(|one| within(*one, 75_000, 60)), "{gained:?}");
}

#[test]
fn a_change_of_rate_holds_for_who_waits_already() {
    let mut line = Line::new();
    let group = line.group(100);
    (0..10).for_each(|_| line.join(group, 1));
    line.run(Span::from_secs(2));
    let before: u64 = line.sent().iter().sum();
    assert!(within(before, 25_000, 150), "{before}");
    let fast = Rate::from_bits_per_second(10_000_000);
    line.rates.set_rate(line.now, group, fast).unwrap();
    let waiting: Vec<u32> = line.rates.waiting().collect();
    assert_eq!(waiting, (0..10).collect::<Vec<_>>());
    waiting.iter().for_each(|index| line.members[*index as usize].1 = line.now);
    line.run(Span::from_millis(500));
    let gained = line.sent().iter().sum::<u64>() - before;
    assert!(within(gained, 625_000, 10), "{gained}");
    // Down again: nobody needs to be woken, who wakes waits on.
    line.rates.set_rate(line.now, group, Rate::from_bits_per_second(100_000)).unwrap();
    line.run(Span::from_secs(10));
    let gained = line.sent().iter().sum::<u64>() - before - gained;
    assert!(within(gained, 125_000, 50), "{gained}");
}

#[test]
fn the_lowest_of_several_rates_is_the_one_that_limits() {
    for (listener, shard, whose, kilobits) in [
        (50_000, 50_000, Limiter::GroupRate, 10_000),
        (5_000, 50_000, Limiter::ListenerRate, 5_000),
        (5_000, 2_000, Limiter::ShardRate, 2_000),
    ] {
        let mut line = Line::new();
        let group = line.group(10_000);
        let rate = |kilobits: u64| Rate::from_bits_per_second(kilobits * 1000);
        let now = line.now;
        let at = line.rates.create(now, rate(listener), Limiter::ListenerRate).unwrap();
        line.rates.set_shard_rate(now, rate(shard));
        (0..3).for_each(|_| line.join(group, 1));
        line.members.iter_mut().for_each(|member| member.0.listener = at);
        line.run(Span::from_secs(4));
        let total: u64 = line.sent().iter().sum();
        assert!(within(total, kilobits * 125 * 4, 10), "{whose:?}: {total}");
        // The wider ones are waited for now and then, when two come at once.
        let named = line.limiters.iter().filter(|limiter| **limiter == whose).count();
        assert!(
            named * 10 >= line.limiters.len() * 7,
            "{whose:?}: {named} of {}",
            line.limiters.len()
        );
    }
}

#[test]
fn a_place_used_again_is_another_group() {
    let mut rates = Rates::new(PACKET);
    let now = Instant::ZERO;
    let rate = Rate::from_octets_per_second(1000);
    let first = rates.create(now, rate, Limiter::GroupRate).unwrap();
    let shares = Shares { group: first, ..Shares::default() };
    for _ in 0..9 {
        rates.charge(now, (3, 7), &shares, PACKET);
    }
    assert!(rates.info(first).unwrap().waiting_weight > 0);
    rates.remove(first).unwrap();
    assert_eq!(rates.waiting().collect::<Vec<_>>(), [7], "who waited is to be asked again");
    assert_eq!(rates.ceiling(now, 3, &shares, &Lags::NONE), None);
    let second = rates.create(now, rate, Limiter::GroupRate).unwrap();
    assert_eq!((second.slot, second.generation), (first.slot, first.generation + 1));
    assert_eq!(rates.info(first), Err(RateError::Stale));
    assert_eq!(rates.set_rate(now, first, rate), Err(RateError::Stale));
    assert_eq!(rates.remove(first), Err(RateError::Stale));
    assert_eq!(rates.ceiling(now, 3, &shares, &Lags::NONE), None);
    rates.leave(3);
    let info = rates.info(second).unwrap();
    assert_eq!((info.octets, info.waiting_weight), (0, 0));
}

#[test]
fn what_was_promised_to_who_leaves_goes_back() {
    let mut line = Line::new();
    let group = line.group(1_000);
    (0..50).for_each(|_| line.join(group, 1));
    line.run(Span::from_millis(100));
    (1..50).for_each(|hot| line.rates.leave(hot));
    line.members.truncate(1);
    // Its own ticket keeps its time; the next one is behind nobody.
    line.run(Span::from_millis(1300));
    let before = line.sent()[0];
    line.run(Span::from_secs(2));
    let gained = line.sent()[0] - before;
    assert_eq!(line.rates.info(group).unwrap().waiting_weight, 1);
    assert!(within(gained, 250_000, 60), "{gained}");
}

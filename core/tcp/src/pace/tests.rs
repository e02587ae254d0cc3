use super::*;
use usertcp_base::Span;

fn budget(rate: Rate) -> Budget {
    Budget { window_octets: 1 << 20, rate, quantum_octets: 64 << 10 }
}

fn rates(controller: Rate, limit: Rate) -> Rates {
    Rates { budget: budget(controller), limit, whose: Whose::Stream }
}

fn released(octets: u32) -> Released {
    Released { payload_octets: octets, packet_octets: octets, largest_octets: octets.min(1500) }
}

impl Pacer {
    /// Lets what may leave now do so, and tells when the next may.
    fn after_release(&mut self, now: Instant, rates: &Rates) -> Instant {
        if let Verdict::Send(octets) = self.decide(now, 1 << 20, rates, None) {
            let _ = self.on_sent(now, &released(octets), rates);
        }
        self.release()
    }
}

/// One sender with always something to send, whose timer wakes at whole ticks, and late.
struct Line {
    pacer: Pacer,
    now: Instant,
    /// How late every third timer is.
    late: Span,
    waits: u32,
    /// When octets left, and how many.
    log: Vec<(u64, u64)>,
}

use std::format;
use std::vec::Vec;

impl Line {
    fn new() -> Line {
        Line {
            pacer: Pacer::default(),
            now: Instant::ZERO,
            late: Span::ZERO,
            waits: 0,
            log: Vec::new(),
        }
    }

    fn run(&mut self, rates: &Rates, ceiling: Option<&Ceiling>, segment: u32, span: Span) {
        let end = self.now + span;
        while self.now < end {
            match self.pacer.decide(self.now, 1 << 20, rates, ceiling) {
                // A segment may always leave, however large it is.
                Verdict::Send(_) => {
                    let what = Released { largest_octets: segment, ..released(segment) };
                    let _ = self.pacer.on_sent(self.now, &what, rates);
                    self.log.push((self.now.as_micros(), u64::from(segment)));
                }
                Verdict::Wait(until, _) => {
                    self.now = until.tick_after().instant_near(until);
                    self.waits += 1;
                    if self.waits.is_multiple_of(3) {
                        self.now = self.now + self.late;
                    }
                }
                Verdict::Blocked(_) => unreachable!(),
            }
        }
    }

    /// Of all windows: the most octets ahead of `rate`; of windows of 500 or more: the largest
    /// difference, in tenths of a per cent.
    fn judge(&self, rate: Rate) -> (i64, i64) {
        let (mut ahead, mut off) = (0i64, 0i64);
        for from in 0..self.log.len() {
            let mut octets = 0;
            for (step, (at, sent)) in self.log[from..].iter().enumerate() {
                let ideal = rate.octets_in(Span::from_micros(at - self.log[from].0)) as i64;
                octets += *sent as i64;
                ahead = ahead.max(octets - ideal);
                if step == 500 && ideal > 0 {
                    let difference = octets - self.log[from].1 as i64 - ideal;
                    off = off.max((difference * 1000 / ideal).abs());
                }
            }
        }
        (ahead, off)
    }
}

#[test]
fn a_limit_is_met_in_every_window_and_never_overtaken_by_more_than_a_quantum() {
    for kilobits in [100u64, 1_000, 10_000, 33_333, 100_000] {
        let limit = Rate::from_bits_per_second(kilobits * 1000);
        let mut line = Line::new();
        let span = Span::from_micros(limit.nanos_for(1500 * 1200) / 1000);
        line.run(&rates(Rate::UNLIMITED, limit), None, 1500, span);
        let (ahead, off) = line.judge(limit);
        let quantum = i64::from(2 * release_octets(limit).next_multiple_of(1500));
        assert!(ahead <= quantum, "{kilobits} kbit/s: {ahead} ahead of {quantum}");
        assert!(off <= 10, "{kilobits} kbit/s: {off} tenths of a per cent");
    }
}

#[test]
fn the_lower_of_two_rates_holds_and_is_named() {
    let (low, high) =
        (Rate::from_bits_per_second(1_000_000), Rate::from_bits_per_second(9_000_000));
    for (controller, limit, whose) in [(high, low, Limiter::Rate), (low, high, Limiter::Congestion)]
    {
        let (mut pacer, mut rates) = (Pacer::default(), rates(controller, limit));
        rates.whose = pacer.on_sent(Instant::ZERO, &released(100_000), &rates);
        let verdict = pacer.decide(Instant::ZERO, 1000, &rates, None);
        assert_eq!(verdict, Verdict::Wait(Instant::from_millis(800), whose));
    }
}

// A limit counts headers, a controller's rate does not: with small segments the limit is the lower.
#[test]
fn headers_count_for_a_limit() {
    let rate = Rate::from_octets_per_second(1000);
    let small = Released { payload_octets: 1, packet_octets: 53, largest_octets: 53 };
    let mut pacer = Pacer::default();
    let whose = pacer.on_sent(Instant::ZERO, &small, &rates(rate, rate));
    assert_eq!((pacer.release(), whose), (Instant::from_millis(53), Whose::Stream));
}

#[test]
fn an_idle_time_gives_no_burst_of_more_than_a_quantum() {
    let limit = Rate::from_bits_per_second(8_000_000);
    let rates = rates(Rate::UNLIMITED, limit);
    let mut pacer = Pacer::default();
    let now = Instant::from_millis(100_000);
    let next = pacer.after_release(now, &rates);
    assert_eq!(next, now + Span::from_micros(250));
    assert_eq!(pacer.after_release(next, &rates), next + Span::from_millis(3));
}

// However late the timer is: a release less a quarter of a millisecond is made up for.
#[test]
fn a_late_timer_is_made_up_for_by_less_than_a_release() {
    let limit = Rate::from_octets_per_second(1_000_000);
    let rates = rates(Rate::UNLIMITED, limit);
    for (late_ms, next_micros) in [(0, 3000), (1, 2000), (2, 1000), (3, 250), (100, 250)] {
        let mut pacer = Pacer::default();
        let begin = Instant::from_millis(1000);
        let _ = pacer.on_sent(begin, &released(6000), &rates);
        let now = pacer.release() + Span::from_millis(late_ms);
        let next = pacer.after_release(now, &rates).since(now);
        assert_eq!(next, Span::from_micros(next_micros), "{late_ms} ms late");
        assert_eq!(pacer.after_release(now + next, &rates), now + next + Span::from_millis(3));
    }
}

// A thread that gets to it late every third time: the limit is met while that is less than what is made up
// for, and a quantum ahead is the most in any window, however late it comes, and whatever the size of packets.
#[test]
fn whoever_comes_late_is_never_ahead_by_more_than_a_quantum() {
    for packet in [1500u32, 4000, 9000, 65_535] {
        for kilobits in [100u64, 1_000, 10_000, 100_000] {
            let limit = Rate::from_bits_per_second(kilobits * 1000);
            let release = release_octets(limit).max(packet);
            let release_micros = limit.nanos_for(u64::from(release)) / 1000;
            for (quarters, met) in [(1, true), (2, true), (28, false)] {
                let late = Span::from_micros(release_micros * quarters / 4);
                let mut line = Line { late, ..Line::new() };
                let span = Span::from_micros(limit.nanos_for(u64::from(packet) * 2400) / 1000);
                line.run(&rates(Rate::UNLIMITED, limit), None, packet, span);
                let (ahead, off) = line.judge(limit);
                let what = format!("{kilobits} kbit/s in {packet}, {late:?} late");
                let quantum = i64::from(2 * release_octets(limit).next_multiple_of(packet));
                assert!(ahead <= quantum, "{what}: {ahead} ahead of {quantum}");
                assert!(!met || off <= 10, "{what}: {off} tenths of a per cent");
            }
        }
    }
}

// At 100 Mbit/s two packets leave at once, and the quantum is six: what is made up for is nearly two, so that the limit is
// met by a timer that is late by much of what those take.
#[test]
fn a_fast_limit_is_met_by_a_timer_that_is_late_by_much_of_a_release() {
    let limit = Rate::from_bits_per_second(100_000_000);
    let mut line = Line { late: Span::from_micros(160), ..Line::new() };
    line.run(&rates(Rate::UNLIMITED, limit), None, 1500, Span::from_millis(300));
    let (ahead, off) = line.judge(limit);
    assert!(ahead <= 9000 && off <= 10, "{ahead} octets ahead, {off} tenths of a per cent off");
}

// What left before, a release that used up all that is made up for, was at the device later than its moment. A fifth of a
// millisecond is always left for that. The next leaves at once all the same.
#[test]
fn whoever_came_late_to_the_device_is_followed_later() {
    let rates = rates(Rate::UNLIMITED, Rate::from_octets_per_second(1_000_000));
    let found = [(100, 0, 3150), (200, 0, 3050), (1000, 0, 3050), (9000, 0, 3050)];
    for (lag, ago, next) in found.into_iter().chain([(9000, 1000, 2050), (9000, 5000, 250)]) {
        let [lag, ago, next] = [lag, ago, next].map(Span::from_micros);
        let now = Instant::from_millis(1000);
        let (there, mut pacer) = (now - ago, Pacer::default());
        let _ = pacer.on_sent(there - lag, &released(3000), &rates);
        pacer.on_late(there, 1500, &rates);
        let _ = pacer.on_sent(now, &released(3000), &rates);
        assert_eq!(pacer.release(), now + next, "{lag:?}, {ago:?} ago");
    }
}

// A controller's rate promises nothing of windows.
#[test]
fn who_has_no_limit_is_never_late() {
    let mut pacer = Pacer::default();
    let rates = rates(Rate::from_octets_per_second(1000), Rate::UNLIMITED);
    let before = pacer;
    pacer.on_late(Instant::from_millis(1000), 1500, &rates);
    assert_eq!(pacer, before);
}

#[test]
fn late_flushes_are_known_by_when_they_were_decided() {
    let (at, mut lags) = (Instant::from_millis, Lags::NONE);
    assert_eq!(lags.of(Instant::ZERO.tick()), None);
    assert!(!lags.tell(at(1000), at(1000) + Span::from_micros(100)), "that is not late");
    assert_eq!(lags, Lags::NONE);
    for flush in 1..=9 {
        assert!(lags.tell(at(1000 * flush), at(1000 * flush + flush)));
    }
    for flush in 2..=9 {
        let found = lags.of(at(1000 * flush).tick());
        assert_eq!(found, Some(at(1001 * flush)));
    }
    for sent in [0, 1000, 2001, 10_000] {
        assert_eq!(lags.of(at(sent).tick()), None, "{sent}");
    }
}

// Every seventh release comes to the device late, by less or by more than its successor is due, and sometimes that is not
// decided on at once. Seen from the device no window is ahead of the limit by more than a quantum.
#[test]
fn a_device_that_takes_long_is_never_ahead_by_more_than_a_quantum() {
    for kilobits in [100u64, 1_000, 10_000, 100_000] {
        for lag_micros in [190, 600, 1_200, 2_000, 10_000, 300_000] {
            for waits_micros in [0, 300, 2_000, 3_000] {
                let limit = Rate::from_bits_per_second(kilobits * 1000);
                let line = lagging(limit, lag_micros, Span::from_micros(waits_micros));
                let (ahead, _) = line.judge(limit);
                let quantum = i64::from(2 * release_octets(limit).next_multiple_of(1500));
                let what = format!("{kilobits} kbit/s, {lag_micros} us late, {waits_micros} after");
                assert!(ahead <= quantum, "{what}: {ahead} ahead of {quantum}");
            }
        }
    }
}

fn lagging(limit: Rate, lag_micros: u64, waits: Span) -> Line {
    let rates = rates(Rate::UNLIMITED, limit);
    let (mut line, mut lags, mut sent) = (Line::new(), Lags::NONE, Instant::ZERO);
    for turn in 0..1000 {
        match line.pacer.decide(line.now, 1 << 20, &rates, None) {
            Verdict::Wait(until, _) => line.now = until,
            Verdict::Blocked(_) => unreachable!(),
            // As many segments of the usual size as it says.
            Verdict::Send(octets) => {
                let octets = (octets / 1448).max(1) * 1500;
                if let Some(there) = lags.of(sent.tick()) {
                    line.pacer.on_late(there, 1500, &rates);
                }
                let what = Released { largest_octets: 1500, ..released(octets) };
                let _ = line.pacer.on_sent(line.now, &what, &rates);
                sent = line.now;
                let late = Span::from_micros(if turn % 7 == 0 { lag_micros } else { 0 });
                let there = line.now + late;
                let _ = lags.tell(line.now, there);
                line.log.push((there.as_micros(), u64::from(octets)));
                line.now = if turn % 7 == 0 { there + waits } else { there };
            }
        }
    }
    line
}

#[test]
fn another_limit_holds_at_once() {
    let (slow, fast) = (Rate::from_octets_per_second(1000), Rate::from_octets_per_second(10_000));
    let now = Instant::from_millis(500);
    let waiting = |limit| {
        let mut pacer = Pacer::default();
        let _ = pacer.on_sent(now, &released(0), &rates(Rate::UNLIMITED, limit));
        pacer.release_nanos = now.as_micros() * 1000 + limit.nanos_for(2000);
        pacer
    };
    for (old, new, left_ms) in
        [(slow, fast, 200), (fast, slow, 2000), (slow, slow, 2000), (slow, Rate::UNLIMITED, 0)]
    {
        let mut pacer = waiting(old);
        pacer.on_limit_changed(now, old, new, Whose::Stream);
        assert_eq!(pacer.release(), now + Span::from_millis(left_ms), "{old:?} to {new:?}");
    }
}

#[test]
fn a_ceiling_is_asked_after_the_streams_own_rates() {
    let limit = Rate::from_octets_per_second(1000);
    let limited = rates(Rate::UNLIMITED, limit);
    let later = Instant::from_millis(7);
    let ceiling = Ceiling { release: later, octets: 2000, limiter: Limiter::GroupRate };
    let mut pacer = Pacer::default();
    let ask = |pacer: &Pacer, now| pacer.decide(now, 9000, &limited, Some(&ceiling));
    assert_eq!(ask(&pacer, Instant::ZERO), Verdict::Wait(later, Limiter::GroupRate));
    assert_eq!(ask(&pacer, later), Verdict::Send(2000));
    let _ = pacer.on_sent(later, &released(2000), &limited);
    assert!(matches!(ask(&pacer, later), Verdict::Wait(_, Limiter::Rate)));
    let free = rates(Rate::UNLIMITED, Rate::UNLIMITED);
    assert_eq!(pacer.decide(later, 9000, &free, Some(&ceiling)), Verdict::Send(2000));
}

#[test]
fn without_any_rate_the_allowance_decides() {
    let pacer = Pacer::default();
    let unlimited = rates(Rate::UNLIMITED, Rate::UNLIMITED);
    assert_eq!(pacer.decide(Instant::ZERO, 77, &unlimited, None), Verdict::Send(77));
    assert_eq!(
        pacer.decide(Instant::ZERO, 0, &unlimited, None),
        Verdict::Blocked(Limiter::Congestion)
    );
}

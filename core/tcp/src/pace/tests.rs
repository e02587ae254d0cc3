use super::*;
use usertcp_base::Span;

fn budget(rate: Rate) -> Budget {
    Budget { window_octets: 1 << 20, rate, quantum_octets: 64 << 10 }
}

/// Sends whatever the pacer lets out for `span`, in steps of `segment`; returns octets and the
/// largest lead over the ideal line.
fn run(limit: Rate, controller: Rate, segment: u32, span: Span) -> (u64, i64) {
    let (mut pacer, mut now, mut sent, mut lead) = (Pacer::default(), Instant::ZERO, 0u64, 0i64);
    let end = now + span;
    let budget = budget(controller);
    let least = limit.min(controller);
    while now < end {
        match pacer.decide(now, 1 << 20, &budget, limit) {
            Verdict::Send(octets) => {
                let take = octets.min(segment);
                pacer.on_sent(now, take, &budget, limit);
                sent += u64::from(take);
                let ideal = least.octets_in(now.since(Instant::ZERO)) as i64;
                lead = lead.max(sent as i64 - ideal);
            }
            Verdict::Wait(until, _) => now = until,
            Verdict::Blocked(_) => unreachable!(),
        }
    }
    (sent, lead)
}

#[test]
fn a_limit_is_met_within_one_percent_and_never_overtaken_by_more_than_a_quantum() {
    for megabits in [1u64, 10, 100, 1000, 10_000] {
        let limit = Rate::from_bits_per_second(megabits * 1_000_000);
        let (sent, lead) = run(limit, Rate::UNLIMITED, 1448, Span::from_secs(10));
        let ideal = limit.octets_in(Span::from_secs(10));
        assert!(sent.abs_diff(ideal) * 100 <= ideal + 300_000, "{megabits} Mbit/s: {sent} {ideal}");
        assert!(lead <= (64 << 10) + 2 * 1448, "{megabits} Mbit/s: lead {lead}");
    }
}

#[test]
fn the_lower_of_two_rates_holds_and_is_named() {
    let (low, high) =
        (Rate::from_bits_per_second(1_000_000), Rate::from_bits_per_second(9_000_000));
    let mut pacer = Pacer::default();
    pacer.on_sent(Instant::ZERO, 100_000, &budget(high), low);
    assert!(matches!(
        pacer.decide(Instant::ZERO, 1000, &budget(high), low),
        Verdict::Wait(_, Limiter::Rate)
    ));
    let mut pacer = Pacer::default();
    pacer.on_sent(Instant::ZERO, 100_000, &budget(low), high);
    assert!(matches!(
        pacer.decide(Instant::ZERO, 1000, &budget(low), high),
        Verdict::Wait(_, Limiter::Congestion)
    ));
}

#[test]
fn an_idle_time_gives_no_burst_of_more_than_a_quantum() {
    let limit = Rate::from_bits_per_second(8_000_000);
    let mut pacer = Pacer::default();
    let now = Instant::from_millis(100_000);
    let mut burst = 0;
    while let Verdict::Send(octets) = pacer.decide(now, 1 << 20, &budget(Rate::UNLIMITED), limit) {
        pacer.on_sent(now, octets, &budget(Rate::UNLIMITED), limit);
        burst += octets;
    }
    assert!(burst <= 3 * LEAST_QUANTUM_OCTETS, "{burst}");
}

#[test]
fn without_any_rate_the_allowance_decides() {
    let pacer = Pacer::default();
    let unlimited = budget(Rate::UNLIMITED);
    assert_eq!(pacer.decide(Instant::ZERO, 77, &unlimited, Rate::UNLIMITED), Verdict::Send(77));
    assert_eq!(
        pacer.decide(Instant::ZERO, 0, &unlimited, Rate::UNLIMITED),
        Verdict::Blocked(Limiter::Congestion)
    );
}

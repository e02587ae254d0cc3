use crate::recv::ack_policy::{AckContext, AckNeed, AckPolicy, AckSettings, Arrival, ArrivalKind};
use usertcp_base::{Instant, Span};

const SETTINGS: AckSettings =
    AckSettings { shortest: Span::from_millis(4), longest: Span::from_millis(40), quick: 16 };
const CALM: AckSettings = AckSettings { quick: 0, ..SETTINGS };

fn context(settings: &AckSettings) -> AckContext<'_, impl Fn() -> Span> {
    AckContext { settings, rmss: 1460, idle_after: || Span::from_millis(200) }
}

fn data(octets: u32) -> Arrival {
    Arrival { octets, wire_segments: 1, kind: ArrivalKind::InOrder, push: false }
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(1000 + millis)
}

// proves SHLD-19: a hundred full segments one by one draw fifty acknowledgements at least, with
// and without timestamps in them
#[test]
fn every_second_full_segment() {
    for octets in [1460, 1448] {
        let (mut policy, mut sent) = (AckPolicy::new(), 0);
        for index in 0..100 {
            let need = policy.on_data(ms(index), &data(octets), &context(&CALM));
            if need == AckNeed::Now {
                policy.on_ack_sent(ms(index), false);
                sent += 1;
            }
        }
        assert_eq!(sent, 50, "{octets}");
    }
}

// proves MUST-58, MUST-59: one for a whole batch
#[test]
fn a_batch_draws_one() {
    let mut policy = AckPolicy::new();
    for _ in 0..64 {
        let _ = policy.on_data(ms(0), &data(1460), &context(&SETTINGS));
    }
    assert_eq!(policy.need(ms(0)), AckNeed::Now);
    policy.on_ack_sent(ms(0), false);
    assert_eq!(policy.need(ms(0)), AckNeed::None);
    assert_eq!(policy.deadline(ms(0)), None);
}

// a merged segment counts the segments it was
#[test]
fn a_super_segment_counts_its_segments() {
    let mut policy = AckPolicy::new();
    let _ = policy.on_data(ms(0), &data(1448), &context(&CALM));
    policy.on_ack_sent(ms(0), false);
    let two = Arrival { octets: 2 * 1448, wire_segments: 2, ..data(0) };
    assert_eq!(policy.on_data(ms(1), &two, &context(&CALM)), AckNeed::Now);
}

// proves SHLD-19: the size of a full segment is learned, and learned again when the path shrinks;
// what waited behind a gap does not count as one
#[test]
fn a_full_segment_is_what_the_peer_cuts() {
    let mut policy = AckPolicy::new();
    let mut pair = |octets| {
        let first = policy.on_data(ms(0), &data(octets), &context(&CALM));
        let second = policy.on_data(ms(0), &data(octets), &context(&CALM));
        policy.on_ack_sent(ms(0), false);
        let filled = Arrival { kind: ArrivalKind::GapFilled, ..data(100_000) };
        let _ = policy.on_data(ms(0), &filled, &context(&CALM));
        policy.on_ack_sent(ms(0), false);
        // the end of a message is short, and says nothing
        let _ = policy.on_data(ms(0), &Arrival { push: true, ..data(700) }, &context(&CALM));
        policy.on_ack_sent(ms(0), false);
        (first != AckNeed::Now, second)
    };
    assert_eq!(pair(1448), (true, AckNeed::Now));
    assert_eq!(pair(1388), (true, AckNeed::Now));
    assert_eq!(pair(1460), (true, AckNeed::Now));
    assert_eq!(pair(600), (true, AckNeed::Now));
    assert!(matches!(pair(500), (true, AckNeed::Delay(_))));
}

// proves SHLD-19: ten of 300 octets are acknowledged by 2920
#[test]
fn small_segments_count_by_octets() {
    let mut policy = AckPolicy::new();
    for index in 1..=10u32 {
        let need = policy.on_data(ms(0), &data(300), &context(&CALM));
        assert_eq!(need == AckNeed::Now, index * 300 >= 2920, "{index}");
    }
}

// proves SHLD-18, MUST-40: one segment alone waits, at most 40 ms; never half a second
#[test]
fn a_lone_segment_waits() {
    let mut policy = AckPolicy::new();
    let mut longest = Span::ZERO;
    for round in 0..20u64 {
        let now = ms(round * 1000);
        let AckNeed::Delay(until) = policy.on_data(now, &data(100), &context(&CALM)) else {
            panic!("not delayed");
        };
        assert!(until > now && until.since(now) <= Span::from_micros(40_128));
        longest = longest.max(until.since(now));
        // a second small one does not move it
        assert_eq!(policy.on_data(now, &data(1), &context(&CALM)), AckNeed::Delay(until));
        assert_eq!(policy.deadline(now), Some(until));
        let early = until - Span::from_micros(200);
        assert_ne!(policy.on_deadline(early, &CALM), AckNeed::Now);
        assert_eq!(policy.on_deadline(until, &CALM), AckNeed::Now);
        policy.on_ack_sent(until, false);
    }
    // it adapted upwards, as nobody answered in time
    assert!(longest >= Span::from_millis(39));
    let wild =
        AckSettings { longest: Span::from_secs(60), shortest: Span::from_secs(50), quick: 0 };
    let mut policy = AckPolicy::new();
    let AckNeed::Delay(until) = policy.on_data(ms(0), &data(1), &context(&wild)) else {
        panic!("not delayed");
    };
    assert!(until.since(ms(0)) < Span::from_millis(500));
}

// proves MAY-13, H-4: anything out of the ordinary is acknowledged at once
#[test]
fn disorder_is_acknowledged_at_once() {
    for kind in [
        ArrivalKind::OutOfOrder,
        ArrivalKind::GapFilled,
        ArrivalKind::Duplicate,
        ArrivalKind::Fin,
        ArrivalKind::Refused,
    ] {
        let mut policy = AckPolicy::new();
        let arrival = Arrival { kind, ..data(10) };
        assert_eq!(policy.on_data(ms(0), &arrival, &context(&CALM)), AckNeed::Now);
    }
    let mut policy = AckPolicy::new();
    policy.demand();
    assert_eq!(policy.need(ms(0)), AckNeed::Now);
}

#[test]
fn the_first_segments_and_those_after_silence_are_quick() {
    let mut policy = AckPolicy::new();
    let mut quick = 0;
    let mut now = ms(0);
    for _ in 0..20 {
        now = now + Span::from_millis(1);
        if policy.on_data(now, &data(100), &context(&SETTINGS)) == AckNeed::Now {
            quick += 1;
            policy.on_ack_sent(now, false);
        }
    }
    assert_eq!(quick, 16);
    policy.on_ack_sent(now, false);
    now = now + Span::from_millis(201);
    assert_eq!(policy.on_data(now, &data(100), &context(&SETTINGS)), AckNeed::Now);
}

// an application that answers carries the acknowledgement; when it stops, we notice
#[test]
fn an_answering_application_ends_the_quick_phase() {
    let mut policy = AckPolicy::new();
    let _ = policy.on_data(ms(0), &data(100), &context(&SETTINGS));
    policy.on_ack_sent(ms(1), true);
    // neither the count nor silence makes it quick while it answers
    let pushed = Arrival { push: true, ..data(100) };
    let AckNeed::Delay(until) = policy.on_data(ms(3000), &pushed, &context(&SETTINGS)) else {
        panic!("not delayed");
    };
    assert_eq!(policy.on_deadline(until, &SETTINGS), AckNeed::Now);
    policy.on_ack_sent(until, false);
    // it stopped answering; silence after that is idleness again, nothing less is
    let soon = until + Span::from_millis(10);
    let need = policy.on_data(soon, &data(100), &context(&SETTINGS));
    assert!(matches!(need, AckNeed::Delay(_)));
    policy.on_ack_sent(soon, false);
    let later = until + Span::from_secs(1);
    assert_eq!(policy.on_data(later, &data(100), &context(&SETTINGS)), AckNeed::Now);
}

// a push without a second segment in sight is not kept waiting for one
#[test]
fn a_push_shortens_the_delay() {
    let mut policy = AckPolicy::new();
    for round in 0..10u64 {
        let now = ms(round * 1000);
        let _ = policy.on_data(now, &data(100), &context(&CALM));
        let _ = policy.on_deadline(now + Span::from_millis(50), &CALM);
        policy.on_ack_sent(now + Span::from_millis(50), false);
    }
    let pushed = Arrival { push: true, ..data(100) };
    let AckNeed::Delay(until) = policy.on_data(ms(60_000), &pushed, &context(&CALM)) else {
        panic!("not delayed");
    };
    assert!(until.since(ms(60_000)) <= Span::from_micros(4_128));
}

// a sender down to one segment at a time must not pay a delay for each
#[test]
fn after_a_refusal_the_next_segments_are_acknowledged_at_once() {
    let mut policy = AckPolicy::new();
    let mut calm = 0;
    while calm < 40 {
        let _ = policy.on_data(ms(calm), &data(1460), &context(&SETTINGS));
        policy.on_ack_sent(ms(calm), false);
        calm += 1;
    }
    let delayed = policy.on_data(ms(calm), &data(1460), &context(&SETTINGS));
    assert!(matches!(delayed, AckNeed::Delay(_)), "{delayed:?}");
    for kind in [ArrivalKind::Refused, ArrivalKind::OutOfOrder, ArrivalKind::Duplicate] {
        let _ = policy.on_data(ms(60), &Arrival { kind, ..data(1460) }, &context(&SETTINGS));
        policy.on_ack_sent(ms(60), false);
        let next = policy.on_data(ms(70), &data(1460), &context(&SETTINGS));
        assert_eq!(next, AckNeed::Now, "{kind:?}");
        policy.on_ack_sent(ms(70), false);
    }
}

#[test]
fn only_the_first_exchange_after_a_rest_looks_like_a_lone_one() {
    let settings = AckSettings::default();
    let mut policy = AckPolicy::new();
    let mut seen = alloc::vec::Vec::new();
    let note = |policy: &AckPolicy| (policy.is_rested(), policy.has_just_ended_rest());
    for _ in 0..2 {
        policy.rest();
        seen.push(note(&policy));
        for millis in [0, 10, 20] {
            let _ = policy.on_data(ms(millis), &data(64), &context(&settings));
            policy.on_ack_sent(ms(millis), true);
            seen.push(note(&policy));
        }
    }
    let round = [(true, false), (false, true), (false, false), (false, false)];
    assert_eq!(seen, [round, round].concat());
    // Data of ours ends a rest too, an acknowledgement alone does not.
    policy.rest();
    policy.on_ack_sent(ms(30), false);
    assert!(policy.is_rested());
    policy.on_ack_sent(ms(40), true);
    policy.on_ack_sent(ms(50), true);
    assert_eq!(note(&policy), (false, true));
}

/// A rested policy, a second after the peer was last heard.
fn rested() -> AckPolicy {
    let mut policy = AckPolicy::new();
    let _ = policy.on_data(ms(0), &data(64), &context(&SETTINGS));
    policy.on_ack_sent(ms(0), true);
    policy.rest();
    policy.end_silence(ms(1000), ms(0));
    policy
}

#[test]
fn one_exchange_in_a_silence_is_data_both_ways_once() {
    // It is asked, and answers; or asks, and is answered; either may be acknowledged in between.
    let mut asked = rested();
    let _ = asked.on_data(ms(1000), &data(64), &context(&SETTINGS));
    assert!(asked.has_just_ended_rest() && !asked.has_had_one_exchange());
    asked.on_ack_sent(ms(1000), false);
    assert!(!asked.has_had_one_exchange());
    asked.on_ack_sent(ms(1001), true);
    assert!(asked.has_had_one_exchange());
    let mut asking = rested();
    asking.on_ack_sent(ms(1000), true);
    asking.on_ack_sent(ms(1001), true);
    assert!(asking.has_just_ended_rest() && !asking.has_had_one_exchange());
    let _ = asking.on_data(ms(1002), &data(64), &context(&SETTINGS));
    assert!(asking.has_had_one_exchange());
    asking.on_ack_sent(ms(1002), false);
    assert!(asking.has_had_one_exchange());
    // More is no lone exchange.
    let _ = asking.on_data(ms(1003), &data(64), &context(&SETTINGS));
    assert!(!asking.has_just_ended_rest());
}

#[test]
fn who_speaks_again_within_a_second_has_not_fallen_silent() {
    for (again, counts) in [(999, false), (1000, true)] {
        let mut policy = rested();
        policy.on_ack_sent(ms(1000), true);
        let _ = policy.on_data(ms(1002), &data(64), &context(&SETTINGS));
        policy.on_ack_sent(ms(1002), false);
        policy.rest();
        policy.end_silence(ms(1002 + again), ms(1002));
        policy.on_ack_sent(ms(1002 + again), true);
        assert_eq!(policy.has_just_ended_rest(), counts, "{again} ms later");
    }
}

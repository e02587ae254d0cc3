use super::*;

fn ms(millis: u64) -> Option<Span> {
    Some(Span::from_millis(millis))
}

/// A round of ten acknowledgements.
fn round(hystart: &mut HyStart, millis: u64) -> Verdict {
    let first = hystart.on_ack(ms(millis), true);
    for _ in 0..9 {
        assert_eq!(hystart.on_ack(ms(millis), false), Verdict::Stay);
    }
    first
}

// 9406-2: an eighth of 40 ms is 5 ms.
#[test]
fn six_milliseconds_more_than_forty_is_a_rise_and_four_is_not() {
    for (millis, phase) in
        [(44, Phase::SlowStart), (45, Phase::Conservative), (46, Phase::Conservative)]
    {
        let mut hystart = HyStart::new();
        let _ = round(&mut hystart, 40);
        let _ = round(&mut hystart, millis);
        assert_eq!(hystart.phase(), phase, "{millis}");
    }
}

// 9406-2: the bounds of the threshold.
#[test]
fn the_threshold_lies_between_four_and_sixteen_milliseconds() {
    for (last, millis, phase) in [
        (1, 4, Phase::SlowStart),
        (1, 5, Phase::Conservative),
        (400, 415, Phase::SlowStart),
        (400, 416, Phase::Conservative),
    ] {
        let mut hystart = HyStart::new();
        let _ = round(&mut hystart, last);
        let _ = round(&mut hystart, millis);
        assert_eq!(hystart.phase(), phase, "{last} {millis}");
    }
}

// 9406-1
#[test]
fn fewer_than_eight_samples_say_nothing() {
    let mut hystart = HyStart::new();
    let _ = round(&mut hystart, 40);
    for sample in 0..7 {
        assert_eq!(hystart.on_ack(ms(90), sample == 0), Verdict::Stay);
    }
    assert_eq!(hystart.phase(), Phase::SlowStart);
    assert_eq!(hystart.on_ack(None, false), Verdict::Stay);
    assert_eq!(hystart.phase(), Phase::SlowStart);
    assert_eq!(hystart.on_ack(ms(90), false), Verdict::Stay);
    assert_eq!(hystart.phase(), Phase::Conservative);
}

#[test]
fn the_least_sample_of_a_round_counts() {
    let mut hystart = HyStart::new();
    let _ = round(&mut hystart, 40);
    let _ = hystart.on_ack(ms(41), true);
    for _ in 0..20 {
        let _ = hystart.on_ack(ms(300), false);
    }
    assert_eq!(hystart.phase(), Phase::SlowStart);
}

// 9406-3
#[test]
fn five_rounds_of_caution_end_slow_start() {
    let mut hystart = HyStart::new();
    let _ = round(&mut hystart, 40);
    let _ = round(&mut hystart, 50);
    for _ in 0..4 {
        assert_eq!(round(&mut hystart, 50), Verdict::Stay);
        assert_eq!(hystart.phase(), Phase::Conservative);
    }
    assert_eq!(hystart.on_ack(ms(50), true), Verdict::Leave);
    assert_eq!(hystart.phase(), Phase::Done);
    assert_eq!(hystart.on_ack(ms(50), true), Verdict::Stay);
}

// 9406-3
#[test]
fn a_round_trip_below_the_baseline_takes_caution_back() {
    let mut hystart = HyStart::new();
    let _ = round(&mut hystart, 40);
    let _ = round(&mut hystart, 50);
    let _ = round(&mut hystart, 50);
    assert_eq!(hystart.phase(), Phase::Conservative);
    let _ = round(&mut hystart, 49);
    assert_eq!(hystart.phase(), Phase::SlowStart);
    assert_eq!(hystart.growth(100), 100);
    // And a new rise begins a new count.
    let _ = round(&mut hystart, 60);
    assert_eq!(hystart.phase(), Phase::Conservative);
    for _ in 0..4 {
        assert_eq!(round(&mut hystart, 60), Verdict::Stay);
    }
    assert_eq!(round(&mut hystart, 60), Verdict::Leave);
}

// 9406-3, AT-12
#[test]
fn caution_grows_at_a_quarter_however_octets_are_acknowledged() {
    let mut hystart = HyStart::new();
    assert_eq!(hystart.growth(1000), 1000);
    hystart.set_phase(Phase::Conservative);
    assert_eq!(hystart.growth(1000), 250);
    assert_eq!((0..1000).map(|_| hystart.growth(1)).sum::<u32>(), 250);
}

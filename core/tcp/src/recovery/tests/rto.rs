//! The retransmission timeout: RFC 6298, RFC 8961.

use super::*;

fn series(settings: RecoverySettings, samples: &[u64]) -> Sender {
    let mut sender = Sender::with(|own, start| {
        *own = settings;
        start.rtt = None;
    });
    for (number, sample) in (1..).zip(samples) {
        sender.send(1).pass(*sample);
        let _ = sender.ack(number + 1);
    }
    sender
}
/// No floor but the formula's.
fn bare() -> RecoverySettings {
    RecoverySettings {
        rto_min: ms(1),
        max_ack_delay: Span::from_micros(1),
        ..RecoverySettings::default()
    }
}

// proves 6298-1, 8961-1
#[test]
fn without_a_sample_the_timeout_is_a_second() {
    let mut sender = Sender::with(|_, start| start.rtt = None);
    sender.send(1);
    assert_eq!(sender.recovery.rto(), ms(1000));
    assert_eq!(sender.wait(), 1000);
}

// proves 6298-2
#[test]
fn the_first_sample_gives_three_times_itself() {
    let sender = series(bare(), &[200]);
    assert_eq!(sender.recovery.srtt(), Some(ms(200)));
    assert_eq!(sender.recovery.rttvar(), Some(ms(100)));
    assert_eq!(sender.recovery.rto(), ms(600));
}

// proves 6298-3
#[test]
fn later_samples_follow_the_formula_to_a_millisecond() {
    let samples = [100, 140, 90, 300, 120, 100, 100, 450, 80, 80, 80, 80, 200];
    let sender = series(bare(), &samples);
    let (mut srtt, mut rttvar) = (100_000_i64, 50_000_i64);
    for sample in samples.iter().skip(1).map(|s| *s as i64 * 1000) {
        rttvar = (rttvar * 3 + (srtt - sample).abs()) / 4;
        srtt = (srtt * 7 + sample) / 8;
    }
    let expected = srtt + 4 * rttvar;
    let actual = sender.recovery.rto().as_micros() as i64;
    assert!((actual - expected).abs() < 1000, "{actual} {expected}");
}

// proves 6298-4: the default floor; the strict profile only changes the setting.
#[test]
fn the_timeout_has_a_floor() {
    let floor = RecoverySettings { max_ack_delay: Span::ZERO, ..RecoverySettings::default() };
    assert_eq!(series(floor, &[1; 20]).recovery.rto(), ms(200));
    let strict = RecoverySettings { rto_min: ms(1000), ..floor };
    assert_eq!(series(strict, &[1; 20]).recovery.rto(), ms(1000));
    let constant = series(RecoverySettings::default(), &[300; 60]);
    assert!(constant.recovery.rto() >= ms(500), "room for a delayed acknowledgement");
}

// proves 6298-5, 6298-9, 8961-5
#[test]
fn the_timeout_doubles_up_to_its_longest() {
    let mut sender = Sender::with(|_, start| start.rtt = None);
    sender.send(1);
    assert_eq!(sender.expire(), TimerOutcome::Probe { new_data: false });
    sender.recovery.grant = Grant::None;
    let mut gaps = Vec::new();
    for count in 1..=9 {
        let before = sender.now;
        assert_eq!(sender.expire(), TimerOutcome::Timeout { count });
        assert_eq!(sender.resend(), [1]);
        gaps.push(sender.now.since(before).as_millis());
    }
    assert_eq!(gaps, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 120_000, 120_000]);
    assert_eq!(sender.recovery.timeouts_in_a_row(), 9);
}

// proves 6298-6, 8961-3
#[test]
fn a_repeated_segment_gives_no_sample() {
    let mut sender = Sender::without_sack();
    sender.send(1);
    assert_eq!(sender.expire(), TimerOutcome::Timeout { count: 1 });
    assert_eq!(sender.resend(), [1]);
    let outcome = { sender.pass(30).ack(2) };
    assert_eq!((outcome.rtt, sender.recovery.srtt()), (None, Some(ms(100))));
}

// proves 6298-6: timestamps tell which transmission is answered.
#[test]
fn a_timestamp_gives_a_sample_of_a_repeated_segment() {
    let mut sender = Sender::with_timestamps();
    sender.send(1);
    let _ = sender.expire();
    let _ = sender.resend();
    let _ = sender.expire();
    assert_eq!(sender.resend(), [1]);
    sender.echoed_at = Some(sender.now);
    assert_eq!(sender.pass(30).ack(2).rtt, Some(ms(30)));
}

// proves 6298-7, 8961-2
#[test]
fn every_round_gives_a_sample_and_many_do_not_forget_faster() {
    let mut sender = Sender::new();
    let mut next = 1;
    let mut rounds = 0;
    for _ in 0..100 {
        sender.send(20).pass(100);
        let mut sampled = false;
        for _ in 0..10 {
            next += 2;
            sampled |= sender.ack(next).rtt.is_some();
        }
        rounds += u32::from(sampled);
    }
    assert!(rounds >= 95);
    // One round of a hundred equal samples moves the variation about as far as one sample would.
    let mut sender = Sender::new();
    sender.send(200).pass(100);
    for number in 1..=100 {
        let _ = sender.ack(1 + 2 * number);
    }
    let var = sender.recovery.rttvar().unwrap();
    assert!(var >= ms(30), "one round forgets about a quarter, not all: {var:?}");
}

// proves 6298-8
#[test]
fn the_timer_restarts_on_progress_and_stops_when_all_is_acknowledged() {
    let mut sender = Sender::without_sack();
    sender.send(2);
    assert_eq!(sender.wait(), 300);
    sender.pass(20).send(1);
    assert_eq!(sender.wait(), 280, "a later segment does not move it");
    let _ = sender.pass(80).ack(2);
    assert_eq!(sender.wait(), sender.recovery.rto().as_millis());
    let _ = sender.ack(4);
    assert_eq!(sender.recovery.deadline(), None);
}

// proves 6298-9: fast retransmission is the sanctioned exception, and restarts the timeout.
#[test]
fn a_segment_is_not_resent_by_timeout_within_one_timeout_of_its_last_transmission() {
    let mut sender = Sender::new();
    sender.send(5).pass(250);
    let _ = sender.sack(1, &[(2, 4)]);
    assert_eq!(sender.resend(), [1]);
    assert!(sender.wait() >= 300);
}

// proves 6298-10
#[test]
fn after_a_lost_syn_the_timeout_is_three_seconds_until_a_sample() {
    for rtt in [None, Some(ms(50))] {
        let mut sender = Sender::with(|_, start| {
            start.handshake_timed_out = true;
            start.rtt = rtt;
            start.sack = false;
        });
        sender.send(1);
        assert_eq!(sender.wait(), 3000);
        let _ = sender.pass(50).ack(2);
        assert!(sender.recovery.rto() < ms(300));
    }
}

// proves 6298-11
#[test]
fn back_off_ends_only_with_a_valid_sample() {
    let mut sender = Sender::without_sack();
    sender.send(2);
    for _ in 0..2 {
        let _ = sender.expire();
        assert_eq!(sender.resend(), [1]);
    }
    let _ = sender.pass(50).ack(2);
    assert_eq!(sender.recovery.rto(), ms(1200), "the acknowledgement was ambiguous");
    assert_eq!((sender.recovery.doublings(), sender.recovery.timeouts_in_a_row()), (2, 0));
    let _ = sender.resend();
    let _ = sender.pass(50).ack(3);
    assert_eq!(sender.recovery.rto(), ms(1200));
    sender.send(1).pass(100);
    assert!(sender.ack(4).rtt.is_some());
    assert!(sender.recovery.rto() <= ms(300));
    assert_eq!(sender.recovery.doublings(), 0);
}

// proves 6298-12
#[test]
fn after_four_back_offs_the_next_sample_counts_as_the_first() {
    let mut sender = Sender::with(|settings, start| {
        *settings = bare();
        start.sack = false;
    });
    sender.send(1);
    for _ in 0..4 {
        let _ = sender.expire();
        let _ = sender.resend();
    }
    let _ = sender.pass(10).ack(2);
    sender.send(1).pass(50);
    let _ = sender.ack(3);
    assert_eq!(sender.recovery.rto(), ms(150));
}

// proves 8961-4, 5681-3, 5681-4
#[test]
fn a_timeout_is_congestion_measured_by_the_flight_and_reported_once() {
    let mut sender = Sender::without_sack();
    sender.send(8);
    let _ = sender.expire();
    let _ = sender.resend();
    let _ = sender.expire();
    let events = sender.congestions();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].kind, CongestionKind::Timeout { first: true });
    assert_eq!(events[0].flight_octets, 8 * MSS);
    assert_eq!(events[1].kind, CongestionKind::Timeout { first: false });
    assert_eq!((sender.cc.window, sender.cc.threshold), (MSS, 4 * MSS));
}

// proves AT-37
#[test]
fn jitter_lengthens_the_timeout_by_at_most_a_tenth() {
    let mut sender = Sender::with(|settings, _| settings.rto_jitter = true);
    let mut distinct = std::collections::BTreeSet::new();
    for number in 1..=50 {
        sender.send(1).pass(1);
        let _ = sender.ack(number + 1);
        let base = u64::from(sender.recovery.rtt.rto_micros());
        let rto = sender.recovery.rto().as_micros();
        assert!(rto >= base && rto <= base + base / 10);
        distinct.insert(rto * 1000 / base);
    }
    assert!(distinct.len() > 20);
}

#[test]
fn a_timeout_while_the_window_is_closed_blames_nobody() {
    let mut sender = Sender::without_sack();
    sender.send(1);
    sender.now = sender.recovery.deadline().unwrap();
    let window = SendWindowFacts {
        right_edge: sender.recovery.una(),
        new_data_ready: false,
        mtu_probe: None,
    };
    let outcome = sender.recovery.on_timer(sender.now, &mut sender.cc, window);
    assert_eq!(outcome, TimerOutcome::WindowClosed);
    assert!(sender.cc.calls.is_empty());
    assert_eq!(sender.recovery.rto(), ms(600), "it looks less and less often");
    sender.now = sender.now + Span::from_secs(100);
    sender.recovery.on_window_opened(sender.now);
    assert_eq!(sender.recovery.deadline(), Some(sender.now + ms(300)), "as if just sent");
    assert_eq!(sender.recovery.timeouts_in_a_row(), 0);
}

#[test]
fn the_timer_does_nothing_when_it_fires_early_or_idle() {
    let mut sender = Sender::new();
    assert_eq!(sender.fire(), TimerOutcome::Nothing);
    sender.send(1);
    assert_eq!(sender.fire(), TimerOutcome::Nothing);
}

#[test]
fn a_fin_counts_one_octet_and_is_sent_again() {
    let mut sender = Sender::without_sack();
    sender.recovery.on_sent(sender.now, 1, MSS, false);
    let _ = sender.expire();
    assert_eq!(sender.recovery.next_retransmission(START + 10), Some((START, 1)));
    let cause = sender.recovery.on_retransmitted(sender.now, START, 1);
    assert_eq!(cause, RetransmitCause::Timeout);
    let _ = sender.give(&sender.input(START + 1, &[]));
    assert_eq!(sender.recovery.outstanding(), 0);
}

#[test]
fn nothing_is_sent_again_beyond_the_window() {
    let mut sender = Sender::without_sack();
    sender.send(2);
    let _ = sender.expire();
    assert_eq!(sender.recovery.next_retransmission(START + 400), Some((START, 400)));
    assert_eq!(sender.recovery.next_retransmission(START), None);
}

// proves 6298-10: data that was sent before the handshake's end (RFC 7413)
#[test]
fn a_handshake_that_ends_late_starts_the_timeout_anew() {
    for (lost, waits) in [(false, 1000), (true, 3000)] {
        let mut sender = Sender::with(|_, start| start.rtt = None);
        sender.send(1).pass(900);
        sender.recovery.on_handshake_completed(sender.now, None, lost);
        assert_eq!(sender.recovery.deadline(), Some(sender.now + ms(waits)));
    }
    // A round trip that was measured counts as any sample.
    let mut sender = Sender::with(|_, start| start.rtt = None);
    sender.send(1);
    sender.recovery.on_handshake_completed(sender.now, Some(ms(200)), false);
    assert_eq!((sender.recovery.srtt(), sender.recovery.rto()), (Some(ms(200)), ms(600)));
}

// Where one sample is expected per round trip the estimate moves by shifts: to the sixteenth of a
// microsecond what RFC 6298 §2.3 says, rounded to nearest.
#[test]
fn shifts_move_the_estimate_as_divisions_do() {
    let settings = RecoverySettings::default();
    let bounds = super::super::rtt::Bounds::of(&settings);
    let mut estimator = super::super::rtt::RttEstimator::new(&bounds, false);
    let mut prng = Prng::from_seed(11);
    let (mut srtt, mut rttvar) = (0i64, 0i64);
    for index in 0..20_000 {
        let micros = prng.next_u32() % [3, 300, 90_000, 260_000_000][index / 50 % 4];
        estimator.on_sample(micros, 1, &bounds);
        let value = i64::from(micros.clamp(1, 240_000_000)) << 4;
        (srtt, rttvar) = match index {
            0 => (value, value / 2),
            _ => {
                let error = (srtt - value).abs() - rttvar;
                let change = value - srtt;
                (srtt + (change + 4).div_euclid(8), rttvar + (error + 2).div_euclid(4))
            }
        };
        let found = (estimator.srtt().unwrap(), estimator.rttvar().unwrap());
        let expected = ((srtt >> 4) as u64, (rttvar >> 4) as u64);
        assert_eq!((found.0.as_micros(), found.1.as_micros()), expected, "{index}: {micros}");
    }
}

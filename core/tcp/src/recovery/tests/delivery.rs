//! Delivery samples, rounds, and whether the window was the limit.

use super::*;

#[test]
fn the_rate_is_what_arrived_over_the_time_it_took() {
    let mut sender = Sender::new();
    for _ in 0..50 {
        sender.send(1).pass(2);
    }
    let mut rate = None;
    for number in 1..=150 {
        let _ = sender.ack(number + 1);
        rate = sender.samples().last().and_then(|sample| sample.rate).or(rate);
        sender.send(1).pass(2);
    }
    let per_second = rate.unwrap().rate.octets_per_second();
    assert!(per_second.abs_diff(500_000) < 25_000, "{per_second}");
    assert!(!rate.unwrap().application_limited);
}

#[test]
fn what_leaves_after_the_application_ran_dry_is_marked() {
    let mut sender = Sender::new();
    sender.recovery.on_sent(sender.now, MSS, MSS, true);
    sender.recovery.on_sent(sender.now, MSS, MSS, false);
    let _ = sender.pass(100).ack(2);
    let _ = sender.ack(3);
    let marks: Vec<_> =
        sender.samples().iter().filter_map(|s| s.rate.map(|r| r.application_limited)).collect();
    assert_eq!(marks, [false, true]);
    sender.send(1).pass(100);
    let _ = sender.ack(4);
    assert!(!sender.samples().last().unwrap().rate.unwrap().application_limited);
}

#[test]
fn a_round_ends_when_data_sent_after_the_last_one_arrive() {
    let mut sender = Sender::new();
    let mut rounds = Vec::new();
    let mut next = 1;
    for _ in 0..3 {
        sender.send(10).pass(100);
        for _ in 0..10 {
            next += 1;
            let _ = sender.ack(next);
            rounds.push(sender.samples().last().unwrap().round_ended);
        }
    }
    let ends: Vec<_> = (0..30).filter(|index| rounds[*index]).collect();
    assert_eq!(ends, [0, 10, 20]);
}

#[test]
fn growth_is_justified_only_by_a_used_window() {
    let mut sender = Sender::new();
    (sender.cc.window, sender.cc.threshold) = (10 * MSS, 10 * MSS);
    sender.send(10).pass(100);
    let _ = sender.ack(11);
    assert!(sender.samples()[0].window_limited);
    for next in [12, 13, 14] {
        sender.send(1).pass(100);
        let _ = sender.ack(next);
    }
    assert!(!sender.samples()[3].window_limited);
}

#[test]
fn one_sample_per_acknowledgement_that_delivers() {
    let mut sender = Sender::new();
    sender.send(10).pass(100);
    let _ = sender.sack(1, &[(3, 4)]);
    let _ = sender.sack(1, &[(3, 4)]);
    let _ = sender.ack(11);
    let samples = sender.samples();
    assert_eq!(samples.len(), 2);
    assert_eq!((samples[0].acked_octets, samples[0].delivered_octets), (0, 2 * MSS));
    assert_eq!((samples[1].acked_octets, samples[1].delivered_octets), (10 * MSS, 8 * MSS));
    assert_eq!(samples[1].delivered_total, u64::from(10 * MSS));
    assert_eq!((samples[1].in_flight_before, samples[1].in_flight_after), (8 * MSS, 0));
    assert_eq!(samples[0].rtt, Some(ms(100)));
}

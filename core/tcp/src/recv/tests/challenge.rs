use crate::recv::challenge::{Challenge, ChallengeVerdict};
use std::vec::Vec;
use usertcp_base::{Instant, Limits, Prng, Seq, Span};

// proves AT-3, 5961-6: no five seconds see more than ten, whatever is asked when
#[test]
fn no_five_seconds_exceed_the_limit() {
    let mut prng = Prng::from_seed(3);
    for limit in [1u8, 2, 3, 10, 11, 100] {
        let limits = Limits { challenge_acks_per_5s: limit, ..Limits::default() };
        let mut state = Challenge::default();
        let mut sent: Vec<u64> = Vec::new();
        let mut now = 0u64;
        for step in 0..20_000u32 {
            // bursts of distinct requests, with pauses of every length between
            now += if prng.chance_per_million(20_000) {
                prng.below(12_000_000)
            } else {
                prng.below(2000)
            };
            let verdict = state.ask(Instant::from_micros(now), Seq(step), Seq(7), &limits);
            if verdict == ChallengeVerdict::Send {
                sent.push(now);
            }
        }
        assert!(sent.len() > 20);
        for (index, start) in sent.iter().enumerate() {
            let within = sent.iter().skip(index).take_while(|at| **at - start < 5_000_000).count();
            assert!(within <= usize::from(limit), "{within} of {limit}");
        }
    }
}

// proves AT-3: identical ones keep 500 ms apart, different ones need not
#[test]
fn identical_ones_keep_the_gap() {
    let limits = Limits::default();
    let mut state = Challenge::default();
    let mut ask = |millis, rcv| state.ask(Instant::from_millis(millis), Seq(1), Seq(rcv), &limits);
    assert_eq!(ask(0, 1), ChallengeVerdict::Send);
    assert_eq!(ask(1, 1), ChallengeVerdict::Limited);
    assert_eq!(ask(2, 2), ChallengeVerdict::Send);
    assert_eq!(ask(400, 2), ChallengeVerdict::Limited);
    assert_eq!(ask(540, 2), ChallengeVerdict::Send);
}

// a long silence, past every wrap of the small clocks, leaves no stale refusal
#[test]
fn silence_of_any_length_restores_it() {
    let limits = Limits::default();
    for hours in [0u64, 1, 19, 38, 39, 60, 76, 77, 200] {
        for millis in 0..20 {
            let mut state = Challenge::default();
            let start = Instant::from_millis(1_000_000);
            while state.ask(start, Seq(9), Seq(hours as u32), &limits) == ChallengeVerdict::Send {}
            let later = start + Span::from_secs(hours * 3600 + 11) + Span::from_millis(millis);
            assert_eq!(
                state.ask(later, Seq(9), Seq(hours as u32), &limits),
                ChallengeVerdict::Send
            );
        }
    }
}

#[test]
fn a_limit_of_zero_is_silence() {
    let limits = Limits { challenge_acks_per_5s: 0, ..Limits::default() };
    let verdict = Challenge::default().ask(Instant::ZERO, Seq(1), Seq(1), &limits);
    assert_eq!(verdict, ChallengeVerdict::Limited);
}

//! The option's field, and the timeout it leads to.

use super::*;
use crate::tests::bench::*;
use std::vec::Vec;
use usertcp_base::Limits;
use usertcp_base::observe::CloseReason;
use usertcp_wire::tcp::Flags;

const MINUTE: u64 = 60_000;

fn start(option: UserTimeoutOption, give_up_secs: u64) -> Start {
    Start::default().with(|settings| {
        settings.user_timeout_option = option;
        settings.give_up = Some(Span::from_secs(give_up_secs));
    })
}

/// How long `bench` puts up with silence about data written now, seconds.
fn patience(bench: &mut Bench) -> u64 {
    let began = bench.clock();
    let _ = bench.write(100);
    while bench.ended.is_none() {
        let _ = bench.pass(1000);
        assert!(bench.clock() - began < 40_000_000);
    }
    assert_eq!(bench.ended, Some(CloseReason::TimedOut));
    (bench.clock() - began) / 1000
}

fn told(bench: &mut Bench, field: u16) {
    let word = Peer { user_timeout: Some(field), ..bench.peer() };
    let _ = bench.send(word);
}

// proves 5482-1
#[test]
fn the_field_counts_seconds_then_minutes_and_is_never_zero() {
    let cases = [
        (0, 1),
        (1, 1),
        (900, 900),
        (32_767, 32_767),
        (32_768, MINUTES | 547),
        (60 * 32_767, MINUTES | 32_767),
        (u64::MAX / 1_000_000, MINUTES | 32_767),
    ];
    for (seconds, expected) in cases {
        assert_eq!(field(Span::from_secs(seconds)), expected, "{seconds}");
    }
    assert_eq!(field(Span::from_millis(1)), 1, "rounded up");
    let read = |field| NonZeroU16::new(field).map(span);
    assert_eq!(read(0x8005), Some(Span::from_secs(300)));
    assert_eq!(read(5), Some(Span::from_secs(5)));
}

// proves 5482-2, OPT-28
#[test]
fn the_peers_word_counts_between_the_limits() {
    // (own, the peer's field, what holds), seconds
    let cases = [
        (200, 300, 300),
        (200, MINUTES | 10, 600),
        (300, 200, 300),              // the larger of both
        (20, 30, 100),                // not below the least
        (200, MINUTES | 31_680, 900), // 22 days
        (200, 0, 200),                // no values
        (200, MINUTES, 200),
        (2000, 300, 900), // nor above the most, when both are asked
    ];
    for (own, field, expected) in cases {
        let mut bench = start(UserTimeoutOption::FOLLOW, own).go();
        told(&mut bench, field);
        let in_force = bench.info().user_timeout;
        assert_eq!(in_force, Some(Span::from_secs(expected)), "{own} {field:#x}");
        let lasted = patience(&mut bench);
        assert!((expected..expected + 2).contains(&lasted), "{own} {field:#x}: {lasted}");
    }
}

// proves 5482-3
#[test]
fn the_applications_value_is_not_overridden() {
    for option in [UserTimeoutOption::Off, UserTimeoutOption::Advise] {
        let mut bench = start(option, 20).go();
        told(&mut bench, 300);
        assert_eq!(bench.info().user_timeout, Some(Span::from_secs(20)));
        assert!((20..22).contains(&patience(&mut bench)));
    }
    // Said to follow first, then set: the option no longer counts.
    let mut bench = start(UserTimeoutOption::FOLLOW, 200).go();
    told(&mut bench, 300);
    let _ = bench.set(|settings| {
        settings.user_timeout_option = UserTimeoutOption::Off;
        settings.give_up = Some(Span::from_secs(10));
    });
    assert_eq!(bench.info().user_timeout, Some(Span::from_secs(10)));
}

// proves 5482-4
#[test]
fn the_first_segment_tells_and_so_does_a_change() {
    let mut bench = start(UserTimeoutOption::Advise, 300).go();
    let fields = |out: &[Out]| out.iter().map(|out| out.user_timeout).collect::<Vec<_>>();
    let out = bench.write(3500);
    // Full segments have no room beside their payload; the partial one has.
    assert_eq!(fields(&out), [None, None, None, Some(300)]);
    let everything = bench.peer();
    let _ = bench.send(everything);
    assert_eq!(fields(&bench.write(10)), [None]);
    let everything = bench.peer();
    let _ = bench.send(everything);
    let _ = bench.set(|settings| settings.give_up = Some(Span::from_secs(100 * MINUTE)));
    assert_eq!(fields(&bench.write(10)), [Some(MINUTES | 32_767)]);
}

#[test]
fn it_gives_way_to_sack_blocks() {
    let mut start = start(UserTimeoutOption::Advise, 300);
    start.sack = true;
    let mut bench = start.go();
    let ahead = bench.peer_at(1000).data(10);
    let out = bench.send(ahead);
    assert_eq!((out[0].sack.len(), out[0].user_timeout), (1, None));
    let gap = bench.peer_at(0).data(1000);
    let out = bench.send(gap);
    assert_eq!((out[0].sack.len(), out[0].user_timeout), (0, Some(300)));
}

// proves 5482-4
#[test]
fn the_syn_tells_it_when_the_option_is_on() {
    for (option, expected) in
        [(UserTimeoutOption::Off, None), (UserTimeoutOption::FOLLOW, Some(924))]
    {
        let settings = Settings { user_timeout_option: option, ..Settings::default() };
        let limits = Limits::default();
        let offer = crate::Offer::new(&settings, &limits, &PATH);
        let record = crate::Handshake::active(BIRTH, usertcp_base::Seq(1), 0, &offer);
        let reply = record.synchronise(BIRTH, &settings);
        assert_eq!(reply.header.flags, Flags::SYN);
        assert_eq!(reply.options.user_timeout, expected);
    }
}

#[test]
fn a_peer_below_any_value_does_not_reach_a_connection_with_no_end() {
    let mut bench = Start::default()
        .with(|settings| {
            settings.user_timeout_option = UserTimeoutOption::FOLLOW;
            settings.give_up = None;
        })
        .go();
    told(&mut bench, 100);
    assert_eq!(bench.info().user_timeout, None);
    let _ = bench.write(100);
    let _ = bench.pass(24 * 60 * MINUTE);
    assert_eq!(bench.ended, None);
}

use super::BASES;
use crate::recv::paws::{PawsCheck, Timestamps};
use usertcp_base::{Instant, Seq, Span};

const DAY: u64 = 24 * 3600;

fn started(recent: u32) -> (Instant, Timestamps) {
    let now = Instant::from_millis(5000);
    (now, Timestamps::negotiated(now, recent, Seq(1000)))
}

// proves 7323-12: one below is dropped, across the wrap too
#[test]
fn older_values_are_refused() {
    for recent in BASES {
        let (now, ts) = started(recent);
        let check = |value: u32| ts.check(now, false, Some(value));
        assert_eq!(check(recent), PawsCheck::Pass);
        assert_eq!(check(recent.wrapping_add(1)), PawsCheck::Pass);
        assert_eq!(check(recent.wrapping_sub(1)), PawsCheck::Old);
        assert_eq!(check(recent.wrapping_add(0x7FFF_FFFF)), PawsCheck::Pass);
        assert_eq!(check(recent.wrapping_add(0x8000_0001)), PawsCheck::Old);
    }
    let (now, mut ts) = started(u32::MAX);
    assert_eq!(ts.check(now, false, Some(0)), PawsCheck::Pass);
    ts.observe(now, Seq(1000), Some(0));
    assert_eq!(ts.echo(), Some(0));
    assert_eq!(ts.check(now, false, Some(u32::MAX)), PawsCheck::Old);
}

// proves 7323-13: a reset is exempt; so is a SYN, which is challenged instead
#[test]
fn control_segments_are_exempt() {
    let (now, ts) = started(100);
    assert_eq!(ts.check(now, true, Some(1)), PawsCheck::Pass);
    assert_eq!(ts.check(now, true, None), PawsCheck::Pass);
}

// proves 7323-8: what was agreed on must be there
#[test]
fn a_missing_option_is_noticed() {
    let (now, ts) = started(100);
    assert_eq!(ts.check(now, false, None), PawsCheck::Missing);
}

// proves 7323-18: without agreement the option means nothing
#[test]
fn without_agreement_it_is_ignored() {
    let now = Instant::from_millis(1);
    let mut ts = Timestamps::off();
    assert_eq!(ts.check(now, false, None), PawsCheck::Pass);
    assert_eq!(ts.check(now, false, Some(3)), PawsCheck::Pass);
    ts.observe(now, Seq(0), Some(3));
    assert_eq!(ts.echo(), None);
}

// proves 7323-14: after 24 days TS.Recent says nothing, any value is taken and then tracked
#[test]
fn recent_expires_after_24_days() {
    let (now, ts) = started(100);
    let just_before = now + Span::from_secs(24 * DAY);
    assert_eq!(ts.check(just_before, false, Some(99)), PawsCheck::Old);
    let after = now + Span::from_secs(25 * DAY);
    let mut ts = ts;
    assert_eq!(ts.check(after, false, Some(99)), PawsCheck::Pass);
    ts.observe(after, Seq(1000), Some(99));
    assert_eq!(ts.echo(), Some(99));
    assert_eq!(ts.check(after, false, Some(98)), PawsCheck::Old);
    // its age survives parking
    let resumed = Timestamps::resumed(after, 100, 25 * DAY as u32, Seq(1000));
    assert_eq!(resumed.check(after, false, Some(1)), PawsCheck::Pass);
}

// a value that is repeated within 24 days stays valid
#[test]
fn confirmation_keeps_it_valid() {
    let (now, mut ts) = started(100);
    let later = now + Span::from_secs(20 * DAY);
    ts.observe(later, Seq(1000), Some(100));
    assert_eq!(ts.check(later + Span::from_secs(20 * DAY), false, Some(99)), PawsCheck::Old);
}

// proves 7323-10, 7323-19: the echo is that of the earliest segment not yet acknowledged
#[test]
fn the_echo_is_the_earliest() {
    let (now, mut ts) = started(9);
    ts.observe(now, Seq(1000), Some(10));
    // Last.ACK.sent is still 1000: the second segment does not begin there
    ts.observe(now, Seq(1100), Some(12));
    assert_eq!(ts.echo(), Some(10));
    ts.on_ack_sent(Seq(1200));
    ts.observe(now, Seq(1200), Some(13));
    assert_eq!(ts.echo(), Some(13));
    // out of order: no update; a retransmission that begins before: update
    ts.observe(now, Seq(1400), Some(14));
    assert_eq!(ts.echo(), Some(13));
    ts.observe(now, Seq(1100), Some(15));
    assert_eq!(ts.echo(), Some(15));
    // lower values never
    ts.observe(now, Seq(1100), Some(14));
    assert_eq!(ts.echo(), Some(15));
}

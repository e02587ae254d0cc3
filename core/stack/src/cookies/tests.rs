//! Cookies come back as they were given out, and nothing else passes.

use super::*;
use proptest::prelude::*;
use usertcp_base::{LocalIndex, Prng, RemoteAddr};

fn cookies() -> Cookies {
    Cookies::new(Secrets::from_seed([3; 32]).unwrap())
}

fn flow(remote_port: u16) -> FlowKey {
    FlowKey { remote: RemoteAddr([7; 16]), local: LocalIndex(2), remote_port, local_port: 443 }
}

fn offer(mss_octets: u16) -> Offer {
    let with = WithTimestamps { scale: Some(Scale::clamped(7)), sack_permitted: true, ecn: false };
    Offer { mss_octets, accurate_ecn: false, with_timestamps: Some(with) }
}

fn answer(issued: &Issued, peer_isn: Seq) -> Presented {
    Presented { seq: peer_isn + 1, ack: issued.seq + 1, echo: issued.timestamp }
}

fn at(secs: u64) -> Instant {
    Instant::from_millis(secs * 1000)
}

#[test]
fn is_good_for_two_minutes_at_most() {
    for born in [600, 630, 659] {
        let mut cookies = cookies();
        let issued = cookies.issue(at(born), &flow(1), Seq(77), &offer(1460), 5000);
        let presented = answer(&issued, Seq(77));
        for later in 0..200 {
            // Someone else's cookies keep the mechanism active.
            cookies.issue(at(born + later), &flow(2), Seq(1), &offer(1460), 0);
            let good = cookies.redeem(at(born + later), &flow(1), &presented, false).is_some();
            assert!(good || later >= 60, "age {later}");
            assert!(!good || later < 120, "age {later}");
        }
    }
}

#[test]
fn is_honoured_only_while_cookies_are_issued() {
    let mut cookies = cookies();
    let quiet = Presented { seq: Seq(1), ack: Seq(2), echo: None };
    assert!(!cookies.active(at(0)));
    assert_eq!(cookies.redeem(at(0), &flow(1), &quiet, false), None);
    let issued = cookies.issue(at(60), &flow(1), Seq(1), &offer(1460), 0);
    assert!(cookies.redeem(at(61), &flow(1), &answer(&issued, Seq(1)), false).is_some());
    assert!(cookies.active(at(180)));
    assert!(!cookies.active(at(181)));
}

#[test]
fn belongs_to_one_flow_and_one_handshake() {
    let mut cookies = cookies();
    let issued = cookies.issue(at(0), &flow(1), Seq(77), &offer(1460), 0);
    let good = answer(&issued, Seq(77));
    assert!(cookies.redeem(at(0), &flow(1), &good, false).is_some());
    assert_eq!(cookies.redeem(at(0), &flow(2), &good, false), None);
    let other = Presented { seq: good.seq + 1, ..good };
    assert_eq!(cookies.redeem(at(0), &flow(1), &other, false), None);
    for bit in 0..32 {
        let bent = Presented { ack: Seq((good.ack - 1).0 ^ 1 << bit) + 1, ..good };
        assert_eq!(cookies.redeem(at(0), &flow(1), &bent, false), None);
    }
}

/// AT-34: guesses fail, even while cookies are honoured. One in 2^27 would pass where accurate ECN
/// is answered, else one in 2^28.
#[test]
fn guesses_fail() {
    let mut cookies = cookies();
    cookies.issue(at(100), &flow(1), Seq(77), &offer(1460), 0);
    let mut prng = Prng::from_seed(1);
    for _ in 0..1_000_000 {
        let guess = Presented { seq: Seq(78), ack: Seq(prng.next_u32()), echo: None };
        assert_eq!(cookies.redeem(at(100), &flow(1), &guess, true), None);
    }
}

proptest! {
    #[test]
    fn what_was_offered_comes_back(
        now in 0u64..1 << 50, peer_isn: u32, port: u16, mss: u16, clock: u32,
        stamped: bool, accurate_ecn: bool, shift in prop::option::of(0u8..=14), sack_permitted: bool, ecn: bool,
    ) {
        let now = Instant::from_micros(now);
        let with = WithTimestamps { scale: shift.map(Scale::clamped), sack_permitted, ecn };
        let given =
            Offer { mss_octets: mss, accurate_ecn, with_timestamps: stamped.then_some(with) };
        let mut cookies = cookies();
        let issued = cookies.issue(now, &flow(port), Seq(peer_isn), &given, clock);
        if let Some(timestamp) = issued.timestamp {
            prop_assert!(clock.wrapping_sub(timestamp) < 64);
        }
        let presented = answer(&issued, Seq(peer_isn));
        let back = cookies.redeem(now, &flow(port), &presented, true).unwrap();
        prop_assert_eq!(back.accurate_ecn, accurate_ecn);
        // Who would not have agreed to it did not issue it.
        let strict = cookies.redeem(now, &flow(port), &presented, false);
        prop_assert_eq!(strict.is_some(), !accurate_ecn);
        prop_assert_eq!(back.with_timestamps, given.with_timestamps);
        prop_assert!(back.mss_octets <= mss.max(216));
        prop_assert!(MSS_TABLE.contains(&back.mss_octets));
    }
}

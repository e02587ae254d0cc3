use super::BASES;
use crate::recv::ack_check::{AckCheck, SendSpace, WindowSource, WindowUpdate, check};
use usertcp_base::{Prng, Seq};

// proves E-18, 5961-5: both edges ±1, on both sides of the wrap
#[test]
fn acceptable_acknowledgements() {
    for base in BASES {
        let una = Seq(base);
        let send = SendSpace { una, nxt: una + 5000, max_wnd: 65_535, acknowledged: u32::MAX };
        assert_eq!(check(una, &send), AckCheck::Current);
        assert_eq!(check(una + 1, &send), AckCheck::Advances(1));
        assert_eq!(check(una + 5000, &send), AckCheck::Advances(5000));
        assert_eq!(check(una + 5001, &send), AckCheck::TooNew);
        assert_eq!(check(una + ((1 << 31) - 1), &send), AckCheck::TooNew);
        assert_eq!(check(una + (1 << 31), &send), AckCheck::TooNew);
        assert_eq!(check(una - ((1 << 31) - 1), &send), AckCheck::TooOld);
        assert_eq!(check(una - 1, &send), AckCheck::Old);
        assert_eq!(check(una - 65_535, &send), AckCheck::Old);
        assert_eq!(check(una - 65_536, &send), AckCheck::TooOld);
    }
}

#[test]
fn nothing_in_flight() {
    let send = SendSpace { una: Seq(7), nxt: Seq(7), max_wnd: 100, acknowledged: 50 };
    assert_eq!(check(Seq(7), &send), AckCheck::Current);
    assert_eq!(check(Seq(8), &send), AckCheck::TooNew);
}

// proves 5961-7: below ISS+1 nothing was ever sent, however wide the window
#[test]
fn ghost_acknowledgements_are_refused() {
    let iss = Seq(3);
    let fresh = SendSpace { una: iss + 1, nxt: iss + 1, max_wnd: 65_535, acknowledged: 0 };
    assert_eq!(check(iss - 10, &fresh), AckCheck::TooOld);
    assert_eq!(check(iss, &fresh), AckCheck::TooOld);
    assert_eq!(check(iss + 1, &fresh), AckCheck::Current);
    let later = SendSpace { una: iss + 101, nxt: iss + 101, acknowledged: 100, ..fresh };
    assert_eq!(check(iss + 1, &later), AckCheck::Old);
    assert_eq!(check(iss, &later), AckCheck::TooOld);
}

// proves AT-5: a blind acknowledgement has the odds of the window it must fall in
#[test]
fn blind_acknowledgements_rarely_pass() {
    let send = SendSpace {
        una: Seq(1 << 20),
        nxt: Seq(1 << 20),
        max_wnd: 1 << 20,
        acknowledged: u32::MAX,
    };
    let mut prng = Prng::from_seed(5);
    let taken = (0..1_000_000)
        .filter(|_| {
            let verdict = check(Seq(prng.next_u32()), &send);
            !matches!(verdict, AckCheck::TooNew | AckCheck::TooOld)
        })
        .count();
    // expected 1e6 * 2^20 / 2^32 = 244
    assert!((160..340).contains(&taken), "{taken}");
}

// proves E-19: WL1 < SEQ, or WL1 = SEQ and WL2 <= ACK
#[test]
fn only_newer_segments_set_the_window() {
    for base in BASES {
        let (wl1, wl2) = (Seq(base), Seq(base.wrapping_add(77)));
        let source = WindowSource { wl1, wl2 };
        for (seq, ack, expected) in [
            (wl1 + 1, wl2, WindowUpdate::Take),
            (wl1 + 1, wl2 - 1, WindowUpdate::Take),
            (wl1, wl2, WindowUpdate::Take),
            (wl1, wl2 + 1, WindowUpdate::Take),
            (wl1, wl2 - 1, WindowUpdate::Stale),
            (wl1 - 1, wl2 + 1, WindowUpdate::Stale),
        ] {
            let mut tried = source;
            assert_eq!(tried.offer(seq, ack), expected);
            let after = match expected {
                WindowUpdate::Take => WindowSource { wl1: seq, wl2: ack },
                WindowUpdate::Stale => source,
            };
            assert_eq!(tried, after);
        }
    }
}

//! The cap.

use super::*;

const COUNTS: Span = Span::from_secs(60);

// proves 7413-4
#[test]
fn those_that_were_reset_go_on_counting_for_a_while() {
    let mut pending = PendingFastOpens::new(FastOpenListen { pending: 2, without_cookie: false });
    let start = Instant::from_millis(1000);
    assert!(pending.has_room(start));
    pending.add();
    pending.add();
    assert!(!pending.has_room(start));
    pending.remove();
    assert!(pending.has_room(start));
    pending.remove_reset(start, COUNTS);
    assert_eq!(pending.open(), 0);
    assert!(pending.has_room(start));
    pending.add();
    assert!(!pending.has_room(start + COUNTS - Span::from_micros(1)));
    assert!(pending.has_room(start + COUNTS));
    // No more are remembered than may be pending.
    for _ in 0..10 {
        pending.remove_reset(start, COUNTS);
    }
    assert_eq!(pending.reset.len(), 2);
}

#[test]
fn a_cap_of_zero_is_off() {
    let mut pending = PendingFastOpens::new(FastOpenListen { pending: 0, without_cookie: true });
    assert!(!pending.has_room(Instant::ZERO));
}

use super::*;
use proptest::prelude::*;

#[test]
fn a_burst_passes_and_then_the_rate_holds() {
    let mut bucket = TokenBucket::new(100);
    let start = Instant::from_millis(5000);
    assert_eq!((0..50).filter(|_| bucket.allow(start)).count(), 10);
    assert!(bucket.wait() <= Span::from_millis(10));
    let later = start + Span::from_millis(30);
    assert_eq!((0..50).filter(|_| bucket.allow(later)).count(), 3);
    let much_later = later + Span::from_secs(1000);
    assert_eq!((0..50).filter(|_| bucket.allow(much_later)).count(), 10);
    assert!(!bucket.allow(start), "time that goes back earns nothing");
}

#[test]
fn the_extremes() {
    let mut none = TokenBucket::new(0);
    assert!(!none.allow(Instant::FAR));
    assert_eq!(none.wait(), Span::MAX);
    let mut all = TokenBucket::new(u32::MAX);
    assert!(all.allow(Instant::ZERO) && all.allow(Instant::FAR));
    let mut one = TokenBucket::new(1);
    assert!(one.allow(Instant::ZERO) && !one.allow(Instant::from_millis(999)));
    assert!(one.allow(Instant::from_millis(1000)));
}

proptest! {
    #[test]
    fn never_more_than_rate_and_burst(
        rate in 1u32..5000, steps in prop::collection::vec(0u64..5000, 1..400),
    ) {
        let mut bucket = TokenBucket::new(rate);
        let mut now = Instant::ZERO;
        let mut passed = 0u64;
        for step in steps {
            now = now + Span::from_micros(step);
            passed += u64::from(bucket.allow(now));
            let most = u64::from((rate / 10).max(1))
                + now.as_micros() * u64::from(rate) / 1_000_000;
            prop_assert!(passed <= most);
        }
    }
}

use crate::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn sequence_order_is_circular(start: u32, ahead in 1u32..0x7FFF_FFFF) {
        let (a, b) = (Seq(start), Seq(start) + ahead);
        prop_assert!(a.before(b) && b.after(a) && !b.before(a));
        prop_assert_eq!(b.distance_from(a), Some(ahead));
        prop_assert_eq!(a.distance_from(b), None);
        prop_assert_eq!(a.latest(b), b);
        prop_assert_eq!(a.earliest(b), a);
        prop_assert!(a.within(a, b) && !b.within(a, b));
    }

    #[test]
    fn stamps_give_back_the_instant(micros in 1u64 << 33..1u64 << 40, age in 0u64..1 << 30) {
        let then = Instant::from_micros(micros);
        let now = then + Span::from_micros(age);
        prop_assert_eq!(then.stamp().before_now(now), then);
    }

    #[test]
    fn ticks_never_fire_early(micros in 0u64..1 << 50) {
        let at = Instant::from_micros(micros);
        let back = at.tick_after().instant_near(at);
        prop_assert!(back >= at && back.since(at) < Span::from_micros(64));
    }

    #[test]
    fn scaled_windows_round_down(octets in 0u32..1 << 30, shift in 0u8..20) {
        let scale = Scale::clamped(shift);
        prop_assert!(scale.octets(scale.field(octets)) <= octets);
    }

    #[test]
    fn rate_and_time_agree(bits in 8_000u64..100_000_000_000, octets in 1u64..1 << 32) {
        let rate = Rate::from_bits_per_second(bits);
        let span = rate.span_for(octets);
        prop_assert!(rate.octets_in(span) >= octets);
        prop_assert!(rate.octets_in(span.saturating_sub(Span::from_micros(2))) <= octets);
    }
}

#[test]
fn half_the_circle_is_before_both_ways() {
    assert!(Seq(0).before(Seq(1 << 31)));
    assert!(Seq(1 << 31).before(Seq(0)));
}

#[test]
fn the_smallest_scale_that_fits_is_chosen() {
    assert_eq!(Scale::for_window(65_535), Scale::NONE);
    assert_eq!(Scale::for_window(65_536).shift(), 1);
    assert_eq!(Scale::for_window(u32::MAX), Scale::MAX);
    assert_eq!(Scale::clamped(255), Scale::MAX);
}

#[test]
fn secrets_refuse_an_empty_seed_and_keep_purposes_apart() {
    assert!(Secrets::from_seed([0; 32]).is_none());
    let secrets = Secrets::from_seed([7; 32]).unwrap();
    assert_ne!(secrets.hash(Purpose::Demux, b"x"), secrets.hash(Purpose::Cookie, b"x"));
    assert_eq!(secrets.hash(Purpose::Demux, b"x"), secrets.hash(Purpose::Demux, b"x"));
}

#[test]
fn drop_reasons_have_distinct_labels() {
    let mut counters = Counters::default();
    for (index, reason) in DropReason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
        assert_eq!(DropReason::ALL.iter().filter(|r| r.label() == reason.label()).count(), 1);
        counters.count_drop(*reason);
    }
    assert_eq!(counters.dropped_total(), DropReason::COUNT as u64);
}

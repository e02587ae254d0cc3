use super::*;
use proptest::prelude::*;

const MSS: u32 = 1460;

fn is_root(root: u32, value: u64) -> bool {
    let cube = |n: u32| u128::from(n) * u128::from(n) * u128::from(n);
    cube(root) <= u128::from(value) && cube(root + 1) > u128::from(value)
}

#[test]
fn cube_roots_agree_with_brute_force() {
    let mut root: u32 = 0;
    for value in 0..2_000_000u64 {
        if u64::from(root + 1).pow(3) <= value {
            root += 1;
        }
        assert_eq!(cube_root(value), root);
    }
}

#[test]
fn cube_roots_are_exact_around_every_cube() {
    for root in (1..=2_642_245u32).step_by(97).chain([2_642_245]) {
        let cube = u64::from(root).pow(3);
        assert_eq!(cube_root(cube), root);
        assert_eq!(cube_root(cube - 1), root - 1);
    }
    assert_eq!(cube_root(u64::MAX), 2_642_245);
}

proptest! {
    #[test]
    fn cube_roots_are_exact(value: u64) {
        prop_assert!(is_root(cube_root(value), value));
    }

    #[test]
    fn curves_rise_and_stay_in_range(
        peak in 0..=MAX_WINDOW, missing in 0..=MAX_WINDOW, mss in 1u32..=1 << 16,
        early: u32, late: u32,
    ) {
        let curve = Curve { peak, k_micros: inflection_micros(missing, mss), mss };
        let (early, late) = (early.min(late), early.max(late));
        prop_assert!(curve.at(early) <= curve.at(late));
        prop_assert!(curve.at(late) <= MAX_WINDOW);
    }

    #[test]
    fn curves_begin_where_the_window_is(window in 10u32..1000, lost in 1u32..1000) {
        let (window, lost) = (window * MSS, lost * MSS);
        let peak = window + lost;
        let curve = Curve { peak, k_micros: inflection_micros(lost, MSS), mss: MSS };
        prop_assert!(curve.at(0).abs_diff(window) <= lost / 400 + 1);
    }
}

// 9438-1: cbrt(30 / 0.4) = 4.217 s.
#[test]
fn the_curve_of_a_hundred_segments() {
    let k_micros = inflection_micros(30 * MSS, MSS);
    assert_eq!(k_micros, 4_217_000);
    let curve = Curve { peak: 100 * MSS, k_micros, mss: MSS };
    assert_eq!(curve.at(k_micros), 100 * MSS);
    // A second on either side is 0.4 segments, ten seconds are 400.
    assert_eq!(curve.at(k_micros - 1_000_000), 100 * MSS - 583);
    assert_eq!(curve.at(k_micros + 1_000_000), 100 * MSS + 583);
    assert!(curve.at(k_micros + 10_000_000).abs_diff(500 * MSS) < 10);
    assert_eq!(curve.at(u32::MAX), MAX_WINDOW);
}

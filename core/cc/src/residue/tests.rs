use super::*;
use proptest::prelude::*;

#[test]
fn small_numbers_and_no_threshold_are_exact() {
    for value in [0, 1, 1460, 14_600, (1 << 19) - 1, 1 << 19, 1 << 30, u32::MAX] {
        let parked = Parked { tag: Tag::Reno, window: value, threshold: value };
        assert_eq!(Parked::decode(parked.encode()), parked);
    }
    assert_eq!(Parked::decode(Residue::default()).window, 0);
    assert!(expand(squeeze(u32::MAX - 1)) < u32::MAX);
}

proptest! {
    #[test]
    fn the_error_is_below_one_in_two_hundred_thousand(window: u32, threshold: u32, kind in 0..3) {
        let tag = [Tag::Cubic, Tag::Reno, Tag::Fixed][kind as usize];
        let back = Parked::decode(Parked { tag, window, threshold }.encode());
        prop_assert_eq!(back.tag, tag);
        for (before, after) in [(window, back.window), (threshold, back.threshold)] {
            prop_assert!(after <= before && before - after <= before >> 18);
        }
    }

    #[test]
    fn any_six_octets_decode(octets: [u8; 6]) {
        let _ = Parked::decode(Residue(octets));
    }
}

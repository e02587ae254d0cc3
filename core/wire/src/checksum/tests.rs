use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn naive(bytes: &[u8]) -> u16 {
    let mut total: u64 = 0;
    for pair in bytes.chunks(2) {
        total += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    }
    while total >> 16 != 0 {
        total = (total & 0xFFFF) + (total >> 16);
    }
    total as u16
}

#[test]
fn the_example_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
    assert_eq!(sum(&bytes), 0xDDF2);
    assert_eq!(finish(sum(&bytes)), 0x220D);
}

#[test]
fn all_ones_fold_to_all_ones() {
    for len in [2usize, 64, 128, 1448, 65_534] {
        assert_eq!(sum(&vec![0xFF; len]), 0xFFFF, "{len}");
    }
    assert_eq!(sum(&[]), 0);
    assert_eq!(sum(&[0xAB]), 0xAB00);
}

#[test]
fn the_example_of_rfc_1624() {
    assert_eq!(updated(0xDD2F, 0x5555, 0x3285), 0x0000);
}

#[test]
fn pseudo_headers_are_the_sum_of_their_octets() {
    let mut bytes = Vec::new();
    bytes.extend([192, 0, 2, 1, 198, 51, 100, 255, 0, 6, 0x12, 0x34]);
    assert_eq!(pseudo_v4([192, 0, 2, 1], [198, 51, 100, 255], 6, 0x1234), u32::from(naive(&bytes)));
    let (source, destination) = ([0xFE; 16], [0x3D; 16]);
    bytes.clear();
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend([0, 1, 0xFF, 0xFE, 0, 0, 0, 58]);
    assert_eq!(pseudo_v6(source, destination, 58, 0x1_FFFE), u32::from(naive(&bytes)));
}

#[test]
fn short_copies_are_summed_in_one_go() {
    let source: Vec<u8> = (0..400).map(|at| (at * 37 / 5) as u8).collect();
    for len in 0..source.len() {
        let mut target = vec![0; len];
        let source = &source[..len];
        let mut copied = Running::of_copy(&mut target, source);
        let mut summed = Running::default();
        summed.add(source);
        assert!(target == source, "{len}");
        // What follows shows whether both are at an odd offset.
        copied.add(&[1, 2, 3]);
        summed.add(&[1, 2, 3]);
        assert_eq!(copied.partial(), summed.partial(), "{len}");
    }
}

#[test]
fn long_copies_are_summed_whole() {
    for len in [4095, 4096, 4097, 9000, 65_535] {
        let source: Vec<u8> = (0..len).map(|at| (at * 31 / 7) as u8).collect();
        let mut target = vec![0; len];
        assert_eq!(copy_and_sum(&mut target, &source), u32::from(naive(&source)), "{len}");
        assert!(target == source);
    }
}

proptest! {
    #[test]
    fn sum_is_the_naive_sum(bytes in prop::collection::vec(any::<u8>(), 0..800), skip in 0usize..9) {
        let bytes = bytes.get(skip..).unwrap_or(&[]);
        prop_assert_eq!(sum(bytes), u32::from(naive(bytes)));
    }

    #[test]
    fn copy_and_sum_copies_and_sums(
        bytes in prop::collection::vec(any::<u8>(), 0..400), room in 0usize..400,
    ) {
        let mut target = vec![0; room];
        let len = room.min(bytes.len());
        prop_assert_eq!(copy_and_sum(&mut target, &bytes), u32::from(naive(&bytes[..len])));
        prop_assert_eq!(&target[..len], &bytes[..len]);
        prop_assert!(target[len..].iter().all(|octet| *octet == 0));
    }

    #[test]
    fn pieces_combine_at_any_offset(
        bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300, cut2 in 0usize..300,
    ) {
        let a = cut.min(bytes.len());
        let b = cut2.clamp(a, bytes.len().max(a));
        let mut running = Running::default();
        running.add(&bytes[..a]);
        running.add(&bytes[a..b]);
        running.add(&bytes[b..]);
        prop_assert_eq!(running.partial(), u32::from(naive(&bytes)));
        let combined = combine(sum(&bytes[..a]), sum(&bytes[a..]), a % 2 == 1);
        prop_assert_eq!(fold(combined), naive(&bytes));
    }

    #[test]
    fn one_changed_word_updates_the_field(mut bytes in prop::collection::vec(1u8.., 40), at in 0usize..19, new: u16) {
        let before = finish(sum(&bytes));
        let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        bytes[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(updated(before, old, new), finish(sum(&bytes)));
    }

    #[test]
    fn every_bit_flip_shows(mut bytes in prop::collection::vec(any::<u8>(), 20..120), bit in 0usize..160) {
        bytes[0] = 0;
        bytes[1] = 0;
        let field = finish(sum(&bytes));
        bytes[..2].copy_from_slice(&field.to_be_bytes());
        prop_assert_eq!(finish(sum(&bytes)), 0);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(finish(sum(&bytes)), 0);
    }
}

#[test]
fn a_short_last_piece_is_summed_like_any() {
    let octets: Vec<u8> = (0..LONG as u32 + 1).map(|at| (at * 151 % 253) as u8).collect();
    let before = Running::pseudo_v4([10, 0, 0, 1], [192, 168, 255, 254], 6, 1000);
    for len in 0..octets.len() {
        let mut sum = before;
        sum.add(&octets[..len]);
        let expected = (len < LONG).then(|| sum.finish() == 0);
        assert_eq!(before.is_complete_with_short(&octets[..len]), expected, "{len}");
        assert_eq!(sum.is_complete(), sum.finish() == 0, "{len}");
        // With its checksum, and with one bit of it wrong.
        for wrong in [0, 0x0400] {
            let complete = wrong == 0;
            let mut whole = octets[..len / 2 * 2].to_vec();
            let mut sum = before;
            sum.add(&whole);
            whole.extend((sum.finish() ^ wrong).to_be_bytes());
            let expected = (whole.len() < LONG).then_some(complete);
            assert_eq!(before.is_complete_with_short(&whole), expected, "{len}");
        }
    }
}

/// What is chosen once for a length is what each piece of it is summed by.
#[test]
fn a_summer_sums_as_its_engine_does() {
    fn marked(bytes: &[u8]) -> u64 {
        assert!(bytes.len() >= LONG, "it does not pay for the call");
        native(bytes) + 7
    }
    let octets: Vec<u8> = (0..1000u32).map(|at| (at * 31 / 7) as u8).collect();
    for len in (0..LONG + 70).chain([999, 1000]) {
        let piece = &octets[..len];
        let mut by_engine = Running::default();
        by_engine.add_by(Engine::new(marked), piece);
        let by_summer = Engine::new(marked).for_octets(len).sum(piece);
        assert_eq!(by_summer.partial(), by_engine.partial(), "{len}");
        assert_eq!(Engine::PORTABLE.for_octets(len).sum(piece).partial(), sum(piece), "{len}");
        assert_eq!(Summer::NOTHING.sum(piece).partial(), 0);
    }
}

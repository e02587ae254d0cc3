use super::*;
use proptest::prelude::*;
use std::vec;
use usertcp_base::DropReason;

#[test]
fn a_captured_syn() {
    // A Linux SYN: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
    let packet = [
        0xC0, 0x01, 0x00, 0x50, 0x11, 0x22, 0x33, 0x44, 0xDE, 0xAD, 0xBE, 0xEF, 0xA0, 0x02, 0xFA,
        0xF0, 0x12, 0x34, 0x00, 0x00, 2, 4, 0x05, 0xB4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3,
        3, 7,
    ];
    let (header, options, len) = parse(&packet, packet.len()).unwrap();
    assert_eq!(len, 40);
    assert_eq!(
        header,
        Header {
            source_port: 0xC001,
            destination_port: 80,
            seq: Seq(0x1122_3344),
            ack: Seq(0),
            flags: Flags::SYN,
            window: WireWindow(0xFAF0),
            urgent: 0,
        }
    );
    assert_eq!(
        options,
        Options {
            mss: Some(1460),
            scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 9, echo: 0 }),
            ..Options::default()
        }
    );
}

#[test]
fn the_data_offset_must_fit() {
    for words in 0..5u8 {
        let mut octets = packet(ACK, &[]);
        octets[12] = words << 4;
        assert_eq!(parse(&octets, 20).unwrap_err(), DropReason::TcpMalformed);
    }
    let octets = packet(ACK, &[1; 40]);
    assert!(parse(&octets, 60).is_ok());
    assert_eq!(parse(&octets, 59).unwrap_err(), DropReason::TcpMalformed);
    // The segment goes on elsewhere, but the header must be in the first slice.
    assert_eq!(parse(&octets[..59], 2000).unwrap_err(), DropReason::TcpMalformed);
    assert_eq!(parse(&octets[..19], 19).unwrap_err(), DropReason::TcpMalformed);
    assert_eq!(parse(&[], 0).unwrap_err(), DropReason::TcpMalformed);
}

#[test]
fn reserved_bits_are_ignored_and_flags_read() {
    for reserved in 0..8u8 {
        let mut octets = packet(0x1FF, &[]);
        octets[12] |= reserved << 1;
        let (header, ..) = parse(&octets, 20).unwrap();
        assert_eq!(header.flags.bits(), 0x1FF);
    }
    assert_eq!(std::format!("{:?}", Flags::SYN | Flags::ACK | Flags::AE), "SYN|ACK|AE");
}

#[test]
fn every_kind_and_length_at_every_offset() {
    // PR-1, PR-2, MUST-6, MUST-7, MUST-68: illegal lengths drop, all others are passed over.
    for offset in 0..38usize {
        for kind in 2..=255u8 {
            for len in 0..=255u8 {
                let mut area = vec![1; 40];
                area[offset] = kind;
                area[offset + 1] = len;
                let result = parsed(ACK, &area);
                let legal = len >= 2 && offset + usize::from(len) <= 40;
                assert_eq!(result.is_ok(), legal, "kind {kind} length {len} at {offset}");
                if !legal {
                    assert_eq!(result.unwrap_err(), DropReason::TcpOptions);
                }
            }
        }
    }
    // A kind in the very last octet has no length at all.
    let mut area = vec![1; 40];
    area[39] = 2;
    assert_eq!(parsed(ACK, &area).unwrap_err(), DropReason::TcpOptions);
}

#[test]
fn unknown_kinds_do_not_disturb_their_neighbours() {
    let area = [2, 4, 0x05, 0xB4, 200, 10, 0, 1, 2, 3, 4, 5, 6, 7, 3, 3, 9];
    let options = parsed(SYN, &area).unwrap();
    assert_eq!((options.mss, options.scale), (Some(1460), Some(9)));
}

#[test]
fn a_known_kind_of_wrong_length_is_ignored() {
    let options = parsed(SYN, &[2, 3, 9, 3, 4, 1, 1, 4, 3, 0, 8, 3, 0, 3, 3, 5]).unwrap();
    assert_eq!(options, Options { scale: Some(5), ..Options::default() });
    // The right one that follows is the first.
    let options = parsed(SYN, &[2, 3, 9, 2, 4, 1, 0]).unwrap();
    assert_eq!((options.mss, options.duplicates), (Some(256), 0));
}

#[test]
fn the_first_of_duplicates_wins_and_is_counted() {
    let area = [2, 4, 1, 1, 2, 4, 2, 2, 3, 3, 1, 3, 3, 2, 4, 2, 4, 2];
    let options = parsed(SYN, &area).unwrap();
    assert_eq!((options.mss, options.scale), (Some(257), Some(1)));
    assert_eq!(options.duplicates, 3);
    let sack = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4];
    let options = parsed(ACK, &sack).unwrap();
    assert_eq!(*options.sack, [SackBlock { left: Seq(1), right: Seq(2) }]);
    assert_eq!(options.duplicates, 1);
}

#[test]
fn options_count_only_where_they_belong() {
    let area = [2, 4, 1, 1, 3, 3, 7, 4, 2, 34, 6, 1, 2, 3, 4, 28, 4, 0x80, 5];
    assert_eq!(
        parsed(ACK, &area).unwrap(),
        Options { user_timeout: Some(0x8005), ..Options::default() }
    );
    let on_syn = parsed(SYN, &area).unwrap();
    assert_eq!(on_syn.fast_open.unwrap().octets(), [1, 2, 3, 4]);
    assert!(on_syn.sack_permitted);
    let sack = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    assert!(parsed(SYN, &sack).unwrap().sack.is_empty());
}

#[test]
fn sack_takes_one_to_four_blocks() {
    for count in 1..=4u8 {
        let mut area = vec![1, 1, 5, count * 8 + 2];
        area.extend((0..count * 8).map(|octet| octet + 1));
        let options = parsed(ACK, &area).unwrap();
        assert_eq!(options.sack.len(), usize::from(count));
        assert_eq!(options.sack[0].left, Seq(0x0102_0304));
    }
    for len in [2u8, 9, 11, 17] {
        let mut area = vec![5, len];
        area.resize(usize::from(len), 7);
        assert!(parsed(ACK, &area).unwrap().sack.is_empty());
    }
}

#[test]
fn end_of_list_hides_what_follows() {
    let options = parsed(SYN, &[1, 0, 2, 4, 1, 1]).unwrap();
    assert_eq!(options, Options::default());
    assert!(parsed(SYN, &[0, 2, 0, 0]).is_ok());
}

#[test]
fn timestamps_are_read_at_any_alignment() {
    for shift in 0..=10usize {
        let mut area = vec![1; shift];
        area.extend([8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        let timestamps = parsed(ACK, &area).unwrap().timestamps.unwrap();
        assert_eq!(timestamps, Timestamps { value: 0x0102_0304, echo: 0x0506_0708 });
    }
}

#[test]
fn fast_open_accurate_ecn_and_signatures() {
    assert_eq!(parsed(SYN, &[34, 2]).unwrap().fast_open, Some(Cookie::REQUEST));
    for len in [3u8, 4, 5, 7, 19, 20] {
        let mut area = vec![34, len];
        area.resize(usize::from(len), 7);
        assert_eq!(parsed(SYN, &area).unwrap().fast_open, None);
    }
    let options = parsed(ACK, &[174, 8, 0, 0, 1, 0, 1, 0]).unwrap();
    assert_eq!(
        options.accurate_ecn,
        Some(AccurateEcn {
            order: AccurateEcnOrder::Capable1First,
            count: 2,
            counters: [1, 256, 0]
        })
    );
    assert_eq!(parsed(ACK, &[172, 4, 0, 0]).unwrap().accurate_ecn, None);
    let mut md5 = vec![19, 18];
    md5.resize(18, 3);
    assert_eq!(parsed(ACK, &md5).unwrap().authentication, Some(Authentication::Md5));
    assert_eq!(
        parsed(ACK, &[29, 4, 1, 1]).unwrap().authentication,
        Some(Authentication::Ao { key_id: 1, next_key_id: 1 })
    );
    assert_eq!(parsed(ACK, &[29, 3, 1]).unwrap().authentication, None);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), more in 0usize..3000) {
        let _ = parse(&bytes, bytes.len());
        let _ = parse(&bytes, more);
    }

    #[test]
    fn no_option_area_panics(flags: u16, area in prop::collection::vec(any::<u8>(), 0..=40)) {
        let _ = parsed(flags, &area);
    }

    #[test]
    fn plausible_option_areas_do_not_panic(
        flags: u16,
        pairs in prop::collection::vec(
            (prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 8, 19, 28, 29, 34, 172, 174, 9]), 0u8..24),
            0..12,
        ),
    ) {
        let mut area = vec![];
        for (kind, len) in pairs {
            area.push(kind);
            if kind > 1 {
                area.push(len);
                area.extend(vec![len; usize::from(len).saturating_sub(2)]);
            }
        }
        area.truncate(40);
        let _ = parsed(flags, &area);
    }
}

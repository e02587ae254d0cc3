use super::*;
use std::vec;

fn emitted(flags: Flags, options: &Options) -> Vec<u8> {
    let header = Header { flags, ..Header::default() };
    let mut out = vec![0xEE; 64];
    let len = emit(&mut out, &header, options, EmitChecksum::Full(0));
    assert_eq!(len, header_len(options, flags));
    assert!(out[len..].iter().all(|octet| *octet == 0xEE), "written past the header");
    out.truncate(len);
    assert_eq!(usize::from(out[12] >> 4) * 4, len);
    out.split_off(20)
}

fn block(left: u32) -> SackBlock {
    SackBlock { left: Seq(left), right: Seq(left + 1) }
}

const TS: Option<Timestamps> = Some(Timestamps { value: 0x0A0B_0C0D, echo: 0x0102_0304 });

#[test]
fn the_golden_syn() {
    let options = Options {
        mss: Some(1460),
        scale: Some(7),
        sack_permitted: true,
        timestamps: TS,
        ..Options::default()
    };
    assert_eq!(
        emitted(Flags::SYN, &options),
        [2, 4, 5, 0xB4, 4, 2, 8, 10, 10, 11, 12, 13, 1, 2, 3, 4, 1, 3, 3, 7]
    );
    let options = Options { sack_permitted: false, ..options };
    assert_eq!(
        emitted(Flags::SYN | Flags::ACK, &options),
        [2, 4, 5, 0xB4, 1, 1, 8, 10, 10, 11, 12, 13, 1, 2, 3, 4, 1, 3, 3, 7]
    );
    let options = Options { sack_permitted: true, timestamps: None, ..options };
    assert_eq!(emitted(Flags::SYN, &options), [2, 4, 5, 0xB4, 1, 1, 4, 2, 1, 3, 3, 7]);
    let options = Options { fast_open: Some(Cookie::REQUEST), scale: None, ..options };
    let area = [2, 4, 5, 0xB4, 1, 1, 4, 2, 34, 2, 1, 1];
    assert_eq!(emitted(Flags::SYN, &options), area, "a word, as peers have it");
}

#[test]
fn the_golden_acknowledgement() {
    let options = Options { timestamps: TS, ..Options::default() };
    assert_eq!(emitted(Flags::ACK, &options), [1, 1, 8, 10, 10, 11, 12, 13, 1, 2, 3, 4]);
    let options = Options { timestamps: None, sack: [block(7)].into_iter().collect(), ..options };
    assert_eq!(emitted(Flags::ACK, &options), [1, 1, 5, 10, 0, 0, 0, 7, 0, 0, 0, 8]);
    assert!(emitted(Flags::ACK, &Options::default()).is_empty());
}

#[test]
fn options_stay_off_segments_where_they_do_not_belong() {
    let options = Options {
        mss: Some(1),
        scale: Some(1),
        sack_permitted: true,
        fast_open: Some(Cookie::REQUEST),
        ..Options::default()
    };
    assert!(emitted(Flags::ACK, &options).is_empty(), "MUST-65");
    let options = Options { sack: [block(1)].into_iter().collect(), ..Options::default() };
    assert!(emitted(Flags::SYN, &options).is_empty());
}

#[test]
fn sack_is_trimmed_to_what_fits() {
    let sack: SackBlocks = (0..4).map(block).collect();
    let alone = emitted(Flags::ACK, &Options { sack, ..Options::default() });
    assert_eq!((alone.len(), alone[3]), (36, 34));
    let with_timestamps =
        emitted(Flags::ACK, &Options { sack, timestamps: TS, ..Options::default() });
    assert_eq!((with_timestamps.len(), with_timestamps[15]), (40, 26));
}

#[test]
fn forty_octets_are_never_exceeded() {
    let everything = Options {
        mss: Some(1),
        scale: Some(2),
        sack_permitted: true,
        timestamps: TS,
        sack: (0..4).map(block).collect(),
        user_timeout: Some(3),
        fast_open: Cookie::new(&[9; 16]),
        accurate_ecn: Some(AccurateEcn {
            order: AccurateEcnOrder::Capable0First,
            count: 3,
            counters: [1, 2, 3],
        }),
        ..Options::default()
    };
    let area = emitted(Flags::SYN, &everything);
    assert_eq!((area.len(), &area[20..22]), (40, &[34, 18][..]), "the cookie, not the counters");
    let longer = Options { authentication: Some(Authentication::Md5), ..everything };
    assert_eq!(emitted(Flags::SYN, &longer).len(), 40, "neither fits");
    assert_eq!(emitted(Flags::ACK, &everything).len(), 40);
    let four = Options { user_timeout: None, ..everything };
    let area = emitted(Flags::ACK, &four);
    assert_eq!((area.len(), &area[12..16]), (40, &[1, 1, 5, 26][..]), "blocks before counters");
    let one = Options { sack: [block(1)].into_iter().collect(), ..four };
    let area = emitted(Flags::ACK, &one);
    assert_eq!((area.len(), &area[12..14], &area[26..28]), (36, &[172, 11][..], &[5, 10][..]));
    // Beside a code there is no room for the counters on a SYN-ACK with all else.
    let code = Some(Authentication::Ao { key_id: 1, next_key_id: 2 });
    let coded = Options { authentication: code, fast_open: None, user_timeout: None, ..one };
    let area = emitted(Flags::SYN | Flags::ACK, &coded);
    assert_eq!((area.len(), &area[32..36]), (36, &[1, 3, 3, 2][..]));
}

#[test]
fn a_short_buffer_gets_nothing() {
    let mut out = [7; 19];
    let header = Header::default();
    assert_eq!(emit(&mut out, &header, &Options::default(), EmitChecksum::Full(0)), 0);
    assert_eq!(out, [7; 19]);
}

#[test]
fn the_field_for_an_offloading_device_is_the_pseudo_sum() {
    let mut out = [0; 20];
    let pseudo = checksum::pseudo_v4([10, 0, 0, 1], [10, 0, 0, 2], PROTOCOL, 20);
    let header = Header { source_port: 1, destination_port: 2, ..Header::default() };
    emit(&mut out, &header, &Options::default(), EmitChecksum::Partial(pseudo));
    assert_eq!(u32::from(u16::from_be_bytes([out[16], out[17]])), pseudo);
    // The device sums the header with that field in it and stores the complement.
    let field = checksum::finish(checksum::sum(&out));
    out[16..18].copy_from_slice(&field.to_be_bytes());
    assert!(verifies(&out, pseudo));
}

// proves OPT-172, OPT-174: the place of accurate ECN and of what follows it
#[test]
fn accurate_ecn_keeps_what_follows_in_place() {
    let option = |order, count| AccurateEcn { order, count, counters: [0x10203, 4, 5] };
    let (one, zero) = (AccurateEcnOrder::Capable1First, AccurateEcnOrder::Capable0First);
    let full = [174, 11, 1, 2, 3, 0, 0, 4, 0, 0, 5];
    let syn = Options {
        mss: Some(1460),
        scale: Some(8),
        sack_permitted: true,
        accurate_ecn: Some(option(one, 3)),
        ..Options::default()
    };
    let expected = [&[2, 4, 5, 180][..], &full, &[1, 1, 1, 4, 2, 1, 3, 3, 8]].concat();
    assert_eq!(emitted(Flags::SYN | Flags::ACK, &syn), expected);
    let area = emitted(Flags::SYN | Flags::ACK, &Options { timestamps: TS, ..syn });
    let expected = [&full[..], &[1, 1, 3, 3, 8]].concat();
    assert_eq!((&area[4..8], &area[16..]), (&[4, 2, 8, 10][..], &expected[..]));
    let sack: SackBlocks = [block(1)].into_iter().collect();
    for (count, kind, alone, with_sack) in
        [(0, 172, 4, 12), (1, 172, 8, 16), (2, 172, 8, 20), (3, 172, 12, 24)]
    {
        let options = Options { accurate_ecn: Some(option(zero, count)), ..Options::default() };
        let octets = usize::from(count) * 3 + 2;
        let area = emitted(Flags::ACK, &options);
        assert_eq!((area.len(), area[0], usize::from(area[1])), (alone, kind, octets));
        assert!(area[octets..].iter().all(|octet| *octet == 1), "NOPs, no end of list");
        let area = emitted(Flags::ACK, &Options { sack, ..options });
        assert_eq!((area.len(), &area[with_sack - 10..with_sack - 8]), (with_sack, &[5, 10][..]));
        assert!(area[octets..with_sack - 10].iter().all(|octet| *octet == 1));
    }
}

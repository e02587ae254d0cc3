use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// `header` with `options` behind it, lengths and checksum made right.
fn with_options(header: Header, options: &[u8]) -> Vec<u8> {
    let mut octets = emit(&header).to_vec();
    octets.extend(options);
    octets[0] = 0x40 | (octets.len() / 4) as u8;
    octets[10..12].fill(0);
    let field = checksum::finish(checksum::sum(&octets));
    octets[10..12].copy_from_slice(&field.to_be_bytes());
    octets
}

fn header() -> Header {
    Header {
        dscp: 46,
        ecn: Ecn::Capable0,
        total_octets: 100,
        identification: 0x1C46,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: 6,
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(198, 51, 100, 2),
    }
}

#[test]
fn a_well_known_header() {
    // The example of many textbooks: checksum B861.
    let octets =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xB8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
    let (header, len) = parse(&octets, 0x73).unwrap();
    assert_eq!((len, header.total_octets, header.protocol), (20, 0x73, 17));
    assert!(header.dont_fragment && !header.is_fragment());
    assert_eq!(emit(&header), octets);
}

#[test]
fn lengths_must_fit() {
    let octets = emit(&header());
    assert!(parse(&octets, 100).is_ok());
    assert!(parse(&octets, 1500).is_ok(), "padding may follow");
    assert_eq!(parse(&octets, 99), Err(DropReason::IpMalformed));
    assert_eq!(parse(&octets[..19], 100), Err(DropReason::IpMalformed));
    let short = emit(&Header { total_octets: 19, ..header() });
    assert_eq!(parse(&short, 100), Err(DropReason::IpMalformed));
    let mut words = octets;
    words[0] = 0x44;
    assert_eq!(parse(&words, 100), Err(DropReason::IpMalformed));
    words[0] = 0x4F;
    assert_eq!(parse(&words, 100), Err(DropReason::IpMalformed), "header past the slice");
    words[0] = 0x65;
    assert_eq!(parse(&words, 100), Err(DropReason::IpVersion));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let octets = emit(&header());
    for bit in 0..160 {
        let mut octets = octets;
        octets[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&octets, 100).is_err(), "bit {bit}");
    }
}

#[test]
fn source_routes_are_refused_and_other_options_skipped() {
    let table: [(&[u8], Result<(), DropReason>); 9] = [
        (&[1, 1, 1, 1], Ok(())),
        (&[0, 131, 3, 4], Ok(())),
        (&[7, 7, 4, 0, 0, 0, 0, 0], Ok(())),
        (&[148, 4, 0, 0], Ok(())),
        (&[131, 3, 4, 0], Err(DropReason::IpSourceRoute)),
        (&[1, 137, 3, 4], Err(DropReason::IpSourceRoute)),
        (&[148, 5, 0, 0], Err(DropReason::IpMalformed)),
        (&[148, 1, 0, 0], Err(DropReason::IpMalformed)),
        (&[1, 1, 1, 148], Err(DropReason::IpMalformed)),
    ];
    for (options, expected) in table {
        let octets = with_options(header(), options);
        assert_eq!(parse(&octets, 100).map(|_| ()), expected, "{options:?}");
    }
}

prop_compose! {
    fn headers()(
        dscp in 0u8..64, ecn in 0u8..4, total_octets in 20u16.., identification: u16,
        dont_fragment: bool, more_fragments: bool, offset in 0u16..8192, ttl: u8, protocol: u8,
        source: [u8; 4], destination: [u8; 4],
    ) -> Header {
        Header {
            dscp, ecn: Ecn::from_bits(ecn), total_octets, identification, dont_fragment,
            more_fragments, fragment_offset: offset << 3, ttl, protocol,
            source: source.into(), destination: destination.into(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_back(header in headers()) {
        prop_assert_eq!(parse(&emit(&header), 65_535), Ok((header, 20)));
    }

    #[test]
    fn nothing_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..100), words in 0u8..16) {
        let _ = parse(&bytes, bytes.len());
        if let Some(first) = bytes.first_mut() {
            *first = 0x40 | words;
        }
        let _ = parse(&bytes, 70_000);
        let _ = check_options(&bytes);
    }
}

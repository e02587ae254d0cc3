use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const TCP: u8 = 6;

fn upper(protocol: u8, offset: usize) -> Result<Upper, DropReason> {
    let protocol_at = offset.checked_sub(8);
    Ok(Upper { protocol, offset, protocol_at, fragment: None })
}

#[test]
fn the_golden_header() {
    let header = Header {
        dscp: 0b101010,
        ecn: Ecn::CongestionExperienced,
        flow_label: 0xABCDE,
        payload_octets: 0x0102,
        next_header: TCP,
        hop_limit: 64,
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
    };
    let octets = emit(&header);
    assert_eq!(octets[..8], [0x6A, 0xBA, 0xBC, 0xDE, 1, 2, 6, 64]);
    assert_eq!(parse(&octets, 40 + 0x102), Ok(header));
    assert_eq!(parse(&octets, 40 + 0x101), Err(DropReason::IpMalformed));
    assert_eq!(parse(&octets[..39], 1000), Err(DropReason::IpMalformed));
    let mut other = octets;
    other[0] = 0x45;
    assert_eq!(parse(&other, 1000), Err(DropReason::IpVersion));
}

#[test]
fn upper_layers_end_the_walk() {
    for protocol in [TCP, 17, 58, 50, 59, 4, 41, 135, 200] {
        assert_eq!(walk(protocol, &[]), upper(protocol, 0));
    }
}

#[test]
fn headers_that_may_be_passed_are_passed() {
    let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination = [43, 1, 5, 2, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing = [44, 0, 4, 0, 0, 0, 0, 0];
    let atomic = [TCP, 0, 0, 0, 1, 2, 3, 4];
    let chain: Vec<u8> = [&hop_by_hop[..], &destination, &routing, &atomic].concat();
    assert_eq!(walk(0, &chain), upper(TCP, 40));
    for len in 0..40 {
        assert_eq!(walk(0, &chain[..len]), Err(DropReason::IpMalformed), "{len}");
    }
}

#[test]
fn refused_headers() {
    let table: [(u8, &[u8], DropReason); 9] = [
        (43, &[TCP, 0, 0, 0, 0, 0, 0, 0], DropReason::IpSourceRoute),
        (43, &[TCP, 0, 0, 1, 0, 0, 0, 0], DropReason::IpSourceRoute),
        (43, &[TCP, 0, 4, 1, 0, 0, 0, 0], DropReason::IpSourceRoute),
        (51, &[TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], DropReason::IpExtension),
        (60, &[0, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1, 4, 0, 0, 0, 0], DropReason::IpExtension),
        (0, &[TCP, 0, 0xC2, 4, 0, 1, 0, 0], DropReason::IpExtension),
        (60, &[TCP, 0, 0x40, 4, 0, 0, 0, 0], DropReason::IpExtension),
        (60, &[TCP, 0, 1, 5, 0, 0, 0, 0], DropReason::IpMalformed),
        (60, &[TCP, 0, 1, 3, 0, 0, 0, 1], DropReason::IpMalformed),
    ];
    for (kind, octets, reason) in table {
        assert_eq!(walk(kind, octets), Err(reason), "{octets:?}");
    }
}

#[test]
fn eight_headers_are_the_most() {
    for count in 1..20usize {
        let mut chain: Vec<u8> = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
        chain[(count - 1) * 8] = TCP;
        let expected =
            if count <= 8 { upper(TCP, count * 8) } else { Err(DropReason::IpExtension) };
        assert_eq!(walk(60, &chain), expected, "{count}");
    }
}

#[test]
fn a_fragment_ends_the_walk() {
    let fragment = Fragment { offset: 1480, more: true, identification: 0xDEAD_BEEF };
    let octets = emit_fragment(TCP, &fragment);
    let found = walk(FRAGMENT, &octets).unwrap();
    let expected =
        Upper { protocol: TCP, offset: 8, protocol_at: Some(0), fragment: Some(fragment) };
    assert_eq!(found, expected);
    // What follows a true fragment header is not looked at, even when it is one more.
    let first = emit_fragment(FRAGMENT, &Fragment { offset: 0, more: true, identification: 1 });
    assert_eq!(walk(FRAGMENT, &first).unwrap().protocol, FRAGMENT);
}

prop_compose! {
    fn headers()(
        dscp in 0u8..64, ecn in 0u8..4, flow_label in 0u32..1 << 20, payload_octets: u16,
        next_header: u8, hop_limit: u8, source: [u8; 16], destination: [u8; 16],
    ) -> Header {
        Header {
            dscp, ecn: Ecn::from_bits(ecn), flow_label, payload_octets, next_header, hop_limit,
            source: source.into(), destination: destination.into(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_back(header in headers()) {
        prop_assert_eq!(parse(&emit(&header), 70_000), Ok(header));
    }

    #[test]
    fn nothing_panics(kind: u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, bytes.len());
        if let Ok(found) = walk(kind, &bytes) {
            prop_assert!(found.offset <= bytes.len());
        }
    }

    #[test]
    fn plausible_chains_do_not_panic(
        kinds in prop::collection::vec(prop::sample::select(vec![0u8, 43, 44, 51, 60, 6]), 1..12),
        fill: u8,
    ) {
        let mut bytes = vec![];
        for kind in &kinds[1..] {
            bytes.extend([*kind, 0, fill, 0, 0, fill & 1, 0, 0]);
        }
        if let Ok(found) = walk(kinds[0], &bytes) {
            prop_assert!(found.offset <= bytes.len());
        }
    }
}

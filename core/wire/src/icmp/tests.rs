use super::*;
use crate::{checksum, icmpv4, icmpv6};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use usertcp_base::Ecn;

type QuoteOf = fn(&[u8]) -> Result<Quote, DropReason>;

fn packet_v4(protocol: u8, offset: u16) -> Vec<u8> {
    let header = ipv4::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        total_octets: 1500,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: offset,
        ttl: 1,
        protocol,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
    };
    let mut octets = ipv4::emit(&header).to_vec();
    octets.extend([0x12, 0x34, 0x00, 0x50, 1, 2, 3, 4]);
    octets
}

fn packet_v6(next_header: u8, extension: &[u8]) -> Vec<u8> {
    let header = ipv6::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        flow_label: 0,
        payload_octets: 1460,
        next_header,
        hop_limit: 1,
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
    };
    let mut octets = ipv6::emit(&header).to_vec();
    octets.extend(extension);
    octets.extend([0x12, 0x34, 0x00, 0x50, 1, 2, 3, 4]);
    octets
}

#[test]
fn version_four_errors_are_told_apart() {
    let quote = [9, 9];
    let table: [([u8; 8], Message<'_>); 9] = [
        ([8, 0, 0, 0, 0, 1, 0, 2], Message::EchoRequest),
        ([0, 0, 0, 0, 0, 1, 0, 2], Message::EchoReply),
        ([3, 1, 0, 0, 0, 0, 0, 0], error(Problem::Unreachable { code: 1 })),
        ([3, 4, 0, 0, 9, 9, 5, 0xDC], error(Problem::TooBig { mtu: 1500 })),
        ([11, 0, 0, 0, 0, 0, 0, 0], error(Problem::TimeExceeded { code: 0 })),
        ([12, 0, 0, 0, 7, 0, 0, 0], error(Problem::Parameter { code: 0, pointer: 7 })),
        ([4, 0, 0, 0, 0, 0, 0, 0], Message::Other),
        ([5, 1, 0, 0, 0, 0, 0, 0], Message::Other),
        ([8, 1, 0, 0, 0, 0, 0, 0], Message::Other),
    ];
    for (header, expected) in table {
        let bytes = [&header[..], &quote].concat();
        assert_eq!(icmpv4::parse(&bytes), Ok(expected), "{header:?}");
    }
    assert_eq!(icmpv4::parse(&[8; 7]), Err(DropReason::IcmpMalformed));
}

fn error(problem: Problem) -> Message<'static> {
    Message::Error { problem, quote: &[9, 9] }
}

#[test]
fn version_six_errors_are_told_apart() {
    let table: [([u8; 8], Message<'_>); 8] = [
        ([128, 0, 0, 0, 0, 1, 0, 2], Message::EchoRequest),
        ([129, 0, 0, 0, 0, 1, 0, 2], Message::EchoReply),
        ([1, 4, 0, 0, 0, 0, 0, 0], error(Problem::Unreachable { code: 4 })),
        ([2, 0, 0, 0, 0, 1, 0, 0], error(Problem::TooBig { mtu: 65_536 })),
        ([3, 0, 0, 0, 0, 0, 0, 0], error(Problem::TimeExceeded { code: 0 })),
        ([4, 1, 0, 0, 0, 0, 0, 6], error(Problem::Parameter { code: 1, pointer: 6 })),
        ([135, 0, 0, 0, 0, 0, 0, 0], Message::Other),
        ([143, 0, 0, 0, 0, 0, 0, 0], Message::Other),
    ];
    for (header, expected) in table {
        let bytes = [&header[..], &[9, 9]].concat();
        assert_eq!(icmpv6::parse(&bytes), Ok(expected), "{header:?}");
    }
    assert_eq!(icmpv6::parse(&[1; 7]), Err(DropReason::IcmpMalformed));
}

#[test]
fn eight_octets_of_tcp_are_enough_and_needed() {
    for (octets, quote, len) in [
        (packet_v4(6, 0), quote_v4 as QuoteOf, 1500),
        (packet_v6(6, &[]), quote_v6 as QuoteOf, 1500),
        (packet_v6(60, &[6, 0, 1, 4, 0, 0, 0, 0]), quote_v6 as QuoteOf, 1500),
    ] {
        let found = quote(&octets).unwrap();
        assert_eq!((found.source_port, found.destination_port), (0x1234, 80));
        assert_eq!((found.seq, found.packet_octets), (Seq(0x0102_0304), len));
        for cut in 0..octets.len() {
            assert_eq!(quote(&octets[..cut]), Err(DropReason::IcmpMalformed), "{cut}");
        }
    }
}

#[test]
fn an_echo_of_nothing_but_zeros() {
    let mut header = [8, 0, 0xF7, 0xFF, 0, 0, 0, 0];
    icmpv4::answer_echo(&mut header);
    assert_eq!(header, [0, 0, 0xFF, 0xFF, 0, 0, 0, 0]);
}

#[test]
fn quotes_of_others_are_ignored() {
    assert_eq!(quote_v4(&packet_v4(17, 0)), Err(DropReason::IcmpIgnored));
    assert_eq!(quote_v4(&packet_v4(6, 8)), Err(DropReason::IcmpIgnored));
    assert_eq!(quote_v4(&packet_v6(6, &[])), Err(DropReason::IcmpMalformed));
    assert_eq!(quote_v6(&packet_v6(17, &[])), Err(DropReason::IcmpIgnored));
    let later = packet_v6(44, &[6, 0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(quote_v6(&later), Err(DropReason::IcmpIgnored));
}

#[test]
fn errors_carry_a_right_checksum_and_are_errors() {
    let quote = packet_v4(17, 0);
    let mut out = [0xEE; 100];
    let len = icmpv4::emit_unreachable(&mut out, icmpv4::CODE_PORT, &quote);
    assert_eq!(len, 8 + quote.len());
    assert_eq!(checksum::finish(checksum::sum(&out[..len])), 0);
    assert!(icmpv4::is_error(out[0]));
    assert_eq!(
        icmpv4::parse(&out[..len]),
        Ok(Message::Error { problem: Problem::Unreachable { code: 3 }, quote: &quote })
    );
    assert_eq!(icmpv4::emit_unreachable(&mut out[..len - 1], 3, &quote), 0);

    let (source, destination) = ([1; 16], [2; 16]);
    let addresses = checksum::pseudo_v6(source, destination, 58, 0);
    let sent = icmpv6::Sent::UnknownNextHeader { pointer: 6 };
    let len = icmpv6::emit_error(&mut out, sent, &quote, addresses);
    let pseudo = checksum::pseudo_v6(source, destination, 58, len as u32);
    assert_eq!(checksum::finish(pseudo + checksum::sum(&out[..len])), 0);
    assert!(icmpv6::is_error(out[0]));
    let len = icmpv6::emit_error(&mut out, icmpv6::Sent::PortUnreachable, &[], addresses);
    assert_eq!((len, out[0], out[1]), (8, 1, 4));
}

proptest! {
    #[test]
    fn an_answered_echo_keeps_a_right_checksum(
        code: u8, fields: [u8; 4], payload in prop::collection::vec(any::<u8>(), 0..100),
        six: bool,
    ) {
        let mut octets = vec![if six { 128 } else { 8 }, code, 0, 0];
        octets.extend(fields);
        octets.extend(payload);
        let field = checksum::finish(checksum::sum(&octets));
        octets[2..4].copy_from_slice(&field.to_be_bytes());
        let header = octets.first_chunk_mut::<8>().unwrap();
        if six { icmpv6::answer_echo(header) } else { icmpv4::answer_echo(header) }
        prop_assert_eq!(octets[0], if six { 129 } else { 0 });
        prop_assert_eq!(&octets[4..8], &fields);
        prop_assert_eq!(checksum::finish(checksum::sum(&octets)), 0);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..150), version in 4u8..7) {
        let _ = (icmpv4::parse(&bytes), icmpv6::parse(&bytes));
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 0xF;
        }
        let _ = (quote_v4(&bytes), quote_v6(&bytes));
    }
}

//! Against the modules that know every shape.

use super::*;
use crate::tcp::{EmitChecksum, Flags, Options, Timestamps};
use crate::{ipv4, ipv6, tcp};
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use std::vec::Vec;

/// Writes a header by itself. `sum`: of pseudo-header and payload, as far as they are summed here.
fn write_tcp(
    out: &mut [u8; TCP_OCTETS],
    header: &TcpHeader,
    sum: checksum::Running,
    complete: bool,
) {
    let words = tcp_words(header);
    let field = match complete {
        true => !checksum::folded(sum.in_two_words() + in_halves(words)),
        false => checksum::folded(sum.in_two_words()),
    };
    put_words(out, words, field);
}

fn header() -> impl Strategy<Value = TcpHeader> {
    (any::<[u16; 3]>(), any::<[u32; 4]>(), any::<[bool; 2]>()).prop_map(
        |(short, long, [push, fin])| TcpHeader {
            source_port: short[0],
            destination_port: short[1],
            seq: Seq(long[0]),
            ack: Seq(long[1]),
            push,
            fin,
            window: WireWindow(short[2]),
            value: long[2],
            echo: long[3],
        },
    )
}

fn ip_header<A: Arbitrary>() -> impl Strategy<Value = IpHeader<A>> {
    (0..65_000u16, any::<u8>(), any::<u8>(), any::<A>(), any::<A>()).prop_map(
        |(payload_octets, service, hop_limit, source, destination)| IpHeader {
            payload_octets,
            ecn: Ecn::from_bits(service),
            dscp: service >> 2,
            hop_limit,
            source,
            destination,
        },
    )
}

#[test]
fn a_packet_that_may_open_is_told_by_its_flags_alone() {
    for (first, ip_octets) in [(0x45, IPV4_OCTETS), (0x60, IPV6_OCTETS), (0x6F, IPV6_OCTETS)] {
        for flags in 0..=u8::MAX {
            let mut packet = std::vec![0; ip_octets + FLAGS_AT];
            packet[0] = first;
            assert!(!may_open(&packet), "cut off");
            packet.push(flags);
            assert_eq!(may_open(&packet), flags & 0x12 == 2, "{first:x} {flags:x}");
        }
    }
    let mut other = [2; 60];
    other[0] = 0x46;
    assert!(!may_open(&other) && !may_open(&[]));
}

proptest! {
    #[test]
    fn tcp_as_the_general_writer_and_reader(
        header in header(),
        partial in 0..0xFFFF_u32,
        full in any::<bool>(),
    ) {
        let field = if full { EmitChecksum::Full(partial) } else { EmitChecksum::Partial(partial) };
        let mut ours = [0; TCP_OCTETS];
        write_tcp(&mut ours, &header, checksum::Running::from_partial(partial), full);
        let general = tcp::Header {
            source_port: header.source_port,
            destination_port: header.destination_port,
            seq: header.seq,
            ack: header.ack,
            flags: Flags::ACK
                | if header.push { Flags::PSH } else { Flags::NONE }
                | if header.fin { Flags::FIN } else { Flags::NONE },
            window: header.window,
            urgent: 0,
        };
        let timestamps = Some(Timestamps { value: header.value, echo: header.echo });
        let options = Options { timestamps, ..Options::default() };
        let mut theirs = [0; TCP_OCTETS];
        prop_assert_eq!(tcp::emit(&mut theirs, &general, &options, field), TCP_OCTETS);
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(read_tcp(&ours), Some(header));
        prop_assert_eq!(tcp::parse(&ours, 100), Ok((general, options, TCP_OCTETS)));
    }

    #[test]
    fn the_checksum_of_a_segment_is_right_whatever_its_length(
        header in header(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        addresses in any::<[[u8; 4]; 2]>(),
    ) {
        let [source, destination] = addresses;
        let length = (TCP_OCTETS + payload.len()) as u32;
        let pseudo = checksum::Running::pseudo_v4(source, destination, tcp::PROTOCOL, length);
        let mut sum = pseudo;
        sum.add(&payload);
        let mut octets = [0; TCP_OCTETS];
        write_tcp(&mut octets, &header, sum, true);
        let mut whole = pseudo;
        whole.add(&octets);
        whole.add(&payload);
        prop_assert_eq!(whole.finish(), 0);
        prop_assert_eq!(
            pseudo.partial(),
            checksum::pseudo_v4(source, destination, tcp::PROTOCOL, length)
        );
    }

    /// The next of a series is what it would be by itself.
    #[test]
    fn a_series_has_one_header_after_another(
        tcp in header(),
        four in ip_header::<[u8; 4]>(),
        six in ip_header::<[u8; 16]>(),
        flow_label: u32,
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 300), 1..4),
        seqs in any::<[u32; 3]>(),
        complete in any::<bool>(),
    ) {
        let payload_octets = (TCP_OCTETS + 300) as u16;
        let (four, six) =
            (IpHeader { payload_octets, ..four }, IpHeader { payload_octets, ..six });
        let by_four = Series::v4(&four, &tcp, complete);
        let by_six = Series::v6(&six, flow_label, &tcp, complete);
        for (seq, payload) in seqs.map(Seq).into_iter().zip(&payloads) {
            let tcp = TcpHeader { seq, ..tcp };
            let mut sum = checksum::Running::default();
            sum.add(payload);
            let (mut ours, mut alone) = ([7; BOTH_V4], [0; BOTH_V4]);
            by_four.write(&mut ours, seq, sum);
            write_both_v4(&mut alone, &four, &tcp, complete.then_some(sum));
            prop_assert_eq!(ours, alone);
            let (mut ours, mut alone) = ([7; BOTH_V6], [0; BOTH_V6]);
            by_six.write(&mut ours, seq, sum);
            write_both_v6(&mut alone, &six, flow_label, &tcp, complete.then_some(sum));
            prop_assert_eq!(ours, alone);
        }
    }

    // Checksums of zeros and ones included: addresses, ports and payload of one octet each.
    #[test]
    fn both_headers_at_once_are_the_two(
        tcp in header(),
        four in ip_header::<[u8; 4]>(),
        six in ip_header::<[u8; 16]>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        same in prop::option::of(any::<u8>()),
        flow_label: u32,
        complete: bool,
    ) {
        let octets = payload.len();
        let payload = same.map_or(payload, |octet| std::vec![octet; octets]);
        let payload_octets = (TCP_OCTETS + octets) as u16;
        let mut four = IpHeader { payload_octets, ..four };
        let mut six = IpHeader { payload_octets, ..six };
        if let Some(octet) = same {
            (four.source, four.destination) = ([octet; 4], [octet; 4]);
            (six.source, six.destination) = ([octet; 16], [octet; 16]);
        }
        let length = u32::from(payload_octets);
        let mut sum = checksum::Running::default();
        sum.add(&payload);
        let given = complete.then_some(sum);
        let with_payload = |mut pseudo: checksum::Running| {
            if complete {
                pseudo.add(&payload);
            }
            pseudo
        };

        let (mut ours, mut ip, mut rest) = ([0; BOTH_V4], [0; IPV4_OCTETS], [0; TCP_OCTETS]);
        write_both_v4(&mut ours, &four, &tcp, given);
        write_ipv4(&mut ip, &four);
        let (source, destination) = (four.source, four.destination);
        let pseudo =
            checksum::Running::pseudo_v4(source, destination, crate::tcp::PROTOCOL, length);
        write_tcp(&mut rest, &tcp, with_payload(pseudo), complete);
        prop_assert_eq!(&ours[..], &[&ip[..], &rest[..]].concat()[..]);

        let (mut ours, mut ip) = ([0; BOTH_V6], [0; IPV6_OCTETS]);
        write_both_v6(&mut ours, &six, flow_label, &tcp, given);
        write_ipv6(&mut ip, &six, flow_label);
        let (source, destination) = (six.source, six.destination);
        let pseudo =
            checksum::Running::pseudo_v6(source, destination, crate::tcp::PROTOCOL, length);
        write_tcp(&mut rest, &tcp, with_payload(pseudo), complete);
        prop_assert_eq!(&ours[..], &[&ip[..], &rest[..]].concat()[..]);
    }

    // Whatever is read, the general reader reads it the same way; and any change of shape is seen.
    #[test]
    fn what_was_prepared_is_written_as_any(
        ip in ip_header::<[u8; 4]>(),
        tcp in header(),
        payload in prop::collection::vec(any::<u8>(), 0..600),
        complete in any::<bool>(),
    ) {
        let TcpHeader { source_port, destination_port, seq, ack, window, value, echo, .. } = tcp;
        let payload_octets = (TCP_OCTETS + payload.len()) as u16;
        let ip = IpHeader { payload_octets, ecn: Ecn::NotCapable, ..ip };
        let sum = complete.then(|| checksum::Running::of_short(&payload));
        let mut expected = [0; BOTH_V4];
        let any = TcpHeader { push: true, fin: false, ..tcp };
        write_both_v4(&mut expected, &ip, &any, sum);
        let prepared = PreparedV4::new(
            (ip.dscp, ip.hop_limit),
            (ip.source, ip.destination),
            (source_port, destination_port),
        );
        let mut out = [0xEE; BOTH_V4];
        let message = MessageHeader { seq, ack, window, value, echo };
        prepared.write(&mut out, payload.len() as u16, &message, sum);
        prop_assert_eq!((out, prepared.is_none()), (expected, false));
    }

    #[test]
    fn other_shapes_are_not_read(header in header(), at in 0..TCP_OCTETS, bit in 0..8u32) {
        let mut octets = [0; TCP_OCTETS];
        write_tcp(&mut octets, &header, checksum::Running::default(), false);
        octets[at] ^= 1 << bit;
        let general = tcp::parse(&octets, TCP_OCTETS);
        match (read_tcp(&octets), general) {
            (Some(found), Ok((general, options, TCP_OCTETS))) => {
                prop_assert_eq!((found.seq, found.ack), (general.seq, general.ack));
                prop_assert_eq!(found.window, general.window);
                prop_assert_eq!(general.flags.without(Flags::PSH | Flags::FIN), Flags::ACK);
                let value = options.only_timestamps().map(|stamps| (stamps.value, stamps.echo));
                prop_assert_eq!(Some((found.value, found.echo)), value);
            }
            (Some(found), other) => prop_assert!(false, "{found:?} {other:?}"),
            (None, _) => prop_assert!(at == 12 || at == 13 || (20..24).contains(&at)),
        }
    }

    #[test]
    fn ipv4_as_the_general_writer_and_reader(header in ip_header::<[u8; 4]>()) {
        let general = ipv4::Header {
            dscp: header.dscp,
            ecn: header.ecn,
            total_octets: header.payload_octets + IPV4_OCTETS as u16,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: header.hop_limit,
            protocol: tcp::PROTOCOL,
            source: Ipv4Addr::from(header.source),
            destination: Ipv4Addr::from(header.destination),
        };
        let mut ours = [0; IPV4_OCTETS];
        write_ipv4(&mut ours, &header);
        prop_assert_eq!(&ours[..], &ipv4::emit(&general)[..]);
        prop_assert_eq!(read_ipv4(&ours), Some(header));
    }

    #[test]
    fn of_ipv4_only_what_the_general_reader_takes(
        header in ip_header::<[u8; 4]>(),
        changes in prop::collection::vec((0..IPV4_OCTETS, any::<u8>()), 0..3),
        mend in any::<bool>(),
    ) {
        let mut octets = [0; IPV4_OCTETS];
        write_ipv4(&mut octets, &header);
        changes.iter().for_each(|(at, value)| octets[*at] = *value);
        if mend {
            (octets[10], octets[11]) = (0, 0);
            let sum = checksum::finish(checksum::sum(&octets));
            octets[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        if let Some(found) = read_ipv4(&octets) {
            let mut packet = Vec::from(octets);
            packet.resize(70_000, 0);
            let (general, length) = ipv4::parse(&packet, packet.len()).unwrap();
            prop_assert_eq!(length, IPV4_OCTETS);
            prop_assert!(!general.is_fragment());
            prop_assert_eq!(general.protocol, tcp::PROTOCOL);
            prop_assert_eq!(usize::from(general.total_octets), IPV4_OCTETS + usize::from(found.payload_octets));
            prop_assert_eq!((general.source.octets(), general.destination.octets()), (found.source, found.destination));
            prop_assert_eq!((general.ecn, general.dscp, general.ttl), (found.ecn, found.dscp, found.hop_limit));
        }
    }

    #[test]
    fn ipv6_as_the_general_writer_and_reader(header in ip_header::<[u8; 16]>(), label in 0..1u32 << 20) {
        let general = ipv6::Header {
            dscp: header.dscp,
            ecn: header.ecn,
            flow_label: label,
            payload_octets: header.payload_octets,
            next_header: tcp::PROTOCOL,
            hop_limit: header.hop_limit,
            source: Ipv6Addr::from(header.source),
            destination: Ipv6Addr::from(header.destination),
        };
        let mut ours = [0; IPV6_OCTETS];
        write_ipv6(&mut ours, &header, label);
        prop_assert_eq!(&ours[..], &ipv6::emit(&general)[..]);
        prop_assert_eq!(read_ipv6(&ours), Some(header));
    }
}

proptest! {
    // Both headers at once are what each reader finds; a changed bit is seen, or changes what is read alike.
    #[test]
    fn both_headers_as_the_readers_of_each(
        ip in ip_header::<[u8; 4]>(),
        tcp in header(),
        at in 0..BOTH_V4,
        flip in any::<u8>(),
    ) {
        let mut octets = [0; BOTH_V4];
        write_both_v4(&mut octets, &ip, &tcp, None);
        octets[at] ^= flip;
        let (front, back) = octets.split_first_chunk::<IPV4_OCTETS>().expect("both");
        let each = read_ipv4(front).zip(read_tcp(back.first_chunk().expect("both")));
        let both = HeadersV4::of(&octets);
        let found = both.map(|both| (both.source(), both.destination(), both.ecn(), both.tcp()));
        let told = each.map(|(ip, tcp)| (ip.source, ip.destination, ip.ecn, tcp));
        prop_assert_eq!(found, told);
        if let (Some(both), Some((ip, tcp))) = (both, each) {
            prop_assert_eq!(both.packet_octets(), usize::from(ip.payload_octets) + IPV4_OCTETS);
            prop_assert_eq!(
                both.ports(),
                u32::from(tcp.source_port) << 16 | u32::from(tcp.destination_port)
            );
            prop_assert_eq!(both.fin(), tcp.fin);
        }
    }
}

proptest! {
    // A short packet is what the headers say and what both sums tell, and nothing else is one.
    #[test]
    fn short_packets_as_the_headers_of_any(
        ip in ip_header::<[u8; 4]>(),
        tcp in header(),
        payload in prop::collection::vec(any::<u8>(), 0..600),
        plain in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
        longer in 0..2usize,
    ) {
        let payload_octets = (TCP_OCTETS + payload.len() + longer) as u16;
        let ecn = if plain { Ecn::NotCapable } else { ip.ecn };
        let ip = IpHeader { payload_octets, ecn, ..ip };
        let tcp = TcpHeader { fin: tcp.fin && !plain, ..tcp };
        let mut packet = std::vec![0; BOTH_V4];
        packet.extend(&payload);
        let sum = checksum::Running::of_short(&payload);
        write_both_v4(packet.first_chunk_mut().expect("both"), &ip, &tcp, Some(sum));
        for (at, flip) in flips {
            let at = at.index(packet.len());
            packet[at] ^= flip;
        }
        let headers = HeadersV4::of(packet.first_chunk().expect("both")).filter(|headers| {
            headers.packet_octets() == packet.len() && payload.len() <= ShortV4::MOST_OCTETS
        });
        let narrow = headers.filter(|headers| {
            headers.ecn() == Ecn::NotCapable && !headers.fin() && !payload.is_empty()
        });
        for (short, headers) in [(ShortV4::of(&packet), narrow), (ShortV4::of_any(&packet), headers)] {
            let found = short.map(|it| {
                let told = it.headers();
                (told.tcp(), told.ecn(), told.source(), told.destination(), it.numbers(), it.window(), it.value())
            });
            let told = headers.map(|it| {
                let tcp = it.tcp();
                (tcp, it.ecn(), it.source(), it.destination(), Numbers::of(&tcp), tcp.window, tcp.value)
            });
            prop_assert_eq!(found, told);
            let Some((short, headers)) = short.zip(headers) else { continue };
            let mut sum = headers.pseudo((packet.len() - IPV4_OCTETS) as u32);
            sum.add(&packet[IPV4_OCTETS..]);
            prop_assert_eq!(short.is_intact(), sum.finish() == 0);
            prop_assert_eq!(short.payload_octets(), payload.len());
            prop_assert_eq!((short.numbers().seq(), short.numbers().ack()), (headers.tcp().seq, headers.tcp().ack));
        }
    }
}

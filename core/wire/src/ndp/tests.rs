use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn octets(packet: &Packet) -> Vec<u8> {
    let mut out = [0; LONGEST_OCTETS];
    let count = emit(&mut out, packet);
    out[..count].to_vec()
}

fn solicitation() -> Packet {
    let target = address("fd00::2");
    let message = Message::Solicitation { target, source_mac: Some([2, 0, 0, 0, 0, 1]) };
    Packet { source: address("fd00::1"), destination: solicited_node(target), message }
}

fn advertisement() -> Packet {
    let message = Message::Advertisement {
        target: address("fd00::2"),
        target_mac: Some([2, 0, 0, 0, 0, 2]),
        solicited: true,
        overrides: true,
    };
    Packet { source: address("fd00::2"), destination: address("fd00::1"), message }
}

/// Makes the checksum right again.
fn sealed(mut packet: Vec<u8>) -> Vec<u8> {
    packet[42..44].fill(0);
    let (from, to) = (packet[8..24].try_into().unwrap(), packet[24..40].try_into().unwrap());
    let body = &packet[40..];
    let pseudo = checksum::pseudo_v6(from, to, icmpv6::PROTOCOL, body.len() as u32);
    let field = checksum::finish(pseudo + checksum::sum(body));
    packet[42..44].copy_from_slice(&field.to_be_bytes());
    packet
}

#[test]
fn messages_are_written_as_the_rfc_draws_them() {
    let packet = octets(&solicitation());
    assert_eq!(packet.len(), LONGEST_OCTETS);
    assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 32, 58, 255]);
    assert_eq!(packet[24..40], address("ff02::1:ff00:2").octets());
    assert_eq!((packet[40], packet[41], &packet[44..48]), (135, 0, &[0; 4][..]));
    assert_eq!(packet[48..64], address("fd00::2").octets());
    assert_eq!(packet[64..], [1, 1, 2, 0, 0, 0, 0, 1]);
    let packet = octets(&advertisement());
    assert_eq!((packet[40], packet[44], &packet[64..66]), (136, 0x60, &[2, 1][..]));
}

#[test]
fn messages_are_read_again() {
    let probe = Packet {
        source: Ipv6Addr::UNSPECIFIED,
        destination: solicited_node(address("fd00::2")),
        message: Message::Solicitation { target: address("fd00::2"), source_mac: None },
    };
    let to_all = Packet {
        source: address("fd00::2"),
        destination: ALL_NODES,
        message: Message::Advertisement {
            target: address("fd00::2"),
            target_mac: Some([2, 0, 0, 0, 0, 2]),
            solicited: false,
            overrides: true,
        },
    };
    for packet in [solicitation(), advertisement(), probe, to_all] {
        let octets = octets(&packet);
        assert!(is_discovery(&octets));
        assert_eq!(parse(&octets), Ok(packet));
        // Padding of the link behind it.
        let padded: Vec<u8> = octets.iter().copied().chain([7; 6]).collect();
        assert_eq!(parse(&padded), Ok(packet));
    }
    assert_eq!(emit(&mut [0; LONGEST_OCTETS - 1], &solicitation()), 0);
}

#[test]
fn what_must_not_be_is_refused() {
    let solicitation = octets(&solicitation());
    let advertisement = octets(&advertisement());
    let with = |packet: &[u8], at: usize, value: u8| {
        let mut packet = packet.to_vec();
        packet[at] = value;
        packet
    };
    for (what, packet, reason) in [
        ("routed", with(&solicitation, 7, 254), DropReason::NeighbourMalformed),
        ("a code", sealed(with(&solicitation, 41, 1)), DropReason::NeighbourMalformed),
        ("the checksum", with(&solicitation, 63, 3), DropReason::IcmpChecksum),
        (
            "a group as target",
            sealed(with(&solicitation, 48, 0xFF)),
            DropReason::NeighbourMalformed,
        ),
        (
            "an option of no length",
            sealed(with(&solicitation, 65, 0)),
            DropReason::NeighbourMalformed,
        ),
        ("an option too long", sealed(with(&solicitation, 65, 2)), DropReason::NeighbourMalformed),
        ("a router's message", sealed(with(&solicitation, 40, 134)), DropReason::IcmpIgnored),
        (
            "a group as source",
            sealed(with(&advertisement, 8, 0xFF)),
            DropReason::NeighbourMalformed,
        ),
        (
            "solicited by all",
            sealed(with(&advertisement, 24, 0xFF)),
            DropReason::NeighbourMalformed,
        ),
    ] {
        assert_eq!(parse(&packet), Err(reason), "{what}");
    }
    // A probe for duplicates that says who asks.
    let mut probe = solicitation.clone();
    probe[8..24].fill(0);
    assert_eq!(parse(&sealed(probe)), Err(DropReason::NeighbourMalformed));
    for octets in 0..solicitation.len() {
        assert!(parse(&solicitation[..octets]).is_err());
    }
    // A message cut before its target's end, its length and sum right.
    let mut short = solicitation[..60].to_vec();
    short[5] = 20;
    assert_eq!(parse(&sealed(short)), Err(DropReason::NeighbourMalformed));
}

#[test]
fn unknown_options_are_passed_over() {
    let mut packet = octets(&solicitation());
    // A nonce (RFC 3971) in front of the address.
    packet.splice(64..64, [14, 1, 1, 2, 3, 4, 5, 6]);
    packet[5] += 8;
    assert_eq!(parse(&sealed(packet)), Ok(solicitation()));
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic(octets: Vec<u8>, kind in 133u8..138, tail: Vec<u8>) {
        let _ = (parse(&octets), is_discovery(&octets));
        let mut packet = self::octets(&solicitation());
        packet[40] = kind;
        packet.truncate(64);
        packet.extend(tail.iter().take(200));
        packet[5] = (packet.len() - 40) as u8;
        let packet = sealed(packet);
        if let Ok(read) = parse(&packet) {
            prop_assert_eq!(parse(&self::octets(&read)), Ok(read));
        }
    }
}

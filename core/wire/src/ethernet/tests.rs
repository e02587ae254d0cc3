use super::*;
use proptest::prelude::*;

const FRAME: [u8; 16] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0x00];

#[test]
fn the_header_is_read_and_written() {
    let header = parse(&FRAME).unwrap();
    let expected =
        Header { destination: [2, 0, 0, 0, 0, 1], source: [2, 0, 0, 0, 0, 2], kind: Kind::Ipv4 };
    assert_eq!(header, expected);
    assert_eq!(emit(&header), FRAME[..HEADER_OCTETS]);
}

#[test]
fn too_few_octets_are_no_header() {
    for octets in 0..HEADER_OCTETS {
        assert_eq!(parse(&FRAME[..octets]), Err(DropReason::LinkMalformed));
    }
}

#[test]
fn kinds_have_their_numbers() {
    for (number, kind) in [
        (0x0800, Kind::Ipv4),
        (0x86DD, Kind::Ipv6),
        (0x0806, Kind::Arp),
        (0x8100, Kind::Vlan),
        (0x05DC, Kind::Other(0x05DC)),
        (0x88CC, Kind::Other(0x88CC)),
    ] {
        assert_eq!((Kind::from_number(number), kind.number()), (kind, number));
    }
    assert_eq!(Kind::from_number(0x88A8), Kind::Vlan);
}

#[test]
fn groups_are_told_from_stations() {
    assert!(
        is_group(BROADCAST)
            && is_group([0x33, 0x33, 0, 0, 0, 1])
            && is_group([1, 0, 0x5E, 0, 0, 1])
    );
    assert!(is_station([2, 0, 0, 0, 0, 1]) && !is_station(BROADCAST) && !is_station([0; 6]));
    let group: Ipv6Addr = "ff02::1:ff00:2a".parse().unwrap();
    assert_eq!(group_of(group), [0x33, 0x33, 0xFF, 0, 0, 0x2A]);
}

proptest! {
    #[test]
    fn what_is_read_is_written_again(octets: [u8; HEADER_OCTETS]) {
        let header = parse(&octets).unwrap();
        // One of the two VLAN numbers stands for both.
        if header.kind != Kind::Vlan {
            prop_assert_eq!(emit(&header), octets);
        }
    }
}

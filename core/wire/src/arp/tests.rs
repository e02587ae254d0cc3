use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const REQUEST: [u8; PACKET_OCTETS] = [
    0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
    2, 0, 0, 0, 0, 1, 10, 0, 0, 1, // from
    0, 0, 0, 0, 0, 0, 10, 0, 0, 2, // for
];

#[test]
fn a_request_is_read_and_written() {
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: [2, 0, 0, 0, 0, 1],
        sender: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: [0; 6],
        target: Ipv4Addr::new(10, 0, 0, 2),
    };
    assert_eq!(parse(&REQUEST), Ok(packet));
    assert_eq!(emit(&packet), REQUEST);
    let padded: Vec<u8> = REQUEST.iter().copied().chain([0; 18]).collect();
    assert_eq!(parse(&padded), Ok(packet));
    let mut reply = REQUEST;
    reply[7] = 2;
    assert_eq!(parse(&reply).unwrap().operation, Operation::Reply);
}

#[test]
fn other_networks_and_operations_are_refused() {
    // Hardware, protocol, both lengths, operation.
    for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 0), (7, 3), (6, 1)] {
        let mut packet = REQUEST;
        packet[at] = value;
        assert_eq!(parse(&packet), Err(DropReason::LinkMalformed), "octet {at}");
    }
    for octets in 0..PACKET_OCTETS {
        assert_eq!(parse(&REQUEST[..octets]), Err(DropReason::LinkMalformed));
    }
}

proptest! {
    #[test]
    fn any_octets_are_refused_or_written_again(mut octets: [u8; PACKET_OCTETS], sound: bool) {
        if sound {
            octets[..8].copy_from_slice(&REQUEST[..8]);
        }
        match parse(&octets) {
            Ok(packet) => prop_assert_eq!(emit(&packet), octets),
            Err(reason) => prop_assert!(!sound && reason == DropReason::LinkMalformed),
        }
    }
}

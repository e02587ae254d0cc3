//! Errors about packets that nobody takes, and silence where silence is due.

use super::*;

fn udp(len: usize) -> Vec<u8> {
    let mut octets = vec![0x30, 0x39, 0, 53, 0, 0, 0, 0];
    octets.extend(counting(len));
    octets
}

#[test]
fn udp_and_unknown_protocols_get_the_right_error() {
    // Kind, code, pointer.
    let destination_options = vec![200, 0, 1, 4, 0, 0, 0, 0];
    let extension = Given { extra: destination_options, first_extension: 60, ..v6(200) };
    let table = [
        (v4(17), (3, 3, 0)),
        (v4(4), (3, 2, 0)),
        (v4(200), (3, 2, 0)),
        (v6(17), (1, 4, 0)),
        (v6(200), (4, 1, 6)),
        (v6(41), (4, 1, 6)),
        (extension, (4, 1, 40)),
    ];
    for (given, (kind, code, pointer)) in table {
        let (mut layer, pool) = (layer(), pool());
        let octets = given.octets(&udp(60));
        let Input::Reply(packet) = arrive(&mut layer, &octets, &pool) else {
            panic!("no answer to protocol {}", given.protocol);
        };
        let answer = packet.octets.to_vec();
        let six = octets[0] >> 4 == 6;
        let header = if six { 40 } else { 20 };
        let message = &answer[header..];
        assert_eq!((message[0], message[1]), (kind, code));
        assert_eq!(message[4..8], u32::to_be_bytes(pointer));
        assert!(octets.starts_with(&message[8..]), "the quote is the packet's beginning");
        assert!(message.len() >= 8 + header + 8);
        assert!(answer.len() <= octets.len(), "AT-21");
        let pseudo = if six { pseudo_6(OURS_6, PEER_6, 58, message.len()) } else { 0 };
        assert_eq!(checksum::finish(pseudo + checksum::sum(message)), 0);
        assert_eq!(layer.poll_drop(), Some((DropReason::IpProtocol, 1)));
        assert_eq!(layer.poll_drop(), None);
    }
}

#[test]
fn an_error_is_hardly_longer_than_its_cause() {
    for len in 0..1400 {
        for (given, header) in [(v4(17), 20), (v6(17), 40)] {
            let (mut layer, pool) = (layer(), pool());
            let octets = given.octets(&udp(len));
            let Input::Reply(packet) = arrive(&mut layer, &octets, &pool) else {
                panic!("no answer");
            };
            let least = 2 * (header + 8);
            assert!(packet.len() <= octets.len().max(least), "{len}");
            assert!(packet.len() <= header + 8 + 128);
        }
    }
}

#[test]
fn silence_where_an_error_would_be_wrong() {
    let fragment = Given { fragment: Some((1, 0, true)), ..v4(17) };
    let (mut layer, pool) = (layer(), pool());
    assert!(matches!(arrive(&mut layer, &fragment.octets(&udp(8)), &pool), Input::Consumed));
    let last = Given { fragment: Some((1, 16, false)), ..v4(17) };
    let table = [
        // A datagram that came in fragments.
        (last, vec![1; 4], DropReason::IpProtocol),
        // Errors about ICMP of the other version, about nothing, about half a header.
        (v4(58), vec![1; 20], DropReason::IpProtocol),
        (v6(1), vec![1; 20], DropReason::IpProtocol),
        (v6(59), vec![], DropReason::IpProtocol),
        (v4(17), vec![1; 7], DropReason::IpMalformed),
        (v6(17), vec![], DropReason::IpMalformed),
        (Given { destination: "10.0.0.255", ..v4(17) }, udp(9), DropReason::IpBroadcast),
        (Given { destination: "224.0.0.5", ..v4(17) }, udp(9), DropReason::IpBroadcast),
        (Given { source: "224.0.0.5", ..v4(17) }, udp(9), DropReason::IpMartianSource),
    ];
    for (given, payload, reason) in table {
        let found = drop_reason(arrive(&mut layer, &given.octets(&payload), &pool));
        assert_eq!(found, reason, "{}", given.protocol);
    }
}

#[test]
fn errors_are_rate_limited() {
    let limits = Limits { icmp_errors_per_second: 30, ..Limits::default() };
    let (mut layer, pool) = (layer_with(limits), pool());
    let octets = v4(17).octets(&udp(9));
    for _ in 0..3 {
        assert!(matches!(arrive(&mut layer, &octets, &pool), Input::Reply(_)));
    }
    assert_eq!(drop_reason(arrive(&mut layer, &octets, &pool)), DropReason::IcmpLimited);
    assert!(!layer.allow_icmp_error(NOW), "the bucket is the stack's too");
    assert!(layer.allow_reset(NOW));
}

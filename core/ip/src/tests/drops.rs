//! One row for every reason to drop.

use super::*;

/// An octet to change, and to what.
type Change = (usize, u8);

fn changed(mut octets: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (at, value) in changes {
        octets[*at] = *value;
    }
    octets
}

#[test]
fn malformed_headers() {
    let segment = tcp_segment(5, 20);
    let four = v4(6).octets(&segment);
    let six = v6(6).octets(&segment);
    let fixed = |changes: &[Change]| {
        let mut octets = changed(four.clone(), changes);
        fix_header_checksum(&mut octets);
        octets
    };
    let table: Vec<(&str, Vec<u8>, DropReason)> = vec![
        ("nothing", vec![], DropReason::IpMalformed),
        ("version 0", vec![0; 40], DropReason::IpVersion),
        ("version 5", changed(four.clone(), &[(0, 0x55)]), DropReason::IpVersion),
        ("version 15", vec![0xFF; 40], DropReason::IpVersion),
        ("v4 too short", four[..19].to_vec(), DropReason::IpMalformed),
        ("v4 header length 4", changed(four.clone(), &[(0, 0x44)]), DropReason::IpMalformed),
        ("v4 cut", four[..four.len() - 1].to_vec(), DropReason::IpMalformed),
        ("v4 total below header", fixed(&[(2, 0), (3, 19)]), DropReason::IpMalformed),
        ("v4 total beyond", fixed(&[(2, 1), (3, 0)]), DropReason::IpMalformed),
        ("v4 checksum", changed(four.clone(), &[(10, four[10] ^ 1)]), DropReason::IpChecksum),
        ("v4 time to live changed", changed(four.clone(), &[(8, 9)]), DropReason::IpChecksum),
        ("v6 too short", six[..39].to_vec(), DropReason::IpMalformed),
        ("v6 cut", six[..six.len() - 1].to_vec(), DropReason::IpMalformed),
        ("v6 payload beyond", changed(six.clone(), &[(4, 1)]), DropReason::IpMalformed),
    ];
    for (name, octets, reason) in table {
        let (mut layer, pool) = (layer(), pool());
        let packet = if octets.is_empty() { Packet::default() } else { packet(&octets, &pool) };
        assert_eq!(drop_reason(layer.input(NOW, packet, &pool)), reason, "{name}");
    }
}

#[test]
fn addresses_that_may_not_be() {
    let table = [
        // Sources no packet may have.
        ("0.0.0.0", OURS, DropReason::IpMartianSource),
        ("0.1.2.3", OURS, DropReason::IpMartianSource),
        ("127.0.0.1", OURS, DropReason::IpMartianSource),
        ("127.255.255.255", OURS, DropReason::IpMartianSource),
        ("224.0.0.1", OURS, DropReason::IpMartianSource),
        ("239.255.255.255", OURS, DropReason::IpMartianSource),
        ("240.0.0.1", OURS, DropReason::IpMartianSource),
        ("255.255.255.255", OURS, DropReason::IpMartianSource),
        ("10.0.0.255", OURS, DropReason::IpMartianSource),
        ("10.0.0.2", OURS, DropReason::IpMartianSource),
        (OURS, OURS, DropReason::TcpLand),
        ("::", OURS_6, DropReason::IpMartianSource),
        ("::1", OURS_6, DropReason::IpMartianSource),
        ("ff02::1", OURS_6, DropReason::IpMartianSource),
        ("::ffff:192.0.2.9", OURS_6, DropReason::IpMartianSource),
        (OURS_6, OURS_6, DropReason::TcpLand),
        // Destinations that are not ours, or not ours alone.
        (PEER, "10.0.0.3", DropReason::IpNotOurs),
        (PEER, "127.0.0.1", DropReason::IpNotOurs),
        (PEER, "255.255.255.255", DropReason::IpBroadcast),
        (PEER, "10.0.0.255", DropReason::IpBroadcast),
        (PEER, "224.0.0.1", DropReason::IpBroadcast),
        (PEER_6, "2001:db8::2", DropReason::IpNotOurs),
        (PEER_6, "::ffff:10.0.0.1", DropReason::IpNotOurs),
        (PEER_6, "ff02::1", DropReason::IpBroadcast),
    ];
    for (source, destination, reason) in table {
        for protocol in [6, 17, 200] {
            let (mut layer, pool) = (layer(), pool());
            let given = Given { source, destination, ..v4(protocol) };
            let octets = given.octets(&tcp_segment(5, 0));
            let found = drop_reason(arrive(&mut layer, &octets, &pool));
            assert_eq!(found, reason, "{source} to {destination}, protocol {protocol}");
            assert!(layer.poll_reply().is_none());
        }
    }
}

#[test]
fn options_and_extensions_that_are_refused() {
    let options = |extra: &[u8]| Given { extra: extra.to_vec(), ..v4(6) };
    let extension =
        |kind, extra: &[u8]| Given { extra: extra.to_vec(), first_extension: kind, ..v6(6) };
    let table = [
        (options(&[131, 3, 4, 0]), DropReason::IpSourceRoute),
        (options(&[137, 3, 4, 0]), DropReason::IpSourceRoute),
        (options(&[7, 1, 0, 0]), DropReason::IpMalformed),
        (extension(43, &[6, 0, 0, 0, 0, 0, 0, 0]), DropReason::IpSourceRoute),
        (extension(43, &[6, 0, 3, 1, 0, 0, 0, 0]), DropReason::IpSourceRoute),
        (extension(0, &[6, 0, 0x80, 4, 0, 0, 0, 0]), DropReason::IpExtension),
        (extension(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(9)), DropReason::IpExtension),
        (extension(60, &[6, 200, 1, 4, 0, 0, 0, 0]), DropReason::IpMalformed),
    ];
    for (given, reason) in table {
        let (mut layer, pool) = (layer(), pool());
        let octets = given.octets(&tcp_segment(5, 0));
        assert_eq!(drop_reason(arrive(&mut layer, &octets, &pool)), reason, "{:?}", given.extra);
    }
}

#[test]
fn icmp_that_is_not_acted_on() {
    let mut flipped = icmp(false, 8, 0, [0; 4], &[1, 2, 3]);
    flipped[9] ^= 1;
    let mut flipped_6 = icmp(true, 128, 0, [0; 4], &[1, 2, 3]);
    flipped_6[9] ^= 1;
    let short = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        let field = checksum::finish(checksum::sum(&octets));
        octets[2..4].copy_from_slice(&field.to_be_bytes());
        octets
    };
    let table = [
        (v4(1), flipped, DropReason::IcmpChecksum),
        (v6(58), flipped_6, DropReason::IcmpChecksum),
        (v4(1), short(&[8, 0, 0, 0, 0, 0]), DropReason::IcmpMalformed),
        (v4(1), icmp(false, 0, 0, [0; 4], &[]), DropReason::IcmpIgnored),
        (v4(1), icmp(false, 4, 0, [0; 4], &[0; 28]), DropReason::IcmpIgnored),
        (v4(1), icmp(false, 5, 1, [0; 4], &[0; 28]), DropReason::IcmpIgnored),
        (v4(1), icmp(false, 13, 0, [0; 4], &[0; 12]), DropReason::IcmpIgnored),
        (v6(58), icmp(true, 129, 0, [0; 4], &[]), DropReason::IcmpIgnored),
        (v6(58), icmp(true, 134, 0, [0; 4], &[0; 8]), DropReason::IcmpIgnored),
        (v6(58), icmp(true, 135, 0, [0; 4], &[0; 16]), DropReason::IcmpIgnored),
        (v6(58), icmp(true, 137, 0, [0; 4], &[0; 32]), DropReason::IcmpIgnored),
    ];
    for (given, message, reason) in table {
        let (mut layer, pool) = (layer(), pool());
        let found = drop_reason(arrive(&mut layer, &given.octets(&message), &pool));
        assert_eq!(found, reason, "{message:?}");
    }
}

//! ICMP errors become signals, or nothing.

use super::*;
use usertcp_base::{FlowKey, LocalIndex, Seq};

/// The beginning of a packet of ours: IP header and eight octets of TCP.
fn quoted(six: bool, total: u16) -> Vec<u8> {
    let from_us = match six {
        true => Given { source: OURS_6, destination: PEER_6, ..v6(6) },
        false => Given { source: OURS, destination: PEER, ..v4(6) },
    };
    let mut octets = from_us.octets(&[0x12, 0x34, 0x01, 0xBB, 0xA, 0xB, 0xC, 0xD]);
    let at = if six { 4 } else { 2 };
    octets[at..at + 2].copy_from_slice(&(total - if six { 40 } else { 0 }).to_be_bytes());
    octets
}

fn flow(six: bool) -> FlowKey {
    FlowKey {
        remote: remote_address(ip(if six { PEER_6 } else { PEER })),
        local: LocalIndex(six.into()),
        remote_port: 443,
        local_port: 0x1234,
    }
}

/// A router's error, which the router's own address sends.
fn error(six: bool, kind: u8, code: u8, field: u32, quote: &[u8]) -> Input {
    let (mut layer, pool) = (layer(), pool());
    let message = icmp(six, kind, code, field.to_be_bytes(), quote);
    let given = if six { v6(58) } else { v4(1) };
    arrive(&mut layer, &given.octets(&message), &pool)
}

#[test]
fn each_error_says_what_happened() {
    use SignalKind::*;
    let table = [
        (false, 3, 0, 0, Unreachable { hard: false, code: 0 }),
        (false, 3, 1, 0, Unreachable { hard: false, code: 1 }),
        (false, 3, 2, 0, Unreachable { hard: true, code: 2 }),
        (false, 3, 3, 0, Unreachable { hard: true, code: 3 }),
        (false, 3, 5, 0, Unreachable { hard: false, code: 5 }),
        (false, 3, 13, 0, Unreachable { hard: true, code: 13 }),
        (false, 3, 4, 1400, TooBig { mtu: 1400 }),
        (false, 3, 4, 68, TooBig { mtu: 68 }),
        (false, 11, 0, 0, TimeExceeded),
        (false, 11, 1, 0, TimeExceeded),
        (false, 12, 0, 0, ParameterProblem { code: 0 }),
        (true, 1, 0, 0, Unreachable { hard: false, code: 0 }),
        (true, 1, 1, 0, Unreachable { hard: true, code: 1 }),
        (true, 1, 3, 0, Unreachable { hard: false, code: 3 }),
        (true, 1, 4, 0, Unreachable { hard: true, code: 4 }),
        (true, 2, 0, 1280, TooBig { mtu: 1280 }),
        (true, 3, 0, 0, TimeExceeded),
        (true, 4, 1, 6, ParameterProblem { code: 1 }),
    ];
    for (six, kind, code, field, expected) in table {
        let input = error(six, kind, code, field, &quoted(six, 1500));
        let Input::Signal(signal) = input else { panic!("{input:?}") };
        assert_eq!(signal.flow, flow(six));
        assert_eq!(signal.seq, Seq(0x0A0B_0C0D));
        assert_eq!(signal.kind, expected);
    }
}

#[test]
fn mtus_that_cannot_be_are_refused() {
    for (six, mtu) in [
        (false, 67),
        (false, 1),
        (false, 1500),
        (false, 9000),
        (false, 65_535),
        (true, 0),
        (true, 1279),
        (true, 1500),
        (true, 65_536),
        (true, u32::MAX),
    ] {
        let kind = if six { (2, 0) } else { (3, 4) };
        let input = error(six, kind.0, kind.1, mtu, &quoted(six, 1500));
        assert_eq!(drop_reason(input), DropReason::IcmpIgnored, "{mtu}");
    }
}

#[test]
fn an_old_router_means_the_next_plateau() {
    for (total, plateau) in
        [(1500, 1492), (1492, 1006), (1006, 508), (508, 296), (296, 68), (68, 68), (9000, 1492)]
    {
        let input = error(false, 3, 4, 0, &quoted(false, total));
        let Input::Signal(signal) = input else { panic!("{input:?}") };
        assert_eq!(signal.kind, SignalKind::TooBig { mtu: plateau }, "{total}");
    }
}

#[test]
fn quotes_that_do_not_convince() {
    for six in [false, true] {
        let kind = if six { 1 } else { 3 };
        let good = quoted(six, 1500);
        for cut in 0..good.len() {
            let input = error(six, kind, 3, 0, &good[..cut]);
            assert_eq!(drop_reason(input), DropReason::IcmpMalformed, "{cut}");
        }
        let mut udp = good.clone();
        udp[if six { 6 } else { 9 }] = 17;
        assert_eq!(drop_reason(error(six, kind, 3, 0, &udp)), DropReason::IcmpIgnored);
        // Not sent by the address the error went to: another of ours, or someone else's.
        let mut other = good.clone();
        other[if six { 23 } else { 15 }] = 2;
        assert_eq!(drop_reason(error(six, kind, 3, 0, &other)), DropReason::IcmpUnmatched);
        // A longer quote is as good.
        let mut longer = good.clone();
        longer.extend([0; 600]);
        assert!(matches!(error(six, kind, 3, 0, &longer), Input::Signal(_)));
    }
}

//! Tests that need no device.
use super::filter::{Instruction, Purpose, program};
use super::*;
use std::net::IpAddr;

const OURS: [&str; 4] = ["10.0.0.2", "fd00::2", "10.0.0.3", "fd00::1:2"];

/// What the kernel's machine does, as far as the program needs it.
fn accepts(program: &[Instruction], frame: &[u8], tagged: bool) -> bool {
    let mut at = 0;
    let mut value = 0;
    loop {
        let Instruction { code, if_true, if_false, operand } = program[at];
        at += 1;
        match code {
            0x20 if operand == 0xFFFF_F000 + 48 => value = u32::from(tagged),
            0x20 | 0x28 | 0x30 => {
                let octets = match code {
                    0x20 => 4,
                    0x28 => 2,
                    _ => 1,
                };
                // Beyond the frame's end it refuses.
                let Some(part) = frame.get(operand as usize..operand as usize + octets) else {
                    return false;
                };
                value = part.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet));
            }
            0x15 => at += usize::from(if value == operand { if_true } else { if_false }),
            0x06 => return operand != 0,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn frame(kind: u16, to: Option<IpAddr>) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&kind.to_be_bytes());
    match to {
        Some(IpAddr::V4(to)) => frame[30..34].copy_from_slice(&to.octets()),
        Some(IpAddr::V6(to)) => frame[38..54].copy_from_slice(&to.octets()),
        None => {}
    }
    frame
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_filter_passes_what_is_for_us_and_what_neighbours_ask() {
    let program = program(&addresses(&OURS), Purpose::All);
    let to = |kind, text: &str| frame(kind, Some(text.parse().unwrap()));
    for ours in OURS {
        let kind = if ours.contains(':') { 0x86DD } else { 0x0800 };
        assert!(accepts(&program, &to(kind, ours), false), "{ours}");
        assert!(!accepts(&program, &to(kind, ours), true), "{ours} of a VLAN");
    }
    assert!(accepts(&program, &frame(0x0806, None), false), "ARP");
    assert!(accepts(&program, &to(0x86DD, "ff02::1:ff00:2"), false), "a group");
    for others in ["10.0.0.4", "10.0.1.2", "224.0.0.1", "fd00::3", "fd00::2:2", "fd01::2"] {
        let kind = if others.contains(':') { 0x86DD } else { 0x0800 };
        assert!(!accepts(&program, &to(kind, others), false), "{others}");
    }
    for kind in [0x88CC, 0x8100, 0x0000, 0x05DC] {
        assert!(!accepts(&program, &frame(kind, None), false), "{kind:#x}");
    }
    assert!(!accepts(&program, &frame(0x0800, None)[..33], false), "cut short");
    assert!(!accepts(&program, &[0; 13], false), "less than a header");
}

/// With several queues what is about neighbours comes by one socket, and all else by the other.
#[test]
fn two_filters_share_what_one_would_pass() {
    let ours = addresses(&OURS);
    let programs = [Purpose::All, Purpose::Packets, Purpose::Neighbours];
    let programs = programs.map(|purpose| program(&ours, purpose));
    let passed = |frame: &[u8]| programs.each_ref().map(|program| accepts(program, frame, false));
    let mut six = frame(0x86DD, Some(ours[1]));
    assert_eq!(passed(&frame(0x0806, None)), [true, false, true], "ARP");
    assert_eq!(passed(&frame(0x0800, Some(ours[0]))), [true, true, false], "IPv4");
    assert_eq!(passed(&six), [true, true, false], "IPv6");
    six[20] = 58;
    for (kind, expected) in [
        (128, [true, true, false]),
        (135, [true, false, true]),
        (136, [true, false, true]),
        (137, [true, true, false]),
    ] {
        six[54] = kind;
        assert_eq!(passed(&six), expected, "ICMP {kind}");
    }
    let mut group = frame(0x86DD, Some("ff02::1:ff00:2".parse().unwrap()));
    (group[20], group[54]) = (58, 135);
    assert_eq!(passed(&group), [true, false, true], "a solicitation");
    assert_eq!(passed(&frame(0x0800, Some("192.0.2.1".parse().unwrap()))), [false; 3]);
}

#[test]
fn with_many_addresses_or_none_the_filter_still_ends() {
    let many: Vec<IpAddr> = (0..17)
        .flat_map(|host| [format!("10.0.0.{host}"), format!("fd00::{host:x}")])
        .map(|text| text.parse().unwrap())
        .collect();
    for count in 0..=many.len() {
        let program = program(&many[..count], Purpose::All);
        for to in &many[..count] {
            let kind = if to.is_ipv4() { 0x0800 } else { 0x86DD };
            assert!(accepts(&program, &frame(kind, Some(*to)), false), "{to} of {count}");
        }
    }
    let program = program(&many, Purpose::All);
    let stranger = frame(0x0800, Some("192.0.2.1".parse().unwrap()));
    assert!(accepts(&program, &stranger, false), "left to the stack");
    assert!(!accepts(&super::filter::program(&[], Purpose::All), &stranger, false));
}

#[test]
fn impossible_configurations_are_refused() {
    let configs = [
        PacketConfig::default().queues(0),
        PacketConfig::default().queues(257),
        PacketConfig { mtu: 67, ..PacketConfig::default() },
        PacketConfig { mtu: 1279, addresses: addresses(&OURS), ..PacketConfig::default() },
        PacketConfig { mac: Some([0xFF; 6]), ..PacketConfig::default() },
        PacketConfig { mac: Some([0; 6]), ..PacketConfig::default() },
    ];
    for config in configs {
        assert!(matches!(Packet::open(&config), Err(OpenError::BadConfig { .. })));
    }
    for name in ["", "no-such-one", "a\0b", "a-name-that-is-much-too-long"] {
        let config = PacketConfig { interface: name.into(), ..PacketConfig::default() };
        assert!(matches!(Packet::open(&config), Err(OpenError::NoInterface { .. })), "{name:?}");
    }
}

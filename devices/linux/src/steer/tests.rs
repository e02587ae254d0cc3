use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_device::FlowEnd;

/// What the kernel does with a program of these instructions.
fn run(program: &[Instruction], packet: &[u8]) -> u64 {
    let mut r = [0u64; 11];
    let mut at = 0;
    loop {
        let Instruction { code, registers, jump, constant } = program[at];
        let (to, from) = (usize::from(registers & 15), usize::from(registers >> 4));
        let value = constant as i64 as u64;
        at += 1;
        let octets = |from: usize, count: usize| {
            let octets = packet.get(from..from + count)?;
            Some(octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
        };
        let loaded = match code {
            op::LOAD_ABSOLUTE_8 => octets(value as usize, 1),
            op::LOAD_ABSOLUTE_16 => octets(value as usize, 2),
            op::LOAD_ABSOLUTE_32 => octets(value as usize, 4),
            op::LOAD_INDIRECT_32 => octets((r[from] + value) as usize, 4),
            _ => Some(r[0]),
        };
        let Some(loaded) = loaded else { return 0 };
        match code {
            op::LOAD_ABSOLUTE_8
            | op::LOAD_ABSOLUTE_16
            | op::LOAD_ABSOLUTE_32
            | op::LOAD_INDIRECT_32 => {
                // They leave nothing in the scratch registers.
                r[1..=5].fill(0xDEAD);
                r[0] = loaded;
            }
            op::LOAD_CONSTANT_64 => {
                r[to] = u64::from(constant as u32) | (program[at].constant as u32 as u64) << 32;
                at += 1;
            }
            op::ADD => r[to] = r[to].wrapping_add(r[from]),
            op::MULTIPLY => r[to] = r[to].wrapping_mul(r[from]),
            op::MULTIPLY_CONSTANT => r[to] = r[to].wrapping_mul(value),
            op::OR => r[to] |= r[from],
            op::AND_CONSTANT => r[to] &= value,
            op::SHIFT_LEFT => r[to] <<= value,
            op::SHIFT_RIGHT => r[to] >>= value,
            op::XOR => r[to] ^= r[from],
            op::MOVE => r[to] = r[from],
            op::MOVE_CONSTANT => r[to] = value,
            op::JUMP => at += jump as usize,
            op::JUMP_IF_EQUAL if r[to] == value => at += jump as usize,
            op::JUMP_UNLESS_EQUAL if r[to] != value => at += jump as usize,
            op::JUMP_IF_EQUAL | op::JUMP_UNLESS_EQUAL => {}
            op::EXIT => return r[0],
            _ => panic!("no instruction of these: {code:#x}"),
        }
    }
}

fn v4(source: Ipv4Addr, destination: Ipv4Addr, ports: (u16, u16), options: usize) -> Vec<u8> {
    let mut octets = vec![0; 40 + options * 4];
    octets[0] = 0x45 + options as u8;
    octets[9] = 6;
    octets[12..16].copy_from_slice(&source.octets());
    octets[16..20].copy_from_slice(&destination.octets());
    let at = 20 + options * 4;
    octets[at..at + 2].copy_from_slice(&ports.0.to_be_bytes());
    octets[at + 2..at + 4].copy_from_slice(&ports.1.to_be_bytes());
    octets
}

fn v6(source: Ipv6Addr, destination: Ipv6Addr, ports: (u16, u16)) -> Vec<u8> {
    let mut octets = vec![0; 60];
    (octets[0], octets[6]) = (0x60, 6);
    octets[8..24].copy_from_slice(&source.octets());
    octets[24..40].copy_from_slice(&destination.octets());
    octets[40..42].copy_from_slice(&ports.0.to_be_bytes());
    octets[42..44].copy_from_slice(&ports.1.to_be_bytes());
    octets
}

fn owner(rule: &SteerRule, ends: (IpAddr, IpAddr), ports: (u16, u16)) -> u64 {
    let end = |address, port| FlowEnd { address, port };
    rule.owner(end(ends.0, ports.0), end(ends.1, ports.1)).into()
}

proptest! {
    #[test]
    fn the_program_computes_the_rule(
        key: [u64; 2], shards in 1u16..=256, a: u128, b: u128, ports: (u16, u16), options in 0usize..=10,
    ) {
        let rule = SteerRule::new(key, shards);
        let program = program(&rule);
        let (one, other) = (Ipv4Addr::from(a as u32), Ipv4Addr::from(b as u32));
        let packet = v4(one, other, ports, options);
        prop_assert_eq!(run(&program, &packet), owner(&rule, (one.into(), other.into()), ports));
        let (one, other) = (Ipv6Addr::from(a), Ipv6Addr::from(b));
        let packet = v6(one, other, ports);
        prop_assert_eq!(run(&program, &packet), owner(&rule, (one.into(), other.into()), ports));
    }

    #[test]
    fn no_packet_leads_beyond_the_queues(
        packet in prop::collection::vec(any::<u8>(), 0..100), shards in 1u16..=256,
    ) {
        let program = program(&SteerRule::new([1, 2], shards));
        prop_assert!(run(&program, &packet) < shards.into());
    }
}

#[test]
fn what_is_of_no_flow_goes_to_the_first_queue() {
    let rule = SteerRule::new([1, 2], 256);
    let program = program(&rule);
    let whole = v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), (1, 2), 0);
    assert_ne!(run(&program, &whole), 0);
    let with = |at: usize, octet: u8| {
        let mut packet = whole.clone();
        packet[at] = octet;
        packet
    };
    // A datagram, a first fragment, a later one, another version; one cut short.
    for packet in [with(9, 17), with(6, 0x20), with(7, 1), with(0, 0x55), whole[..22].to_vec()] {
        assert_eq!(run(&program, &packet), 0);
    }
    // That a fragment is allowed to be made is no fragment.
    assert_eq!(run(&program, &with(6, 0x40)), run(&program, &whole));
}

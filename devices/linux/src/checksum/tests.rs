//! Against what every machine does.

use super::engine;
use usertcp_wire::checksum;

/// Any length around the blocks of the loops, at any alignment.
#[test]
fn it_sums_as_every_machine_does() {
    let octets: Vec<u8> = (0..9000u32).map(|at| (at * 31 / 7) as u8).collect();
    for start in 0..33 {
        for len in (0..700).chain([1447, 1448, 1449, 8192]) {
            let part = &octets[start..start + len];
            assert_eq!(engine().sum(part), checksum::sum(part), "{start} {len}");
        }
    }
}

/// Words at both ends of what 16 bits hold, further than sums of 32 bits reach.
#[test]
fn no_carry_is_lost() {
    for octet in [0, 0x7F, 0x80, 0xFF] {
        let octets = vec![octet; (9 << 20) + 99];
        assert_eq!(engine().sum(&octets), checksum::sum(&octets), "{octet}");
    }
}

#[test]
fn copies_are_summed_whole() {
    let octets: Vec<u8> = (0..9000u32).map(|at| (at * 31 / 7) as u8).collect();
    for len in [4095, 4096, 4097, 9000] {
        let mut target = vec![0; len];
        assert_eq!(engine().copy_and_sum(&mut target, &octets), checksum::sum(&octets[..len]));
        assert!(target == octets[..len]);
    }
}

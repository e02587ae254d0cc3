//! Against what every machine does.

use super::engine;
use usertcp_wire::checksum::{self, Engine};

/// All that this machine can do.
fn engines() -> Vec<Engine> {
    #[cfg(target_arch = "x86_64")]
    let of_the_machine = [super::avx512(), super::avx2()];
    #[cfg(not(target_arch = "x86_64"))]
    let of_the_machine = [None];
    [Some(engine())].into_iter().chain(of_the_machine).flatten().collect()
}

/// Any length around the blocks of the loops, at any alignment.
#[test]
fn it_sums_as_every_machine_does() {
    let octets: Vec<u8> = (0..9000u32).map(|at| (at * 31 / 7) as u8).collect();
    for start in 0..33 {
        for len in (0..700).chain(1400..1520).chain([8192]) {
            let part = &octets[start..start + len];
            let sum = checksum::sum(part);
            for by in engines() {
                assert_eq!(by.sum(part), sum, "{start} {len} {by:?}");
            }
        }
    }
}

/// Words at both ends of what 16 bits hold, further than sums of 32 bits reach.
#[test]
fn no_carry_is_lost() {
    for octet in [0, 0x7F, 0x80, 0xFF] {
        let octets = vec![octet; (9 << 20) + 99];
        for by in engines() {
            assert_eq!(by.sum(&octets), checksum::sum(&octets), "{octet} {by:?}");
        }
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

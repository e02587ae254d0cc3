//! The program, run by the kernel on frames that never were on a device.
//!
//! With an empty map what is ours gets the verdict a socket would be looked up under: here "drop",
//! so that it can be told from "pass".
use crate::xdp::program::{Take, assemble};
use crate::xdp::{check_permission, sys};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

const DROP: i32 = 1;
const PASS: u32 = 2;

/// Runs frames through the program for `take`: whether each is ours. `None`: not possible here.
fn verdicts(take: &Take, frames: &[Vec<u8>]) -> Option<Vec<bool>> {
    if let Err(error) = check_permission() {
        let what = error.to_string();
        let _ = writeln!(std::io::stderr(), "SKIPPED: {}", what.lines().next().unwrap_or(""));
        return None;
    }
    let map = sys::create_socket_map(4).unwrap();
    let program = assemble(take, map.as_raw_fd(), DROP).unwrap();
    let program = sys::load_program(&program).unwrap();
    let verdict = |frame: &Vec<u8>| match sys::try_program(program.as_fd(), frame).unwrap() {
        PASS => false,
        other => {
            assert_eq!(other, DROP as u32);
            true
        }
    };
    Some(frames.iter().map(verdict).collect())
}

fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xAA; 12];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

fn to(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => frame(0x0800, &[&[0x45; 16][..], &v4.octets(), &[0; 20]].concat()),
        IpAddr::V6(v6) => {
            let head = [0x60, 0, 0, 0, 0, 20, 6, 64];
            frame(0x86dd, &[&head[..], &[0xEE; 16], &v6.octets(), &[0; 20]].concat())
        }
    }
}

fn arp_for(address: [u8; 4]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2, 10, 0, 0, 99, 0, 0, 0, 0, 0, 0];
    frame(0x0806, &[&head[..], &address].concat())
}

fn icmpv6(kind: u8, destination: &str, target: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let head = [0x60, 0, 0, 0, 0, 24, 58, 255];
    let message = [kind, 0, 0, 0, 0, 0, 0, 0];
    let parts = [&head[..], &[0xEE; 16], &octets(destination), &message, &octets(target)].concat();
    frame(0x86dd, &parts)
}

#[test]
fn packets_for_our_addresses_are_ours_and_no_others() {
    let ours: Vec<IpAddr> = ["10.0.0.9", "192.0.2.255", "fd00::9", "2001:db8::ffff:ffff"]
        .map(|text| text.parse().unwrap())
        .into();
    let take = Take::Addresses(ours.clone());
    let own = ours.iter().map(|address| to(*address)).chain([
        arp_for([10, 0, 0, 9]),
        arp_for([192, 0, 2, 255]),
        icmpv6(135, "ff02::1:ff00:9", "fd00::9"),
        icmpv6(135, "ff02::1:ffff:ffff", "2001:db8::ffff:ffff"),
        icmpv6(136, "fd00::9", "fd00::1"),
        icmpv6(128, "fd00::9", "fd00::1"),
    ]);
    let own: Vec<_> = own.collect();
    let Some(verdicts_of_own) = verdicts(&take, &own) else { return };
    assert_eq!(verdicts_of_own, vec![true; own.len()]);

    let others = ["10.0.0.8", "9.0.0.10", "192.0.2.254", "255.2.0.192", "fd00::8", "fd00:0:0:1::9"]
        .map(|text| to(text.parse().unwrap()));
    let mut foreign: Vec<_> = others.into();
    foreign.extend([
        arp_for([10, 0, 0, 8]),
        // Ours, but another's question (135 alone is one).
        icmpv6(136, "ff02::1", "fd00::9"),
        icmpv6(134, "ff02::1", "fd00::9"),
        icmpv6(135, "ff02::1:ff00:9", "fd01::9"),
        // A tagged frame, another protocol, and an IPv4 packet under IPv6's number.
        frame(0x8100, &to("10.0.0.9".parse().unwrap())[12..]),
        frame(0x88b5, &to("10.0.0.9".parse().unwrap())[14..]),
        frame(0x86dd, &to("10.0.0.9".parse().unwrap())[14..]),
    ]);
    // Every frame of ours that is cut before what decides.
    let cut = |frame: &Vec<u8>, octets: usize| frame[..octets].to_vec();
    foreign.extend([cut(&own[0], 33), cut(&own[2], 53), cut(&own[4], 41), cut(&own[6], 77)]);
    let foreign_verdicts = verdicts(&take, &foreign).unwrap();
    assert_eq!(foreign_verdicts, vec![false; foreign.len()]);
}

#[test]
fn everything_is_everything() {
    let frames = [to("10.0.0.9".parse().unwrap()), frame(0x88b5, &[0; 50]), arp_for([1; 4])];
    let Some(verdicts) = verdicts(&Take::Everything, &frames) else { return };
    assert_eq!(verdicts, [true; 3]);
}

#[test]
fn the_most_addresses_fit_and_one_more_does_not() {
    let addresses = |count: u32| -> Vec<IpAddr> {
        (0..count)
            .map(|n| match n % 2 {
                0 => IpAddr::from((0x0A00_0000 + n).to_be_bytes()),
                _ => IpAddr::from((0xFD_u128 << 120 | u128::from(n)).to_be_bytes()),
            })
            .collect()
    };
    assert!(assemble(&Take::Addresses(addresses(257)), 3, 2).is_none());
    let all = addresses(256);
    let mut frames: Vec<_> = all.iter().map(|address| to(*address)).collect();
    frames.push(to("10.0.1.1".parse().unwrap()));
    let Some(verdicts) = verdicts(&Take::Addresses(all), &frames) else { return };
    assert_eq!(verdicts.iter().filter(|ours| **ours).count(), 256);
    assert!(!verdicts[256]);
}

#[test]
fn a_map_without_a_socket_leaves_packets_to_the_kernel() {
    if check_permission().is_err() {
        return;
    }
    let map = sys::create_socket_map(1).unwrap();
    let program = assemble(&Take::Everything, map.as_raw_fd(), PASS as i32).unwrap();
    let program = sys::load_program(&program).unwrap();
    assert_eq!(sys::try_program(program.as_fd(), &[0; 64]).unwrap(), PASS);
}

#[test]
fn what_the_verifier_says_is_passed_on() {
    if check_permission().is_err() {
        return;
    }
    // It ends without a verdict.
    let error = sys::load_program(&[sys::Instruction {
        code: 0x95,
        registers: 0,
        offset: 0,
        immediate: 0,
    }])
    .unwrap_err();
    assert!(error.to_string().contains("R0"), "{error}");
}

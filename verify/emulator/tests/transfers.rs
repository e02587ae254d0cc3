//! Whole transfers in real time, short ones: who can talk over an emulated path, and that nothing is
//! left of it. No figure is asserted. Needs root; says so in one line elsewhere.

use std::time::Duration;
use usertcp_emulator::namespace::{self, StackKind};
use usertcp_emulator::options::{self, Command, Options};
use usertcp_emulator::trial::{Shown, Trial};

fn options(line: &str) -> Options {
    match options::parse(line.split_whitespace().map(str::to_owned)) {
        Ok(Command::Compare(options)) => options,
        other => panic!("{other:?}"),
    }
}

/// A transfer of a third of a second; none without permission.
fn transfer(stacks: [StackKind; 2], line: &str) -> Option<Shown> {
    if let Some(obstacle) = namespace::obstacle() {
        println!("SKIPPED: {obstacle}");
        return None;
    }
    let options = options(&format!("compare {line}"));
    let trial = Trial {
        stacks,
        host: options.host,
        paths: options.paths,
        seed: 1,
        seconds: Duration::from_millis(300),
        patience: Duration::from_secs(20),
        capture: None,
        sampled: false,
    };
    let shown = trial.run().unwrap_or_else(|problem| panic!("{stacks:?} {line}: {problem}"));
    assert!(shown.receiver.intact, "{stacks:?} {line}");
    assert_eq!(shown.receiver.octets, shown.sender.written, "{stacks:?} {line}");
    assert_ne!(shown.receiver.octets, 0, "{stacks:?} {line}");
    Some(shown)
}

use StackKind::{Kernel, Usertcp};
const ALL: [[StackKind; 2]; 4] =
    [[Kernel, Kernel], [Usertcp, Kernel], [Kernel, Usertcp], [Usertcp, Usertcp]];

#[test]
fn every_pair_moves_its_octets_over_a_bad_path() {
    for stacks in ALL {
        for family in ["", "--v6"] {
            let faults = "--loss 2 --reorder 5 --reorder-by 2ms --duplicate 2 --both-ways";
            let line = format!("--rate 20mbit --rtt 10ms {faults} {family}");
            let Some(shown) = transfer(stacks, &line) else { return };
            let [forth, back] = shown.seen.counts;
            assert!(forth.offered > 0 && back.offered > 0);
            assert!(shown.seen.watches[0].largest_packet_octets <= 1500, "cut before the path");
        }
    }
}

#[test]
fn ecn_marks_take_the_place_of_loss() {
    for stacks in ALL {
        let line = "--rate 20mbit --rtt 10ms --queue-packets 400 --mark-beyond 15 --ecn";
        let Some(shown) = transfer(stacks, line) else { return };
        let forth = shown.seen.counts[0];
        assert!(forth.marked > 0, "{stacks:?}");
        assert_eq!(forth.overflowed, 0, "{stacks:?}");
    }
}

#[test]
fn a_small_mtu_in_the_middle_is_learnt_of_by_icmp() {
    for stacks in ALL {
        for family in ["", "--v6"] {
            let line = format!("--rate 20mbit --rtt 10ms --path-mtu 1280 {family}");
            let Some(shown) = transfer(stacks, &line) else { return };
            assert!(shown.seen.counts[0].too_big > 0, "{stacks:?} {line}");
        }
    }
}

#[test]
fn a_dead_path_is_an_error_and_not_a_hang() {
    if let Some(obstacle) = namespace::obstacle() {
        println!("SKIPPED: {obstacle}");
        return;
    }
    let options = options("compare --loss 100 --both-ways");
    for stacks in [[Kernel, Usertcp], [Usertcp, Kernel]] {
        let trial = Trial {
            stacks,
            host: options.host,
            paths: options.paths,
            seed: 1,
            seconds: Duration::from_millis(100),
            patience: Duration::from_millis(500),
            capture: None,
            sampled: false,
        };
        let problem = trial.run().expect_err("no octet can arrive");
        assert!(problem.contains("sender") && problem.contains("receiver"), "{problem}");
    }
}

#[test]
fn nothing_is_left_when_a_transfer_is_over() {
    let Some(_) = transfer([Usertcp, Kernel], "--rate 20mbit --rtt 10ms") else { return };
    // A namespace without a name lives as long as a thread, a device or a socket of it. Other tests
    // of this process have threads of their own, so this looks for devices and at names only.
    let names = std::process::Command::new("ip").args(["netns", "list"]).output();
    let names = names.map(|output| output.stdout).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&names).contains("emulator"));
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    assert!(!devices.contains("p0:") && !devices.contains("u0:"), "{devices}");
}

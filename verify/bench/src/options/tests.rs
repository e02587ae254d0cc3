//! What is understood on the command line, and what is told not to be.

use super::*;

fn read_line(line: &str) -> Result<Command, String> {
    read(line.split_whitespace().map(str::to_owned))
}

fn compared(line: &str) -> CompareOptions {
    match read_line(line) {
        Ok(Command::Compare(options)) => options,
        _ => panic!("{line}: not understood"),
    }
}

#[test]
fn smoke_is_short() {
    let options = compared("speed --rounds 9 --smoke --only bulk");
    assert_eq!((options.rounds, options.smoke), (1, true));
    assert_eq!(options.workloads.len(), 1);
    assert!(options.workloads[0].is_match("tun/bulk-in-1"));
}

#[test]
fn nothing_said_is_everything() {
    let options = compared("");
    assert!(options.workloads.is_empty());
    assert_eq!(options.against, Contender::PEERS);
    assert_eq!((options.rounds, options.seconds), (5, 1.0));
}

#[test]
fn workloads_and_peers_are_chosen() {
    let options = compared("memory/echo short --against kernel,lwip --rounds 7 --seconds 0.5");
    assert_eq!(options.workloads.len(), 2);
    assert_eq!(options.against, [Contender::Kernel, Contender::Lwip]);
    assert_eq!((options.rounds, options.seconds), (7, 0.5));
    assert!(compared("--against ,").against.is_empty());
}

#[test]
fn speed_is_tun_against_the_kernel() {
    let options = compared("speed");
    assert_eq!(options.against, [Contender::Kernel]);
    assert!(options.workloads[0].is_match("tun/echo-1"));
    assert!(!options.workloads[0].is_match("memory/echo-1"));
}

#[test]
fn fixed_work_is_a_number() {
    let Ok(Command::Core(options)) = read_line("core --operations 2000 --only echo") else {
        panic!("not understood")
    };
    assert_eq!(options.operations, Some(2000));
}

#[test]
fn a_peer_is_told_what_to_do() {
    let Ok(Command::Peer(options)) = read_line("peer-smoltcp memory echo 1500 100 0.5") else {
        panic!("not understood")
    };
    let memory =
        |amount| PeerOptions::Memory { load: PeerLoad::Echo, mtu: 1500, connections: 100, amount };
    assert_eq!(options, memory(Amount::Seconds(0.5)));
    let Ok(Command::Peer(options)) = read_line("peer-smoltcp memory echo 1500 100 7ops") else {
        panic!("not understood")
    };
    assert_eq!(options, memory(Amount::Operations(7)));
}

#[test]
fn wrong_words_are_told() {
    for line in [
        "core --operations 0",
        "speed --fast",
        "speed --rounds",
        "speed --rounds x",
        "speed --only (",
        "memory/(",
        "--against gvisor",
        "--seconds 0",
        "peer-smoltcp memory walk 1500 1 1",
        "peer-smoltcp memory echo 1500 1 fewops",
        "micro --fast",
        "instructions --top",
        "instructions --fast",
    ] {
        assert!(read_line(line).is_err(), "{line}");
    }
}

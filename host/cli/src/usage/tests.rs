use super::*;
use crate::options::{Command, Congestion, DeviceKind, Ecn};
use crate::plan::Plan;
use std::time::Duration;

fn read_words(words: &str) -> Usage {
    read(std::iter::once("usertcp").chain(words.split_whitespace()).map(OsString::from))
}

fn cli(words: &str) -> Cli {
    match read_words(words) {
        Usage::Run(cli) => *cli,
        other => panic!("{words}: {other:?}"),
    }
}

fn fault(words: &str) -> (String, String) {
    let fault = match read_words(words) {
        Usage::Wrong(fault) => fault,
        Usage::Run(cli) => Plan::from_options(cli.command.network().unwrap()).unwrap_err(),
        Usage::Show(text) => panic!("{words}: {text}"),
    };
    assert_eq!(fault.code(), 2, "{words}");
    assert_eq!(fault.to_string().lines().count(), 2, "{words}: {fault}");
    (fault.what, fault.remedy)
}

#[test]
fn defaults_are_those_of_the_readme() {
    let Command::Serve(serve) = cli("serve").command else { panic!() };
    assert_eq!((serve.directory.to_str(), serve.port, serve.writable), (Some("."), 80, false));
    let plan = Plan::from_options(&serve.network).unwrap();
    let text = |list: &[crate::cidr::Cidr]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(plan.device, "utcp0");
    assert_eq!(text(&plan.stack), "10.77.0.2/24 fd77::2/64");
    assert_eq!(text(&plan.kernel), "10.77.0.1/24 fd77::1/64");
    assert_eq!((plan.mtu, plan.congestion), (1500, Congestion::Cubic));
    assert_eq!(plan.ecn, Ecn::Accept);
    assert_eq!((plan.rate_octets_per_second, plan.memory_octets), (None, 256 << 20));
    assert_eq!((plan.shards, plan.pin, plan.busy_poll), (1, false, Duration::ZERO));
    let Command::Services(services) = cli("services").command else { panic!() };
    assert_eq!(services.base_port, 5001);
}

#[test]
fn accurate_ecn_has_two_words() {
    for (text, ecn) in [("accurate", Ecn::Accurate), ("accept-accurate", Ecn::AcceptAccurate)] {
        let Command::Serve(serve) = cli(&format!("serve . --ecn {text}")).command else { panic!() };
        assert_eq!(Plan::from_options(&serve.network).unwrap().ecn, ecn);
    }
}

#[test]
fn options_are_taken() {
    let cli = cli("connect fd77::1 7 --dev t1 --addr 10.9.0.2/24 --addr fd09::2/64 \
         --peer 10.9.0.1/24 --mtu 9000 --cc Reno --ecn Ask --rate 10mbit --total-rate 80mbit --memory 1GiB --json \
         --shards 2 --pin --busy-poll 50");
    let Command::Connect(connect) = &cli.command else { panic!() };
    assert_eq!((connect.host.as_str(), connect.port), ("fd77::1", 7));
    let plan = Plan::from_options(&connect.network).unwrap();
    assert_eq!((plan.device.as_str(), plan.mtu), ("t1", 9000));
    assert_eq!(plan.kernel[0].to_string(), "10.9.0.1/24");
    assert_eq!(plan.kernel[1].to_string(), "fd09::1/64");
    assert_eq!((plan.congestion, plan.ecn), (Congestion::Reno, Ecn::Ask));
    assert_eq!(plan.rate_octets_per_second, Some(1_250_000));
    assert_eq!(plan.total_rate_octets_per_second, Some(10_000_000));
    assert_eq!(plan.memory_octets, 1 << 30);
    assert_eq!((plan.shards, plan.pin, plan.busy_poll), (2, true, Duration::from_micros(50)));
    assert!(connect.network.json);
}

#[test]
fn devices_are_chosen_by_kind_and_name() {
    let plan = |words: &str| Plan::from_options(cli(words).command.network().unwrap()).unwrap();
    let tun = plan("serve --device tun:t3");
    assert_eq!((tun.kind, tun.device.as_str()), (DeviceKind::Tun, "t3"));
    assert_eq!(tun, plan("serve --dev t3"));
    let packet = plan(
        "services --device packet:eth0 --addr 10.9.0.2/24 --addr fd09::2/64 --gateway 10.9.0.1 \
         --gateway fe80::1",
    );
    assert_eq!((packet.kind, packet.device.as_str()), (DeviceKind::Packet, "eth0"));
    assert_eq!((packet.kernel.len(), packet.stack.len(), packet.gateways.len()), (0, 2, 2));
    assert_eq!(packet.mtu, u16::MAX, "the interface's");
    let xdp = plan("services --device xdp:eth1:3 --addr 10.9.0.2/24 --mtu 1400");
    assert_eq!((xdp.kind, xdp.device.as_str(), xdp.queue), (DeviceKind::Xdp, "eth1", 3));
    assert_eq!((xdp.mtu, plan("services --device xdp:eth1 --addr 10.9.0.2/24").queue), (1400, 0));
}

#[test]
fn one_side_gives_the_other() {
    for (words, stack, kernel) in [
        ("serve --addr 10.9.0.2/24", "10.9.0.2/24", "10.9.0.1/24"),
        ("serve --peer 10.9.0.1/24", "10.9.0.2/24", "10.9.0.1/24"),
        ("serve --addr 10.9.0.1/24", "10.9.0.1/24", "10.9.0.2/24"),
        ("serve --addr 10.9.0.2/32 --peer 10.8.0.1/32", "10.9.0.2/32", "10.8.0.1/32"),
    ] {
        let plan = Plan::from_options(cli(words).command.network().unwrap()).unwrap();
        assert_eq!(plan.stack[0].to_string(), stack, "{words}");
        assert_eq!(plan.kernel[0].to_string(), kernel, "{words}");
        assert_eq!((plan.stack.len(), plan.kernel.len()), (1, 1), "{words}");
    }
}

#[test]
fn every_error_says_what_and_what_to_do() {
    for (words, what, remedy) in [
        ("", "no command was given", "try `usertcp serve`, or `usertcp --help`"),
        (
            "sevre",
            "there is no command \"sevre\"",
            "use serve, services, connect or sim; `usertcp --help` shows examples",
        ),
        ("serve --writeable", "there is no option --writeable here", "did you mean --writable?"),
        (
            "serve --frobnicate",
            "there is no option --frobnicate here",
            "`usertcp serve --help` shows what it takes",
        ),
        ("serve a b", "there is no argument b here", "`usertcp serve --help` shows what it takes"),
        ("serve --dev", "--dev needs a value", "`usertcp serve --help` shows what it takes"),
        (
            "serve --addr 10.77.0.2",
            "--addr 10.77.0.2: there is no prefix length",
            "write 10.77.0.2/24",
        ),
        (
            "serve --device xtp:eth0",
            "--device xtp:eth0: there is no kind of device \"xtp\"",
            "use one of: tun:NAME, packet:INTERFACE, xdp:INTERFACE[:QUEUE]; such as packet:eth0",
        ),
        (
            "serve --device eth0",
            "--device eth0: that names no kind of device",
            "use one of: tun:NAME, packet:INTERFACE, xdp:INTERFACE[:QUEUE]; such as packet:eth0",
        ),
        (
            "serve --device packet:a/b",
            "--device packet:a/b: no device can have that name",
            "use 1 to 15 letters, digits, '-', '_' or '.', such as utcp1",
        ),
        (
            "serve --device xdp:eth0:x --addr 10.9.0.2/24",
            "--device xdp:eth0:x: the queue is a number up to 65535",
            "use one of: tun:NAME, packet:INTERFACE, xdp:INTERFACE[:QUEUE]; such as packet:eth0",
        ),
        (
            "serve --device packet:eth0:1",
            "--device packet:eth0:1: no device can have that name",
            "use 1 to 15 letters, digits, '-', '_' or '.', such as utcp1",
        ),
        (
            "serve --device tun:t1 --dev t2",
            "--device and --dev name two devices",
            "give only --device; --dev NAME is --device tun:NAME",
        ),
        (
            "serve --device packet:eth0",
            "an Ethernet needs an address for the stack",
            "give --addr ADDRESS/BITS: one of that network which no host has, this one included",
        ),
        (
            "serve --device packet:eth0 --addr 10.9.0.2/24 --peer 10.9.0.1/24",
            "--peer: on an Ethernet the kernel's addresses are its own affair",
            "leave --peer out; --addr says which network the stack is on",
        ),
        (
            "serve --device packet:eth0 --addr 10.9.0.2/24 --gateway 10.9.0.2",
            "--gateway 10.9.0.2: that is the stack itself",
            "give the address of a router of 10.9.0.2/24",
        ),
        (
            "serve --gateway 10.9.0.1",
            "--gateway: behind a TUN device is the kernel, and nobody else",
            "leave --gateway out, or choose an Ethernet: --device packet:INTERFACE",
        ),
        ("serve --rate 10", "--rate 10: there is no unit", "write 10mbit or 10MB"),
        ("serve --cc bbr", "--cc bbr: there is no such choice", "use one of: reno, cubic"),
        ("serve --port 0", "--port 0: that is not a port", "use a number from 1 to 65535"),
        ("connect host 99999", "PORT 99999: that is not a port", "use a number from 1 to 65535"),
        ("connect host", "<PORT> is missing", "`usertcp connect --help` shows what it takes"),
        ("serve --port 1 --port 2", "--port <PORT> was given more than once", "give it once"),
        (
            "serve --mtu 500",
            "--mtu 500: that is not an MTU",
            "use a number from 576 to 65535; IPv6 needs at least 1280",
        ),
        (
            "serve --mtu 1279",
            "--mtu 1279: IPv6 needs at least 1280",
            "use --mtu 1280 or more, or give only an IPv4 --addr",
        ),
        (
            "serve --dev averyveryverylongname",
            "--dev averyveryverylongname: a device name has 1 to 15 letters",
            "use 1 to 15 letters, digits, '-', '_' or '.', such as utcp1",
        ),
        (
            "serve --dev a/b",
            "--dev a/b: no device can have that name",
            "use 1 to 15 letters, digits, '-', '_' or '.', such as utcp1",
        ),
        (
            "serve --memory 1MiB",
            "--memory 1MiB: too little memory to move packets",
            "give at least 4 MiB",
        ),
        (
            "serve --addr 10.9.0.2/24 --peer 10.8.0.1/24",
            "--addr 10.9.0.2/24: no --peer is in its network",
            "give a --peer of the same network, or leave it out",
        ),
        (
            "serve --addr 10.9.0.2/24 --peer 10.9.0.2/24",
            "10.9.0.2 is both the stack's and the kernel's",
            "give --addr and --peer different addresses of one network",
        ),
        (
            "serve --addr 10.9.0.2/32",
            "--addr 10.9.0.2/32: its network has no other host",
            "give the other side's address with --peer",
        ),
        (
            "serve --addr 10.9.0.2/24 --addr 10.9.0.2/24",
            "10.9.0.2 was given twice",
            "give each address once",
        ),
    ] {
        assert_eq!(fault(words), (what.to_owned(), remedy.to_owned()), "{words}");
    }
}

#[test]
fn help_is_short_and_has_examples() {
    for words in ["--help", "serve --help", "connect --help", "services --help", "-h"] {
        let Usage::Show(text) = read_words(words) else { panic!("{words}") };
        assert!(text.lines().count() < 60, "{text}");
        assert!(!text.contains("kernel-sockets"), "{text}");
    }
    let Usage::Show(text) = read_words("serve --help") else { panic!() };
    assert!(text.contains("usertcp serve /srv/www --port 8080 --rate 10mbit"), "{text}");
    let Usage::Show(text) = read_words("--version") else { panic!() };
    assert!(text.starts_with("usertcp 0"), "{text}");
}

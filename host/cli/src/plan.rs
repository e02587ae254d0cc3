//! What stack is wanted. Owns: checks that options fit together, and addresses not given.
//! Must not know: how a stack or a device is made.

use crate::cidr::Cidr;
use crate::fault::Fault;
use crate::options::{Congestion, DeviceChoice, DeviceKind, Ecn, NetworkArgs, WireProfile};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use usertcp::AuthKey;

/// A stack and its device, as wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What kind of device.
    pub kind: DeviceKind,
    /// Name of the device.
    pub device: String,
    /// Which of its receive queues, with AF_XDP.
    pub queue: u32,
    /// The stack's addresses.
    pub stack: Vec<Cidr>,
    /// The kernel's addresses on the device; none on an Ethernet.
    pub kernel: Vec<Cidr>,
    /// Who carries packets to other networks; none on a TUN device.
    pub gateways: Vec<IpAddr>,
    /// Largest packet, in octets; on an Ethernet at most.
    pub mtu: u16,
    /// Congestion control of new streams.
    pub congestion: Congestion,
    /// Explicit congestion notification of new streams.
    pub ecn: Ecn,
    /// How it looks on the wire.
    pub profile: WireProfile,
    /// Octets per second each stream may send at most.
    pub rate_octets_per_second: Option<u64>,
    /// Most octets per second of all streams together.
    pub total_rate_octets_per_second: Option<u64>,
    /// Keys that protect connections.
    pub auth: Vec<AuthKey>,
    /// Octets for packets, in all.
    pub memory_octets: u64,
    /// Threads that share the connections.
    pub shards: u16,
    /// Whether each stays on a core of its own.
    pub pin: bool,
    /// How long they look for packets before they sleep.
    pub busy_poll: Duration,
}

impl Plan {
    /// The plan the options describe, or why there is none.
    pub fn from_options(options: &NetworkArgs) -> Result<Plan, Fault> {
        let DeviceChoice { kind, name, queue } = device(options)?;
        let (stack, kernel) = match kind {
            DeviceKind::Tun if !options.gateway.is_empty() => {
                return Err(Fault::usage(
                    "--gateway: behind a TUN device is the kernel, and nobody else",
                    "leave --gateway out, or choose an Ethernet: --device packet:INTERFACE",
                ));
            }
            DeviceKind::Tun => addresses(&options.addr, &options.peer)?,
            DeviceKind::Packet | DeviceKind::Xdp => (on_ethernet(options)?, Vec::new()),
        };
        let mtu = options.mtu.unwrap_or(match kind {
            DeviceKind::Tun => 1500,
            DeviceKind::Packet | DeviceKind::Xdp => u16::MAX,
        });
        if mtu < 1280 && stack.iter().any(|cidr| cidr.address.is_ipv6()) {
            return Err(Fault::usage(
                format!("--mtu {mtu}: IPv6 needs at least 1280"),
                "use --mtu 1280 or more, or give only an IPv4 --addr",
            ));
        }
        Ok(Plan {
            kind,
            device: name,
            queue,
            stack,
            kernel,
            gateways: options.gateway.clone(),
            mtu,
            congestion: options.cc,
            ecn: options.ecn,
            profile: options.profile,
            rate_octets_per_second: options.rate,
            total_rate_octets_per_second: options.total_rate,
            auth: options.auth.clone(),
            memory_octets: options.memory,
            shards: options.shards,
            pin: options.pin,
            busy_poll: Duration::from_micros(options.busy_poll),
        })
    }
}

/// The device asked for, by either option.
fn device(options: &NetworkArgs) -> Result<DeviceChoice, Fault> {
    match (&options.device, &options.dev) {
        (Some(_), Some(_)) => Err(Fault::usage(
            "--device and --dev name two devices",
            "give only --device; --dev NAME is --device tun:NAME",
        )),
        (Some(choice), None) => Ok(choice.clone()),
        (None, dev) => {
            let name = dev.clone().unwrap_or_else(|| "utcp0".into());
            Ok(DeviceChoice { kind: DeviceKind::Tun, name, queue: 0 })
        }
    }
}

/// The stack's addresses on an Ethernet: nobody can guess them.
fn on_ethernet(options: &NetworkArgs) -> Result<Vec<Cidr>, Fault> {
    if !options.peer.is_empty() {
        return Err(Fault::usage(
            "--peer: on an Ethernet the kernel's addresses are its own affair",
            "leave --peer out; --addr says which network the stack is on",
        ));
    }
    if options.addr.is_empty() {
        return Err(Fault::usage(
            "an Ethernet needs an address for the stack",
            "give --addr ADDRESS/BITS: one of that network which no host has, this one included",
        ));
    }
    if let Some(twice) = repeated(&options.addr) {
        return Err(Fault::usage(format!("{twice} was given twice"), "give each address once"));
    }
    for gateway in &options.gateway {
        if let Some(own) = options.addr.iter().find(|cidr| cidr.address == *gateway) {
            return Err(Fault::usage(
                format!("--gateway {gateway}: that is the stack itself"),
                format!("give the address of a router of {own}"),
            ));
        }
    }
    Ok(options.addr.clone())
}

/// Both sides' addresses: as given, and the other side's worked out where only one was.
fn addresses(addr: &[Cidr], peer: &[Cidr]) -> Result<(Vec<Cidr>, Vec<Cidr>), Fault> {
    let (mut stack, mut kernel) = (addr.to_vec(), peer.to_vec());
    if stack.is_empty() && kernel.is_empty() {
        stack = vec![
            Cidr { address: IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)), prefix: 24 },
            Cidr { address: IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2)), prefix: 64 },
        ];
    }
    complete(&mut kernel, &stack, "--addr", "--peer")?;
    complete(&mut stack, &kernel, "--peer", "--addr")?;
    for one in &stack {
        if let Some(same) = kernel.iter().find(|other| other.address == one.address) {
            return Err(Fault::usage(
                format!("{} is both the stack's and the kernel's", same.address),
                "give --addr and --peer different addresses of one network",
            ));
        }
    }
    for list in [&stack, &kernel] {
        if let Some(twice) = repeated(list) {
            return Err(Fault::usage(format!("{twice} was given twice"), "give each address once"));
        }
    }
    Ok((stack, kernel))
}

/// Gives each address of `known` an opposite in `missing`, if it has none yet.
fn complete(
    missing: &mut Vec<Cidr>,
    known: &[Cidr],
    known_option: &str,
    missing_option: &str,
) -> Result<(), Fault> {
    for one in known {
        let family = |other: &&Cidr| other.address.is_ipv4() == one.address.is_ipv4();
        let mut same_family = missing.iter().filter(family).peekable();
        if same_family.peek().is_none() {
            let other = one.neighbour().ok_or_else(|| {
                Fault::usage(
                    format!("{known_option} {one}: its network has no other host"),
                    format!("give the other side's address with {missing_option}"),
                )
            })?;
            missing.push(other);
        } else if !one.is_single() && !same_family.any(|other| one.contains(other.address)) {
            return Err(Fault::usage(
                format!("{known_option} {one}: no {missing_option} is in its network"),
                format!("give a {missing_option} of the same network, or leave it out"),
            ));
        }
    }
    Ok(())
}

fn repeated(list: &[Cidr]) -> Option<IpAddr> {
    list.iter().enumerate().find_map(|(index, one)| {
        list[..index].iter().any(|other| other.address == one.address).then_some(one.address)
    })
}

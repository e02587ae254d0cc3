//! One host: a network namespace that belongs to a thread, with the path's TUN device in it.
//! Owns: addresses, routes, kernel parameters. Must not know: the path, what runs in it.
//!
//! ```text
//! kernel end:    10.99.N.1 on p0 ────────────────────────────── p0's descriptor: the emulator
//! usertcp end:   10.99.N.1 usertcp ─ u0 ─ kernel forwards ─ p0 ─ p0's descriptor: the emulator
//! ```
//! p0 has no offload: what is read from it are packets of the wire, not above its MTU. usertcp has
//! its own TUN device with offload, as in use; the kernel between cuts super-segments as a network
//! card would.

use crate::sys;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

/// The device whose other end is the emulator.
const PATH_DEVICE: &str = "p0";
/// usertcp's.
pub const STACK_DEVICE: &str = "u0";
/// The path's queue is the emulator's; the device's only has to be long enough.
const QUEUE_LENGTH_PACKETS: u32 = 20_000;

/// Which end of the path a host is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Sends.
    Sender,
    /// Receives.
    Receiver,
}

/// Which stack a host has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackKind {
    /// Linux.
    Kernel,
    /// Ours.
    Usertcp,
}

/// What hosts have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostConfig {
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// MTU of the interfaces.
    pub mtu: u16,
    /// ECN is asked for.
    pub ecn: bool,
}

impl HostConfig {
    /// The address of `side`'s TCP.
    pub fn address(&self, side: Side) -> IpAddr {
        self.host(side, 1)
    }
    /// The kernel's own address on u0.
    fn gateway(&self, side: Side) -> IpAddr {
        self.host(side, 254)
    }
    /// Prefix of one host's network.
    pub fn prefix_bits(&self) -> u8 {
        if self.v6 { 64 } else { 24 }
    }
    /// The kernel's address on u0, with its prefix.
    pub fn gateway_cidr(&self, side: Side) -> String {
        format!("{}/{}", self.gateway(side), self.prefix_bits())
    }
    /// The address of `side`'s TCP, with its prefix.
    pub fn cidr(&self, side: Side) -> String {
        format!("{}/{}", self.address(side), self.prefix_bits())
    }
    fn host(&self, side: Side, last: u8) -> IpAddr {
        let network = match side {
            Side::Sender => 1,
            Side::Receiver => 2,
        };
        if self.v6 {
            Ipv6Addr::new(0xfd99, network, 0, 0, 0, 0, 0, u16::from(last)).into()
        } else {
            Ipv4Addr::new(10, 99, network as u8, last).into()
        }
    }
}

/// Moves the calling thread into a namespace of its own and makes the path's device there. Its
/// descriptor is the emulator's.
///
/// # Errors
/// What could not be done, and why.
pub fn enter(side: Side, stack: StackKind, config: &HostConfig) -> Result<File, String> {
    sys::enter_new_namespace().map_err(|error| format!("a network namespace: {error}"))?;
    let device = sys::open_tun(PATH_DEVICE)
        .map_err(|error| format!("a TUN device {PATH_DEVICE}: {error}"))?;
    set_parameters(stack, config)?;
    ip("link set lo up")?;
    let mtu = config.mtu;
    ip(&format!("link set {PATH_DEVICE} mtu {mtu} txqueuelen {QUEUE_LENGTH_PACKETS} up"))?;
    if stack == StackKind::Kernel {
        let nodad = if config.v6 { " nodad" } else { "" };
        ip(&format!("addr add {} dev {PATH_DEVICE}{nodad}", config.cidr(side)))?;
    }
    // The rest of the world, routers that send ICMP included, lies behind the path.
    let family = if config.v6 { "-6" } else { "-4" };
    ip(&format!("{family} route add default dev {PATH_DEVICE}"))?;
    Ok(device)
}

fn set_parameters(stack: StackKind, config: &HostConfig) -> Result<(), String> {
    if stack == StackKind::Usertcp {
        set("net/ipv4/ip_forward", "1")?;
        set("net/ipv6/conf/all/forwarding", "1")?;
    }
    set("net/ipv4/tcp_ecn", if config.ecn { "1" } else { "2" })?;
    // Sockets ask for CUBIC in any case; without this their first moments belong to the default.
    // Some kernels let a namespace have Reno as its default but not CUBIC.
    let name = "net/ipv4/tcp_congestion_control";
    set(name, "cubic").or_else(|_| set(name, "reno"))
}

fn set(parameter: &str, value: &str) -> Result<(), String> {
    // Seen through the calling thread's namespace.
    std::fs::write(format!("/proc/sys/{parameter}"), value)
        .map_err(|error| format!("{parameter} = {value}: {error}"))
}

/// Runs `ip` in the calling thread's namespace.
fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip {words}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Packets that the path's device dropped because the emulator did not read them in time.
pub fn device_drops() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix(PATH_DEVICE))?;
    // After the colon eight figures of reception, then bytes, packets, errors, drops of sending.
    line.trim_start_matches(':').split_whitespace().nth(11)?.parse().ok()
}

/// Why no path can be made here, if so.
pub fn obstacle() -> Option<String> {
    let trial = std::thread::spawn(|| -> Result<(), String> {
        sys::enter_new_namespace().map_err(name_errors("a network namespace"))?;
        sys::open_tun(PATH_DEVICE).map_err(name_errors("a TUN device"))?;
        ip("link set lo up")
    });
    match trial.join() {
        Ok(outcome) => outcome.err(),
        Err(_) => Some("the trial ended in a panic".into()),
    }
}

fn name_errors(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot make {what} ({error}); needs root")
}

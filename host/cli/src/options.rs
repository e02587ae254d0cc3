//! The command line. Owns: names, defaults and help of every option.
//! Must not know: what the commands do; whether options fit together (`plan` checks that).

use crate::cidr::Cidr;
use crate::fault::Fault;
use crate::units;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use usertcp::AuthKey;

mod sim;

pub use sim::{Controllers, Disorder, Rtts, SimArgs};

/// The whole command line.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "usertcp",
    version,
    about = "A TCP/IP stack in one process, which the kernel's own clients talk to",
    after_help = "Examples:\n  \
        usertcp serve                      this directory, at http://10.77.0.2/\n  \
        usertcp serve ~/site --writable    and curl -T FILE http://10.77.0.2/ puts files there\n  \
        usertcp services                   discard, chargen, echo on ports 5001 to 5004\n  \
        usertcp connect 10.77.0.1 9000     like netcat: stdin out, stdout in\n  \
        usertcp sim --loss 0,1% --rtt 20ms goodput over simulated paths, in virtual time\n\n\
        `usertcp COMMAND --help` tells more.",
    disable_help_subcommand = true,
    subcommand_required = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Serve the files of a directory over HTTP, with a live page about the stack
    Serve(ServeArgs),
    /// Answer on four ports: discard, chargen, echo, echo once
    Services(ServicesArgs),
    /// Connect to HOST and PORT: stdin goes out, what comes goes to stdout
    Connect(ConnectArgs),
    /// Try the stack over simulated paths: goodput, retransmissions, fairness
    Sim(SimArgs),
}

impl Command {
    /// The stack's options, for the commands that run on a network.
    pub fn network(&self) -> Option<&NetworkArgs> {
        match self {
            Command::Serve(args) => Some(&args.network),
            Command::Services(args) => Some(&args.network),
            Command::Connect(args) => Some(&args.network),
            Command::Sim(_) => None,
        }
    }

    /// Whether programs read the output.
    pub fn json(&self) -> bool {
        match self {
            Command::Sim(args) => args.json,
            _ => self.network().is_some_and(|network| network.json),
        }
    }
}

/// Options of `usertcp serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    usertcp serve\n  \
    usertcp serve /srv/www --port 8080 --rate 10mbit\n  \
    usertcp serve --dev utcp1 --addr 10.78.0.2/24 --peer 10.78.0.1/24\n\n\
    HTTP/1.1 and HTTP/2 without TLS (prior knowledge). /_usertcp/ shows connections and counters,\n\
    /_usertcp/stats.json and /_usertcp/metrics give them to programs.")]
pub struct ServeArgs {
    /// The directory to serve
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// Port to listen on
    #[arg(long, default_value_t = 80, value_parser = parse_port)]
    pub port: u16,
    /// Let clients PUT files into the directory
    #[arg(long)]
    pub writable: bool,
    /// Accept data on SYNs (TCP Fast Open, RFC 7413)
    #[arg(long)]
    pub fast_open: bool,
    /// Options of the stack.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Options of `usertcp services`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "From base port 5001: 5001 discards what comes, 5002 sends without end,\n\
    5003 sends back what comes, 5004 sends back what comes first and closes.")]
pub struct ServicesArgs {
    /// The first of the four ports
    #[arg(long, default_value_t = 5001, value_name = "PORT", value_parser = parse_port)]
    pub base_port: u16,
    /// Options of the stack.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Options of `usertcp connect`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    usertcp connect 10.77.0.1 9000 < file\n  \
    echo hello | usertcp connect fd77::1 7\n\n\
    The end of stdin closes our half of the stream; the command ends when the peer closes its\n\
    half too. Exit code 0 when both halves ended well.")]
pub struct ConnectArgs {
    /// Address or name to connect to
    pub host: String,
    /// Port to connect to
    #[arg(value_parser = parse_port)]
    pub port: u16,
    /// Ask for a cookie by a first connection; begin the second with what stdin has first, on its
    /// SYN (TCP Fast Open, RFC 7413)
    #[arg(long)]
    pub fast_open: bool,
    /// Options of the stack.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Options of the stack, the same for every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stack")]
pub struct NetworkArgs {
    /// What packets come by: tun:NAME, or packet:INTERFACE, an Ethernet of this host (AF_PACKET), or
    /// xdp:INTERFACE (or xdp:INTERFACE:QUEUE), the same past the kernel (AF_XDP) [default: tun:utcp0]
    #[arg(long, value_name = "KIND:NAME", value_parser = DeviceChoice::parse)]
    pub device: Option<DeviceChoice>,
    /// The same as --device tun:NAME
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub dev: Option<String>,
    /// The stack's address; repeatable [default: 10.77.0.2/24 and fd77::2/64]
    #[arg(long, value_name = "CIDR")]
    pub addr: Vec<Cidr>,
    /// The kernel's address on the device; repeatable [default: the first other host of --addr]
    #[arg(long, value_name = "CIDR")]
    pub peer: Vec<Cidr>,
    /// Who carries packets to other networks, on an Ethernet; one of each family
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<IpAddr>,
    /// Largest packet on the device, in octets [default: 1500; an Ethernet's own]
    #[arg(long, value_name = "OCTETS", value_parser = parse_mtu)]
    pub mtu: Option<u16>,
    /// Congestion control: reno or cubic
    #[arg(
        long,
        default_value = "cubic",
        value_name = "NAME",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub cc: Congestion,
    /// Explicit congestion notification: off, accept (when the peer asks), ask
    #[arg(
        long,
        default_value = "accept",
        value_name = "MODE",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub ecn: Ecn,
    /// How it looks on the wire where the standards leave a choice: own, linux
    #[arg(
        long,
        default_value = "own",
        value_name = "NAME",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub profile: WireProfile,
    /// Send at most this fast on each stream: 10mbit, 1.5gbit, 1MB
    #[arg(long, value_name = "LIMIT", value_parser = units::parse_rate)]
    pub rate: Option<u64>,
    /// Send at most this fast on all streams together
    #[arg(long, value_name = "LIMIT", value_parser = units::parse_rate)]
    pub total_rate: Option<u64>,
    /// Protect connections with a peer by a key; repeatable: peer=ADDRESS[/BITS],md5=SECRET (RFC 2385),
    /// or peer=ADDRESS,ao=hmac-sha1|aes-cmac,send=ID,receive=ID,key=SECRET (RFC 5925)
    #[arg(long, value_name = "KEY", value_parser = crate::auth::parse)]
    pub auth: Vec<AuthKey>,
    /// Memory for packets: 256MiB, 1G
    #[arg(long, default_value = "256MiB", value_name = "SIZE", value_parser = parse_memory)]
    pub memory: u64,
    /// Threads that share the connections, each with a queue of the device
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_shards)]
    pub shards: u16,
    /// Keep each of them on a core of its own
    #[arg(long)]
    pub pin: bool,
    /// Look for packets this long before sleeping, in microseconds: answers come sooner, and a core is
    /// busy
    #[arg(long, default_value_t = 0, value_name = "US", value_parser = parse_busy_poll)]
    pub busy_poll: u64,
    /// Print JSON lines instead of text
    #[arg(long)]
    pub json: bool,
    /// Use the kernel's TCP on this address instead of the stack, to compare the two
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub kernel_sockets: Option<IpAddr>,
}

/// What carries packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    /// A TUN device, at whose other end is the kernel
    Tun,
    /// Packet sockets on an Ethernet interface
    Packet,
    /// AF_XDP sockets on an Ethernet interface
    Xdp,
}

/// A device as it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceChoice {
    /// Which kind.
    pub kind: DeviceKind,
    /// Its name.
    pub name: String,
    /// Which of its receive queues (AF_XDP only).
    pub queue: u32,
}

/// The highest number of a receive queue.
const MOST_QUEUE: u32 = 65_535;

impl DeviceChoice {
    /// Reads `KIND:NAME`.
    pub fn parse(text: &str) -> Result<DeviceChoice, Fault> {
        const REMEDY: &str =
            "use one of: tun:NAME, packet:INTERFACE, xdp:INTERFACE[:QUEUE]; such as packet:eth0";
        let (kind, name) = text
            .split_once(':')
            .ok_or_else(|| Fault::usage("that names no kind of device", REMEDY))?;
        let kind = match kind {
            "tun" => DeviceKind::Tun,
            "packet" => DeviceKind::Packet,
            "xdp" => DeviceKind::Xdp,
            _ => {
                let what = format!("there is no kind of device \"{kind}\"");
                return Err(Fault::usage(what, REMEDY));
            }
        };
        let (name, queue) = match name.split_once(':') {
            Some((name, queue)) if kind == DeviceKind::Xdp => {
                let queue = queue.parse().ok().filter(|queue| *queue <= MOST_QUEUE);
                let what = "the queue is a number up to 65535";
                (name, queue.ok_or_else(|| Fault::usage(what, REMEDY))?)
            }
            _ => (name, 0),
        };
        Ok(DeviceChoice { kind, name: parse_device(name)?, queue })
    }
}

/// Which congestion controller.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Congestion {
    /// NewReno (RFC 6582)
    Reno,
    /// CUBIC (RFC 9438)
    Cubic,
}

impl Congestion {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Congestion::Reno => "reno",
            Congestion::Cubic => "cubic",
        }
    }
}

/// Explicit congestion notification (RFC 3168, RFC 9768).
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ecn {
    /// Neither asked for nor answered
    Off,
    /// Answered when the peer asks
    Accept,
    /// Asked for when connecting, too
    Ask,
    /// Accurate or classic answered, as the peer asks
    AcceptAccurate,
    /// Accurate asked for when connecting; both answered
    Accurate,
}

/// How the stack looks on the wire where the standards leave a choice.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireProfile {
    /// Its own way
    Own,
    /// As Linux
    Linux,
}

/// The kernel keeps 16 octets for a device's name, one of them the end.
const DEVICE_NAME_OCTETS: usize = 15;

fn parse_device(text: &str) -> Result<String, Fault> {
    const REMEDY: &str = "use 1 to 15 letters, digits, '-', '_' or '.', such as utcp1";
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > DEVICE_NAME_OCTETS {
        return Err(Fault::usage(
            format!("a device name has 1 to {DEVICE_NAME_OCTETS} letters"),
            REMEDY,
        ));
    }
    if !text.chars().all(fits) || text == "." || text == ".." {
        return Err(Fault::usage("no device can have that name", REMEDY));
    }
    Ok(text.to_owned())
}

fn parse_port(text: &str) -> Result<u16, Fault> {
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Fault::usage("that is not a port", "use a number from 1 to 65535"))
}

fn parse_shards(text: &str) -> Result<u16, Fault> {
    text.parse().ok().filter(|count| (1..=256).contains(count)).ok_or_else(|| {
        Fault::usage("that is not a number of shards", "use 1 to 256: as many as there are cores")
    })
}

fn parse_busy_poll(text: &str) -> Result<u64, Fault> {
    text.parse().ok().filter(|micros| *micros <= 1_000_000).ok_or_else(|| {
        Fault::usage("that is not a time to poll for", "use 0 to 1000000 microseconds, such as 50")
    })
}

fn parse_mtu(text: &str) -> Result<u16, Fault> {
    const REMEDY: &str = "use a number from 576 to 65535; IPv6 needs at least 1280";
    text.parse()
        .ok()
        .filter(|mtu| *mtu >= 576)
        .ok_or_else(|| Fault::usage("that is not an MTU", REMEDY))
}

fn parse_memory(text: &str) -> Result<u64, Fault> {
    const LEAST: u64 = 4 << 20;
    let octets = units::parse_size(text)?;
    if octets < LEAST {
        return Err(Fault::usage(
            "too little memory to move packets",
            format!("give at least {}", units::octets(LEAST)),
        ));
    }
    Ok(octets)
}

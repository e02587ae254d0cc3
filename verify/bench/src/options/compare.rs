//! The command line of the comparison, and of the peers it starts. Owns: their options and defaults.
//! Must not know: what they are for.

use super::value;
use regex_lite::Regex;
use std::path::PathBuf;
use std::str::FromStr;

/// Options of the comparison.
pub struct CompareOptions {
    /// Workloads whose key one of these matches; all if there are none.
    pub workloads: Vec<Regex>,
    /// The peers to compare with.
    pub against: Vec<Contender>,
    /// How often each workload is measured on each.
    pub rounds: u32,
    /// Measured time of one run.
    pub seconds: f64,
    /// Time before it.
    pub warm_seconds: f64,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// Where to write the table of SPECIFICATION.md.
    pub markdown: Option<PathBuf>,
    /// The command to measure, if not the workspace's.
    pub usertcp: Option<PathBuf>,
    /// Where lwIP's source is, if not to be fetched.
    pub lwip: Option<PathBuf>,
    /// Only whether octets flow, and rightly.
    pub smoke: bool,
}

/// Whose TCP is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    /// Our own.
    Usertcp,
    /// The system's.
    Kernel,
    /// smoltcp of the registry.
    Smoltcp,
    /// lwIP of the distribution's source package.
    Lwip,
    /// The least that answers on a TUN device: what the device and its client allow.
    Tunlim,
}

impl Contender {
    /// All but our own.
    pub const PEERS: [Contender; 4] =
        [Contender::Kernel, Contender::Smoltcp, Contender::Lwip, Contender::Tunlim];

    /// For tables, JSON and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Usertcp => "usertcp",
            Contender::Kernel => "kernel",
            Contender::Smoltcp => "smoltcp",
            Contender::Lwip => "lwip",
            Contender::Tunlim => "tunlim",
        }
    }
}

/// Several peers, separated by commas.
struct Peers(Vec<Contender>);

impl FromStr for Peers {
    type Err = ();
    fn from_str(words: &str) -> Result<Peers, ()> {
        let peer = |word: &str| {
            Contender::PEERS.iter().find(|peer| peer.name() == word).copied().ok_or(())
        };
        words
            .split(',')
            .filter(|word| !word.is_empty())
            .map(peer)
            .collect::<Result<_, _>>()
            .map(Peers)
    }
}

/// What a peer is started as.
#[derive(Clone, PartialEq, Debug)]
pub enum PeerOptions {
    /// Both ends in memory.
    Memory {
        /// What they do.
        load: PeerLoad,
        /// Octets of a packet.
        mtu: usize,
        /// How many.
        connections: usize,
        /// For how long, or how much.
        amount: Amount,
    },
    /// A server on a TUN device.
    Tun {
        /// The device's name.
        device: String,
        /// Sockets that wait on each of the two small ports.
        sockets: usize,
    },
}

/// How much a peer does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Amount {
    /// Measured time.
    Seconds(f64),
    /// So many requests, packets or connections, and no more.
    Operations(u64),
}

impl FromStr for Amount {
    type Err = ();
    fn from_str(word: &str) -> Result<Amount, ()> {
        match word.strip_suffix("ops") {
            Some(count) => count.parse().map(Amount::Operations).map_err(|_| ()),
            None => word.parse().map(Amount::Seconds).map_err(|_| ()),
        }
    }
}

/// What the two ends of a peer do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerLoad {
    /// One sends without end.
    Bulk,
    /// Messages there and back.
    Echo,
    /// One message there and back for each connection.
    Short,
}

impl FromStr for PeerLoad {
    type Err = ();
    fn from_str(word: &str) -> Result<PeerLoad, ()> {
        match word {
            "bulk" => Ok(PeerLoad::Bulk),
            "echo" => Ok(PeerLoad::Echo),
            "short" => Ok(PeerLoad::Short),
            _ => Err(()),
        }
    }
}

/// Reads the comparison's words; `speed` are its defaults under that name.
pub fn compare(
    mut words: impl Iterator<Item = String>,
    speed: bool,
) -> Result<CompareOptions, String> {
    let mut options = CompareOptions {
        workloads: Vec::new(),
        against: if speed { vec![Contender::Kernel] } else { Contender::PEERS.to_vec() },
        rounds: if speed { 3 } else { 5 },
        seconds: if speed { 2.0 } else { 1.0 },
        warm_seconds: if speed { 0.5 } else { 0.3 },
        json: None,
        markdown: None,
        usertcp: None,
        lwip: None,
        smoke: false,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = value(&word, &mut words)?,
            "--seconds" => options.seconds = value(&word, &mut words)?,
            "--warm" => options.warm_seconds = value(&word, &mut words)?,
            "--only" => options.workloads.push(value(&word, &mut words)?),
            "--against" => options.against = value::<Peers>(&word, &mut words)?.0,
            "--json" => options.json = Some(value(&word, &mut words)?),
            "--markdown" => options.markdown = Some(value(&word, &mut words)?),
            "--usertcp" => options.usertcp = Some(value(&word, &mut words)?),
            "--lwip" => options.lwip = Some(value(&word, &mut words)?),
            "--smoke" => options.smoke = true,
            _ if word.starts_with('-') => return Err(format!("there is no option {word}")),
            _ => {
                let regex = word.parse().map_err(|_| format!("{word}: not understood"))?;
                options.workloads.push(regex);
            }
        }
    }
    if speed && options.workloads.is_empty() {
        options.workloads.extend(Regex::new("^tun/"));
    }
    if options.smoke {
        (options.rounds, options.seconds, options.warm_seconds) = (1, 0.3, 0.1);
    }
    let (window, warm) = (0.1..3600.0, 0.0..3600.0);
    if options.rounds == 0
        || !window.contains(&options.seconds)
        || !warm.contains(&options.warm_seconds)
    {
        return Err("at least one round of at least 0.1 seconds".into());
    }
    Ok(options)
}

/// Reads `peer-smoltcp memory LOAD MTU CONNECTIONS AMOUNT` and `peer-smoltcp tun DEVICE SOCKETS`.
pub fn peer(words: impl Iterator<Item = String>) -> Result<PeerOptions, String> {
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let read = || -> Option<PeerOptions> {
        Some(match words[..] {
            ["memory", load, mtu, connections, amount] => PeerOptions::Memory {
                load: load.parse().ok()?,
                mtu: mtu.parse().ok()?,
                connections: connections.parse().ok()?,
                amount: amount.parse().ok()?,
            },
            ["tun", device, sockets] => {
                PeerOptions::Tun { device: device.into(), sockets: sockets.parse().ok()? }
            }
            _ => return None,
        })
    };
    read().ok_or_else(|| {
        "peer-smoltcp memory bulk|echo|short MTU CONNECTIONS SECONDS|COUNTops, \
         or peer-smoltcp tun DEVICE SOCKETS"
            .into()
    })
}

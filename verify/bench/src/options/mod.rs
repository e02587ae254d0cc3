//! The command line. Owns: names, defaults and help of the options.
//! Must not know: what they are for.

mod compare;

use crate::memory::storage::Width;
pub use compare::{Amount, CompareOptions, Contender, PeerLoad, PeerOptions};
use regex_lite::Regex;
use std::path::PathBuf;
use std::str::FromStr;

/// What `help` prints.
pub const HELP: &str = "\
Usage: usertcp-bench [WORKLOADS] [OPTIONS]
       usertcp-bench COMMAND [OPTIONS]

Without a command: us and the peers, interleaved, with ratios and the targets of issue 4.
WORKLOADS are expressions that match keys such as memory/echo-100 or tun/bulk-in-1 (`list` shows
all); without any, every workload is run. What is over a device needs root.
  --against LIST   of kernel,smoltcp,lwip,tunlim                                [all]
  --rounds N       rounds, each measures every workload on all, in turn         [5]
  --seconds S      measured time of one run                                     [1]
  --warm S         time before it                                               [0.3]
  --json FILE      write every run and the targets as JSON
  --markdown FILE  write the table of SPECIFICATION.md
  --usertcp FILE   measure this program over devices instead of building the workspace's
  --lwip DIR       lwIP's source, if it is not to be fetched from the distribution
  --smoke          each workload once for 0.3 s; fails only if octets do not flow, or wrong ones

list     the workloads
speed    the workloads over TUN against the kernel, three rounds of 2 s; `--only REGEX` chooses

memory   octets per idle established connection, embryo and TIME-WAIT record
  --connections N                                                               [50000]
  --json FILE
  --storage        instead: octets of the tables that hold connections, at 100,000 to 10,000,000

core     two stacks on one core, no system between them
  --rounds N       [3]     --seconds S   [1]     --only REGEX     --json FILE
  --operations N   that many requests, packets or connections in virtual time, then the end: for
                   callgrind, where what 2N cost more than N is the cost of N
  --verify         every octet is of a pattern, and looked at where it arrives
  --buffer N       octets of every send and receive buffer; 0: they size themselves
  --raw            one line of name=value for each workload, once

instructions   of each request, packet and connection, by callgrind; needs valgrind
  --only REGEX     --json FILE     --top N   the functions that cost most          [0]
  --smoltcp        smoltcp's too

micro    nanoseconds of checksums, frames, headers

pacing   the cost of limits from 100 to 100,000 streams, and how well they are kept; `pacing help`

idle     what idle connections cost, from a thousand to a hundred million: memory, a request to one that
         slept, keep-alive; beside the kernel, smoltcp, lwIP; plots; `idle help` lists its options

shards   the request rate of one shard and of several, in turn; `shards help` lists its options
";

/// What to do.
pub enum Command {
    /// Print the help.
    Help,
    /// Name the workloads.
    List,
    /// Measure us and the peers.
    Compare(CompareOptions),
    /// Be smoltcp.
    Peer(PeerOptions),
    /// Measure memory.
    Memory(MemoryOptions),
    /// Measure the stack alone.
    Core(CoreOptions),
    /// Count instructions.
    Instructions(InstructionOptions),
    /// Measure small parts.
    Micro,
}

/// Options of `memory`.
pub struct MemoryOptions {
    /// How many connections to divide by.
    pub connections: u32,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// The tables alone.
    pub storage: Option<Storage>,
}

/// What of the tables is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// All there is, each in a process of its own.
    All,
    /// So many records with addresses of this width, in this process.
    Of(Width, u32),
}

/// Options of `core`.
pub struct CoreOptions {
    /// How often each workload is measured.
    pub rounds: u32,
    /// Measured time of one run.
    pub seconds: f64,
    /// Which workloads.
    pub only: Option<Regex>,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// Fixed work instead of a time: so many requests, packets or connections.
    pub operations: Option<u64>,
    /// One line for the program that asks, instead of a table.
    pub raw: bool,
    /// Every octet is looked at.
    pub verify: bool,
    /// Octets of each send and receive buffer, if not what the workload says.
    pub buffer_octets: Option<u32>,
}

/// Options of `instructions`.
pub struct InstructionOptions {
    /// Which workloads.
    pub only: Option<Regex>,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// How many functions to name.
    pub top: usize,
    /// Whether smoltcp is counted too.
    pub smoltcp: bool,
}

/// Reads the command line.
pub fn read(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    match words.next().as_deref() {
        None => compare::compare(words, false).map(Command::Compare),
        Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("list") => Ok(Command::List),
        Some("speed") => compare::compare(words, true).map(Command::Compare),
        Some("peer-smoltcp") => compare::peer(words).map(Command::Peer),
        Some("memory") => memory(words).map(Command::Memory),
        Some("core") => core(words).map(Command::Core),
        Some("instructions") => instructions(words).map(Command::Instructions),
        Some("micro") => match words.next() {
            None => Ok(Command::Micro),
            Some(word) => Err(format!("micro has no option {word}")),
        },
        Some(word) => {
            let words = std::iter::once(word.to_owned()).chain(words);
            compare::compare(words, false).map(Command::Compare)
        }
    }
}

fn memory(mut words: impl Iterator<Item = String>) -> Result<MemoryOptions, String> {
    let mut options = MemoryOptions { connections: 50_000, json: None, storage: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--connections" => options.connections = value(&word, &mut words)?,
            "--json" => options.json = Some(value(&word, &mut words)?),
            "--storage" => options.storage = Some(Storage::All),
            "--storage-of" => {
                let of: String = value(&word, &mut words)?;
                let (width, count) = of.split_once(':').ok_or("--storage-of v4:NUMBER")?;
                let count = count.parse().map_err(|_| format!("{count} is no number"))?;
                options.storage = Some(Storage::Of(width.parse()?, count));
            }
            _ => return Err(format!("memory has no option {word}")),
        }
    }
    // One address has no more ports than that to connect from.
    if !(100..=50_000).contains(&options.connections) {
        return Err("--connections from 100 to 50000".into());
    }
    Ok(options)
}

fn core(mut words: impl Iterator<Item = String>) -> Result<CoreOptions, String> {
    let mut options = CoreOptions {
        rounds: 3,
        seconds: 1.0,
        only: None,
        json: None,
        operations: None,
        raw: false,
        verify: false,
        buffer_octets: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = value(&word, &mut words)?,
            "--seconds" => options.seconds = value(&word, &mut words)?,
            "--only" => options.only = Some(value(&word, &mut words)?),
            "--json" => options.json = Some(value(&word, &mut words)?),
            "--raw" => options.raw = true,
            "--buffer" => options.buffer_octets = Some(value(&word, &mut words)?),
            "--verify" => options.verify = true,
            "--operations" => options.operations = Some(value(&word, &mut words)?),
            _ => return Err(format!("core has no option {word}")),
        }
    }
    if options.operations == Some(0) {
        return Err("--operations from 1".into());
    }
    if options.rounds == 0 || !(0.01..3600.0).contains(&options.seconds) {
        return Err("at least one round of at least 0.01 seconds".into());
    }
    Ok(options)
}

fn instructions(mut words: impl Iterator<Item = String>) -> Result<InstructionOptions, String> {
    let mut options = InstructionOptions { only: None, json: None, top: 0, smoltcp: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--only" => options.only = Some(value(&word, &mut words)?),
            "--json" => options.json = Some(value(&word, &mut words)?),
            "--smoltcp" => options.smoltcp = true,
            "--top" => options.top = value(&word, &mut words)?,
            _ => return Err(format!("instructions has no option {word}")),
        }
    }
    Ok(options)
}

fn value<T: FromStr>(option: &str, words: &mut impl Iterator<Item = String>) -> Result<T, String> {
    let word = words.next().ok_or_else(|| format!("{option} needs a value"))?;
    word.parse().map_err(|_| format!("{option} {word}: not understood"))
}

#[cfg(test)]
mod tests;

//! The command line. Owns: names, defaults and help of the options.
//! Must not know: what they are for.

use regex_lite::Regex;
use std::path::PathBuf;
use std::str::FromStr;

/// What `help` prints.
pub const HELP: &str = "\
Usage: usertcp-bench COMMAND [OPTIONS]

speed    the usertcp command over TUN, beside the kernel's TCP over veth, same client; needs root
  --rounds N       rounds, each measures every workload on both, in turn        [3]
  --seconds S      measured time of one run                                     [2]
  --warm S         time before it                                               [0.5]
  --only REGEX     workloads whose name matches
  --json FILE      write every run and the table as JSON
  --usertcp FILE   measure this program instead of building the workspace's
  --smoke          each workload once for 0.3 s; fails only if no octets flow

memory   octets per idle established connection, embryo and TIME-WAIT record
  --connections N                                                               [20000]
  --json FILE

core     two stacks on one core, no system between them
  --rounds N       [3]     --seconds S   [1]     --only REGEX     --json FILE
  --operations N   that many requests, packets or connections in virtual time, then the end: for
                   callgrind, where what 2N cost more than N is the cost of N

micro    nanoseconds of checksums, frames, headers
";

/// What to do.
pub enum Command {
    /// Print the help.
    Help,
    /// Measure speed.
    Speed(SpeedOptions),
    /// Measure memory.
    Memory(MemoryOptions),
    /// Measure the stack alone.
    Core(CoreOptions),
    /// Measure small parts.
    Micro,
}

/// Options of `speed`.
pub struct SpeedOptions {
    /// How often each workload is measured on each peer.
    pub rounds: u32,
    /// Measured time of one run.
    pub seconds: f64,
    /// Time before it.
    pub warm_seconds: f64,
    /// Which workloads.
    pub only: Option<Regex>,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// The command to measure, if not the workspace's.
    pub usertcp: Option<PathBuf>,
    /// Only whether octets flow.
    pub smoke: bool,
}

/// Options of `memory`.
pub struct MemoryOptions {
    /// How many connections to divide by.
    pub connections: u32,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
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
}

/// Reads the command line.
pub fn read(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    match words.next().as_deref() {
        None | Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("speed") => speed(words).map(Command::Speed),
        Some("memory") => memory(words).map(Command::Memory),
        Some("core") => core(words).map(Command::Core),
        Some("micro") => match words.next() {
            None => Ok(Command::Micro),
            Some(word) => Err(format!("micro has no option {word}")),
        },
        Some(word) => Err(format!("there is no command {word}")),
    }
}

fn speed(mut words: impl Iterator<Item = String>) -> Result<SpeedOptions, String> {
    let mut options = SpeedOptions {
        rounds: 3,
        seconds: 2.0,
        warm_seconds: 0.5,
        only: None,
        json: None,
        usertcp: None,
        smoke: false,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = value(&word, &mut words)?,
            "--seconds" => options.seconds = value(&word, &mut words)?,
            "--warm" => options.warm_seconds = value(&word, &mut words)?,
            "--only" => options.only = Some(value(&word, &mut words)?),
            "--json" => options.json = Some(value(&word, &mut words)?),
            "--usertcp" => options.usertcp = Some(value(&word, &mut words)?),
            "--smoke" => options.smoke = true,
            _ => return Err(format!("speed has no option {word}")),
        }
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

fn memory(mut words: impl Iterator<Item = String>) -> Result<MemoryOptions, String> {
    let mut options = MemoryOptions { connections: 20_000, json: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--connections" => options.connections = value(&word, &mut words)?,
            "--json" => options.json = Some(value(&word, &mut words)?),
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
    let mut options =
        CoreOptions { rounds: 3, seconds: 1.0, only: None, json: None, operations: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = value(&word, &mut words)?,
            "--seconds" => options.seconds = value(&word, &mut words)?,
            "--only" => options.only = Some(value(&word, &mut words)?),
            "--json" => options.json = Some(value(&word, &mut words)?),
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

fn value<T: FromStr>(option: &str, words: &mut impl Iterator<Item = String>) -> Result<T, String> {
    let word = words.next().ok_or_else(|| format!("{option} needs a value"))?;
    word.parse().map_err(|_| format!("{option} {word}: not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Command, String> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn smoke_is_short() {
        let Ok(Command::Speed(options)) = read_line("speed --rounds 9 --smoke --only bulk") else {
            panic!("not understood")
        };
        assert_eq!((options.rounds, options.smoke), (1, true));
        assert!(options.only.unwrap().is_match("bulk to server"));
    }

    #[test]
    fn fixed_work_is_a_number() {
        let Ok(Command::Core(options)) = read_line("core --operations 2000 --only echo") else {
            panic!("not understood")
        };
        assert_eq!(options.operations, Some(2000));
    }

    #[test]
    fn wrong_words_are_told() {
        for line in [
            "core --operations 0",
            "speed --fast",
            "speed --rounds",
            "speed --rounds x",
            "walk",
            "speed --only (",
        ] {
            assert!(read_line(line).is_err(), "{line}");
        }
    }
}

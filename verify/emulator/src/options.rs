//! The command line. Owns: names, defaults and help of the options. Must not know: how a path works.

use crate::namespace::{HostConfig, StackKind};
use crate::path::{MILLISECOND, Nanos, PathConfig, PerMillion, Reordering};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use usertcp_base::Rate;

/// What `help` prints.
pub const HELP: &str = "\
Usage: usertcp-emulator COMMAND [OPTIONS]

compare    transfers over an emulated path in real time, contenders in turn; needs root
simulate   usertcp to usertcp over the same path in virtual time; needs nothing

The contenders
  --contenders LIST    of kk, uk, ku, uu: sender, then receiver, k the kernel, u usertcp [kk,uk,ku,uu]
  --rounds N           each contender once a round; each round has a seed of its own     [5]
  --seconds S          measured time of one transfer                                     [20]
  --seed N             seed of the first round                                           [1]
  --v6                 IPv6
  --ecn                both ends ask for ECN

The path
  --rate RATE          100mbit, 2gbit, 64kbit, or none                                   [100mbit]
  --rtt TIME           round trip, half each way: 50ms, 800us                            [50ms]
  --jitter TIME        more delay, up to this; order is kept                             [0]
  --queue-packets N    packets that may wait for the rate      [what is under way in a round trip]
  --queue-octets N     octets that may                                                   [no limit]
  --loss P             percent of packets lost                                           [0]
  --reorder P          percent of packets that leave their place                         [0]
  --reorder-by TIME    they take up to so much longer                                    [10ms]
  --reorder-within N   or until 1 to N others have passed, and no longer than --reorder-by
  --reorder-early      or they skip the delay, as with Linux's netem
  --duplicate P        percent delivered twice                                           [0]
  --mark P             percent of ECN-capable packets marked                             [0]
  --mark-beyond N      ECN-capable packets are marked when more than N wait              [never]
  --both-ways          loss, reordering, duplication and marks on the way back too
  --mtu N              MTU of the ends' interfaces                                       [1500]
  --path-mtu N         MTU in the middle                                                 [none]
  --drop-icmp          no ICMP passes, and no 'packet too big' is sent

What else
  --samples DIR        the sender's window, round trip ... every 20 ms, as tab-separated text
What else of compare alone
  --smoke              2 seconds and one round; only whether all octets arrive and it ends well
  --at-least R         fail if a median is less than R times that of kk
  --resent-below P     fail if a usertcp sender sends P percent of its packets again, or more
  --pcap DIR           headers at the sender's device
";

/// Options that mean nothing where both ends are usertcp and time is virtual.
const COMPARE_ALONE: [&str; 5] =
    ["--contenders", "--smoke", "--at-least", "--resent-below", "--pcap"];

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Print the help.
    Help,
    /// In real time.
    Compare(Options),
    /// In virtual time.
    Simulate(Options),
}

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Senders and receivers.
    pub contenders: Vec<[StackKind; 2]>,
    /// Rounds.
    pub rounds: u32,
    /// Measured time.
    pub seconds: Duration,
    /// Seed of the first round.
    pub seed: u64,
    /// The hosts.
    pub host: HostConfig,
    /// The path of the data, and the one back.
    pub paths: [PathConfig; 2],
    /// No figures asked for.
    pub smoke: bool,
    /// Least ratio of medians.
    pub at_least: Option<f64>,
    /// Percent of packets sent again that is too much.
    pub resent_below: Option<f64>,
    /// Where to write samples.
    pub samples: Option<PathBuf>,
    /// Where to write packets.
    pub pcap: Option<PathBuf>,
}

/// The words given, in a shape from which paths are made at the end.
struct Words {
    options: Options,
    rate: Rate,
    rtt: Nanos,
    jitter: Nanos,
    queue_packets: Option<usize>,
    queue_octets: u64,
    loss: PerMillion,
    reorder: PerMillion,
    reorder_by: Nanos,
    reorder_within: Option<u32>,
    reorder_early: bool,
    duplicate: PerMillion,
    mark: PerMillion,
    mark_beyond: usize,
    both_ways: bool,
    path_mtu: usize,
    drop_icmp: bool,
}

impl Default for Words {
    fn default() -> Words {
        let host = HostConfig { v6: false, mtu: 1500, ecn: false };
        use StackKind::{Kernel, Usertcp};
        let contenders =
            vec![[Kernel, Kernel], [Usertcp, Kernel], [Kernel, Usertcp], [Usertcp, Usertcp]];
        let options = Options {
            contenders,
            rounds: 5,
            seconds: Duration::from_secs(20),
            seed: 1,
            host,
            paths: [PathConfig::clean(0); 2],
            smoke: false,
            at_least: None,
            resent_below: None,
            samples: None,
            pcap: None,
        };
        Words {
            options,
            rate: Rate::from_bits_per_second(100_000_000),
            rtt: 50 * MILLISECOND,
            jitter: 0,
            queue_packets: None,
            queue_octets: u64::MAX,
            loss: 0,
            reorder: 0,
            reorder_by: 10 * MILLISECOND,
            reorder_within: None,
            reorder_early: false,
            duplicate: 0,
            mark: 0,
            mark_beyond: usize::MAX,
            both_ways: false,
            path_mtu: 65_535,
            drop_icmp: false,
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let Some(command) = words.next() else { return Ok(Command::Help) };
    let make = match command.as_str() {
        "help" | "--help" | "-h" => return Ok(Command::Help),
        "compare" => Command::Compare,
        "simulate" => Command::Simulate,
        other => return Err(format!("{other}: no such command")),
    };
    let mut given = Words::default();
    while let Some(name) = words.next() {
        if name == "--help" {
            return Ok(Command::Help);
        }
        if command == "simulate" && COMPARE_ALONE.contains(&name.as_str()) {
            return Err(format!("{name}: of compare alone"));
        }
        if !given.switch(&name) {
            let value = words.next().ok_or_else(|| format!("{name}: a value is missing"))?;
            given.value(&name, &value)?;
        }
    }
    Ok(make(given.finish()))
}

impl Words {
    /// An option without a value; whether it is one.
    fn switch(&mut self, name: &str) -> bool {
        let switch = match name {
            "--v6" => &mut self.options.host.v6,
            "--ecn" => &mut self.options.host.ecn,
            "--reorder-early" => &mut self.reorder_early,
            "--both-ways" => &mut self.both_ways,
            "--drop-icmp" => &mut self.drop_icmp,
            "--smoke" => &mut self.options.smoke,
            _ => return false,
        };
        *switch = true;
        true
    }

    fn value(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--contenders" => self.options.contenders = contenders(value)?,
            "--rounds" => self.options.rounds = number(name, value)?,
            "--seconds" => self.options.seconds = seconds(name, value)?,
            "--seed" => self.options.seed = number(name, value)?,
            "--rate" => self.rate = rate(name, value)?,
            "--rtt" => self.rtt = time(name, value)?,
            "--jitter" => self.jitter = time(name, value)?,
            "--queue-packets" => self.queue_packets = Some(number(name, value)?),
            "--queue-octets" => self.queue_octets = number(name, value)?,
            "--loss" => self.loss = percent(name, value)?,
            "--reorder" => self.reorder = percent(name, value)?,
            "--reorder-by" => self.reorder_by = time(name, value)?,
            "--reorder-within" => self.reorder_within = Some(number(name, value)?),
            "--duplicate" => self.duplicate = percent(name, value)?,
            "--mark" => self.mark = percent(name, value)?,
            "--mark-beyond" => self.mark_beyond = number(name, value)?,
            "--mtu" => self.options.host.mtu = number(name, value)?,
            "--path-mtu" => self.path_mtu = number(name, value)?,
            "--at-least" => self.options.at_least = Some(number(name, value)?),
            "--resent-below" => self.options.resent_below = Some(number(name, value)?),
            "--samples" => self.options.samples = Some(value.into()),
            "--pcap" => self.options.pcap = Some(value.into()),
            _ => return Err(format!("{name}: no such option")),
        }
        Ok(())
    }

    fn finish(self) -> Options {
        let mut options = self.options.clone();
        let delay = self.rtt / 2;
        let way_back = PathConfig {
            rate: self.rate,
            delay,
            jitter: self.jitter,
            queue_packets: self.queue_packets.unwrap_or_else(|| self.round_trip_packets()),
            queue_octets: self.queue_octets,
            mtu: self.path_mtu,
            drop_icmp: self.drop_icmp,
            ..PathConfig::clean(delay)
        };
        let reordering = match self.reorder_within {
            _ if self.reorder_early => Reordering::Early,
            Some(packets) => Reordering::Behind(packets.max(1), self.reorder_by),
            None => Reordering::LateBy(self.reorder_by),
        };
        let forth = PathConfig {
            loss: self.loss,
            reorder: self.reorder,
            reordering,
            duplicate: self.duplicate,
            mark: self.mark,
            mark_beyond_packets: self.mark_beyond,
            ..way_back
        };
        options.paths = [forth, if self.both_ways { forth } else { way_back }];
        if options.smoke {
            options.rounds = 1;
            options.seconds = Duration::from_secs(2);
        }
        options
    }

    /// Full packets under way in a round trip; a few on short paths.
    fn round_trip_packets(&self) -> usize {
        if self.rate.is_unlimited() {
            return usize::MAX;
        }
        let octets = self.rate.octets_per_second() as u128 * u128::from(self.rtt) / 1_000_000_000;
        let packets = octets.div_ceil(u128::from(self.options.host.mtu.max(1)));
        usize::try_from(packets).unwrap_or(usize::MAX).max(32)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: not a number that fits"))
}

/// A number and the unit behind it.
fn split(value: &str) -> (&str, &str) {
    let end = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    value.split_at(end)
}

fn rate(name: &str, value: &str) -> Result<Rate, String> {
    if value == "none" {
        return Ok(Rate::UNLIMITED);
    }
    let (figure, unit) = split(value);
    let factor = match unit {
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return Err(format!("{name} {value}: kbit, mbit, gbit or none")),
    };
    let figure: u32 = number(name, figure)?;
    if figure == 0 {
        return Err(format!("{name} {value}: nothing would pass"));
    }
    Ok(Rate::from_bits_per_second(u64::from(figure) * factor))
}

fn time(name: &str, value: &str) -> Result<Nanos, String> {
    let (figure, unit) = split(value);
    let factor = match unit {
        "us" => 1_000,
        "ms" => MILLISECOND,
        "s" => 1_000 * MILLISECOND,
        _ if figure == "0" && unit.is_empty() => 0,
        _ => return Err(format!("{name} {value}: us, ms or s")),
    };
    let figure: u32 = number(name, figure)?;
    Ok(u64::from(figure) * factor)
}

#[allow(clippy::float_arithmetic)] // what people write
fn percent(name: &str, value: &str) -> Result<PerMillion, String> {
    let percent: f64 = number(name, value)?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("{name} {value}: 0 to 100"));
    }
    Ok((percent * 10_000.0).round() as PerMillion)
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let seconds: f64 = number(name, value)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{name} {value}: not a time"))
}

fn contenders(value: &str) -> Result<Vec<[StackKind; 2]>, String> {
    value
        .split(',')
        .map(|pair| {
            let kind = |letter| match letter {
                'k' => Some(StackKind::Kernel),
                'u' => Some(StackKind::Usertcp),
                _ => None,
            };
            let kinds: Vec<_> = pair.chars().map(kind).collect();
            match kinds[..] {
                [Some(sender), Some(receiver)] => Ok([sender, receiver]),
                _ => Err(format!("--contenders {pair}: kk, uk, ku or uu")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Command::Compare(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_the_path_of_the_acceptance() {
        let options = parsed("compare").unwrap();
        let [forth, back] = options.paths;
        for path in [forth, back] {
            assert_eq!(path.rate, Rate::from_bits_per_second(100_000_000));
            assert_eq!((path.delay, path.queue_packets), (25 * MILLISECOND, 417));
            assert_eq!((path.loss, path.reorder, path.duplicate, path.mark), (0, 0, 0, 0));
        }
        assert_eq!((options.rounds, options.contenders.len()), (5, 4));
    }

    #[test]
    fn chances_are_of_the_way_forth_unless_asked_for() {
        let line = "compare --loss 1.5 --reorder 5 --reorder-within 20 --reorder-by 2ms";
        let [forth, back] = parsed(line).unwrap().paths;
        assert_eq!((forth.loss, forth.reorder), (15_000, 50_000));
        assert_eq!(forth.reordering, Reordering::Behind(20, 2 * MILLISECOND));
        assert_eq!((back.loss, back.reorder), (0, 0));
        let [forth, back] = parsed(&format!("{line} --both-ways")).unwrap().paths;
        assert_eq!(forth, back);
    }

    #[test]
    fn a_small_mtu_in_the_middle_is_of_both_ways() {
        let options = parsed("compare --path-mtu 1280 --drop-icmp --v6 --contenders uk").unwrap();
        assert!(options.paths.iter().all(|path| path.mtu == 1280 && path.drop_icmp));
        assert_eq!(options.host, HostConfig { v6: true, mtu: 1500, ecn: false });
        assert_eq!(options.contenders, [[StackKind::Usertcp, StackKind::Kernel]]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, problem) in [
            ("compare --loss", "--loss: a value is missing"),
            ("compare --loss 101", "--loss 101: 0 to 100"),
            ("compare --rtt 5", "--rtt 5: us, ms or s"),
            ("compare --rate 0mbit", "--rate 0mbit: nothing would pass"),
            ("compare --contenders kx", "--contenders kx: kk, uk, ku or uu"),
            ("compare --fast yes", "--fast: no such option"),
            ("simulate --contenders uu", "--contenders: of compare alone"),
            ("race", "race: no such command"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), problem);
        }
    }
}

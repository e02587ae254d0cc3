//! The command line of `idle`. Owns: names, defaults and help of its options.
//! Must not know: what they are for.

use super::tuple::{Family, MOST};
use std::path::PathBuf;
use std::str::FromStr;

/// What `help` prints.
pub const HELP: &str = "\
Usage: usertcp-bench idle [OPTIONS]

What an idle connection costs, from the first thousand on: memory of the whole process, a request to one that
slept, keep-alive. Connections are accepted through real handshakes from peers that remember nothing. Ctrl-C
stops, and prints what was measured.

  --connections LIST   sizes, up to 134217728                          [1000,10000,100000]
  --family F           4, 6 or both                                    [both]
  --touch M            requests to connections drawn by chance; 0: none [100000]
  --keep-alive S       seconds between probes; 0: no keep-alive        [75]
  --intervals K        keep-alive runs for that many, 3 to 10          [4]
  --rate R             connections opened, and requests sent, in a second of virtual time  [20000]
  --no-close           end the process with its connections open
  --against LIST       of kernel,smoltcp,lwip, or none: peers in the same run  [kernel,smoltcp,lwip]
  --peer-most N        no peer gets more connections than this         [100000]
  --svg DIR            write plots there
  --json FILE          write all figures there
  --smoke              a thousand connections, each phase short: what CI runs
";

/// A contender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Peer {
    /// Kernel sockets and epoll.
    Kernel,
    /// smoltcp.
    Smoltcp,
    /// lwIP.
    Lwip,
}

/// What one process of its own measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Memory, requests, closing.
    Idle,
    /// Keep-alive.
    KeepAlive,
    /// The same after all connections opened at one moment.
    Together,
    /// Kernel sockets.
    Kernel,
    /// smoltcp.
    Smoltcp,
}

const ROLES: [(&str, Role); 5] = [
    ("idle", Role::Idle),
    ("keep-alive", Role::KeepAlive),
    ("together", Role::Together),
    ("kernel", Role::Kernel),
    ("smoltcp", Role::Smoltcp),
];

impl Role {
    /// Its word.
    pub fn word(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(word, _)| word)
    }
}

/// All options.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Sizes, from few to many.
    pub connections: Vec<u32>,
    /// Address families.
    pub families: Vec<Family>,
    /// Requests.
    pub touch: u32,
    /// Seconds between probes.
    pub keep_alive_s: u32,
    /// How many intervals.
    pub intervals: u32,
    /// Connections opened, requests sent, in a second of virtual time.
    pub rate: u32,
    /// Whether connections are closed at the end.
    pub close: bool,
    /// Contenders.
    pub against: Vec<Peer>,
    /// The most connections of a contender.
    pub peer_most: u32,
    /// Where plots go.
    pub svg: Option<PathBuf>,
    /// Where JSON goes.
    pub json: Option<PathBuf>,
    /// This process is to measure one thing.
    pub role: Option<Role>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections: vec![1000, 10_000, 100_000],
            families: vec![Family::V4, Family::V6],
            touch: 100_000,
            keep_alive_s: 75,
            intervals: 4,
            rate: 20_000,
            close: true,
            against: vec![Peer::Kernel, Peer::Smoltcp, Peer::Lwip],
            peer_most: 100_000,
            svg: None,
            json: None,
            role: None,
        }
    }
}

impl Options {
    /// Reads the words; `None`: help is wanted.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "help" | "--help" | "-h" => return Ok(None),
                "--smoke" => {
                    options.connections = vec![1000];
                    options.touch = 2000;
                    options.peer_most = 1000;
                }
                "--no-close" => options.close = false,
                option => options.set(option, &mut words)?,
            }
        }
        options.check()?;
        options.connections.sort_unstable();
        options.connections.dedup();
        Ok(Some(options))
    }

    fn set(
        &mut self,
        option: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let needs = || format!("{option} needs a value");
        let known = [
            "--connections",
            "--family",
            "--touch",
            "--keep-alive",
            "--intervals",
            "--rate",
            "--against",
            "--peer-most",
            "--svg",
            "--json",
            "--role",
        ];
        if !known.contains(&option) {
            return Err(format!("idle has no option {option}"));
        }
        let value = words.next().ok_or_else(needs)?;
        match option {
            "--connections" => {
                self.connections =
                    value.split(',').map(|word| number(option, word)).collect::<Result<_, _>>()?;
            }
            "--family" => {
                self.families = match value.as_str() {
                    "4" => vec![Family::V4],
                    "6" => vec![Family::V6],
                    "both" => vec![Family::V4, Family::V6],
                    _ => return Err(format!("--family {value}: 4, 6 or both")),
                }
            }
            "--touch" => self.touch = number(option, &value)?,
            "--keep-alive" => self.keep_alive_s = number(option, &value)?,
            "--intervals" => self.intervals = number(option, &value)?,
            "--rate" => self.rate = number(option, &value)?,
            "--against" => self.against = peers(&value)?,
            "--peer-most" => self.peer_most = number(option, &value)?,
            "--svg" => self.svg = Some(value.into()),
            "--json" => self.json = Some(value.into()),
            _ => {
                let role = ROLES.iter().find(|(word, _)| *word == value);
                self.role = Some(role.ok_or_else(|| format!("--role {value}: unknown"))?.1);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let sizes = &self.connections;
        if sizes.is_empty() || sizes.iter().any(|size| !(100..=MOST).contains(size)) {
            return Err(format!("--connections from 100 to {MOST}"));
        }
        if !(1000..=10_000_000).contains(&self.rate) {
            return Err("--rate from 1000 to 10000000".into());
        }
        if !(3..=10).contains(&self.intervals) {
            return Err("--intervals from 3 to 10".into());
        }
        if self.keep_alive_s != 0 && !(10..=7200).contains(&self.keep_alive_s) {
            return Err("--keep-alive 0, or from 10 to 7200".into());
        }
        Ok(())
    }

    /// The words that make another process do one part of this.
    pub fn words_for(&self, role: Role, family: Family, connections: u32) -> Vec<String> {
        let mut words = vec!["idle".to_owned()];
        let pairs = [
            ("--role", role.word().to_owned()),
            ("--family", family.number().to_string()),
            ("--connections", connections.to_string()),
            ("--touch", self.touch.to_string()),
            ("--keep-alive", self.keep_alive_s.to_string()),
            ("--intervals", self.intervals.to_string()),
            ("--rate", self.rate.to_string()),
        ];
        for (option, value) in pairs {
            words.extend([option.to_owned(), value]);
        }
        if !self.close {
            words.push("--no-close".into());
        }
        words
    }
}

fn number<T: FromStr>(option: &str, word: &str) -> Result<T, String> {
    word.replace('_', "").parse().map_err(|_| format!("{option} {word}: not a number that will do"))
}

fn peers(list: &str) -> Result<Vec<Peer>, String> {
    if list == "none" {
        return Ok(Vec::new());
    }
    let one = |word| match word {
        "kernel" => Ok(Peer::Kernel),
        "smoltcp" => Ok(Peer::Smoltcp),
        "lwip" => Ok(Peer::Lwip),
        _ => Err(format!("--against {word}: kernel, smoltcp, lwip or none")),
    };
    list.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options =
            read("--connections 1_000_000,1000,1000 --family 6 --against lwip").unwrap().unwrap();
        assert_eq!(options.connections, [1000, 1_000_000]);
        assert_eq!((options.families, options.against), (vec![Family::V6], vec![Peer::Lwip]));
        assert_eq!(read("--touch 5 help").unwrap(), None);
        assert_eq!(read("").unwrap(), Some(Options::default()));
    }

    #[test]
    fn what_will_not_do_is_refused() {
        let wrong = [
            "--connections 5",
            "--connections x",
            "--rate 0",
            "--touch",
            "--family 5",
            "--colour red",
            "--against linux",
            "--intervals 1",
            "--keep-alive 1",
        ];
        for line in wrong {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_process_is_told_what_it_is_to_do() {
        let options = Options { touch: 7, close: false, ..Options::default() };
        let words = options.words_for(Role::KeepAlive, Family::V6, 500);
        let told = Options::read(words.into_iter().skip(1)).unwrap().unwrap();
        assert_eq!((told.role, told.touch, told.close), (Some(Role::KeepAlive), 7, false));
        assert_eq!((told.connections, told.families), (vec![500], vec![Family::V6]));
    }
}

//! Commands of the shell that scripts use, as settings of the stack.
//! Owns: which word means what; files and counters that commands name. Must not know: when a command
//! is run, a real shell.

use super::Posix;
use super::profile::Defaults;
use super::sysctl::{self, Set};
use super::words::{self, Command};
use usertcp_base::DropReason;

/// What a command came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ran {
    /// It did what it says; with what is worth telling.
    Done(Vec<String>),
    /// Its exit code says no.
    Failed(String),
    /// Something in it is not known.
    Missing(String),
}

type Step = Result<(), Ran>;

/// Runs the text of a command: lines, or parts separated by `;`.
pub fn run(posix: &mut Posix, text: &str) -> Ran {
    let mut runner =
        Runner { notes: Vec::new(), anew: false, defaults: posix.defaults.clone(), posix };
    for command in words::commands(text) {
        if let Err(ran) = command.and_then(|command| runner.command(&command)) {
            return ran;
        }
    }
    match runner.finish() {
        Ok(notes) => Ran::Done(notes),
        Err(ran) => ran,
    }
}

struct Runner<'a> {
    posix: &'a mut Posix,
    defaults: Defaults,
    notes: Vec<String>,
    /// The stack is to begin anew.
    anew: bool,
}

fn missing(text: &str) -> Ran {
    Ran::Missing(format!("shell command `{text}`"))
}

impl Runner<'_> {
    /// Puts what changed into force.
    fn finish(self) -> Result<Vec<String>, Ran> {
        if self.anew || self.posix.defaults.needs_restart(&self.defaults) {
            self.posix.restart(self.defaults).map_err(Ran::Missing)?;
        } else {
            self.posix.defaults = self.defaults;
        }
        Ok(self.notes)
    }

    fn command(&mut self, command: &Command) -> Step {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let Some((program, rest)) = words.split_first() else { return Ok(()) };
        let name = program.rsplit('/').next().unwrap_or(program);
        if name.starts_with("sysctl_restore_") {
            // What `set_sysctls.py` wrote for the host; here every script starts with a new stack.
            return Ok(());
        }
        match name {
            "true" | ":" => Ok(()),
            "defaults.sh" => {
                // Who calls it expects Linux.
                self.defaults.use_linux();
                sysctl::set_field_defaults(&mut self.defaults);
                Ok(())
            }
            "sysctl" => self.sysctls(command, rest),
            "set_sysctls.py" => self.sysctls(command, rest),
            "echo" => self.echo(command, rest),
            "ip" => self.ip(command, rest),
            "tc" => self.tc(command, rest),
            "ethtool" => self.ethtool(command, rest),
            "nstat" => self.nstat(command, rest),
            "rm" => Ok(()),
            "dd" => self.dd(command, rest),
            _ => Err(missing(&command.text)),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Step {
        let bare = ["net.ipv4.", "net/ipv4/", "/proc/sys/net/ipv4/"];
        let short = bare.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        match sysctl::set(&mut self.defaults, short, value) {
            Set::Done => Ok(()),
            Set::Inert(why) => {
                self.notes.push(format!("{short}={value} changes nothing: {why}"));
                Ok(())
            }
            Set::Missing => Err(Ran::Missing(format!("sysctl `{short}={value}`"))),
        }
    }

    fn sysctls(&mut self, command: &Command, rest: &[&str]) -> Step {
        for word in rest.iter().filter(|word| !matches!(**word, "-q" | "-w" | "-qw" | "-wq")) {
            let Some((name, value)) = word.split_once('=') else {
                return Err(missing(&command.text));
            };
            self.set(name, value)?;
        }
        Ok(())
    }

    /// `echo value > /proc/sys/…`
    fn echo(&mut self, command: &Command, rest: &[&str]) -> Step {
        match &command.output {
            Some(path) if path.starts_with("/proc/sys/") => self.set(path, &rest.join(" ")),
            Some(_) => Err(missing(&command.text)),
            None => Ok(()),
        }
    }

    fn ip(&mut self, command: &Command, rest: &[&str]) -> Step {
        let rest: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-')).collect();
        match rest.as_slice() {
            ["tcp_metrics" | "tcpmetrics", "flush", ..] => {
                // What is kept of past connections goes with the stack that kept it.
                self.anew = true;
                Ok(())
            }
            ["link", "set", "dev", _, "mtu", mtu] | ["link", "set", _, "mtu", mtu] => {
                let mtu: u16 = mtu.parse().map_err(|_| missing(&command.text))?;
                if mtu < 1280 {
                    return Err(missing(&command.text));
                }
                self.defaults.set_mtu(mtu);
                Ok(())
            }
            ["route", "change" | "replace" | "add", to @ ..] => self.route(command, to),
            _ => Err(missing(&command.text)),
        }
    }

    /// What a route says of the path; where it leads is no matter with one link.
    fn route(&mut self, command: &Command, words: &[&str]) -> Step {
        let mut rest = words.iter();
        // The destination.
        let _ = rest.next();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().copied().ok_or_else(|| missing(&command.text));
            let number = |text: &str| text.parse::<u32>().map_err(|_| missing(&command.text));
            match *word {
                "dev" | "via" | "src" | "proto" | "scope" | "table" => {
                    value()?;
                }
                "mtu" => {
                    let first = value()?;
                    let mtu = number(if first == "lock" { value()? } else { first })?;
                    if mtu < 1280 {
                        return Err(missing(&command.text));
                    }
                    self.defaults.set_mtu(mtu.min(65_535) as u16);
                }
                "advmss" => {
                    let mss = number(value()?)?.min(65_535) as u16;
                    self.defaults.settings.mss_limit_octets = mss;
                }
                "rto_min" => {
                    let text = value()?;
                    let millis = number(text.trim_end_matches("ms"))?;
                    let span = usertcp_base::Span::from_millis(u64::from(millis));
                    self.defaults.settings.rto_min = span;
                }
                _ => return Err(Ran::Missing(format!("`{word}` in `{}`", command.text))),
            }
        }
        Ok(())
    }

    /// A queue below that lets everything through at once changes nothing.
    fn tc(&mut self, command: &Command, rest: &[&str]) -> Step {
        let ["qdisc", "add" | "replace" | "change", "dev", _, "root", kind, options @ ..] = rest
        else {
            return Err(missing(&command.text));
        };
        let closed = options.windows(2).any(|two| two == ["limit", "0"]);
        match *kind {
            "pfifo" | "pfifo_fast" | "fq" | "fq_codel" | "noqueue" if !closed => {
                self.notes.push(format!("{kind}: there is no queue below the stack"));
                Ok(())
            }
            _ => Err(missing(&command.text)),
        }
    }

    /// Segmentation by the device, on or off.
    fn ethtool(&mut self, command: &Command, rest: &[&str]) -> Step {
        let ["-K", _, features @ ..] = rest else { return Err(missing(&command.text)) };
        for two in features.chunks(2) {
            let [feature, value @ ("on" | "off")] = two else {
                return Err(missing(&command.text));
            };
            match *feature {
                "tso" | "gso" => {
                    self.defaults.segmentation &= *value == "on";
                }
                _ => return Err(Ran::Missing(format!("`{feature}` in `{}`", command.text))),
            }
        }
        Ok(())
    }

    /// Counters since the `nstat` before; `grep` in the pipe decides.
    fn nstat(&mut self, command: &Command, rest: &[&str]) -> Step {
        let counted = self.posix.machine.shard.counters().clone();
        let mut lines: Vec<(&str, u64)> = Vec::new();
        for (name, reasons) in COUNTERS {
            let sum = |counters: &usertcp_base::Counters| {
                reasons.iter().map(|reason| counters.dropped(*reason)).sum::<u64>()
            };
            let before = self.posix.counted.as_ref().map_or(0, &sum);
            lines.push((name, sum(&counted).saturating_sub(before)));
        }
        let named = rest.iter().copied().filter(|word| !word.starts_with('-'));
        let greps = command.pipe.iter().filter_map(|part| part.last().map(String::as_str));
        for word in
            named.chain(greps).filter(|word| word.starts_with("Tcp") || word.starts_with("Ip"))
        {
            if !COUNTERS.iter().any(|(name, _)| name.contains(word)) {
                return Err(Ran::Missing(format!("counter `{word}`")));
            }
        }
        self.posix.counted = Some(counted);
        for part in &command.pipe {
            let Some((grep, words)) = part.split_first().filter(|(grep, _)| *grep == "grep") else {
                return Err(missing(&command.text));
            };
            let invert = words.iter().any(|word| word.starts_with('-') && word.contains('v'));
            let pattern =
                words.iter().find(|word| !word.starts_with('-')).ok_or_else(|| missing(grep))?;
            lines.retain(|(name, value)| {
                *value > 0 && format!("{name}  {value}   0.0").contains(pattern.as_str()) != invert
            });
        }
        if command.pipe.is_empty() || !lines.is_empty() {
            return Ok(());
        }
        let shard = self.posix.machine.shard.counters();
        let all = COUNTERS.iter().map(|(name, reasons)| {
            let sum: u64 = reasons.iter().map(|reason| shard.dropped(*reason)).sum();
            format!("{name} {sum}")
        });
        let all = all.collect::<Vec<_>>().join(", ");
        Err(Ran::Failed(format!(
            "`{}` finds nothing; counted since the start: {all}",
            command.text
        )))
    }

    /// A file of zeros.
    fn dd(&mut self, command: &Command, rest: &[&str]) -> Step {
        let value =
            |name: &str| rest.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| value(name).and_then(|text| text.parse::<usize>().ok());
        let (Some("/dev/zero"), Some(path), Some(size), Some(count)) =
            (value("if"), value("of"), number("bs"), number("count"))
        else {
            return Err(missing(&command.text));
        };
        self.posix.files.insert(path.to_string(), size.saturating_mul(count).min(1 << 26));
        Ok(())
    }
}

/// Linux's counters that have a counterpart here.
const COUNTERS: [(&str, &[DropReason]); 5] = [
    ("TcpExtOutOfWindowIcmps", &[DropReason::IcmpUnmatched]),
    ("TcpExtBeyondWindow", &[DropReason::OutOfWindow, DropReason::BeyondWindow]),
    ("TcpExtTCPRcvQDrop", &[DropReason::ReceiveMemory]),
    ("TcpExtTCPZeroWindowDrop", &[DropReason::OutOfWindow]),
    ("TcpExtPAWSEstab", &[DropReason::PawsOld]),
];

//! The command line. Owns: what its words mean, which files are scripts. Must not know: how a script is run or printed.

use crate::options::{Mode, Profile};
use crate::run::Extra;
use std::path::{Path, PathBuf};

/// What `--help` prints, and wrong usage.
pub const USAGE: &str = "usage: usertcp-conformance [run] [OPTIONS] FILES…
       usertcp-conformance run --against kernel FILES… [--v4|--v6|--all] [--profile PROFILE]
                           [--table FILE.md] [--jobs N] [--tolerance-ms N] [--longest-s N]
       usertcp-conformance ledger [--open] [--check]

  FILES may be directories: every .pkt file below them is run.
  -v, --verbose        tell each event, and what commands set
  --dry_run            check the syntax only
  -D NAME=VALUE        replace a word of the scripts (also --define=NAME=VALUE)
  --v4 --v6            the family; both for both. The default is IPv4
  --wrap               sequence numbers of both sides pass 2^32
  --all                both families, each also with --wrap
  --profile PROFILE    own (the default; `defaults.sh` in a script switches to linux), or linux
  --against kernel     also against Linux, in real time (as root), and tell where it differs
  --NAME=VALUE         any option that a script may have in its first lines

exit code: 0 all passed, 1 something failed, 2 wrong usage, 3 nothing failed, but something is not
supported";

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run scripts.
    Run(Job),
    /// Print the requirement ledger.
    Ledger {
        /// With the rows that no test proves.
        open: bool,
        /// Fail on what is wrong with it.
        check: bool,
    },
    /// Print the usage.
    Help,
}

/// Scripts to run.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Each script in each of these.
    pub modes: Vec<Mode>,
    /// Files and directories.
    pub paths: Vec<String>,
    /// What is added to each script.
    pub extra: Extra,
}

/// Reads the words after the program's name; the error is what is wrong with them.
pub fn read(words: &[String]) -> Result<Command, String> {
    match words.first().map(String::as_str) {
        None => Err("no files".to_string()),
        Some("ledger") => ledger(&words[1..]),
        Some("run") => job(&words[1..]),
        Some(_) => job(words),
    }
}

fn ledger(words: &[String]) -> Result<Command, String> {
    let (mut open, mut check) = (false, false);
    for word in words {
        match word.as_str() {
            "--open" => open = true,
            "--check" => check = true,
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("`{other}`")),
        }
    }
    Ok(Command::Ledger { open, check })
}

fn job(words: &[String]) -> Result<Command, String> {
    let mut job = Job::default();
    let (mut v4, mut v6, mut wrap, mut all) = (false, false, false, false);
    let mut profile = Profile::Own;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--v4" => v4 = true,
            "--v6" => v6 = true,
            "--wrap" => wrap = true,
            "--all" => all = true,
            "--help" | "-h" => return Ok(Command::Help),
            "-v" | "--verbose" => job.extra.verbose = true,
            "--dry_run" => job.extra.dry_run = true,
            "-D" => {
                let pair = rest.next().ok_or("`-D` without a definition")?;
                job.extra.options.push(("define".to_string(), pair.clone()));
            }
            "--profile" => {
                profile = named_profile(rest.next().map_or("", String::as_str))?;
            }
            other if other.starts_with("-D") => {
                let pair = other.trim_start_matches("-D").to_string();
                job.extra.options.push(("define".to_string(), pair));
            }
            other if other.starts_with("--") => {
                let (name, value) = other[2..].split_once('=').unwrap_or((&other[2..], ""));
                match name {
                    "profile" => profile = named_profile(value)?,
                    _ => job.extra.options.push((name.to_string(), value.to_string())),
                }
            }
            other if other.starts_with('-') => return Err(format!("`{other}`")),
            path => job.paths.push(path.to_string()),
        }
    }
    if job.paths.is_empty() {
        return Err("no files".to_string());
    }
    let families: &[bool] = match (v4 || all, v6 || all) {
        (true, true) => &[false, true],
        (_, true) => &[true],
        _ => &[false],
    };
    let wraps: &[bool] = if all {
        &[false, true]
    } else if wrap {
        &[true]
    } else {
        &[false]
    };
    for &wrap in wraps {
        job.modes.extend(families.iter().map(|&v6| Mode { v6, wrap, profile, ..Mode::default() }));
    }
    Ok(Command::Run(job))
}

/// A file, or every script below a directory, in order.
pub fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else {
        into.push(path.to_path_buf());
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() || path.extension().is_some_and(|end| end == "pkt") {
            collect(&path, into);
        }
    }
}

/// The profile of this name.
pub fn named_profile(name: &str) -> Result<Profile, String> {
    match name {
        "own" => Ok(Profile::Own),
        "linux" => Ok(Profile::Linux),
        other => Err(format!("profile `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Command, String> {
        read(&line.split_whitespace().map(str::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let Ok(Command::Run(job)) = words("run -v -D A=1 -DB=2 --tolerance_usecs=5 --all a.pkt b")
        else {
            panic!("a run");
        };
        assert_eq!((job.modes.len(), job.paths.len(), job.extra.verbose), (4, 2, true));
        let pairs = [("define", "A=1"), ("define", "B=2"), ("tolerance_usecs", "5")];
        let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(job.extra.options, pairs);
        let Ok(Command::Run(job)) = words("--profile=linux --v6 x.pkt") else { panic!("a run") };
        let mode = Mode { v6: true, profile: Profile::Linux, ..Mode::default() };
        assert_eq!(job.modes, [mode]);
        assert!(matches!(
            words("ledger --check"),
            Ok(Command::Ledger { check: true, open: false })
        ));
        assert!(matches!(words("--help"), Ok(Command::Help)));
        for wrong in ["", "run", "-x a", "ledger x", "--profile bsd a", "-D"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }
}

//! `run --against kernel`: many scripts, what each came to, the table of disagreements.
//! Owns: what scripts say of the kernel in their comments, verdicts, what is printed and written.
//! Must not know: how a script is run.

use super::Patience;
use crate::cli::{USAGE, collect, named_profile};
use crate::options::{Mode, Profile};
use crate::script::Stop;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is to be run.
#[derive(Debug)]
struct Order {
    files: Vec<String>,
    families: Vec<bool>,
    /// Our stack's.
    profile: Profile,
    table: Option<PathBuf>,
    jobs: usize,
    patience: Patience,
}

/// What one script came to in one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Our stack and the kernel do what the script says; with what setting of the kernel, if not
    /// its own.
    Agrees(Option<String>),
    /// One of them does not.
    Differs {
        /// Who, and in what.
        what: String,
        /// The text that decides, as the script cites it.
        cited: Option<String>,
    },
    /// Neither does: the script is wrong.
    NeitherPasses(String),
    /// The script names a disagreement that is none.
    Stale,
    /// Something is not supported by the runner, our stack or the kernel.
    Unsupported(String),
    /// The script says why it is not for the kernel.
    Excluded(String),
}

/// The comment of a script that begins with `// WORD:`, with its continuation: comment lines that
/// are indented by three spaces or more.
pub fn comment(text: &str, word: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.find_map(|line| {
        line.strip_prefix("//")?.trim_start().strip_prefix(word)?.strip_prefix(':')
    })?;
    let mut out = first.trim().to_string();
    for line in lines {
        let Some(rest) = line.strip_prefix("//   ") else { break };
        out.push(' ');
        out.push_str(rest.trim());
    }
    Some(out)
}

/// Whether a comment names an RFC with its section: `RFC 9293 3.10.7.4`.
pub fn cites(text: &str) -> bool {
    text.match_indices("RFC ").any(|(at, _)| {
        let mut words = text.get(at + 4..).unwrap_or("").split_whitespace();
        let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
        let digit =
            |word: &str| word.trim_start_matches('§').starts_with(|c: char| c.is_ascii_digit());
        number && words.next().is_some_and(digit)
    })
}

/// Runs one script against both; a difference is looked at again, as real time is unruly.
pub fn judge(text: &str, mode: Mode, patience: Patience) -> Verdict {
    let v6 = mode.v6;
    if let Some(reason) = comment(text, "not for kernel") {
        return Verdict::Excluded(reason);
    }
    let own = crate::run::run_text(text, Mode { wrap: false, ..mode });
    if let Err(Stop::Unsupported { reason, .. }) = &own {
        return Verdict::Unsupported(format!("here: {reason}"));
    }
    let mut kernel = super::run_text(text, v6, patience);
    let cited = comment(text, "kernel differs");
    // Nothing is gained by running again what is known to differ.
    let attempts = if cited.is_some() { 1 } else { patience.attempts };
    for _ in 1..attempts {
        if matches!(kernel, Err(Stop::Failed { .. })) {
            kernel = super::run_text(text, v6, patience);
        }
    }
    let told = |line: usize, reason: &str| format!("line {line}: {reason}");
    match (own, kernel) {
        (_, Err(Stop::Unsupported { reason, .. })) => {
            Verdict::Unsupported(format!("kernel: {reason}"))
        }
        (Ok(()), Ok(())) if cited.is_some() => Verdict::Stale,
        (Ok(()), Ok(())) => Verdict::Agrees(comment(text, "kernel sysctl")),
        (Ok(()), Err(Stop::Failed { line, reason })) => {
            Verdict::Differs { what: format!("kernel, {}", told(line, &reason)), cited }
        }
        (Err(Stop::Failed { line, reason }), Ok(())) => {
            Verdict::Differs { what: format!("our stack, {}", told(line, &reason)), cited }
        }
        (Err(own), _) => Verdict::NeitherPasses(format!("our stack: {own:?}")),
    }
}

/// The command, its arguments after `run`.
pub fn command(arguments: &[String]) -> ExitCode {
    let order = match order(arguments) {
        Ok(order) => order,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(why) = super::unavailable() {
        println!("SKIPPED: the kernel cannot be asked: {why}");
        return ExitCode::from(3);
    }
    let verdicts = run_all(&order);
    for (name, v6, verdict) in &verdicts {
        println!("{}", told(name, *v6, verdict));
    }
    let summary = Summary::of(&verdicts);
    println!("{}", summary.text());
    if let Some(path) = &order.table
        && let Err(error) = std::fs::write(path, table(&verdicts, &summary))
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::from(2);
    }
    match (summary.wrong, summary.unsupported) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::from(1),
    }
}

fn order(arguments: &[String]) -> Result<Order, String> {
    let mut order = Order {
        files: Vec::new(),
        families: Vec::new(),
        profile: Profile::Own,
        table: None,
        jobs: 8,
        patience: Patience::default(),
    };
    let mut words = arguments.iter();
    let number = |word: Option<&String>| {
        let word = word.ok_or("a number is missing")?;
        word.parse::<u64>().map_err(|_| format!("`{word}` is no number"))
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--against" => match words.next().map(String::as_str) {
                Some("kernel") => {}
                other => return Err(format!("`--against {}`", other.unwrap_or(""))),
            },
            "--v4" => order.families.push(false),
            "--v6" => order.families.push(true),
            "--all" => order.families.extend([false, true]),
            "--wrap" => {
                return Err("--wrap: the kernel chooses its initial sequence numbers".to_string());
            }
            "--table" => order.table = Some(words.next().ok_or("a file is missing")?.into()),
            "--jobs" => order.jobs = number(words.next())?.clamp(1, 64) as usize,
            "--tolerance-ms" => {
                order.patience.tolerance = Duration::from_millis(number(words.next())?);
            }
            "--longest-s" => order.patience.longest = Duration::from_secs(number(words.next())?),
            "run" if order.files.is_empty() => {}
            "--profile" => {
                order.profile = named_profile(words.next().map_or("", String::as_str))?;
            }
            word if word.starts_with("--profile=") => {
                order.profile = named_profile(&word["--profile=".len()..])?;
            }
            word if word.starts_with("--") => return Err(format!("option `{word}`")),
            path => {
                let mut files = Vec::new();
                collect(Path::new(path), &mut files);
                order.files.extend(files.iter().map(|file| file.display().to_string()));
            }
        }
    }
    order.families.sort_unstable();
    order.families.dedup();
    if order.families.is_empty() {
        order.families.push(false);
    }
    if order.files.is_empty() { Err("no files".to_string()) } else { Ok(order) }
}

/// Why a whole directory of scripts is not for the kernel: what its file of that name says.
fn excluded(file: &str) -> Option<String> {
    let reason = std::fs::read_to_string(Path::new(file).parent()?.join("NOT_FOR_KERNEL")).ok()?;
    Some(reason.trim().to_string())
}

type Verdicts = Vec<(String, bool, Verdict)>;

fn run_all(order: &Order) -> Verdicts {
    let both = order.files.iter().flat_map(|file| order.families.iter().map(move |v6| (file, *v6)));
    let all: Vec<_> = both.collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..order.jobs.min(all.len()) {
            scope.spawn(|| {
                while let Some((file, v6)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = match std::fs::read_to_string(file) {
                        Ok(_) if excluded(file).is_some() => {
                            Verdict::Excluded(excluded(file).unwrap_or_default())
                        }
                        Ok(text) => {
                            let mode = Mode { v6: *v6, profile: order.profile, ..Mode::default() };
                            judge(&text, mode, order.patience)
                        }
                        Err(error) => Verdict::NeitherPasses(error.to_string()),
                    };
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push(((*file).clone(), *v6, verdict));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    done
}

fn family(v6: bool) -> &'static str {
    if v6 { "v6" } else { "v4" }
}

fn told(name: &str, v6: bool, verdict: &Verdict) -> String {
    let family = family(v6);
    match verdict {
        Verdict::Agrees(None) => format!("ok {name} [{family}]"),
        Verdict::Agrees(Some(setting)) => format!("ok {name} [{family}] with {setting}"),
        Verdict::Differs { what, cited: None } => {
            format!("DIFFERS {name} [{family}] without a text that decides: {what}")
        }
        Verdict::Differs { what, cited: Some(cited) } => {
            let bad = if cites(cited) { "" } else { " (names no RFC and section)" };
            format!("differs {name} [{family}] {what}\n  known: {cited}{bad}")
        }
        Verdict::NeitherPasses(what) => format!("NEITHER {name} [{family}] {what}"),
        Verdict::Stale => format!("STALE {name} [{family}] the disagreement it names is none"),
        Verdict::Unsupported(what) => format!("unsupported {name} [{family}] {what}"),
        Verdict::Excluded(why) => format!("excluded {name} [{family}] {why}"),
    }
}

/// Counts of runs: a script in a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    agree: usize,
    differ: usize,
    unsupported: usize,
    excluded: usize,
    /// Disagreements without a text that decides, and what else is to be mended.
    wrong: usize,
}

impl Summary {
    /// The counts of `verdicts`.
    pub fn of(verdicts: &[(String, bool, Verdict)]) -> Summary {
        let mut out = Summary::default();
        for (_, _, verdict) in verdicts {
            match verdict {
                Verdict::Agrees(_) => out.agree += 1,
                Verdict::Differs { cited, .. } => {
                    out.differ += 1;
                    out.wrong += usize::from(!cited.as_deref().is_some_and(cites));
                }
                Verdict::NeitherPasses(_) => out.wrong += 1,
                Verdict::Stale => {
                    out.agree += 1;
                    out.wrong += 1;
                }
                Verdict::Unsupported(_) => out.unsupported += 1,
                Verdict::Excluded(_) => out.excluded += 1,
            }
        }
        out
    }

    fn text(&self) -> String {
        let ran = self.agree + self.differ;
        let tenths = (self.agree * 1000).checked_div(ran).unwrap_or(0);
        format!(
            "{} of {ran} runs against both agree, {}.{} %; {} differ, {} unsupported, {} excluded, {} to mend",
            self.agree,
            tenths / 10,
            tenths % 10,
            self.differ,
            self.unsupported,
            self.excluded,
            self.wrong
        )
    }
}

/// The table of disagreements, and of what was not asked.
fn table(verdicts: &[(String, bool, Verdict)], summary: &Summary) -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut out = format!(
        "# Where Linux differs\n\nWritten by `usertcp-conformance run --against kernel --table`: the \
         packet scripts, run against\nour stack in virtual time and against Linux {} in real time.\n\n{}.\n",
        release.trim(),
        summary.text()
    );
    let short = |name: &str| name.rsplit("scripts/").next().unwrap_or(name).to_string();
    let cell = |text: &str| text.replace('\n', " ").replace('|', "\\|");
    out.push_str(
        "\n## Disagreements\n\n| script | seen | the text that decides |\n|---|---|---|\n",
    );
    for (name, both) in by_script(verdicts, |verdict| match verdict {
        Verdict::Differs { what, cited } => Some((what, cited)),
        _ => None,
    }) {
        let Some((_, (what, cited))) = both.first() else { continue };
        let families: Vec<_> = both.iter().map(|(v6, _)| family(*v6)).collect();
        let cited = cited.as_deref().unwrap_or("**none cited**");
        let _ = writeln!(
            out,
            "| {} ({}) | {} | {} |",
            short(name),
            families.join(", "),
            cell(what.split_whitespace().collect::<Vec<_>>().join(" ").as_str()),
            cell(cited)
        );
    }
    out.push_str("\n## Agree with a setting that Linux does not have by itself\n\n");
    out.push_str("| script | setting |\n|---|---|\n");
    for (name, both) in by_script(verdicts, |verdict| match verdict {
        Verdict::Agrees(setting) => setting.as_ref(),
        _ => None,
    }) {
        if let Some((_, setting)) = both.first() {
            let _ = writeln!(out, "| {} | `{setting}` |", short(name));
        }
    }
    out.push_str("\n## Not asked\n\n| script | why |\n|---|---|\n");
    for (name, both) in by_script(verdicts, |verdict| match verdict {
        Verdict::Excluded(why) => Some(why.clone()),
        Verdict::Unsupported(why) => Some(format!("unsupported: {why}")),
        _ => None,
    }) {
        if let Some((_, why)) = both.first() {
            let _ = writeln!(out, "| {} | {} |", short(name), cell(why));
        }
    }
    out
}

/// The verdicts that `pick` wants, script by script.
fn by_script<'a, T>(
    verdicts: &'a [(String, bool, Verdict)],
    pick: impl Fn(&'a Verdict) -> Option<T>,
) -> Vec<(&'a str, Vec<(bool, T)>)> {
    let mut out: Vec<(&str, Vec<(bool, T)>)> = Vec::new();
    for (name, v6, verdict) in verdicts {
        let Some(picked) = pick(verdict) else { continue };
        match out.last_mut() {
            Some((last, both)) if *last == name => both.push((*v6, picked)),
            _ => out.push((name, vec![(*v6, picked)])),
        }
    }
    out
}

#[cfg(test)]
mod tests;

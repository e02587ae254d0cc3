//! Scripts of less than a second against the Linux kernel, as root; elsewhere one line says SKIPPED.
//! The whole of them is `usertcp-conformance run --against kernel`.
//! Owns: which scripts are quick enough. Must not know: what is in them.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use usertcp_conformance::kernel::report::{Verdict, cites, comment, judge};
use usertcp_conformance::kernel::{Patience, run_text, scheduled, unavailable};
use usertcp_conformance::options::Mode;
use usertcp_conformance::script::Stop;

/// Scripts of this directory that are short, with their texts.
fn quick(directory: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(directory) else { panic!("no {}", directory.display()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let text =
        |path: &PathBuf| Some((path.display().to_string(), std::fs::read_to_string(path).ok()?));
    let all = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "pkt"));
    let short = |text: &str| scheduled(text).is_some_and(|time| time < Duration::from_secs(1));
    all.filter_map(text).filter(|(_, text)| short(text)).collect()
}

fn scripts(group: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(group)
}

/// A noisy machine gets time, and more than one attempt; delayed acknowledgements are still told
/// from prompt ones.
const PATIENCE: Patience = Patience {
    tolerance: Duration::from_millis(35),
    longest: Duration::from_secs(10),
    attempts: 4,
};

fn locked<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` for every script and family on threads of which nearly all wait at any time; what it
/// has to say of each.
fn complaints(
    all: &[(String, String)],
    work: impl Fn(&str, bool) -> Option<String> + Sync,
) -> Vec<String> {
    let queue = Mutex::new(all.iter().flat_map(|one| [(one, false), (one, true)]));
    let said = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let next = locked(&queue).next();
                    let Some(((name, text), v6)) = next else { return };
                    if let Some(why) = work(text, v6) {
                        locked(&said).push(format!("{name} [v6: {v6}]: {why}"));
                    }
                }
            });
        }
    });
    said.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn quick_scripts_agree_with_linux_or_cite_the_text_that_decides() {
    if let Some(why) = unavailable() {
        println!("SKIPPED: scripts against the kernel: {why}");
        return;
    }
    let groups = ["handshake", "close", "reset", "challenge", "sack", "timestamps", "window"];
    let all: Vec<_> = groups.iter().flat_map(|group| quick(&scripts(group))).collect();
    assert!(all.len() >= 30, "only {} scripts were found", all.len());
    let agreed = Mutex::new(0);
    let complaints =
        complaints(&all, |text, v6| match judge(text, Mode { v6, ..Mode::default() }, PATIENCE) {
            Verdict::Agrees(_) => {
                *locked(&agreed) += 1;
                None
            }
            Verdict::Differs { cited: Some(cited), .. } if cites(&cited) => None,
            Verdict::Unsupported(_) | Verdict::Excluded(_) => None,
            other => Some(format!("{other:?}")),
        });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let agreed = *locked(&agreed);
    assert!(agreed * 10 >= all.len() * 2 * 8, "{agreed} of {} runs agree", all.len() * 2);
}

/// The driver is as strict as the one in virtual time: what is wrong does not pass.
#[test]
fn wrong_scripts_do_not_pass_against_linux_either() {
    if let Some(why) = unavailable() {
        println!("SKIPPED: wrong scripts against the kernel: {why}");
        return;
    }
    let mut all = quick(&scripts("wrong"));
    // What is refused here may well be there.
    all.retain(|(_, text)| {
        comment(text, "fails").is_some() && comment(text, "not for kernel").is_none()
    });
    assert!(all.len() >= 20, "only {} scripts were found", all.len());
    let failed = Mutex::new(0);
    let complaints = complaints(&all, |text, v6| match run_text(text, v6, PATIENCE) {
        Err(Stop::Failed { .. }) => {
            *locked(&failed) += 1;
            None
        }
        Err(Stop::Unsupported { .. }) => None,
        Ok(()) => Some("it passes".to_string()),
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let failed = *locked(&failed);
    assert!(failed * 10 >= all.len() * 2 * 6, "only {failed} of {} runs fail", all.len() * 2);
}

/// A script cannot both be kept from the kernel and tell how it differs there, and what it says is
/// to be found by the command.
#[test]
fn what_scripts_say_of_the_kernel_is_well_formed() {
    let Ok(groups) = std::fs::read_dir(scripts("")) else { panic!("no scripts") };
    let mut found = 0;
    for group in groups.flatten() {
        let Ok(entries) = std::fs::read_dir(group.path()) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let (kept, differs) =
                (comment(&text, "not for kernel"), comment(&text, "kernel differs"));
            let said = text.lines().filter(|line| {
                line.starts_with("//")
                    && (line.contains("not for kernel") || line.contains("kernel differs"))
            });
            assert_eq!(said.count(), usize::from(kept.is_some()) + usize::from(differs.is_some()));
            assert!(kept.is_none() || differs.is_none(), "{}", path.display());
            found += usize::from(kept.is_some() || differs.is_some());
            assert!(differs.is_none_or(|text| cites(&text)), "{} cites nothing", path.display());
        }
    }
    assert!(found >= 5, "only {found} scripts say anything of the kernel");
}

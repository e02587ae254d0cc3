//! Every script in every mode; wrong scripts must fail, and for the reason they name.
//! Owns: where scripts lie. Must not know: what is in them.

use std::path::{Path, PathBuf};
use usertcp_base::Parking;
use usertcp_conformance::options::{Mode, Profile};
use usertcp_conformance::run::{run_text, run_wire};
use usertcp_conformance::script::Stop;

const fn mode(v6: bool, wrap: bool) -> Mode {
    Mode { v6, wrap, profile: Profile::Own, parking: Parking::AtRest }
}

const MODES: [Mode; 4] =
    [mode(false, false), mode(true, false), mode(false, true), mode(true, true)];

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// What lies in `directory`, in order. `known` may be empty, and then is not there at all.
fn paths_in(directory: &Path) -> Vec<PathBuf> {
    if directory.ends_with("known") && !directory.exists() {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(directory) else { panic!("no {}", directory.display()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The `.pkt` files of `directory`, in order, with their texts.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut paths = paths_in(directory);
    paths.retain(|path| path.extension().is_some_and(|end| end == "pkt"));
    let read = |path: PathBuf| match std::fs::read_to_string(&path) {
        Ok(text) => (path.display().to_string(), text),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    paths.into_iter().map(read).collect()
}

fn groups() -> Vec<PathBuf> {
    let mut groups = paths_in(&scripts());
    groups.retain(|path| path.is_dir());
    groups.retain(|path| !path.ends_with("wrong") && !path.ends_with("known"));
    groups
}

#[test]
fn all_scripts_pass_in_every_mode() {
    let all: Vec<_> = groups().iter().flat_map(|group| files(group)).collect();
    assert!(all.len() >= 470, "only {} scripts were found", all.len());
    let mut failures = Vec::new();
    for (name, text) in &all {
        for mode in MODES {
            if let Err(stop) = run_text(text, mode) {
                failures.push(format!("{name} [{mode}]: {stop:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whoever is parked at every quiet moment sends what whoever never is sends: every octet, and when.
#[test]
fn parking_changes_no_script() {
    let all: Vec<_> = groups().iter().flat_map(|group| files(group)).collect();
    let (mut failures, mut segments) = (Vec::new(), 0);
    for (name, text) in &all {
        for mode in MODES {
            let (ended, wire) = run_wire(text, Mode { parking: Parking::AtOnce, ..mode });
            let (_, other) = run_wire(text, Mode { parking: Parking::Never, ..mode });
            if let Err(stop) = ended {
                failures.push(format!("{name} [{mode}]: {stop:?}"));
            }
            segments += wire.len();
            let differs = wire.iter().zip(&other).find(|(one, other)| one != other);
            if let Some(differs) = differs {
                failures.push(format!("{name} [{mode}]: {differs:?}"));
            } else if wire.len() != other.len() {
                failures.push(format!("{name} [{mode}]: {} {}", wire.len(), other.len()));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        all.len() * 4,
        failures.join("\n")
    );
    println!("{segments} segments of {} scripts in four modes", all.len());
}

/// The text after `// fails:` or `// unsupported:` in the first line.
fn reason<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().next()?.strip_prefix("// ")?.strip_prefix(word).map(str::trim)
}

#[test]
fn wrong_scripts_fail_for_their_reason() {
    let all = files(&scripts().join("wrong"));
    assert!(all.len() >= 70, "only {} scripts were found", all.len());
    let mut failures = Vec::new();
    for (name, text) in &all {
        for mode in MODES {
            let result = run_text(text, mode);
            let good = match (reason(text, "fails:"), reason(text, "unsupported:"), &result) {
                (Some(why), None, Err(Stop::Failed { reason, .. })) => reason.contains(why),
                (None, Some(why), Err(Stop::Unsupported { reason, .. })) => reason.contains(why),
                _ => false,
            };
            if !good {
                failures.push(format!("{name} [{mode}] not as its first line says: {result:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A known script that passes is to be moved to its group.
#[test]
fn known_scripts_still_fail() {
    for (name, text) in files(&scripts().join("known")) {
        let why = reason(&text, "fails:").unwrap_or_else(|| panic!("{name} names no reason"));
        let result = run_text(&text, MODES[0]);
        let Err(Stop::Failed { reason, .. }) = result else { panic!("{name} now passes: move it") };
        assert!(reason.contains(why), "{name} fails otherwise: {reason}");
    }
}

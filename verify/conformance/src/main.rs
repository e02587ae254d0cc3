//! `usertcp-conformance run FILES…`. Owns: arguments, what is printed, exit codes.
//! Must not know: the language.
//!
//! Exit codes: 0 all passed, 1 something failed, 2 wrong usage, 3 nothing failed but something is
//! not supported.

use std::process::ExitCode;
use usertcp_conformance::options::Mode;
use usertcp_conformance::run::run_text;
use usertcp_conformance::script::Stop;

const USAGE: &str = "usage: usertcp-conformance run FILES… [--v4|--v6|--all] [--wrap]\n\
       usertcp-conformance run --against kernel FILES… [--v4|--v6|--all] [--table FILE.md]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "run")
        && arguments.iter().any(|word| word == "--against")
    {
        return against(arguments.get(1..).unwrap_or_default());
    }
    let Some((modes, files)) = read_arguments(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    for file in files {
        for mode in &modes {
            let result = match std::fs::read_to_string(file) {
                Ok(text) => run_text(&text, *mode),
                Err(error) => Err(Stop::failed(0, error.to_string())),
            };
            match result {
                Ok(()) => passed += 1,
                Err(Stop::Failed { line, reason }) => {
                    failed += 1;
                    println!("FAIL {file}:{line} [{mode}] {reason}");
                }
                Err(Stop::Unsupported { line, reason }) => {
                    unsupported += 1;
                    println!("UNSUPPORTED {file}:{line} [{mode}] {reason}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed, {unsupported} unsupported");
    match (failed, unsupported) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::from(1),
    }
}

#[cfg(target_os = "linux")]
fn against(arguments: &[String]) -> ExitCode {
    usertcp_conformance::kernel::report::command(arguments)
}

#[cfg(not(target_os = "linux"))]
fn against(_: &[String]) -> ExitCode {
    println!("SKIPPED: only Linux is asked");
    ExitCode::from(3)
}

fn read_arguments(arguments: &[String]) -> Option<(Vec<Mode>, Vec<&String>)> {
    let (command, rest) = arguments.split_first()?;
    if command != "run" {
        return None;
    }
    let (flags, files): (Vec<_>, Vec<_>) = rest.iter().partition(|one| one.starts_with("--"));
    let known = ["--v4", "--v6", "--all", "--wrap"];
    if files.is_empty() || flags.iter().any(|flag| !known.contains(&flag.as_str())) {
        return None;
    }
    let has = |flag: &str| flags.iter().any(|one| *one == flag);
    if has("--all") {
        let modes = [(false, false), (true, false), (false, true), (true, true)];
        return Some((modes.map(|(v6, wrap)| Mode { v6, wrap }).to_vec(), files));
    }
    let families = if has("--v6") { vec![true] } else { vec![false] };
    let families = if has("--v4") && has("--v6") { vec![false, true] } else { families };
    Some((families.into_iter().map(|v6| Mode { v6, wrap: has("--wrap") }).collect(), files))
}

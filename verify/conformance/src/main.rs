//! `usertcp-conformance`: packet scripts, and the requirement ledger. Owns: files, what is printed,
//! exit codes. Must not know: the language, the command line's words (`cli`).

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use usertcp_conformance::cli::{Command, Job, USAGE, collect, read};
use usertcp_conformance::run::run_with;
use usertcp_conformance::script::Stop;
use usertcp_ledger::{Ledger, Report, faults, workspace};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--against") {
        return against(&words);
    }
    match read(&words) {
        Ok(Command::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Command::Run(job)) => run(&job),
        Ok(Command::Ledger { open, check }) => ledger(open, check),
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn ledger(open: bool, check: bool) -> ExitCode {
    let ledger = match Ledger::read(&workspace()) {
        Ok(ledger) => ledger,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    // A reader that goes away (`| head`) is no fault of the ledger.
    let _ = write!(std::io::stdout(), "{}", Report { ledger: &ledger, open });
    let faults = if check { faults(&ledger) } else { Vec::new() };
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(job: &Job) -> ExitCode {
    let began = Instant::now();
    let mut files = Vec::new();
    for path in &job.paths {
        collect(Path::new(path), &mut files);
    }
    let (mut passed, mut failed, mut unsupported) = (0u32, 0u32, 0u32);
    for file in files {
        for mode in &job.modes {
            let (result, notes) = match std::fs::read_to_string(&file) {
                Ok(text) => run_with(&text, *mode, &job.extra),
                Err(error) => (Err(Stop::failed(0, error.to_string())), Vec::new()),
            };
            let file = file.display();
            if job.extra.verbose {
                println!("{file} [{mode}]");
                notes.iter().for_each(|note| println!("  {note}"));
            }
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
    let all = u128::from(passed + failed + unsupported);
    let rate = all * 60_000_000 / began.elapsed().as_micros().max(1);
    println!("{passed} passed, {failed} failed, {unsupported} unsupported; {rate} a minute");
    match (failed, unsupported) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(target_os = "linux")]
fn against(words: &[String]) -> ExitCode {
    usertcp_conformance::kernel::report::command(words)
}

#[cfg(not(target_os = "linux"))]
fn against(_: &[String]) -> ExitCode {
    println!("SKIPPED: only Linux is asked");
    ExitCode::from(3)
}

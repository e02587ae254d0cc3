//! `usertcp-ledger`: prints the requirement ledger, and says what is wrong with it.
//! Owns: the command line. Must not know: the rules (they are in `check`).

use std::io::Write;
use std::process::ExitCode;
use usertcp_ledger::{Ledger, Report, faults, workspace};

const USAGE: &str = "usertcp-ledger [--open] [--check]
  --open    list the rows that no test proves, with their reasons
  --check   fail on a row without an answer, an unknown row, a missing test, a stale reason";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--help") || arguments.iter().any(|a| a != "--open" && a != "--check") {
        println!("{USAGE}");
        return if has("--help") { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let ledger = match Ledger::read(&workspace()) {
        Ok(ledger) => ledger,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    // A reader that goes away (`| head`) is no fault of the ledger.
    let _ = write!(std::io::stdout(), "{}", Report { ledger: &ledger, open: has("--open") });
    let faults = if has("--check") { faults(&ledger) } else { Vec::new() };
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

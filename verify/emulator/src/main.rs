//! The command. Owns: what is printed, the exit code.

use std::process::ExitCode;
use usertcp_emulator::options::{self, Command};
use usertcp_emulator::{compare, namespace, simulate};

fn main() -> ExitCode {
    let command = match options::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => {
            print!("{}", options::HELP);
            ExitCode::SUCCESS
        }
        Command::Simulate(options) => finish(simulate::run(&options)),
        Command::Compare(options) => {
            if let Some(obstacle) = namespace::obstacle() {
                println!("SKIPPED: {obstacle}");
                return ExitCode::SUCCESS;
            }
            finish(compare::run(&options))
        }
    }
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("FAILED: {problem}");
            ExitCode::FAILURE
        }
    }
}

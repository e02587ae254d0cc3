//! `usertcp-bench`: what the stack costs.
//!
//! Owns: the command line and the exit code. Must not know: how anything is measured.
//!
//! ```text
//! cargo run --release -p usertcp-bench              us and the peers in one run, with ratios and targets
//! cargo run --release -p usertcp-bench -- speed     over TUN, beside the kernel
//! cargo run --release -p usertcp-bench -- memory    octets per idle connection, embryo, TIME-WAIT
//! cargo run --release -p usertcp-bench -- core      the stack alone, both ends on one core
//! cargo run --release -p usertcp-bench -- instructions     of a request, a packet, a connection
//! cargo run --release -p usertcp-bench -- micro     nanoseconds of the smallest parts
//! cargo run --release -p usertcp-bench -- shards    what a second core adds
//! cargo run --release -p usertcp-bench -- pacing    what limits cost and how well they are kept, by streams
//! cargo run --release -p usertcp-bench -- idle      what idle connections cost, however many
//! ```
// A measurement is a ratio: the rule against floating point is for the stack, not for who times it.
#![allow(clippy::float_arithmetic)]

mod contest;
mod core;
mod idle;
mod instructions;
mod json;
mod kernel;
mod machine;
mod memory;
mod micro;
mod options;
mod pacing;
mod plot;
#[cfg(test)]
mod revision;
mod run;
mod shards;
mod smoltcp_peer;
mod stats;
mod table;

use options::Command;
use std::process::ExitCode;

/// How a bench ended that did not fail.
pub enum Outcome {
    /// It measured.
    Done,
    /// It cannot run here; the reason.
    Skipped(String),
}

fn main() -> ExitCode {
    let outcome = match options::read(std::env::args().skip(1)) {
        _ if std::env::args().nth(1).as_deref() == Some("shards") => {
            shards::run(std::env::args().skip(2))
        }
        _ if std::env::args().nth(1).as_deref() == Some("pacing") => {
            pacing::run(std::env::args().skip(2))
        }
        _ if std::env::args().nth(1).as_deref() == Some("idle") => {
            idle::run(std::env::args().skip(2))
        }
        Err(problem) => {
            eprintln!("error: {problem}\nhelp: `usertcp-bench help` lists the options");
            return ExitCode::from(2);
        }
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            Ok(Outcome::Done)
        }
        Ok(Command::List) => {
            print!("{}", contest::list());
            Ok(Outcome::Done)
        }
        Ok(Command::Compare(options)) => contest::run(&options),
        Ok(Command::Peer(options)) => smoltcp_peer::run(&options),
        Ok(Command::Memory(options)) => memory::run(&options),
        Ok(Command::Core(options)) => core::run(&options),
        Ok(Command::Instructions(options)) => instructions::run(&options),
        Ok(Command::Micro) => Ok(micro::run()),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Skipped(reason)) => {
            println!("SKIPPED: {reason}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

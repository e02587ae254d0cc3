//! `speed`: the stack over TUN beside the kernel over veth, driven by the same client.
//!
//! Owns: the order of runs, and what makes a run count. Must not know: how namespaces are made, how
//! a table looks.
//!
//! Every round measures each workload on both, one right after the other and in turns, so that a
//! machine that slows down slows both; ratios are taken within such pairs.

mod lab;
mod native;
mod report;
mod workload;

use crate::options::SpeedOptions;
use crate::{Outcome, machine};
use lab::Lab;
use native::{Kbench, Run};
use std::time::Duration;
use workload::{Peer, Workload};

/// Cores used by others above which a run is called disturbed.
const FOREIGN_CORES: f64 = 0.2;

/// One measured run.
pub struct Sample {
    workload: &'static Workload,
    peer: Peer,
    round: u32,
    run: Run,
}

/// Measures, prints the table, writes the JSON.
pub fn run(options: &SpeedOptions) -> Result<Outcome, String> {
    if let Some(reason) = lab::obstacle() {
        return Ok(Outcome::Skipped(format!("speed: {reason}")));
    }
    let chosen = chosen(options);
    if chosen.is_empty() {
        return Err("--only leaves no workload".into());
    }
    let kbench = Kbench::build()?;
    let program = match &options.usertcp {
        Some(path) => path.clone(),
        None => native::build_usertcp()?,
    };
    machine::catch_interrupt();
    let lab = Lab::set_up(kbench, program)?;
    let mut samples = Vec::new();
    let mut problems = Vec::new();
    for round in 0..options.rounds {
        for workload in &chosen {
            for peer in order(round) {
                let name = format!("{}, {}", workload.name, peer.name());
                progress(&format!("round {} of {}: {name}", round + 1, options.rounds));
                match measure(&lab, workload, peer, options) {
                    Ok(run) => samples.push(Sample { workload, peer, round, run }),
                    Err(_) if machine::interrupted() => return Err("interrupted".into()),
                    Err(problem) => problems.push(format!("{name}: {problem}")),
                }
            }
        }
    }
    drop(lab);
    progress("");
    print!("{}", report::text(options, &samples));
    if let Some(path) = &options.json {
        let text = format!("{}\n", report::json(options, &samples));
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if problems.is_empty() { Ok(Outcome::Done) } else { Err(problems.join("\nerror: ")) }
}

/// The workloads asked for that this machine allows; says which it does not.
fn chosen(options: &SpeedOptions) -> Vec<&'static Workload> {
    let asked = |workload: &&Workload| {
        options.only.as_ref().is_none_or(|only| only.is_match(workload.name))
    };
    let allowed = |workload: &&Workload| {
        let (needed, limit) = (u64::from(workload.connections) + 100, machine::file_limit());
        if needed > limit {
            println!("SKIPPED: {}: {limit} open files are allowed, not {needed}", workload.name);
        }
        needed <= limit
    };
    workload::ALL.iter().filter(asked).filter(allowed).collect()
}

/// Who goes first alternates.
fn order(round: u32) -> [Peer; 2] {
    if round.is_multiple_of(2) {
        [Peer::Usertcp, Peer::Kernel]
    } else {
        [Peer::Kernel, Peer::Usertcp]
    }
}

fn measure(
    lab: &Lab,
    workload: &Workload,
    peer: Peer,
    options: &SpeedOptions,
) -> Result<Run, String> {
    if !options.smoke {
        machine::wait_for_quiet(Duration::from_secs(1));
    }
    let run = lab.run(workload, peer, options.warm_seconds, options.seconds)?;
    if run.errors > 0.0 {
        return Err(format!("{} requests were not answered, or wrongly", run.errors));
    }
    if run.bytes < 1.0 {
        return Err("no octets flowed".into());
    }
    if !workload.is_bulk() && run.operations < 1.0 {
        return Err("no request was answered".into());
    }
    Ok(run)
}

/// Says what is going on, to whoever watches.
fn progress(text: &str) {
    use std::io::{IsTerminal, stderr};
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

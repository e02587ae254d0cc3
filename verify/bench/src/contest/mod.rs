//! The comparison: us and the peers, interleaved in one run.
//!
//! Owns: the order of runs, and what makes a run count. Must not know: how a run is made, how a table
//! looks.
//!
//! Every round measures each workload on all, one right after the other and in turns, so that a
//! machine that slows down slows all; ratios are taken within a round.

mod figure;
mod lab;
mod markdown;
mod memory;
mod native;
mod report;
mod verdict;
mod workload;

use crate::options::{CompareOptions, Contender};
use crate::run::Run;
use crate::{Outcome, machine};
use lab::{Lab, Servers, Window};
use memory::Programs;
use native::Kbench;
use std::time::Duration;
use workload::{ALL, Place, Workload};

/// One measured run.
pub struct Sample {
    workload: &'static Workload,
    contender: Contender,
    round: u32,
    run: Run,
}

/// The workloads by name.
pub fn list() -> String {
    ALL.iter().map(|one| format!("{}\n", one.key)).collect()
}

/// Measures, prints the tables, writes the JSON.
pub fn run(options: &CompareOptions) -> Result<Outcome, String> {
    let mut bench = Bench::set_up(options)?;
    if bench.chosen.is_empty() {
        return Ok(Outcome::Skipped("nothing that was asked for can run here".into()));
    }
    machine::catch_interrupt();
    bench.verify()?;
    for round in 0..options.rounds {
        bench.round(round)?;
    }
    bench.count_calls()?;
    let Bench { lab, samples, problems, .. } = bench;
    drop(lab);
    progress("");
    print!("{}", report::text(options, &samples));
    if let Some(path) = &options.markdown {
        std::fs::write(path, markdown::table(&samples))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &options.json {
        let text = format!("{}\n", report::json(options, &samples));
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if problems.is_empty() { Ok(Outcome::Done) } else { Err(problems.join("\nerror: ")) }
}

struct Bench<'a> {
    options: &'a CompareOptions,
    chosen: Vec<&'static Workload>,
    against: Vec<Contender>,
    programs: Programs,
    lab: Option<Lab>,
    samples: Vec<Sample>,
    problems: Vec<String>,
}

impl Bench<'_> {
    fn set_up(options: &CompareOptions) -> Result<Bench<'_>, String> {
        let mut chosen = chosen(options)?;
        let mut against = options.against.clone();
        let own = std::env::current_exe().map_err(|error| format!("current program: {error}"))?;
        let over_device = |one: &&Workload| one.place != Place::Memory;
        let obstacle = lab::obstacle();
        if let Some(reason) = &obstacle {
            if chosen.iter().any(over_device) {
                println!("SKIPPED: all over a device: {reason}");
                chosen.retain(|one| one.place == Place::Memory);
            }
            if against.contains(&Contender::Kernel) {
                println!("SKIPPED: kernel: {reason}");
                against.retain(|peer| *peer != Contender::Kernel);
            }
        }
        let wanted = |peer| move |one: &&Workload| one.peers.contains(&peer);
        against.retain(|peer| chosen.iter().any(wanted(*peer)));
        let kbench = match obstacle {
            None => Some(Kbench::build()?),
            Some(_) => None,
        };
        let lwip = built(&mut against, Contender::Lwip, || {
            let directory = native::directory()?;
            native::build_lwip(&directory, options.lwip.as_deref(), !options.smoke)
        });
        let tunlim =
            built(&mut against, Contender::Tunlim, || native::build_tunlim(&native::directory()?));
        let lab = match kbench {
            Some(kbench) => {
                let usertcp = match &options.usertcp {
                    Some(path) => path.clone(),
                    None if chosen.iter().any(over_device) => native::build_usertcp()?,
                    None => own.clone(),
                };
                let servers = Servers { usertcp, own: own.clone(), lwip: lwip.clone(), tunlim };
                Some(Lab::set_up(kbench, servers)?)
            }
            None => None,
        };
        if let Some(lab) = &lab {
            for place in Place::DEVICES {
                let here = |one: &&&Workload| one.place == place;
                let count = chosen.iter().filter(here).count();
                if count > 0 && !lab.knows(place) {
                    println!(
                        "SKIPPED: {count} over {}: the command has no such device",
                        place.name()
                    );
                    chosen.retain(|one| one.place != place);
                }
            }
        }
        let programs = Programs { own, lwip };
        let (samples, problems) = (Vec::new(), Vec::new());
        Ok(Bench { options, chosen, against, programs, lab, samples, problems })
    }

    fn window(&self) -> Window {
        Window { warm_seconds: self.options.warm_seconds, seconds: self.options.seconds }
    }

    /// Before anything is timed: whether the octets are right.
    fn verify(&mut self) -> Result<(), String> {
        for workload in self.chosen.iter().filter(|one| one.place == Place::Memory) {
            progress(&format!("looking at every octet: {}", workload.key));
            let wrong = |problem| format!("{}, verified: {problem}", workload.key);
            self.programs.verify(workload).map_err(wrong)?;
            stop_if_interrupted()?;
        }
        for place in Place::DEVICES {
            let first = self.chosen.iter().find(|one| one.place == place);
            let (Some(lab), Some(workload)) = (&self.lab, first) else { continue };
            progress(&format!("looking at every octet: over {}", place.name()));
            let window = Window { warm_seconds: 0.0, seconds: 0.3 };
            let wrong = |problem: String| format!("over {}, verified: {problem}", place.name());
            let run = lab.verify(workload, window).map_err(wrong)?;
            if run.operations < 1.0 || run.errors > 0.0 {
                return Err(wrong("large messages do not come back".into()));
            }
        }
        Ok(())
    }

    fn round(&mut self, round: u32) -> Result<(), String> {
        for workload in self.chosen.clone() {
            for contender in order(round, &self.contenders(workload)) {
                let name = format!("{}, {}", workload.key, contender.name());
                progress(&format!("round {} of {}: {name}", round + 1, self.options.rounds));
                let run = self.measure(workload, contender);
                stop_if_interrupted()?;
                match run {
                    Ok(run) => self.samples.push(Sample { workload, contender, round, run }),
                    Err(problem) => self.problems.push(format!("{name}: {problem}")),
                }
            }
        }
        Ok(())
    }

    /// Ours and the peers that were asked for.
    fn contenders(&self, workload: &Workload) -> Vec<Contender> {
        let asked = |peer: &&Contender| self.against.contains(peer);
        let peers = workload.peers.iter().filter(asked).copied();
        std::iter::once(Contender::Usertcp).chain(peers).collect()
    }

    fn measure(&self, workload: &Workload, contender: Contender) -> Result<Run, String> {
        // What is in memory is told by CPU time, which others disturb little.
        if !self.options.smoke && workload.place != Place::Memory {
            machine::wait_for_quiet(Duration::from_millis(600));
        }
        let run = match workload.place {
            Place::Memory => {
                // Memory runs need less time to be steady, and there are many.
                let seconds = if self.options.smoke { 0.05 } else { self.options.seconds };
                self.programs.run(self.lab.as_ref(), workload, contender, seconds)?
            }
            Place::Tun | Place::Packet | Place::Xdp => {
                let lab = self.lab.as_ref().ok_or("there is no laboratory")?;
                lab.run(workload, contender, self.window())?
            }
        };
        sound(workload, run)
    }

    /// System calls of ours, in runs of their own, as counting slows down. One for each measured run: where two
    /// sides are equally fast, how much a call carries is up to chance.
    fn count_calls(&mut self) -> Result<(), String> {
        let Some(lab) = &self.lab else { return Ok(()) };
        let window = Window { seconds: self.options.seconds.min(0.5), ..self.window() };
        let counted = |sample: &&mut Sample| {
            let Workload { place, load, .. } = sample.workload;
            sample.contender == Contender::Usertcp && *place != Place::Memory && !load.is_bulk()
        };
        // What failed once would fail again, and is said once.
        let mut given_up: Vec<&str> = Vec::new();
        for sample in self.samples.iter_mut().filter(counted) {
            let key = sample.workload.key;
            if given_up.contains(&key) {
                continue;
            }
            progress(&format!("counting system calls: {key}"));
            match lab.count_calls(sample.workload, window) {
                Ok(run) if run.server_calls.is_some() => {
                    let calls = run.server_calls.map(|calls| calls / run.operations);
                    sample.run.server_calls = calls.map(|calls| calls * sample.run.operations);
                }
                Ok(_) => {
                    println!("SKIPPED: system calls of {key}: perf cannot count");
                    given_up.push(key);
                }
                Err(problem) => {
                    self.problems.push(format!("{key}: {problem}"));
                    given_up.push(key);
                }
            }
            stop_if_interrupted()?;
        }
        Ok(())
    }
}

/// What a peer needs, built; without it the peer is left out, which is said.
fn built<T>(
    against: &mut Vec<Contender>,
    peer: Contender,
    build: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    if !against.contains(&peer) {
        return None;
    }
    match build() {
        Ok(program) => Some(program),
        Err(reason) => {
            println!("SKIPPED: {}: {reason}", peer.name());
            against.retain(|one| *one != peer);
            None
        }
    }
}

/// The workloads asked for that this machine allows; says which it does not.
fn chosen(options: &CompareOptions) -> Result<Vec<&'static Workload>, String> {
    for regex in &options.workloads {
        if !ALL.iter().any(|one| regex.is_match(one.key)) {
            return Err(format!("{regex} is no workload; `usertcp-bench list` names them"));
        }
    }
    let asked = |one: &&Workload| {
        let named = options.workloads.iter().any(|regex| regex.is_match(one.key));
        named || options.workloads.is_empty() && !(options.smoke && one.is_huge())
    };
    let allowed = |one: &&Workload| {
        let (needed, limit) = (u64::from(one.connections) + 100, machine::file_limit());
        let fits = one.place == Place::Memory || needed <= limit;
        if !fits {
            println!("SKIPPED: {}: {limit} open files are allowed, not {needed}", one.key);
        }
        fits
    };
    Ok(ALL.iter().filter(asked).filter(allowed).collect())
}

/// Who goes first alternates.
fn order(round: u32, contenders: &[Contender]) -> Vec<Contender> {
    let mut order = contenders.to_vec();
    order.rotate_left(round as usize % contenders.len().max(1));
    order
}

/// A run that moved something, all of it rightly.
fn sound(workload: &Workload, run: Run) -> Result<Run, String> {
    if run.errors > 0.0 {
        return Err(format!("{} requests were not answered, or wrongly", run.errors));
    }
    if !workload.load.is_bulk() && run.operations < 1.0 {
        return Err("no request was answered".into());
    }
    if workload.load.is_bulk() && run.octets < 1.0 {
        return Err("no octets flowed".into());
    }
    Ok(run)
}

fn stop_if_interrupted() -> Result<(), String> {
    if machine::interrupted() { Err("interrupted".into()) } else { Ok(()) }
}

/// Says what is going on, to whoever watches.
fn progress(text: &str) {
    use std::io::{IsTerminal, stderr};
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_goes_first_once() {
        let all = [Contender::Usertcp, Contender::Kernel, Contender::Smoltcp];
        let first: Vec<_> = (0..4).map(|round| order(round, &all)[0]).collect();
        assert_eq!(first, [all[0], all[1], all[2], all[0]]);
        assert_eq!(order(7, &all[..1]), [Contender::Usertcp]);
    }

    #[test]
    fn a_run_that_moved_nothing_does_not_count() {
        let echo = ALL.iter().find(|one| one.key == "tun/echo-1").unwrap();
        let run = Run { octets: 64.0, operations: 1.0, ..Run::default() };
        assert!(sound(echo, run.clone()).is_ok());
        assert!(sound(echo, Run { operations: 0.0, ..run.clone() }).is_err());
        assert!(sound(echo, Run { errors: 1.0, ..run }).is_err());
    }
}

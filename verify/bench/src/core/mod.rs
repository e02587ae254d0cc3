//! `core`: the stack alone, both ends on one core, no system between them.
//!
//! Owns: how long a load runs, and its figures. Must not know: what the applications do on an event.
//!
//! Rates are per core: octets or messages by CPU time of the one thread that does both ends, so that
//! others on the machine disturb little. Packets pass from stack to stack without a copy, as they do
//! between smoltcp's two interfaces on a ring.

mod load;
mod pattern;
pub mod workload;

use crate::Outcome;
use crate::json::Json;
use crate::machine;
use crate::memory::counting;
use crate::options::CoreOptions;
use crate::run::Run;
use crate::stats::Spread;
use crate::table::Table;
use load::{Clock, Load, Manner};
use std::time::{Duration, Instant};
use workload::{ALL, PACKET, Workload};

/// What has been done so far.
fn operations(workload: &Workload, load: &Load) -> u64 {
    if workload.kind.is_bulk() { load.octets / PACKET } else { load.messages }
}

/// Lets it run for a time, and until each connection has had its turn.
fn measure(workload: &Workload, options: &CoreOptions) -> Result<Run, String> {
    let seconds = options.seconds;
    let mut load = Load::start(workload, options.manner(workload, Clock::Real(Instant::now())))?;
    let turn_of_each = if workload.kind.is_bulk() { 0 } else { u64::from(workload.connections) };
    run_for(&mut load, seconds / 4.0, turn_of_each);
    let before = Counts::now(&load);
    let (began, cpu) = (Instant::now(), machine::thread_cpu_seconds());
    let turn_of_each = before.messages + turn_of_each;
    run_for(&mut load, seconds, turn_of_each);
    let cpu = machine::thread_cpu_seconds() - cpu;
    let seconds = began.elapsed().as_secs_f64();
    let after = Counts::now(&load);
    if let Some(problem) = load.problem {
        return Err(problem);
    }
    let octets = after.octets - before.octets;
    let messages = after.messages - before.messages;
    if octets == 0 || !workload.kind.is_bulk() && messages == 0 {
        return Err("nothing moved".into());
    }
    Ok(Run {
        seconds,
        octets: octets as f64,
        operations: if workload.kind.is_bulk() { octets / PACKET } else { messages } as f64,
        server_cpu_seconds: cpu,
        packets: Some((after.packets - before.packets) as f64),
        sent_again: Some(after.sent_again as f64),
        copied: Some((after.copied - before.copied) as f64),
        allocations: Some((after.allocations - before.allocations) as f64),
        ..Run::default()
    })
}

struct Counts {
    octets: u64,
    messages: u64,
    packets: u64,
    sent_again: u64,
    copied: u64,
    allocations: usize,
}

impl Counts {
    fn now(load: &Load) -> Counts {
        Counts {
            octets: load.octets,
            messages: load.messages,
            packets: load.packets(),
            sent_again: load.sent_again(),
            copied: load.copied(),
            allocations: counting::allocations(),
        }
    }
}

fn run_for(load: &mut Load, seconds: f64, messages: u64) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while (Instant::now() < end || load.messages < messages) && load.problem.is_none() {
        for _ in 0..16 {
            load.step();
        }
    }
}

/// Does so many operations of each workload and says what was done.
fn run_fixed(options: &CoreOptions, operations_wanted: u64) -> Result<Outcome, String> {
    for workload in options.chosen() {
        let mut load = Load::start(workload, options.manner(workload, Clock::Virtual))?;
        let mut idle_steps = 0;
        while operations(workload, &load) < operations_wanted {
            let before = load.packets();
            load.step();
            idle_steps = if load.packets() == before { idle_steps + 1 } else { 0 };
            if let Some(problem) = load.problem {
                return Err(format!("{}: {problem}", workload.name));
            }
            if idle_steps > 10_000_000 {
                return Err(format!("{}: nothing moves any more", workload.name));
            }
        }
        println!(
            "{}: operations={} octets={} packets={} sent_again={}",
            workload.name,
            operations(workload, &load),
            load.octets,
            load.packets(),
            load.sent_again(),
        );
    }
    Ok(Outcome::Done)
}

impl CoreOptions {
    /// Those asked for; the largest only by its key.
    fn chosen(&self) -> impl Iterator<Item = &'static Workload> {
        ALL.iter().filter(|one| match &self.only {
            None => !one.is_huge(),
            Some(only) if one.is_huge() => only.is_match(one.key),
            Some(only) => only.is_match(one.key) || only.is_match(one.name),
        })
    }

    fn manner(&self, workload: &Workload, clock: Clock) -> Manner {
        let buffer_octets = self.buffer_octets.unwrap_or(workload.buffer_octets);
        Manner { clock, verify: self.verify, buffer_octets }
    }
}

/// One run of one workload as a line for the program that asked.
fn run_raw(options: &CoreOptions) -> Result<Outcome, String> {
    for workload in options.chosen() {
        println!("{}", measure(workload, options)?.line());
    }
    Ok(Outcome::Done)
}

/// Measures and prints.
pub fn run(options: &CoreOptions) -> Result<Outcome, String> {
    if let Some(operations) = options.operations {
        return run_fixed(options, operations);
    }
    if options.raw {
        return run_raw(options);
    }
    let header =
        ["workload", "figure", "", "packets", "copies of an octet", "allocations", "sent again"];
    let mut table = Table::new(&header, 2);
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    for workload in options.chosen() {
        let mut runs = Vec::new();
        for _ in 0..options.rounds {
            match measure(workload, options) {
                Ok(run) => runs.push(run),
                Err(problem) => problems.push(format!("{}: {problem}", workload.name)),
            }
        }
        let values = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
        let text = |of: &dyn Fn(&Run) -> f64| {
            Spread::of(&values(of)).map_or("none".into(), |spread| spread.text())
        };
        let figure: &dyn Fn(&Run) -> f64 = if workload.kind.is_bulk() {
            &|run| run.gigabits_per_core()
        } else {
            &|run| run.cpu_us_of_both()
        };
        table.push(vec![
            workload.name.into(),
            workload.unit().into(),
            text(figure),
            text(&|run| run.packets.unwrap_or(0.0) / run.operations),
            text(&|run| run.copied.unwrap_or(0.0) / run.octets),
            text(&|run| run.allocations.unwrap_or(0.0) / run.operations),
            text(&|run| run.sent_again.unwrap_or(0.0)),
        ]);
        lines.push(Json::Object(vec![
            ("workload", Json::text(workload.name)),
            ("figure", Json::text(workload.unit())),
            ("values", Json::numbers(&values(figure))),
        ]));
    }
    println!(
        "usertcp {}: two stacks on one core, {} x {} s, median [least..most]; packets and allocations \
         of both ends,\nper message, connection or 1448 octets of bulk\n\n{}",
        machine::revision(),
        options.rounds,
        options.seconds,
        table.text()
    );
    if let Some(path) = &options.json {
        let mut members = vec![("bench", Json::text("core"))];
        members.extend(machine::facts());
        members.push(("table", Json::List(lines)));
        std::fs::write(path, format!("{}\n", Json::Object(members)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if problems.is_empty() { Ok(Outcome::Done) } else { Err(problems.join("\nerror: ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every load, its octets looked at, in virtual time: as many operations as asked, and none twice.
    #[test]
    fn every_load_moves_the_right_octets() {
        for workload in ALL.iter().filter(|one| one.connections <= 1000) {
            let manner = Manner {
                clock: Clock::Virtual,
                verify: true,
                buffer_octets: workload.buffer_octets,
            };
            let mut load = Load::start(workload, manner).unwrap();
            for _ in 0..200_000 {
                load.step();
                if load.problem.is_some() || operations(workload, &load) >= 3000 {
                    break;
                }
            }
            assert_eq!(load.problem, None, "{}", workload.name);
            assert!(operations(workload, &load) >= 3000, "{}", workload.name);
            assert_eq!(load.sent_again(), 0, "{}", workload.name);
        }
    }
}

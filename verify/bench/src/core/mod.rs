//! `core`: the stack alone, both ends on one core, no system between them.
//!
//! Owns: the workloads and their figures. Must not know: what the applications do on an event.
//!
//! Rates are per core: octets or messages by CPU time of the one thread that does both ends, so that
//! others on the machine disturb little. BASELINE's rows "in memory, one core does both ends" are
//! measured like this.

mod load;
mod wire;

use crate::Outcome;
use crate::json::Json;
use crate::machine;
use crate::options::CoreOptions;
use crate::stats::Spread;
use crate::table::Table;
use load::{Clock, Kind, Load};
use std::time::{Duration, Instant};
use usertcp_device::{DeviceFacts, Medium};

struct Workload {
    name: &'static str,
    kind: Kind,
    connections: u32,
    facts: DeviceFacts,
}

const ETHERNET: DeviceFacts = DeviceFacts::plain(Medium::Ip, 1500);
const LARGEST: DeviceFacts = DeviceFacts::plain(Medium::Ip, 65_535);
const OFFLOAD: DeviceFacts = DeviceFacts::offloading(Medium::Ip, 1500);

static ALL: [Workload; 10] = [
    workload("bulk, MTU 1500, 1 stream", Kind::Bulk, 1, ETHERNET),
    workload("bulk, MTU 1500, 8 streams", Kind::Bulk, 8, ETHERNET),
    workload("bulk, MTU 65535, 1 stream", Kind::Bulk, 1, LARGEST),
    workload("bulk, super-segments, 1 stream", Kind::Bulk, 1, OFFLOAD),
    workload("bulk, super-segments, 8 streams", Kind::Bulk, 8, OFFLOAD),
    workload("echo 64 B, 1 connection", Kind::Echo, 1, ETHERNET),
    workload("echo 64 B, 100 connections", Kind::Echo, 100, ETHERNET),
    workload("echo 64 B, 10,000 connections", Kind::Echo, 10_000, ETHERNET),
    workload("short connections, 1 at once", Kind::Short, 1, ETHERNET),
    workload("short connections, 64 at once", Kind::Short, 64, ETHERNET),
];

const fn workload(
    name: &'static str,
    kind: Kind,
    connections: u32,
    facts: DeviceFacts,
) -> Workload {
    Workload { name, kind, connections, facts }
}

/// Payload octets of a packet of 1500 with timestamps, which bulk is counted in.
const PACKET: u64 = 1448;

impl Workload {
    fn start(&self, clock: Clock) -> Result<Load, String> {
        Load::start(self.kind, self.connections, self.facts, clock)
    }

    /// What has been done: messages, or packets of 1448 octets.
    fn operations(&self, load: &Load) -> u64 {
        if self.kind == Kind::Bulk { load.octets / PACKET } else { load.messages }
    }

    fn unit(&self) -> &'static str {
        if self.kind == Kind::Bulk { "Gbit/s per core" } else { "us of both ends" }
    }
}

/// One measurement.
struct Measured {
    figure: f64,
    /// Packets per MiB or per message.
    packets: f64,
    /// Segments sent again. Nothing is lost, but a thread that was held up may be taken for a loss.
    sent_again: f64,
}

fn measure(workload: &Workload, seconds: f64) -> Result<Measured, String> {
    let mut load = workload.start(Clock::Real(Instant::now()))?;
    run_for(&mut load, seconds / 4.0);
    let (octets, messages, packets) = (load.octets, load.messages, load.packets());
    let before = machine::thread_cpu_seconds();
    run_for(&mut load, seconds);
    let spent = machine::thread_cpu_seconds() - before;
    if let Some(problem) = load.problem {
        return Err(problem);
    }
    let packets = (load.packets() - packets) as f64;
    let (done, figure) = match workload.kind {
        Kind::Bulk => {
            let octets = (load.octets - octets) as f64;
            (octets / f64::from(1 << 20), octets * 8.0 / 1e9 / spent)
        }
        Kind::Echo | Kind::Short => {
            let messages = (load.messages - messages) as f64;
            (messages, spent * 1e6 / messages)
        }
    };
    if done < 1.0 {
        return Err("nothing moved".into());
    }
    let sent_again = load.sent_again() as f64;
    Ok(Measured { figure, packets: packets / done, sent_again })
}

fn run_for(load: &mut Load, seconds: f64) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end && load.problem.is_none() {
        for _ in 0..16 {
            load.step();
        }
    }
}

/// Does so many operations of each workload and says what was done.
fn run_fixed(options: &CoreOptions, operations: u64) -> Result<Outcome, String> {
    for workload in options.chosen() {
        let mut load = workload.start(Clock::Virtual)?;
        let mut idle_steps = 0;
        while workload.operations(&load) < operations {
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
            workload.operations(&load),
            load.octets,
            load.packets(),
            load.sent_again(),
        );
    }
    Ok(Outcome::Done)
}

impl CoreOptions {
    fn chosen(&self) -> impl Iterator<Item = &'static Workload> {
        ALL.iter().filter(|one| self.only.as_ref().is_none_or(|only| only.is_match(one.name)))
    }
}

/// Measures and prints.
pub fn run(options: &CoreOptions) -> Result<Outcome, String> {
    if let Some(operations) = options.operations {
        return run_fixed(options, operations);
    }
    let header = ["workload", "figure", "", "packets per MiB or message", "sent again"];
    let mut table = Table::new(&header, 2);
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    for workload in options.chosen() {
        let (mut figures, mut packets, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            match measure(workload, options.seconds) {
                Ok(measured) => {
                    figures.push(measured.figure);
                    packets.push(measured.packets);
                    again.push(measured.sent_again);
                }
                Err(problem) => problems.push(format!("{}: {problem}", workload.name)),
            }
        }
        let text = |values: &[f64]| Spread::of(values).map_or("none".into(), |s| s.text());
        table.push(vec![
            workload.name.into(),
            workload.unit().into(),
            text(&figures),
            text(&packets),
            text(&again),
        ]);
        lines.push(Json::Object(vec![
            ("workload", Json::text(workload.name)),
            ("figure", Json::text(workload.unit())),
            ("values", Json::numbers(&figures)),
        ]));
    }
    println!(
        "usertcp {}: two stacks on one core, {} x {} s, median [least..most]\n\n{}",
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

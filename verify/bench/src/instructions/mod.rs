//! `instructions`: what an operation costs in instructions, which no other process disturbs.
//!
//! Owns: how much fixed work is run, and the bounds asked. Must not know: how a load works, how callgrind
//! writes what it counted.
//!
//! Each load runs twice under callgrind, once with twice the work: the difference is the work, without
//! start and end. Copies (memcpy and its like) are told apart: callgrind counts some of them by the
//! octet, and a copy's cost is its octets, not its instructions.

mod callgrind;

use crate::Outcome;
use crate::json::Json;
use crate::machine;
use crate::options::InstructionOptions;
use crate::stats::short;
use crate::table::Table;
use callgrind::Profile;
use std::process::{Command, Stdio};

struct Case {
    /// Of `core`.
    key: &'static str,
    /// smoltcp's words for it: load, MTU, connections.
    smoltcp: [&'static str; 3],
    /// What one operation is.
    unit: &'static str,
    /// Counted once and twice over, the difference being what they take: so many that each connection's
    /// beginning is over.
    operations: u64,
    /// Instructions asked at most, copies excluded if `without_copies`.
    bound: Option<f64>,
    without_copies: bool,
}

const CASES: [Case; 8] = [
    case("echo-1", ["echo", "1500", "1"], "round trip", 2000, Some(2000.0), false),
    case("echo-100", ["echo", "1500", "100"], "round trip", 10_000, Some(2000.0), false),
    case("short-1", ["short", "1500", "1"], "connection", 500, Some(8000.0), false),
    case("short-64", ["short", "1500", "64"], "connection", 640, Some(8000.0), false),
    case("bulk-1500", ["bulk", "1500", "1"], "1,448 octets", 8000, Some(800.0), true),
    case("bulk-lent", ["bulk", "1500", "1"], "1,448 octets", 8000, Some(800.0), true),
    case("bulk-64k", ["bulk", "65535", "1"], "1,448 octets", 40_000, None, true),
    case("bulk-super", ["bulk", "65535", "1"], "1,448 octets", 40_000, None, true),
];

const fn case(
    key: &'static str,
    smoltcp: [&'static str; 3],
    unit: &'static str,
    operations: u64,
    bound: Option<f64>,
    without_copies: bool,
) -> Case {
    Case { key, smoltcp, unit, operations, bound, without_copies }
}

/// Whose instructions are counted.
#[derive(Clone, Copy)]
enum Who {
    Usertcp,
    Smoltcp,
}

/// What one operation costs.
struct Cost {
    all: f64,
    copies: f64,
    /// The functions that cost most, each with its instructions.
    top: Vec<(String, f64)>,
}

impl Case {
    /// What the bound is about.
    fn judged(&self, cost: &Cost) -> f64 {
        if self.without_copies { cost.all - cost.copies } else { cost.all }
    }

    fn measure(&self, who: Who, top: usize) -> Result<Cost, String> {
        let (few_done, few) = self.run(who, self.operations)?;
        let (many_done, many) = self.run(who, 2 * self.operations)?;
        if many_done <= few_done {
            return Err(format!("{}: {few_done} operations, then {many_done}", self.key));
        }
        let operations = (many_done - few_done) as f64;
        let more = many.minus(&few);
        let all: f64 = more.iter().map(|(_, count)| count).sum();
        let copies: f64 =
            more.iter().filter(|(name, _)| is_copy(name)).map(|(_, count)| count).sum();
        let top = more.into_iter().take(top).map(|(name, count)| (name, count / operations));
        Ok(Cost { all: all / operations, copies: copies / operations, top: top.collect() })
    }

    /// Operations done, and what callgrind counted.
    fn run(&self, who: Who, operations: u64) -> Result<(u64, Profile), String> {
        let own = std::env::current_exe().map_err(|error| format!("current program: {error}"))?;
        let file = std::env::temp_dir().join(format!("callgrind-{}.out", std::process::id()));
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["-q", "--tool=callgrind", "--dump-instr=no"]);
        valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(own);
        match who {
            Who::Usertcp => {
                valgrind.args(["core", "--only", &format!("^{}$", self.key)]);
                valgrind.args(["--operations", &operations.to_string()]);
            }
            Who::Smoltcp => {
                valgrind.args(["peer-smoltcp", "memory"]).args(self.smoltcp);
                valgrind.arg(format!("{operations}ops"));
            }
        }
        let output = valgrind
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("valgrind cannot be started: {error}"))?;
        let text = std::fs::read_to_string(&file);
        let _ = std::fs::remove_file(&file);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("{} under callgrind: {said}", self.key));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let done = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("operations=")?.parse().ok())
            .ok_or_else(|| format!("{}: does not say what was done: {said}", self.key))?;
        let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
        Ok((done, Profile::parse(&text)?))
    }
}

fn is_copy(function: &str) -> bool {
    ["memcpy", "memmove", "memset"].iter().any(|name| function.contains(name))
}

/// Counts, and prints.
pub fn run(options: &InstructionOptions) -> Result<Outcome, String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(Outcome::Skipped("instructions: needs the program valgrind".into()));
    }
    let header = [
        "workload",
        "of each",
        "instructions",
        "of them copies",
        "without",
        "asked",
        "reached",
        if options.smoltcp { "smoltcp, as asked" } else { "" },
    ];
    let mut table = Table::new(&header, 2);
    let mut lines = Vec::new();
    let mut tops = String::new();
    let chosen = |one: &&Case| options.only.as_ref().is_none_or(|only| only.is_match(one.key));
    for case in CASES.iter().filter(chosen) {
        let cost = case.measure(Who::Usertcp, options.top)?;
        let smoltcp = options.smoltcp.then(|| case.measure(Who::Smoltcp, 0)).transpose()?;
        let judged = case.judged(&cost);
        let reached = match case.bound {
            Some(bound) if judged <= bound => "yes",
            Some(_) => "NO",
            None => "",
        };
        let what = if case.without_copies { " without" } else { "" };
        table.push(vec![
            case.key.into(),
            case.unit.into(),
            short(cost.all),
            short(cost.copies),
            short(cost.all - cost.copies),
            case.bound.map_or(String::new(), |bound| format!("≤ {}{what}", short(bound))),
            reached.into(),
            smoltcp.as_ref().map_or(String::new(), |cost| short(case.judged(cost))),
        ]);
        lines.push(Json::Object(vec![
            ("workload", Json::text(case.key)),
            ("instructions", cost.all.into()),
            ("copies", cost.copies.into()),
            ("smoltcp", smoltcp.map_or(Json::Number(f64::NAN), |cost| cost.all.into())),
            ("reached", Json::text(reached)),
        ]));
        if options.top > 0 {
            tops.push_str(&format!("\n{}, instructions of each {}:\n", case.key, case.unit));
        }
        for (name, count) in &cost.top {
            tops.push_str(&format!("{:>8}  {name}\n", short(*count)));
        }
    }
    println!(
        "usertcp {}: instructions by callgrind, both ends, the bench's applications included\n\n{}{tops}",
        machine::revision(),
        table.text()
    );
    if let Some(path) = &options.json {
        let mut members = vec![("bench", Json::text("instructions"))];
        members.extend(machine::facts());
        members.push(("table", Json::List(lines)));
        std::fs::write(path, format!("{}\n", Json::Object(members)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Outcome::Done)
}

//! What is told about the runs. Owns: the tables and the JSON.
//! Must not know: how the runs were made or judged.

use super::Sample;
use super::figure::{CALLS, Figure, SWITCHES};
use super::verdict::{Verdict, judge, plain, ratios};
use super::workload::{ALL, Place, Workload};
use crate::json::Json;
use crate::machine;
use crate::options::{CompareOptions, Contender};
use crate::run::Run;
use crate::stats::{Spread, short};
use crate::table::Table;

/// Cores used by others above which a run is called disturbed.
const FOREIGN_CORES: f64 = 0.2;

/// The workloads that were run.
pub fn measured(samples: &[Sample]) -> impl Iterator<Item = &'static Workload> {
    ALL.iter().filter(|one| samples.iter().any(|sample| std::ptr::eq(sample.workload, *one)))
}

/// The tables and what must be known to read them.
pub fn text(options: &CompareOptions, samples: &[Sample]) -> String {
    let mut out = format!(
        "\nusertcp {}, {} rounds of {} s, all contenders in turn: median [least..most]; + more is \
         better, - less is.\nThe ratio is usertcp/peer, of each round's pair.\n\n",
        machine::revision(),
        options.rounds,
        options.seconds,
    );
    out.push_str(&figures(samples).text());
    out.push_str("\nWhat issue 4 asks:\n\n");
    out.push_str(&targets(samples).text());
    out.push_str(
        "\nWhat an operation of ours costs besides (bulk: 1,448 octets; in memory both ends):\n\n",
    );
    out.push_str(&costs(samples).text());
    out.push('\n');
    out.push_str(&foreign(samples));
    out
}

fn spread(values: &[f64]) -> String {
    Spread::of(values).map_or_else(|| "none".into(), |spread| spread.text())
}

fn figures(samples: &[Sample]) -> Table {
    let header = ["workload", "figure", "", "usertcp", "peer", "", "ratio"];
    let mut table = Table::new(&header, 3);
    for workload in measured(samples) {
        let mut name = workload.key;
        for figure in workload.figures {
            let ours = plain(samples, workload, Contender::Usertcp, figure);
            let mut line = |ours: String, peer: &str, theirs: String, ratio: String| {
                let sign = if figure.more_is_better { "+" } else { "-" };
                let (name, unit) = (std::mem::take(&mut name), figure.unit);
                table.push(vec![
                    name.into(),
                    unit.into(),
                    sign.into(),
                    ours,
                    peer.into(),
                    theirs,
                    ratio,
                ]);
            };
            let mut ours = Some(spread(&ours));
            for peer in workload.peers {
                let theirs = plain(samples, workload, *peer, figure);
                if !theirs.is_empty() {
                    let ratio = spread(&ratios(samples, workload, *peer, figure));
                    let ours = ours.take().unwrap_or_default();
                    line(ours, peer.name(), spread(&theirs), ratio);
                }
            }
            if let Some(ours) = ours {
                line(ours, "", String::new(), String::new());
            }
        }
    }
    table
}

fn targets(samples: &[Sample]) -> Table {
    let header = ["workload", "figure", "beside", "asked", "ratio", "reached", "what limits it"];
    let mut table = Table::new(&header, 7);
    for workload in measured(samples) {
        let verdicts = judge(samples, workload);
        let mut limit = limits(samples, workload);
        let mut name = workload.key;
        if verdicts.is_empty() {
            let nothing = String::new;
            table.push(vec![
                name.into(),
                "none asked".into(),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                limit,
            ]);
            continue;
        }
        for verdict in &verdicts {
            table.push(vec![
                std::mem::take(&mut name).into(),
                verdict.target.figure.unit.into(),
                verdict.versus.clone(),
                verdict.asked(),
                spread(&verdict.ratios),
                reached(verdict).into(),
                std::mem::take(&mut limit),
            ]);
        }
    }
    table
}

/// Whether a target is reached, in a word.
pub fn reached(verdict: &Verdict) -> &'static str {
    match verdict.is_reached() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "not measured",
    }
}

/// What is known to limit it, and which side had no CPU time left in this run.
fn limits(samples: &[Sample], workload: &Workload) -> String {
    if workload.place == Place::Memory {
        return workload.limit.into();
    }
    let cores = |of: fn(&Run) -> f64| {
        let ours = |one: &&Sample| {
            std::ptr::eq(one.workload, workload) && one.contender == Contender::Usertcp
        };
        let values: Vec<f64> =
            samples.iter().filter(ours).map(|one| of(&one.run) / one.run.seconds).collect();
        Spread::of(&values).map_or(0.0, |spread| spread.median)
    };
    let server = cores(|run| run.server_cpu_seconds);
    let client = cores(|run| run.client_cpu_seconds);
    format!("{} (server {:.2} cores, client {:.2})", workload.limit, server, client)
}

/// Copies, allocations, packets; calls and switches.
fn costs(samples: &[Sample]) -> Table {
    let header = [
        "workload",
        "packets",
        "copies of an octet",
        "allocations",
        "sent again",
        "system calls",
        "context switches",
    ];
    let mut table = Table::new(&header, 1);
    for workload in measured(samples) {
        let values = |of: &dyn Fn(&Run) -> Option<f64>| {
            let ours = |one: &&Sample| {
                std::ptr::eq(one.workload, workload) && one.contender == Contender::Usertcp
            };
            let values: Vec<f64> =
                samples.iter().filter(ours).filter_map(|one| of(&one.run)).collect();
            Spread::of(&values).map_or_else(|| "-".into(), |spread| short(spread.median))
        };
        let figure = |figure: &Figure| {
            if workload.load.is_bulk() { "-".into() } else { values(&|run| (figure.of)(run)) }
        };
        table.push(vec![
            workload.key.into(),
            values(&|run| Some(run.packets? / run.operations)),
            values(&|run| Some(run.copied? / run.octets)),
            values(&|run| Some(run.allocations? / run.operations)),
            values(&|run| run.sent_again),
            figure(&CALLS),
            figure(&SWITCHES),
        ]);
    }
    table
}

/// Whether others used the machine meanwhile.
fn foreign(samples: &[Sample]) -> String {
    let cores: Vec<f64> = samples
        .iter()
        .filter(|one| one.run.busy_seconds > 0.0)
        .map(|one| one.run.foreign_cores())
        .collect();
    let disturbed = cores.iter().filter(|cores| **cores > FOREIGN_CORES).count();
    let Some(all) = Spread::of(&cores) else { return String::new() };
    let verdict = if disturbed == 0 {
        "quiet".to_owned()
    } else {
        format!(
            "{disturbed} of {} runs disturbed: take rates by the clock as lower bounds",
            cores.len()
        )
    };
    format!(
        "other processes used {} cores (median), {} at most: {verdict}\n",
        short(all.median),
        short(all.max)
    )
}

/// Every run, the figures and the verdicts.
pub fn json(options: &CompareOptions, samples: &[Sample]) -> Json {
    let mut members = vec![("bench", Json::text("contest"))];
    members.extend(machine::facts());
    members.push(("rounds", options.rounds.into()));
    members.push(("seconds", options.seconds.into()));
    let verdict = |workload: &'static Workload, one: &Verdict| {
        Json::Object(vec![
            ("workload", Json::text(workload.key)),
            ("figure", Json::text(one.target.figure.unit)),
            ("beside", Json::text(one.versus.as_str())),
            ("asked", Json::Text(one.asked())),
            ("ratios", Json::numbers(&one.ratios)),
            ("reached", Json::text(reached(one))),
        ])
    };
    let verdicts = measured(samples).flat_map(|workload| {
        judge(samples, workload).into_iter().map(move |one| verdict(workload, &one))
    });
    members.push(("targets", Json::List(verdicts.collect())));
    let sample = |one: &Sample| {
        let mut members = vec![
            ("workload", Json::text(one.workload.key)),
            ("contender", Json::text(one.contender.name())),
            ("round", one.round.into()),
        ];
        members.extend(one.run.members());
        Json::Object(members)
    };
    members.push(("runs", Json::List(samples.iter().map(sample).collect())));
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(contender: Contender, cpu: f64, busy: f64) -> Sample {
        let workload = ALL.iter().find(|one| one.key == "memory/echo-100").unwrap();
        let run = Run {
            seconds: 1.0,
            octets: 64e6,
            operations: 1e6,
            server_cpu_seconds: cpu,
            busy_seconds: busy,
            ..Run::default()
        };
        Sample { workload, contender, round: 0, run }
    }

    #[test]
    fn a_target_missed_is_told_so() {
        let samples =
            [sample(Contender::Usertcp, 0.5, 0.0), sample(Contender::Smoltcp, 0.625, 0.0)];
        let text = targets(&samples).text();
        let line = text.lines().find(|line| line.starts_with("memory/echo-100")).unwrap();
        assert!(line.contains("smoltcp, the best") && line.contains("≤ 0.5×"), "{line}");
        assert!(line.contains("0.80") && line.contains("NO"), "{line}");
    }

    #[test]
    fn a_disturbed_run_is_told_so() {
        assert!(foreign(&[sample(Contender::Usertcp, 0.5, 0.6)]).contains("quiet"));
        assert!(foreign(&[sample(Contender::Usertcp, 0.5, 1.6)]).contains("1 of 1"));
        assert_eq!(foreign(&[sample(Contender::Usertcp, 0.5, 0.0)]), "");
    }
}

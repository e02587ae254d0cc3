//! What is told about the runs. Owns: the table and the JSON.
//! Must not know: how the runs were made.

use super::workload::{ALL, Figure, Peer, Workload};
use super::{FOREIGN_CORES, Sample};
use crate::json::Json;
use crate::machine;
use crate::options::SpeedOptions;
use crate::stats::{Spread, short};
use crate::table::Table;

/// One line of the table.
struct Row {
    workload: &'static Workload,
    figure: &'static Figure,
    usertcp: Vec<f64>,
    kernel: Vec<f64>,
    ratio: Vec<f64>,
}

fn rows(samples: &[Sample]) -> Vec<Row> {
    let mut rows = Vec::new();
    for workload in &ALL {
        let of = |peer: Peer| {
            samples
                .iter()
                .filter(move |one| one.peer == peer && std::ptr::eq(one.workload, workload))
        };
        if of(Peer::Usertcp).count() + of(Peer::Kernel).count() == 0 {
            continue;
        }
        for figure in workload.figures() {
            let values = |peer| of(peer).map(|one| (figure.of)(&one.run)).collect::<Vec<f64>>();
            let ratio = of(Peer::Usertcp)
                .filter_map(|ours| {
                    let theirs = of(Peer::Kernel).find(|one| one.round == ours.round)?;
                    Some((figure.of)(&ours.run) / (figure.of)(&theirs.run))
                })
                .filter(|ratio| ratio.is_finite())
                .collect();
            rows.push(Row {
                workload,
                figure,
                usertcp: values(Peer::Usertcp),
                kernel: values(Peer::Kernel),
                ratio,
            });
        }
    }
    rows
}

/// The table and what must be known to read it.
pub fn text(options: &SpeedOptions, samples: &[Sample]) -> String {
    let header = ["workload", "figure", "", "usertcp over TUN", "kernel over veth", "ratio"];
    let mut table = Table::new(&header, 3);
    let mut last = "";
    for row in rows(samples) {
        let name = if row.workload.name == last { "" } else { row.workload.name };
        last = row.workload.name;
        table.push(vec![
            name.into(),
            row.figure.unit.into(),
            if row.figure.more_is_better { "+" } else { "-" }.into(),
            spread(&row.usertcp),
            spread(&row.kernel),
            spread(&row.ratio),
        ]);
    }
    let mut out = format!(
        "\nusertcp {}, {} x {} s: median [least..most]; + more is better, - less is; \
         ratio usertcp/kernel of each round's pair\n\n{}\n",
        machine::revision(),
        options.rounds,
        options.seconds,
        table.text()
    );
    out.push_str(&foreign(samples));
    out
}

fn spread(values: &[f64]) -> String {
    Spread::of(values).map_or_else(|| "none".into(), |spread| spread.text())
}

/// Whether others used the machine meanwhile.
fn foreign(samples: &[Sample]) -> String {
    let cores: Vec<f64> = samples.iter().map(|one| one.run.foreign_cores()).collect();
    let disturbed = cores.iter().filter(|cores| **cores > FOREIGN_CORES).count();
    let Some(all) = Spread::of(&cores) else { return String::new() };
    let verdict = if disturbed == 0 {
        "quiet".to_owned()
    } else {
        format!("{disturbed} of {} runs disturbed: take these rates as lower bounds", cores.len())
    };
    format!(
        "other processes used {} cores (median), {} at most: {verdict}\n",
        short(all.median),
        short(all.max)
    )
}

/// Every run, and the table's numbers.
pub fn json(options: &SpeedOptions, samples: &[Sample]) -> Json {
    let mut members = vec![("bench", Json::text("speed"))];
    members.extend(machine::facts());
    members.push(("rounds", options.rounds.into()));
    members.push(("seconds", options.seconds.into()));
    let row = |row: Row| {
        Json::Object(vec![
            ("workload", Json::text(row.workload.name)),
            ("figure", Json::text(row.figure.unit)),
            ("usertcp", Json::numbers(&row.usertcp)),
            ("kernel", Json::numbers(&row.kernel)),
            ("ratio", Json::numbers(&row.ratio)),
        ])
    };
    members.push(("table", Json::List(rows(samples).into_iter().map(row).collect())));
    let sample = |one: &Sample| {
        let mut members = vec![
            ("workload", Json::text(one.workload.name)),
            ("peer", Json::text(one.peer.name())),
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
    use super::super::native::Run;
    use super::*;

    fn sample(peer: Peer, round: u32, bytes: f64) -> Sample {
        let run = Run { seconds: 1.0, bytes, busy_seconds: 0.1, ..Run::default() };
        Sample { workload: &ALL[0], peer, round, run }
    }

    #[test]
    fn ratios_are_of_pairs() {
        let samples = [
            sample(Peer::Usertcp, 0, 1e9),
            sample(Peer::Kernel, 0, 2e9),
            sample(Peer::Kernel, 1, 1e9),
            sample(Peer::Usertcp, 1, 1e9),
            sample(Peer::Usertcp, 2, 1e9),
        ];
        let rows = rows(&samples);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].ratio, [0.5, 1.0]);
        assert_eq!(rows[0].usertcp, [8.0, 8.0, 8.0]);
        assert!(foreign(&samples).contains("quiet"));
    }
}

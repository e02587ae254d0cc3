//! What all processes measured, side by side. Owns: tables, targets, plots, JSON.
//! Must not know: how anything was measured.

use super::against::Quoted;
use super::figures::Figures;
use super::options::{Options, Peer};
use super::tuple::Family;
use crate::json::Json;
use crate::machine;
use crate::plot::{Plot, Series, YScale};
use crate::stats::short;
use crate::table::Table;
use std::fs;
use std::path::Path;

/// The size that the promises for many begin with.
const MILLION: u32 = 1_000_000;

/// One size of ours.
pub struct Row {
    family: Family,
    connections: u32,
    /// Memory, requests, closing.
    pub idle: Figures,
    /// Keep-alive of connections opened one after the other.
    pub keep_alive: Figures,
    /// Of connections opened at one moment.
    pub together: Figures,
}

impl Row {
    /// Nothing measured yet.
    pub fn new(family: Family, connections: u32) -> Row {
        let (idle, keep_alive, together) = Default::default();
        Row { family, connections, idle, keep_alive, together }
    }
}

/// One size of another's.
pub struct Contender {
    /// Whose.
    pub peer: Peer,
    /// How many.
    pub connections: u32,
    /// Memory, requests.
    pub figures: Figures,
}

impl Contender {
    fn name(&self) -> &'static str {
        match self.peer {
            Peer::Kernel => "kernel, epoll",
            Peer::Smoltcp => "smoltcp, 64-octet buffers",
            Peer::Lwip => "lwIP",
        }
    }

    /// Octets of one end.
    fn octets(&self) -> Option<f64> {
        match self.figures.get("slab_each") {
            Some(slab) => Some(slab + self.figures.get("user_each").unwrap_or(0.0)),
            None => self.figures.get("resident_each"),
        }
    }
}

/// Everything.
#[derive(Default)]
pub struct Report {
    /// Ours.
    pub rows: Vec<Row>,
    /// Theirs.
    pub contenders: Vec<Contender>,
    /// Theirs, from elsewhere.
    pub quoted: Vec<Quoted>,
    /// What went wrong.
    pub problems: Vec<String>,
    /// What cannot run here.
    pub skipped: Vec<String>,
}

/// A promise, and whether it is kept.
struct Verdict {
    promise: String,
    found: String,
    kept: bool,
}

fn text(value: Option<f64>) -> String {
    value.map_or("-".into(), short)
}

impl Report {
    /// The tables and the promises.
    pub fn print(&self) {
        println!("usertcp {}: idle connections\n", machine::revision());
        print!("{}\n{}", self.memory_table().text(), self.request_table().text());
        if self.rows.iter().any(|row| row.keep_alive.get("turns").is_some()) {
            print!("\n{}", self.keep_alive_table().text());
        }
        println!();
        for verdict in self.verdicts() {
            let kept = if verdict.kept { "kept  " } else { "MISSED" };
            println!("{kept}  {}: {}", verdict.promise, verdict.found);
        }
        for what in &self.skipped {
            println!("SKIPPED: {what}");
        }
        if machine::interrupted() {
            println!("stopped before the end: the table is of what was measured until then");
        }
    }

    fn memory_table(&self) -> Table {
        let header = [
            "octets for each connection",
            "IP",
            "connections",
            "resident",
            "asked of the heap",
            "page tables",
            "TCBs left",
            "opened/s",
            "after closing",
        ];
        let mut table = Table::new(&header, 2);
        for row in &self.rows {
            let get = |name| row.idle.get(name);
            let rate =
                get("opened").zip(get("open_seconds")).map(|(count, seconds)| count / seconds);
            let mut cells = vec!["usertcp".into(), row.family.number().to_string()];
            cells.push(short(f64::from(row.connections)));
            let values = [
                get("resident_each"),
                get("heap_each"),
                get("page_tables_each"),
                get("tcbs"),
                rate,
                get("resident_after_each"),
            ];
            cells.extend(values.map(text));
            table.push(cells);
        }
        for contender in &self.contenders {
            let mut cells = vec![contender.name().into(), "4".into()];
            cells.push(short(f64::from(contender.connections)));
            cells.extend([text(contender.octets()), text(contender.figures.get("heap_each"))]);
            table.push(cells);
        }
        for quoted in &self.quoted {
            let dash = || "-".to_owned();
            table.push(vec![quoted.name.into(), dash(), dash(), short(quoted.octets)]);
        }
        table
    }

    fn request_table(&self) -> Table {
        let header = [
            "64 octets there and back, CPU us",
            "IP",
            "connections",
            "asleep",
            "beyond the least",
            "waits for memory",
            "one wait, ns",
            "awake, 1000",
            "to open",
            "longest turn of that",
            "to close",
        ];
        let mut table = Table::new(&header, 2);
        for row in &self.rows {
            let get = |name| row.idle.get(name);
            let beyond = self.beyond(row);
            let waits = beyond.zip(get("memory_wait_ns")).map(|(us, wait)| us * 1e3 / wait);
            let mut cells = vec!["usertcp".into(), row.family.number().to_string()];
            cells.push(short(f64::from(row.connections)));
            let values = [
                get("request_us"),
                beyond,
                waits,
                get("memory_wait_ns"),
                get("request_warm_us"),
                get("open_cpu_us"),
                get("open_turn_max_us"),
                get("close_cpu_us"),
            ];
            cells.extend(values.map(text));
            table.push(cells);
        }
        for contender in &self.contenders {
            let mut cells = vec![contender.name().into(), "4".into()];
            cells.push(short(f64::from(contender.connections)));
            cells.push(text(contender.figures.get("request_us")));
            table.push(cells);
        }
        table
    }

    fn keep_alive_table(&self) -> Table {
        let header = [
            "keep-alive",
            "IP",
            "connections",
            "of one core",
            "CPU us a probe",
            "turn p50 us",
            "p99.9",
            "longest",
            "longest by clock",
            "packets in it",
            "most in one",
            "longest in all equal runs",
            "runs",
            "between probes, s",
            "dead found",
        ];
        let mut table = Table::new(&header, 2);
        for row in &self.rows {
            for (name, figures) in
                [("opened in turn", &row.keep_alive), ("all at one moment", &row.together)]
            {
                let get = |name| figures.get(name);
                let mut cells = vec![name.into(), row.family.number().to_string()];
                cells.push(short(f64::from(row.connections)));
                cells.push(
                    get("core_share").map_or("-".into(), |share| format!("{:.3} %", share * 100.0)),
                );
                let values = [
                    get("probe_us"),
                    get("turn_cpu_p50_us"),
                    get("turn_cpu_p999_us"),
                    get("turn_cpu_max_us"),
                    get("turn_wall_max_us"),
                    get("turn_longest_packets"),
                    get("turn_most_packets"),
                    get("turn_cpu_max_in_all_us"),
                    get("turn_runs"),
                ];
                cells.extend(values.map(text));
                let range = get("gap_least_s").zip(get("gap_most_s"));
                cells.push(
                    range.map_or("-".into(), |(least, most)| format!("{least:.2}..{most:.2}")),
                );
                let found = get("dead_reported").zip(get("dead"));
                cells.push(found.map_or("-".into(), |(found, dead)| format!("{found} of {dead}")));
                table.push(cells);
            }
        }
        table
    }

    /// What a request costs beyond one with the fewest connections of the same family.
    fn beyond(&self, row: &Row) -> Option<f64> {
        let least = self.rows.iter().filter(|other| other.family == row.family);
        let least = least.min_by_key(|other| other.connections)?;
        Some(row.idle.get("request_us")? - least.idle.get("request_us")?)
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let mut all = Vec::new();
        for row in self.rows.iter().filter(|row| row.connections >= MILLION) {
            let who = format!(
                "{} connections, IPv{}",
                short(f64::from(row.connections)),
                row.family.number()
            );
            let most = if row.family == Family::V4 { 100.0 } else { 112.0 };
            let mut judge = |what: &str, value: Option<f64>, most: f64, unit: &str| {
                let Some(value) = value else { return };
                all.push(Verdict {
                    promise: format!("{who}: {what}, at most {} {unit}", short(most)),
                    found: format!("{} {unit}", short(value)),
                    kept: value <= most,
                });
            };
            judge("resident memory each", row.idle.get("resident_each"), most, "octets");
            if row.connections == 10 * MILLION {
                judge("opened", row.idle.get("open_seconds"), 300.0, "s");
            }
            judge("a request beyond one of the fewest", self.beyond(row), 1.5, "us");
            for (name, figures) in [("", &row.keep_alive), (", all at one moment", &row.together)] {
                let percent = figures.get("core_share").map(|share| share * 100.0);
                let millions = f64::from(row.connections) / f64::from(MILLION);
                judge(&format!("keep-alive{name}"), percent, 5.0 * millions, "% of a core");
                let longest = figures.get("turn_cpu_max_us");
                judge(&format!("longest turn{name}"), longest, 1000.0, "us of CPU");
                let longest = figures.get("turn_cpu_max_in_all_us");
                let runs = figures.get("turn_runs").filter(|runs| *runs > 1.0);
                if let Some((longest, runs)) = longest.zip(runs) {
                    let what = format!("longest turn{name} in all of {runs} equal runs");
                    judge(&what, Some(longest), 1000.0, "us of CPU");
                }
            }
        }
        all
    }

    fn series(
        &self,
        of: impl Fn(&Row) -> Option<f64>,
        theirs: impl Fn(&Contender) -> Option<f64>,
    ) -> Vec<Series> {
        let mut all = Vec::new();
        for (family, name) in [(Family::V4, "usertcp, IPv4"), (Family::V6, "usertcp, IPv6")] {
            let rows = self.rows.iter().filter(|row| row.family == family);
            all.push(line(name, rows.map(|row| (row.connections, of(row)))));
        }
        for peer in [Peer::Kernel, Peer::Smoltcp] {
            let some: Vec<&Contender> =
                self.contenders.iter().filter(|one| one.peer == peer).collect();
            if let Some(first) = some.first() {
                all.push(line(first.name(), some.iter().map(|one| (one.connections, theirs(one)))));
            }
        }
        all.retain(|series| !series.points.is_empty());
        all
    }

    fn plots(&self) -> [(&'static str, Plot); 2] {
        let mut octets = self.series(|row| row.idle.get("resident_each"), Contender::octets);
        let least = self.rows.iter().map(|row| row.connections).min().unwrap_or(1);
        let most = self.rows.iter().map(|row| row.connections).max().unwrap_or(1);
        for quoted in &self.quoted {
            let points = vec![(f64::from(least), quoted.octets), (f64::from(most), quoted.octets)];
            let name = quoted.name.split(',').next().unwrap_or_default();
            octets.push(Series { name: format!("{name}, quoted"), points, quoted: true });
        }
        let costs = self.series(
            |row| row.idle.get("request_us"),
            |contender| contender.figures.get("request_us"),
        );
        let plot = |title: &str, y: &str, series| Plot {
            title: title.into(),
            x_label: "connections".into(),
            y_label: y.into(),
            y_scale: YScale::Log,
            series,
        };
        [
            (
                "idle-octets.svg",
                plot("Memory of an idle connection", "octets for each connection", octets),
            ),
            (
                "idle-request.svg",
                plot("A request to an idle connection", "CPU microseconds of the server", costs),
            ),
        ]
    }

    /// Plots and figures, where they are wanted.
    pub fn save(&self, options: &Options) -> Result<(), String> {
        if let Some(folder) = &options.svg {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for (name, plot) in self.plots() {
                write(&folder.join(name), &plot.svg())?;
            }
        }
        match &options.json {
            Some(path) => write(path, &format!("{}\n", self.json(options))),
            None => Ok(()),
        }
    }

    fn json(&self, options: &Options) -> Json {
        let rows = self.rows.iter().map(|row| {
            Json::Object(vec![
                ("family", row.family.number().into()),
                ("connections", row.connections.into()),
                ("idle", Json::Object(row.idle.members())),
                ("keep_alive", Json::Object(row.keep_alive.members())),
                ("together", Json::Object(row.together.members())),
            ])
        });
        let contenders = self.contenders.iter().map(|one| {
            let mut members = vec![
                ("name", Json::text(one.name())),
                ("connections", one.connections.into()),
                ("octets", one.octets().unwrap_or(f64::NAN).into()),
            ];
            members.extend(one.figures.members());
            Json::Object(members)
        });
        let verdicts = self.verdicts().into_iter().map(|verdict| {
            Json::Object(vec![
                ("promise", Json::Text(verdict.promise)),
                ("found", Json::Text(verdict.found)),
                ("kept", Json::Number(f64::from(u8::from(verdict.kept)))),
            ])
        });
        let mut members = vec![("bench", Json::text("idle"))];
        members.extend(machine::facts());
        members.extend([
            ("keep_alive_s", options.keep_alive_s.into()),
            ("rate", options.rate.into()),
            ("rows", Json::List(rows.collect())),
            ("contenders", Json::List(contenders.collect())),
            ("verdicts", Json::List(verdicts.collect())),
        ]);
        Json::Object(members)
    }
}

fn line(name: &str, points: impl Iterator<Item = (u32, Option<f64>)>) -> Series {
    let points = points.filter_map(|(count, value)| Some((f64::from(count), value?))).collect();
    Series { name: name.into(), points, quoted: false }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(connections: u32, resident: f64, request: f64) -> Row {
        let mut row = Row::new(Family::V4, connections);
        row.idle.set("resident_each", resident);
        row.idle.set("request_us", request);
        row
    }

    #[test]
    fn promises_are_judged_from_a_million_on() {
        let rows =
            vec![row(1000, 900.0, 0.5), row(1_000_000, 99.0, 2.1), row(10_000_000, 101.0, 1.9)];
        let report = Report { rows, ..Report::default() };
        let kept: Vec<bool> = report.verdicts().iter().map(|verdict| verdict.kept).collect();
        assert_eq!(kept, [true, false, false, true]);
    }

    #[test]
    fn a_plot_has_a_line_for_each_who_was_measured() {
        let mut figures = Figures::default();
        figures.set("slab_each", 3848.0);
        figures.set("user_each", 10.0);
        let report = Report {
            rows: vec![row(1000, 900.0, 0.5), row(10_000, 100.0, 0.6)],
            contenders: vec![Contender { peer: Peer::Kernel, connections: 1000, figures }],
            quoted: vec![super::super::against::LWIP],
            ..Report::default()
        };
        let [(_, octets), (_, requests)] = report.plots();
        let names =
            |plot: &Plot| plot.series.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&octets), ["usertcp, IPv4", "kernel, epoll", "lwIP, quoted"]);
        assert_eq!(octets.series[1].points, [(1000.0, 3858.0)]);
        assert_eq!(names(&requests), ["usertcp, IPv4"]);
    }
}

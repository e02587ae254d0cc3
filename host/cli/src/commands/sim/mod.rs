//! `usertcp sim`. Owns: which trials the options ask for, and their table.
//! Must not know: how a trial runs (`usertcp_sim`), how a plot is drawn (`plot`).

mod cells;
mod plot;

use crate::fault::Fault;
use crate::options::SimArgs;
use crate::units;
use cells::Cell;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use usertcp_base::Rate;
use usertcp_sim::table::{self, kbit, theory};
use usertcp_sim::trial::Figures;

/// Runs the trials and prints their table; draws the plot if one is wanted.
pub fn run(args: &SimArgs) -> Result<(), Fault> {
    let cells = cells::of(args)?;
    if args.plot.is_some() {
        plot::check(&cells)?;
    }
    let progress = std::io::stderr().is_terminal() && cells.len() > 1;
    let named: Vec<table::Cell> = cells.iter().map(Cell::named).collect();
    let results = table::run(&named, table::threads(), |done| {
        if progress {
            let end = if done == cells.len() { "\r\x1b[K" } else { "" };
            // Whoever closed stderr does not want to know.
            let _ = write!(std::io::stderr(), "\r{done} of {} trials{end}", cells.len());
        }
    });
    let mut figures = Vec::with_capacity(cells.len());
    for (cell, result) in cells.iter().zip(results) {
        figures.push(result.map_err(|error| {
            Fault::run(
                format!("{}: {error}", cell.words().join(" ")),
                "this is a fault of the stack: please report it with the options and the seed",
            )
        })?);
    }
    let text = if args.json { json_lines(&cells, &figures) } else { text(args, &cells, &figures) };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    match &args.plot {
        Some(path) => plot::draw(path, &cells, &figures),
        None => Ok(()),
    }
}

/// The table for people, and what its columns mean.
fn text(args: &SimArgs, cells: &[Cell], figures: &[Figures]) -> String {
    let shared = cells.iter().any(|cell| cell.trial.flows.len() > 1);
    let mut header: Vec<&str> = Cell::AXES.to_vec();
    header.extend(["goodput", "of the link"]);
    header.extend(if shared { ["Jain", "least", "most"].as_slice() } else { &["by theory"] });
    header.extend(["sent again", "needless", "timeouts"]);
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (cell, figures) in cells.iter().zip(figures) {
        rows.push(row(cell, figures, shared));
    }
    let until = match args.octets {
        Some(octets) => format!(" or {}", units::octets(octets)),
        None => String::new(),
    };
    format!(
        "{}\n{} s of virtual time{until} each, seed {}. Goodput is what the application read, from the\n\
         first SYN on. Needless: sent again although nothing in it was lost.{}\n",
        aligned(&rows),
        args.seconds,
        args.seed,
        if shared { " Shares: of the second half." } else { " Theory: Mathis 1997, RFC 9438." },
    )
}

fn row(cell: &Cell, figures: &Figures, shared: bool) -> Vec<String> {
    let trial = &cell.trial;
    let rate_of = |rate: Rate| units::rate(rate.octets_per_second());
    let mut row = cell.words();
    row.push(rate_of(figures.goodput()));
    row.push(percent(kbit(figures.goodput()) * 1000, kbit(trial.rate)));
    if shared {
        let (least, most) = extremes(figures);
        let jain = figures.jain_per_mille();
        row.push(format!("{}.{:03}", jain / 1000, jain % 1000));
        row.extend([rate_of(least), rate_of(most)]);
    } else {
        let flow = &trial.flows[0];
        row.push(rate_of(theory::goodput(flow.algorithm, trial.rate, trial.rtt, trial.loss)));
    }
    row.push(percent(figures.resent() * 1000, figures.sent));
    row.push(percent(figures.needless * 1000, figures.sent));
    row.push(figures.timeouts().to_string());
    row
}

/// The least and the greatest share in the second half.
fn extremes(figures: &Figures) -> (Rate, Rate) {
    let shares = (0..figures.flows.len()).map(|flow| figures.share_of(flow..flow + 1));
    let least = shares.clone().min().unwrap_or(Rate::from_octets_per_second(0));
    (least, shares.max().unwrap_or(least))
}

/// `thousandths / whole` as a percentage with one decimal.
fn percent(thousandths: u64, whole: u64) -> String {
    let per_mille = thousandths / whole.max(1);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// Columns of equal width; words to the left, numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let padding = " ".repeat(width - cell.chars().count());
            if column < Cell::AXES.len() {
                format!("{cell}{padding}")
            } else {
                format!("{padding}{cell}")
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn json_lines(cells: &[Cell], figures: &[Figures]) -> String {
    let line = |(cell, figures): (&Cell, &Figures)| format!("{}\n", json_of(cell, figures));
    cells.iter().zip(figures).map(line).collect()
}

fn json_of(cell: &Cell, figures: &Figures) -> Value {
    let trial = &cell.trial;
    let flows: Vec<Value> = trial
        .flows
        .iter()
        .zip(&figures.flows)
        .map(|(flow, figures)| {
            json!({
                "controller": flow.algorithm.name(),
                "rtt_us": (trial.rtt.saturating_add(flow.detour)).as_micros(),
                "octets": figures.octets, "late_octets": figures.late_octets,
                "resent": figures.resent, "timeouts": figures.timeouts,
            })
        })
        .collect();
    json!({
        "event": "trial",
        "rate_bit": trial.rate.octets_per_second().saturating_mul(8),
        "rtt_us": trial.rtt.as_micros(),
        "buffer_octets": trial.buffer_octets(),
        "loss_per_million": trial.loss,
        "reorder": table::reorder_text(trial.reorder),
        "ecn": trial.ecn,
        "seed": trial.seed,
        "lasted_us": figures.lasted.as_micros(),
        "goodput_bit": figures.goodput().octets_per_second().saturating_mul(8),
        "late_goodput_bit": figures.late_goodput().octets_per_second().saturating_mul(8),
        "jain_per_mille": figures.jain_per_mille(),
        "segments": figures.sent,
        "resent": figures.resent(),
        "needless": figures.needless,
        "timeouts": figures.timeouts(),
        "lost": figures.link.lost,
        "overflowed": figures.link.overflowed,
        "marked": figures.link.marked,
        "longest_queue_octets": figures.link.longest_queue_octets,
        "flows": flows,
    })
}

#[cfg(test)]
mod tests;

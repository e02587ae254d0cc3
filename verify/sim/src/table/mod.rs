//! Tables of trials: recovery over loss, round trip, reordering, rate and buffer; fairness of many
//! flows. Kept in files, so that a change of behaviour is seen.
//!
//! Owns: running many trials on all cores, the text of a row. Must not know: which trials
//! (`grid`), how a kept table is compared (`snapshot`).

pub mod grid;
pub mod snapshot;
pub mod theory;

use crate::trial::{Figures, Reorder, Trial};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use usertcp_base::{Rate, Span};

/// Which columns a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goodput and retransmissions of one flow.
    Recovery,
    /// Shares of many.
    Fairness,
}

/// A named trial.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The first columns of its row: what it is.
    pub label: String,
    /// The trial.
    pub trial: Trial,
}

impl Kind {
    /// The names of the columns.
    pub const fn header(self) -> &'static str {
        match self {
            Kind::Recovery => {
                "rate\trtt\tbuffer\tloss\treorder\tcontroller\t\
                 goodput_kbit\tlate_kbit\tsent\tdropped\tresent\tneedless\tspurious\ttimeouts"
            }
            Kind::Fairness => {
                "rate\trtt\tbuffer\tsignal\tflows\t\
                 late_kbit\tjain_per_mille\tleast_kbit\tmost_kbit\tfirst_half_kbit\tsecond_half_kbit\t\
                 sent\tdropped\tmarked\tresent\tneedless\ttimeouts"
            }
        }
    }

    /// How many of them say what the trial is.
    pub const fn label_columns(self) -> usize {
        match self {
            Kind::Recovery => 6,
            Kind::Fairness => 5,
        }
    }

    fn row(self, label: &str, figures: &Figures) -> String {
        let dropped = figures.link.lost + figures.link.overflowed;
        let (resent, needless) = (figures.resent(), figures.needless);
        match self {
            Kind::Recovery => format!(
                "{label}\t{}\t{}\t{}\t{dropped}\t{resent}\t{needless}\t{}\t{}",
                kbit(figures.goodput()),
                kbit(figures.late_goodput()),
                figures.sent,
                figures.spurious(),
                figures.timeouts(),
            ),
            Kind::Fairness => {
                let count = figures.flows.len();
                let shares = (0..count).map(|flow| kbit(figures.share_of(flow..flow + 1)));
                format!(
                    "{label}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{dropped}\t{}\t{resent}\t{needless}\t{}",
                    kbit(figures.late_goodput()),
                    figures.jain_per_mille(),
                    shares.clone().min().unwrap_or(0),
                    shares.max().unwrap_or(0),
                    kbit(figures.share_of(0..count / 2)),
                    kbit(figures.share_of(count / 2..count)),
                    figures.sent,
                    figures.link.marked,
                    figures.timeouts(),
                )
            }
        }
    }
}

/// The text of a whole table, its rows in the cells' order.
pub fn text(
    kind: Kind,
    cells: &[Cell],
    results: &[Result<Figures, String>],
) -> Result<String, String> {
    let mut text = format!("{}\n", kind.header());
    for (cell, result) in cells.iter().zip(results) {
        let figures = result.as_ref().map_err(|error| format!("{}: {error}", cell.label))?;
        text.push_str(&kind.row(&cell.label, figures));
        text.push('\n');
    }
    Ok(text)
}

/// The figures of all cells, in their order, from `threads` threads; `progress` is told how many
/// are done.
pub fn run(
    cells: &[Cell],
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<Result<Figures, String>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<_>> = Mutex::new(cells.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((index, cell)) = at(cells, next.fetch_add(1, Ordering::Relaxed)) {
                    let result = cell.trial.run();
                    if let Ok(mut results) = results.lock() {
                        results[index] = Some(result);
                    }
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_default();
    results.into_iter().map(|result| result.unwrap_or(Err("not run".into()))).collect()
}

fn at(cells: &[Cell], index: usize) -> Option<(usize, &Cell)> {
    cells.get(index).map(|cell| (index, cell))
}

/// Threads that can run at a time here.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, core::num::NonZero::get)
}

/// A rate in kbit/s.
pub fn kbit(rate: Rate) -> u64 {
    rate.octets_per_second() / 125
}

/// "10mbit", "1gbit".
pub fn rate_text(rate: Rate) -> String {
    let kbit = kbit(rate);
    match kbit {
        _ if kbit > 0 && kbit.is_multiple_of(1_000_000) => format!("{}gbit", kbit / 1_000_000),
        _ if kbit > 0 && kbit.is_multiple_of(1000) => format!("{}mbit", kbit / 1000),
        _ => format!("{kbit}kbit"),
    }
}

/// "20ms", "500us".
pub fn span_text(span: Span) -> String {
    let micros = span.as_micros();
    if micros.is_multiple_of(1000) { format!("{}ms", micros / 1000) } else { format!("{micros}us") }
}

/// Parts per million as a percentage: "0.01%".
pub fn chance_text(per_million: u32) -> String {
    let (whole, rest) = (per_million / 10_000, per_million % 10_000);
    let digits = format!("{rest:04}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { format!("{whole}%") } else { format!("{whole}.{digits}%") }
}

/// "0", "1%/3packets", "5%/10ms".
pub fn reorder_text(reorder: Reorder) -> String {
    match reorder {
        Reorder::None => "0".into(),
        Reorder::Overtaken { chance, packets } => {
            format!("{}/{packets}packets", chance_text(chance))
        }
        Reorder::Delayed { chance, most } => format!("{}/{}", chance_text(chance), span_text(most)),
    }
}

/// Thousandths as a decimal: "0.5", "1".
pub fn per_mille_text(per_mille: u64) -> String {
    let digits = format!("{:03}", per_mille % 1000);
    let digits = digits.trim_end_matches('0');
    let whole = per_mille / 1000;
    if digits.is_empty() { whole.to_string() } else { format!("{whole}.{digits}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_are_written_on_the_command_line() {
        assert_eq!(rate_text(Rate::from_bits_per_second(10_000_000)), "10mbit");
        assert_eq!(rate_text(Rate::from_bits_per_second(1_000_000_000)), "1gbit");
        assert_eq!(rate_text(Rate::from_bits_per_second(1_500_000)), "1500kbit");
        assert_eq!((span_text(Span::from_millis(20)), span_text(Span::from_micros(50))), {
            ("20ms".into(), "50us".into())
        });
        let texts = [0, 100, 1000, 30_000, 12_345].map(chance_text);
        assert_eq!(texts, ["0%", "0.01%", "0.1%", "3%", "1.2345%"]);
        assert_eq!([500, 1000, 4000, 1250].map(per_mille_text), ["0.5", "1", "4", "1.25"]);
    }
}

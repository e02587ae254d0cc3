//! The tables that are kept: goodput, retransmissions and fairness in short trials, compared figure
//! by figure, and held against what theory promises. `verify/sim/README.md` tells how to read and
//! how to renew them.

#![allow(clippy::unwrap_used)] // a test that fails panics

use std::path::PathBuf;
use usertcp_base::Rate;
use usertcp_sim::table::{self, Cell, Kind, grid, kbit, snapshot, theory};
use usertcp_sim::trial::{Figures, Reorder};

fn figures(cells: &[Cell]) -> Vec<Result<Figures, String>> {
    table::run(cells, table::threads(), |_| ())
}

/// Compares with the kept table, or renews it.
fn compare(name: &str, kind: Kind, cells: &[Cell], results: &[Result<Figures, String>]) {
    let found = match table::text(kind, cells, results) {
        Ok(found) => found,
        Err(error) => panic!("{error}"),
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tables/{name}.tsv"));
    if std::env::var_os("SNAPSHOT").is_some_and(|value| value == "update") {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(changes) = snapshot::changes(&kept, &found, kind.label_columns()) {
        panic!(
            "{}: {changes}If the change is meant: SNAPSHOT=update cargo test -p usertcp-sim --test \
             tables, and commit the file with the change that caused it.",
            path.display()
        );
    }
}

#[test]
fn recovery_is_as_it_was_and_as_theory_has_it() {
    let cells = grid::recovery_checked();
    let results = figures(&cells);
    let broken: Vec<String> = cells
        .iter()
        .zip(&results)
        .filter_map(|(cell, result)| recovery_fault(cell, result.as_ref().ok()?))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    compare("recovery-checked", Kind::Recovery, &cells, &results);
}

/// What no renewing of the kept table can hide.
fn recovery_fault(cell: &Cell, figures: &Figures) -> Option<String> {
    let trial = &cell.trial;
    // One flow overshoots a gigabit's buffer by more ranges than a receiver keeps
    // (`Limits::reassembly_ranges`); half a second is short for it besides.
    if table::kbit(trial.rate) > 100_000 && trial.rtt.as_millis() > 1 {
        return None;
    }
    let expected = theory::goodput(trial.flows[0].algorithm, trial.rate, trial.rtt, trial.loss);
    let reached = figures.late_goodput().max(figures.goodput());
    // Few losses in a short trial are far from their mean: a wide bound, against collapse. So it is
    // when packets come half a round trip late: PAWS refuses them once a later retransmission was
    // taken (RFC 7323 §5.3), and each counts as a loss.
    let hundredths = match trial.reorder {
        _ if trial.loss != 0 => 33,
        Reorder::Delayed { .. } => 33,
        Reorder::Overtaken { .. } => 80,
        Reorder::None => 90,
    };
    let least = expected.scaled(hundredths, 100);
    let needless = figures.needless_per_100_000();
    let most_needless = if trial.loss == 0 { 1000 } else { 2500 };
    let text = |rate: Rate| kbit(rate);
    (reached < least || (figures.needless > 5 && needless > most_needless)).then(|| {
        format!(
            "{}: {} kbit/s of {}, {needless} of 100,000 needless",
            cell.label,
            text(reached),
            text(expected)
        )
    })
}

#[test]
fn fairness_is_as_it_was_and_as_it_should_be() {
    let cells = grid::fairness_checked();
    let results = figures(&cells);
    for (cell, result) in cells.iter().zip(&results) {
        let Ok(figures) = result else { continue };
        let trial = &cell.trial;
        let full = theory::goodput(trial.flows[0].algorithm, trial.rate, trial.rtt, 0);
        let reached = figures.late_goodput();
        assert!(reached > full.scaled(85, 100), "{}: {} kbit/s", cell.label, kbit(reached));
        let alike = trial.flows.windows(2).all(|pair| pair[0].detour == pair[1].detour);
        let least = if alike { 850 } else { 500 };
        let jain = figures.jain_per_mille();
        assert!(jain >= least, "{}: Jain {jain}", cell.label);
    }
    compare("fairness-checked", Kind::Fairness, &cells, &results);
}

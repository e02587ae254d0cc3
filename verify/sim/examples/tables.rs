//! Runs the full grids and writes `verify/sim/tables/recovery.tsv` and `fairness.tsv`.
//! `cargo run --release -p usertcp-sim --example tables [recovery|fairness]`

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use usertcp_sim::table::{self, Kind, grid};

fn main() -> ExitCode {
    let only = std::env::args().nth(1);
    for (name, kind, cells) in [
        ("recovery", Kind::Recovery, grid::recovery()),
        ("fairness", Kind::Fairness, grid::fairness()),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let began = Instant::now();
        let progress = |done: usize| {
            if done.is_multiple_of(20) || done == cells.len() {
                eprintln!("{name}: {done} of {}, {} s", cells.len(), began.elapsed().as_secs());
            }
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tables/{name}.tsv"));
        let results = table::run(&cells, table::threads(), progress);
        let written = table::text(kind, &cells, &results)
            .and_then(|text| std::fs::write(&path, text).map_err(|error| error.to_string()));
        if let Err(error) = written {
            eprintln!("error: {name}: {error}");
            return ExitCode::FAILURE;
        }
        println!("wrote {}", path.display());
    }
    ExitCode::SUCCESS
}

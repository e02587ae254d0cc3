//! The requirement ledger: each row of the requirements, and what answers it.
//! Owns: the rows (`rows/*.tsv`), the reasons (`reasons.tsv`), the proofs that are named from
//! here (`proofs.tsv`), and the rules that hold them together. Must not know: how the stack works.
//!
//! A row is proven by a test that cites it (`// proves MUST-8, E-10` above the test, or a line of
//! `proofs.tsv` for tests that do not), or it has a dated reason why none does.

mod answers;
mod check;
mod citations;
mod ledger;
mod report;
mod rows;

pub use answers::{Kind, Proof, Reason};
pub use check::faults;
pub use citations::{Citation, cited_ids};
pub use ledger::{Ledger, Status};
pub use report::Report;
pub use rows::Row;

use std::path::{Path, PathBuf};

/// The workspace this crate was built in.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Reads a table of this crate's: its lines, without comments, cut at tabs.
fn table(path: &Path, columns: usize) -> Result<Vec<Vec<String>>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        if cells.len() != columns {
            return Err(format!("{name}:{}: {columns} columns expected", number + 1));
        }
        lines.push(cells);
    }
    Ok(lines)
}

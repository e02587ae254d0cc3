//! Answers kept in this crate: reasons for rows without a test, and proofs named from here.
//! Owns: `reasons.tsv`, `proofs.tsv`. Must not know: how answers are judged (see `check`).

use crate::table;
use std::path::Path;

/// What kind of reason it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Built, in the file the text begins with, and not tested yet.
    Untested,
    /// Not built; the text begins with the issue that will.
    Planned,
    /// Decided against.
    Declined,
    /// Answered by the rows or groups that the text lists.
    Rows,
    /// Nothing to build.
    Info,
}

/// Why a row has no test.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The row.
    pub id: String,
    /// What kind of reason.
    pub kind: Kind,
    /// When it was written, `year-month-day`.
    pub date: String,
    /// The reason.
    pub text: String,
}

/// A test that proves a row without citing it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The row.
    pub id: String,
    /// The file, relative to the workspace.
    pub file: String,
    /// The test's function.
    pub test: String,
}

pub(crate) fn reasons(path: &Path) -> Result<Vec<Reason>, String> {
    table(path, 4)?.into_iter().map(reason).collect()
}

fn reason(cells: Vec<String>) -> Result<Reason, String> {
    let [id, kind, date, text] =
        <[String; 4]>::try_from(cells).map_err(|cells| format!("{cells:?}"))?;
    let kind = match kind.as_str() {
        "untested" => Kind::Untested,
        "planned" => Kind::Planned,
        "declined" => Kind::Declined,
        "rows" => Kind::Rows,
        "info" => Kind::Info,
        other => return Err(format!("{id}: no kind of reason is called {other}")),
    };
    Ok(Reason { id, kind, date, text })
}

pub(crate) fn proofs(path: &Path) -> Result<Vec<Proof>, String> {
    let cells = table(path, 3)?;
    cells
        .into_iter()
        .map(|cells| {
            let [id, file, test] =
                <[String; 3]>::try_from(cells).map_err(|cells| format!("{cells:?}"))?;
            Ok(Proof { id, file, test })
        })
        .collect()
}

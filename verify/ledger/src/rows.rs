//! The requirement rows, as carried into the project in its own short wording.
//! Owns: `Row` and the reading of `rows/*.tsv`, one file a group. Must not know: tests.

use crate::table;
use std::path::Path;

/// One requirement.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its identity: `MUST-8`, `8985-4`, `AT-3`, `RFC 2018`.
    pub id: String,
    /// The group it is in: `A1` … `F2`.
    pub group: String,
    /// MUST, SHOULD, MAY, project, extension, registry, info or n.a.
    pub level: String,
    /// now, next, later, ignore, info or n.a.
    pub decision: String,
    /// What it asks, in a few words.
    pub wording: String,
}

const LEVELS: [&str; 8] =
    ["MUST", "SHOULD", "MAY", "project", "extension", "registry", "info", "n.a."];
const DECISIONS: [&str; 6] = ["now", "next", "later", "ignore", "info", "n.a."];

/// All rows, in the order of their groups.
pub(crate) fn read(folder: &Path) -> Result<Vec<Row>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_by_key(|path| group_key(&group_of(path)));
    let mut rows = Vec::new();
    for path in paths {
        let group = group_of(&path);
        for cells in table(&path, 4)? {
            rows.push(row(&group, cells)?);
        }
    }
    Ok(rows)
}

fn group_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().to_uppercase()
}

/// Groups in order: the letter, then the number.
fn group_key(group: &str) -> (String, u32) {
    let (letter, number) = group.split_at(group.len().min(1));
    (letter.to_owned(), number.parse().unwrap_or(0))
}

fn row(group: &str, cells: Vec<String>) -> Result<Row, String> {
    let [id, level, decision, wording] =
        <[String; 4]>::try_from(cells).map_err(|cells| format!("{cells:?}"))?;
    if !LEVELS.contains(&level.as_str()) || !DECISIONS.contains(&decision.as_str()) {
        return Err(format!("{id}: level {level} or decision {decision} is not known"));
    }
    if wording.chars().count() > 90 {
        return Err(format!("{id}: wording of more than 90 characters"));
    }
    Ok(Row { id, group: group.to_owned(), level, decision, wording })
}

//! Kept tables. Owns: comparing a table with the kept one, and telling a person what changed.
//! Must not know: what the columns mean, beyond their names.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A change of a figure by less than this many hundredths is called small: another order of the
/// same faults does as much.
const SMALL_PERCENT: u64 = 5;
/// And so is a change of a count by less than this.
const SMALL_COUNT: u64 = 10;

/// What changed, as text: `None` when nothing did. Rows are found by their first `label_columns`.
pub fn changes(kept: &str, found: &str, label_columns: usize) -> Option<String> {
    if kept == found {
        return None;
    }
    let names: Vec<&str> = found.lines().next().unwrap_or("").split('\t').collect();
    let (kept, found) = (rows(kept, label_columns), rows(found, label_columns));
    let (mut large, mut small) = (Vec::new(), 0);
    for (label, after) in &found {
        match kept.get(label) {
            None => large.push(format!("{label}: a new row")),
            Some(before) if before == after => {}
            Some(before) => match describe(&names[label_columns..], before, after) {
                Some(text) => large.push(format!("{label}: {text}")),
                None => small += 1,
            },
        }
    }
    let gone = kept.keys().filter(|label| !found.contains_key(*label));
    large.extend(gone.map(|label| format!("{label}: the row is gone")));
    let mut text = format!("{} rows changed much, {small} a little\n", large.len());
    for line in large {
        let _ = writeln!(text, "  {}", line.replace('\t', " "));
    }
    Some(text)
}

/// The figures that changed by more than a little: "goodput_kbit 9000 -> 4000".
fn describe(names: &[&str], before: &[String], after: &[String]) -> Option<String> {
    let mut changed = Vec::new();
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        let numbers = (before.parse::<u64>(), after.parse::<u64>());
        let small = match numbers {
            (Ok(a), Ok(b)) => a.abs_diff(b) <= (a.max(b) * SMALL_PERCENT / 100).max(SMALL_COUNT),
            _ => before == after,
        };
        if !small {
            changed.push(format!("{name} {before} -> {after}"));
        }
    }
    (!changed.is_empty()).then(|| changed.join(", "))
}

fn rows(text: &str, label_columns: usize) -> BTreeMap<String, Vec<String>> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let (label, figures) = columns.split_at(label_columns.min(columns.len()));
        (label.join("\t"), figures.iter().map(ToString::to_string).collect())
    };
    text.lines().skip(1).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "path\tgoodput\tresent\na\t1000\t5\nb\t1000\t50\nc\t1\t1\n";

    #[test]
    fn the_same_table_has_no_changes() {
        assert_eq!(changes(KEPT, KEPT, 1), None);
    }

    #[test]
    fn every_change_is_seen_and_the_large_ones_are_named() {
        let found = "path\tgoodput\tresent\na\t1010\t6\nb\t700\t80\nd\t1\t1\n";
        assert_eq!(
            changes(KEPT, found, 1).unwrap(),
            "3 rows changed much, 1 a little\n  b: goodput 1000 -> 700, resent 50 -> 80\n  \
             d: a new row\n  c: the row is gone\n"
        );
        let last = KEPT.replace("\t5\n", "\t4\n");
        assert_eq!(changes(KEPT, &last, 1).unwrap(), "0 rows changed much, 1 a little\n");
    }
}

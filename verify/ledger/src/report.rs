//! The report that a person reads.
//! Owns: counting and layout. Must not know: where the ledger came from.

use crate::ledger::{Ledger, Status};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// A printable report; `open` lists the rows that no test proves.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What is reported.
    pub ledger: &'a Ledger,
    /// Whether to list the rows without a test.
    pub open: bool,
}

/// Rows by status: proven, untested, reasoned, unanswered.
#[derive(Clone, Copy, Default, Debug)]
struct Counts([usize; 4]);

impl Counts {
    fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    fn total(self) -> usize {
        self.0.iter().sum()
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let judged = self.ledger.judged();
        let mut groups: BTreeMap<(char, u32), Counts> = BTreeMap::new();
        let mut levels: BTreeMap<&str, Counts> = BTreeMap::new();
        let (mut all, mut binding, mut binding_now) =
            (Counts::default(), Counts::default(), Counts::default());
        for (row, status) in &judged {
            let mut letters = row.group.chars();
            let letter = letters.next().unwrap_or(' ');
            let number = letters.as_str().parse().unwrap_or(0);
            groups.entry((letter, number)).or_default().add(*status);
            levels.entry(&row.level).or_default().add(*status);
            all.add(*status);
            if matches!(row.level.as_str(), "MUST" | "SHOULD") && row.decision != "n.a." {
                binding.add(*status);
                if row.decision == "now" {
                    binding_now.add(*status);
                }
            }
        }
        heading(f, "group")?;
        for ((letter, number), counts) in groups {
            line(f, &format!("{letter}{number}"), counts)?;
        }
        heading(f, "level")?;
        for (level, counts) in levels {
            line(f, level, counts)?;
        }
        line(f, "all", all)?;
        writeln!(f)?;
        share(f, "MUST and SHOULD rows", binding)?;
        share(f, "those decided now", binding_now)?;
        if self.open { self.list(f) } else { Ok(()) }
    }
}

impl Report<'_> {
    fn list(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reasons = self.ledger.reasons();
        writeln!(f, "\nrows without a test")?;
        for (row, status) in self.ledger.judged() {
            if status == Status::Proven {
                continue;
            }
            let reason = reasons.get(row.id.as_str());
            let text = reason.map_or("NO ANSWER", |reason| reason.text.as_str());
            let (id, level, decision) = (&row.id, &row.level, &row.decision);
            writeln!(f, "{id:<12} {level:<9} {decision:<6} {} — {text}", row.wording)?;
        }
        Ok(())
    }
}

fn heading(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    writeln!(
        f,
        "{name:<10} {:>6} {:>7} {:>9} {:>9} {:>11}",
        "rows", "proven", "untested", "reasoned", "unanswered"
    )
}

fn line(f: &mut Formatter<'_>, name: &str, counts: Counts) -> fmt::Result {
    let [proven, untested, reasoned, unanswered] = counts.0;
    let total = counts.total();
    writeln!(f, "{name:<10} {total:>6} {proven:>7} {untested:>9} {reasoned:>9} {unanswered:>11}")
}

fn share(f: &mut Formatter<'_>, name: &str, counts: Counts) -> fmt::Result {
    let (proven, total) = (counts.0[0], counts.total());
    let tenths = (proven * 1000).checked_div(total).unwrap_or(0);
    writeln!(f, "{name}: {proven} of {total} proven, {}.{} %", tenths / 10, tenths % 10)
}

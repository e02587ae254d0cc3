//! Rows, citations and answers joined.
//! Owns: `Ledger`, what state a row is in. Must not know: how it is printed.

use crate::answers::{self, Kind, Proof, Reason};
use crate::citations::{self, Citation};
use crate::rows::{self, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How a row is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Status {
    /// A test proves it.
    Proven,
    /// Built, and no test says so.
    Untested,
    /// Not built, or nothing to build: there is a reason.
    Reasoned,
    /// Nothing.
    Unanswered,
}

/// The whole ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Where the sources are.
    pub root: PathBuf,
    /// Every requirement.
    pub rows: Vec<Row>,
    /// Every citation in the sources.
    pub citations: Vec<Citation>,
    /// Every proof named from here.
    pub proofs: Vec<Proof>,
    /// Every reason.
    pub reasons: Vec<Reason>,
}

impl Ledger {
    /// Reads the tables and the sources of the workspace at `root`.
    pub fn read(root: &Path) -> Result<Ledger, String> {
        let home = root.join("verify/ledger");
        let rows = rows::read(&home.join("rows"))?;
        let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let citations = citations::scan(root, &|id| ids.contains(id));
        Ok(Ledger {
            root: root.to_path_buf(),
            citations,
            proofs: answers::proofs(&home.join("proofs.tsv"))?,
            reasons: answers::reasons(&home.join("reasons.tsv"))?,
            rows,
        })
    }

    /// The tests that prove each row, as `file:function`.
    pub fn tests(&self) -> BTreeMap<&str, Vec<String>> {
        let mut tests: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for citation in &self.citations {
            if let Some(test) = &citation.test {
                let place = format!("{}:{} {test}", citation.file, citation.line);
                tests.entry(&citation.id).or_default().push(place);
            }
        }
        for proof in &self.proofs {
            tests.entry(&proof.id).or_default().push(format!("{} {}", proof.file, proof.test));
        }
        tests
    }

    /// The reason given for each row.
    pub fn reasons(&self) -> BTreeMap<&str, &Reason> {
        self.reasons.iter().map(|reason| (reason.id.as_str(), reason)).collect()
    }

    /// The state of every row, in order.
    pub fn judged(&self) -> Vec<(&Row, Status)> {
        let (tests, reasons) = (self.tests(), self.reasons());
        let judge = |row: &Row| match (tests.get(row.id.as_str()), reasons.get(row.id.as_str())) {
            (Some(_), _) => Status::Proven,
            (None, Some(reason)) if reason.kind == Kind::Untested => Status::Untested,
            (None, Some(_)) => Status::Reasoned,
            (None, None) => Status::Unanswered,
        };
        self.rows.iter().map(|row| (row, judge(row))).collect()
    }
}

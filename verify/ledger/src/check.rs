//! The rules a ledger must keep.
//! Owns: what is a fault. Must not know: how it is printed.

use crate::answers::{Kind, Reason};
use crate::ledger::{Ledger, Status};
use std::collections::BTreeSet;

/// Everything wrong with a ledger, one line each. Empty is good.
pub fn faults(ledger: &Ledger) -> Vec<String> {
    let mut faults = Vec::new();
    let ids: BTreeSet<&str> = ledger.rows.iter().map(|row| row.id.as_str()).collect();
    if ids.len() != ledger.rows.len() {
        faults.push("a row is there twice".to_owned());
    }
    unanswered(ledger, &mut faults);
    citations(ledger, &ids, &mut faults);
    proofs(ledger, &ids, &mut faults);
    reasons(ledger, &ids, &mut faults);
    faults
}

fn unanswered(ledger: &Ledger, faults: &mut Vec<String>) {
    for (row, status) in ledger.judged() {
        if status == Status::Unanswered {
            let (level, decision) = (&row.level, &row.decision);
            faults.push(format!("{} ({level}, {decision}): no test, no reason", row.id));
        }
    }
}

fn citations(ledger: &Ledger, ids: &BTreeSet<&str>, faults: &mut Vec<String>) {
    for citation in &ledger.citations {
        let place = format!("{}:{}", citation.file, citation.line);
        if !ids.contains(citation.id.as_str()) {
            faults.push(format!("{place}: no row is called {}", citation.id));
        }
        if citation.test.is_none() {
            faults.push(format!("{place}: {} is cited by no test", citation.id));
        }
    }
}

fn proofs(ledger: &Ledger, ids: &BTreeSet<&str>, faults: &mut Vec<String>) {
    for proof in &ledger.proofs {
        let (id, file, test) = (&proof.id, &proof.file, &proof.test);
        if !ids.contains(id.as_str()) {
            faults.push(format!("proofs.tsv: no row is called {id}"));
        }
        let text = std::fs::read_to_string(ledger.root.join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {test}(")) && !text.contains(&format!("fn {test}<")) {
            faults.push(format!("proofs.tsv: {id}: {file} has no test {test}"));
        }
    }
}

fn reasons(ledger: &Ledger, ids: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let tests = ledger.tests();
    let groups: BTreeSet<&str> = ledger.rows.iter().map(|row| row.group.as_str()).collect();
    let mut seen = BTreeSet::new();
    for reason in &ledger.reasons {
        let id = reason.id.as_str();
        if !ids.contains(id) {
            faults.push(format!("reasons.tsv: no row is called {id}"));
        }
        if !seen.insert(id) {
            faults.push(format!("reasons.tsv: {id} has two reasons"));
        }
        if let Some(proof) = tests.get(id).and_then(|tests| tests.first()) {
            faults.push(format!("reasons.tsv: {id} is proven by {proof}: the reason is stale"));
        }
        if !is_date(&reason.date) {
            faults.push(format!("reasons.tsv: {id}: {} is no date", reason.date));
        }
        let known = |token: &str| ids.contains(token) || groups.contains(token);
        if let Some(fault) = text_fault(reason, ledger, &known) {
            faults.push(format!("reasons.tsv: {id}: {fault}"));
        }
    }
}

/// What a reason's text must begin with depends on its kind.
fn text_fault(reason: &Reason, ledger: &Ledger, known: &dyn Fn(&str) -> bool) -> Option<String> {
    let text = reason.text.as_str();
    let first = text.split([' ', ':']).next().unwrap_or_default();
    match reason.kind {
        Kind::Untested if !ledger.root.join(first).is_file() => {
            Some(format!("no file is called {first}"))
        }
        Kind::Planned if !text.starts_with("issue ") => Some("no issue is named".to_owned()),
        Kind::Rows => {
            let list = text.split(':').next().unwrap_or_default();
            let wrong = list.split(',').map(str::trim).find(|token| !known(token));
            wrong.map(|token| format!("no row or group is called {token}"))
        }
        _ if text.is_empty() => Some("an empty reason".to_owned()),
        _ => None,
    }
}

fn is_date(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [4, 2, 2] && text.chars().all(|c| c.is_ascii_digit() || c == '-')
}

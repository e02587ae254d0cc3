//! The ledger of this workspace keeps its rules, and the rules notice what breaks them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails panics

use usertcp_ledger::{Kind, Ledger, Proof, Reason, Report, Status, cited_ids, faults, workspace};

fn ledger() -> Ledger {
    Ledger::read(&workspace()).expect("the tables can be read")
}

#[test]
fn the_ledger_is_in_order() {
    let ledger = ledger();
    println!("{}", Report { ledger: &ledger, open: false });
    let faults = faults(&ledger);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_row_was_carried_over() {
    let ledger = ledger();
    assert_eq!(ledger.rows.len(), 669);
    let of = |group: &str| ledger.rows.iter().filter(|row| row.group == group).count();
    assert_eq!((of("A1"), of("C10"), of("D1"), of("F2")), (69, 25, 128, 44));
    assert!(ledger.judged().iter().filter(|(_, status)| *status == Status::Proven).count() > 300);
}

/// The one fault that a change causes.
fn fault_of(change: impl FnOnce(&mut Ledger)) -> String {
    let mut ledger = ledger();
    let before = faults(&ledger);
    change(&mut ledger);
    let after = faults(&ledger);
    let mut new = after.into_iter().filter(|fault| !before.contains(fault));
    new.next().expect("a fault")
}

fn reason(id: &str, kind: Kind, text: &str) -> Reason {
    Reason { id: id.into(), kind, date: "2026-11-22".into(), text: text.into() }
}

#[test]
fn what_breaks_a_rule_is_said() {
    let without = fault_of(|ledger| ledger.reasons.retain(|reason| reason.id != "RC-6"));
    assert!(without.ends_with("no test, no reason"), "{without}");
    let stale = fault_of(|ledger| ledger.reasons.push(reason("MUST-17", Kind::Info, "because")));
    assert!(stale.contains("stale"), "{stale}");
    let unknown = fault_of(|ledger| ledger.citations[0].id = "MUST-70".into());
    assert!(unknown.contains("no row is called MUST-70"), "{unknown}");
    let homeless = fault_of(|ledger| ledger.citations[0].test = None);
    assert!(homeless.contains("is cited by no test"), "{homeless}");
    let (id, file) = ("MUST-1".into(), "verify/ledger/tests/check.rs".into());
    let gone = fault_of(|ledger| ledger.proofs.push(Proof { id, file, test: "nobody".into() }));
    assert!(gone.contains("has no test nobody"), "{gone}");
    let file = fault_of(|ledger| ledger.reasons.push(reason("X", Kind::Untested, "a/b.rs: no")));
    assert!(file.contains("no row is called X"), "{file}");
    let twice = fault_of(|ledger| ledger.reasons.push(ledger.reasons[0].clone()));
    assert!(twice.contains("two reasons"), "{twice}");
    let date = fault_of(|ledger| ledger.reasons[0].date = "soon".into());
    assert!(date.contains("is no date"), "{date}");
    let rows = fault_of(|ledger| {
        ledger.reasons[0].kind = Kind::Rows;
        ledger.reasons[0].text = "MUST-99".into();
    });
    assert!(rows.contains("no row or group is called MUST-99"), "{rows}");
}

#[test]
fn comments_are_read() {
    let known = |id: &str| id == "OPT-31…33" || id == "RFC 2525";
    let cases: [(&str, &[&str]); 10] = [
        ("MUST-8, E-10", &["MUST-8", "E-10"]),
        ("5961-1..3: all of it, and E-9", &["5961-1", "5961-2", "5961-3"]),
        ("AT-6 … AT-8, BG-7 (its share)", &["AT-6", "AT-7", "AT-8", "BG-7"]),
        ("5961-1 (E-13, AT-3): every", &["5961-1", "E-13", "AT-3"]),
        ("OPT-31…33, FL-X", &["OPT-31…33", "FL-X"]),
        ("MUST-36 as the receiver", &["MUST-36"]),
        ("DESIGN §6.2", &[]),
        ("5681-5, 3042", &["5681-5", "3042"]),
        ("RFC 2525, MUST-29", &["RFC 2525", "MUST-29"]),
        ("RFC 2525 2.1, MUST-29", &["MUST-29"]),
    ];
    for (text, ids) in cases {
        assert_eq!(cited_ids(text, &known), ids, "{text}");
    }
}

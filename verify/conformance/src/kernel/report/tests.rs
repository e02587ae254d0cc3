//! What scripts say of the kernel, and what the counts and the table make of it.

use super::*;

#[test]
fn comments_are_found_with_their_continuation() {
    let text =
        "// A test.\n// kernel differs: it resets (RFC 9293\n//    3.5.2: always)\n// more\n+0 x";
    assert_eq!(
        comment(text, "kernel differs").as_deref(),
        Some("it resets (RFC 9293 3.5.2: always)")
    );
    assert_eq!(comment(text, "not for kernel"), None);
}

#[test]
fn a_citation_has_number_and_section() {
    assert!(cites("it does (RFC 9293 3.10.7.4: \"…\")"));
    assert!(cites("RFC 5961 §7"));
    for text in ["RFC 9293", "an RFC says", "RFC soon 3.1", "RFC 9293, somewhere"] {
        assert!(!cites(text), "{text}");
    }
}

fn differs(cited: Option<&str>) -> Verdict {
    Verdict::Differs {
        what: "kernel, line 3: a|b\n  c".to_string(),
        cited: cited.map(str::to_string),
    }
}

#[test]
fn a_disagreement_without_a_text_is_to_be_mended() {
    let one = |name: &str, v6, verdict| (format!("scripts/{name}.pkt"), v6, verdict);
    let verdicts = [
        one("a", false, Verdict::Agrees(None)),
        one("a", true, Verdict::Agrees(Some("x=1".to_string()))),
        one("b", false, differs(Some("RFC 1122 4.2.2.13"))),
        one("b", true, differs(Some("RFC 1122 4.2.2.13"))),
        one("c", false, differs(None)),
        one("d", false, Verdict::Excluded("ours".to_string())),
        one("e", false, Verdict::Unsupported("kernel: x".to_string())),
        one("f", false, Verdict::Stale),
        one("g", false, Verdict::NeitherPasses("x".to_string())),
    ];
    let summary = Summary::of(&verdicts);
    let expected = Summary { agree: 3, differ: 3, unsupported: 1, excluded: 1, wrong: 3 };
    assert_eq!(summary, expected);
    assert!(summary.text().starts_with("3 of 6 runs against both agree, 50.0 %;"));
    let table = table(&verdicts, &summary);
    assert!(table.contains("| b.pkt (v4, v6) | kernel, line 3: a\\|b c | RFC 1122 4.2.2.13 |"));
    assert!(table.contains("| c.pkt (v4) | kernel, line 3: a\\|b c | **none cited** |"));
    assert!(table.contains("| a.pkt | `x=1` |"));
    assert!(table.contains("| d.pkt | ours |\n| e.pkt | unsupported: kernel: x |"));
}

#[test]
fn arguments_are_read_or_refused() {
    let read = |text: &str| order(&text.split(' ').map(str::to_string).collect::<Vec<_>>());
    let Ok(got) = read("--against kernel a.pkt --all b.pkt --jobs 3") else { panic!("refused") };
    assert_eq!((got.files.len(), got.families, got.jobs), (2, vec![false, true], 3));
    for bad in ["--against kernel", "--against moon a", "--against kernel a --wrap", "a --jobs x"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

//! Citations in the sources: comments `// proves A, B` and the test each belongs to.
//! Owns: the walk over `.rs` and `.pkt` files and the reading of a comment. Must not know: rows,
//! except by the test `known` that tells an identity with dashes from a range.

use std::path::{Path, PathBuf};

/// One citation of one row.
#[derive(Clone, Debug)]
pub struct Citation {
    /// The row.
    pub id: String,
    /// The file, relative to the workspace.
    pub file: String,
    /// The line of the comment.
    pub line: usize,
    /// The function that follows, or that the comment is in; a script is its own test.
    pub test: Option<String>,
}

/// Folders that hold no sources of ours.
const SKIPPED: [&str; 3] = ["target", ".git", "artifacts"];

/// Every citation below `root`.
pub(crate) fn scan(root: &Path, known: &dyn Fn(&str) -> bool) -> Vec<Citation> {
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let mut citations = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let script = path.extension().is_some_and(|extension| extension == "pkt");
        read(&file, &text, script, known, &mut citations);
    }
    citations
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "pkt") {
            files.push(path);
        }
    }
}

fn read(
    file: &str,
    text: &str,
    script: bool,
    known: &dyn Fn(&str) -> bool,
    citations: &mut Vec<Citation>,
) {
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(list) = comment_of(line) else { continue };
        let test = if script { Some(file.to_owned()) } else { test_of(&lines, index) };
        for id in cited_ids(list, known) {
            citations.push(Citation {
                id,
                file: file.to_owned(),
                line: index + 1,
                test: test.clone(),
            });
        }
    }
}

/// What follows `proves` in a comment of its own.
fn comment_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let comment = ["///", "//", "#"].iter().find_map(|mark| line.strip_prefix(mark))?;
    comment.trim_start().strip_prefix("proves ")
}

/// The function a comment stands above; else the one it stands in.
fn test_of(lines: &[&str], at: usize) -> Option<String> {
    let above = lines[at + 1..].iter().find(|line| {
        let line = line.trim_start();
        !(line.is_empty() || line.starts_with("//") || line.starts_with("#["))
    });
    let following = above.and_then(|line| function_name(line));
    following.or_else(|| lines[..at].iter().rev().find_map(|line| function_name(line)))
}

fn function_name(line: &str) -> Option<String> {
    let words = line.trim_start();
    if words.starts_with("//") {
        return None;
    }
    let (before, after) = words.split_once("fn ")?;
    let whole = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "async" | "const" | "unsafe") || word.starts_with("pub(")
    });
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (whole && !name.is_empty()).then_some(name)
}

/// The rows a list cites. What follows a colon is prose, and so is a word that is no identity.
/// `A-1..3`, `A-1…3`, `A-1 … A-3` are three rows, unless the text is one row's identity.
pub fn cited_ids(list: &str, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let list = list.split(':').next().unwrap_or_default().replace(" … ", "…").replace("..", "…");
    let mut ids = Vec::new();
    for part in list.split([',', '(', ')']) {
        // A whole document is a row too: `RFC 2525`.
        let whole = part.trim().trim_end_matches('.');
        if whole.starts_with("RFC ") && known(whole) {
            ids.push(whole.to_owned());
            continue;
        }
        let Some(word) = part.split_whitespace().next() else { continue };
        let word = word.trim_end_matches(['.', ';']);
        if known(word) || !word.contains('…') {
            if is_identity(word) {
                ids.push(word.to_owned());
            }
        } else {
            ids.extend(range(word));
        }
    }
    ids
}

/// Digits alone are a row that was cut short: an error that the check shall see.
fn is_identity(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let Some((prefix, rest)) = word.split_once('-') else { return digits(word) };
    let upper = prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let number = rest.split('…').all(digits) || rest == "X";
    !prefix.is_empty() && upper && number
}

fn range(word: &str) -> Vec<String> {
    let (first, last) = word.split_once('…').unwrap_or((word, ""));
    let last = last.rsplit('-').next().unwrap_or(last);
    let (prefix, from) = first.rsplit_once('-').unwrap_or(("", first));
    match (from.parse::<u32>(), last.parse::<u32>()) {
        (Ok(from), Ok(to)) if from <= to => (from..=to).map(|n| format!("{prefix}-{n}")).collect(),
        _ => vec![word.to_owned()],
    }
}

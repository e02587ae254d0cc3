//! Scripts with random damage: the runner says line and word, and never panics or hangs.
//! Owns: the damage. Must not know: what is in the scripts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use usertcp_base::Prng;
use usertcp_conformance::options::Mode;
use usertcp_conformance::run::run_text;
use usertcp_conformance::script::Stop;

const ROUNDS: u64 = 2500;

fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "pkt") {
            into.push(path);
        }
    }
}

/// Words and signs that mean something somewhere.
const PIECES: [&str; 36] = [
    "...",
    "<",
    ">",
    "(",
    ")",
    "[",
    "{",
    "}",
    "`",
    "%{",
    "}%",
    "\"",
    "|",
    "-",
    "+",
    "*",
    "~",
    ".",
    ",",
    "=",
    "0",
    "1",
    "65535",
    "4294967295",
    "99999999999999999999",
    "-1",
    "0x7fffffff",
    "NULL",
    "MSG_PEEK",
    "MSG_WAITALL",
    "sack 1:2",
    "mss 1",
    "\n",
    "//",
    "--mss=1\n",
    "é",
];

struct Damage {
    prng: Prng,
}

impl Damage {
    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound.max(1) as u64) as usize
    }

    /// A place between characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn damage(&mut self, text: &mut String, other: &str) {
        match self.below(7) {
            0 => {
                let (from, to) = (self.place(text), self.place(text));
                let to = to.clamp(from.min(to), from.min(to) + 12);
                let from = from.min(to);
                if text.is_char_boundary(to) {
                    text.replace_range(from..to, "");
                }
            }
            1 => {
                let piece = PIECES[self.below(PIECES.len())];
                let at = self.place(text);
                text.insert_str(at, piece);
            }
            2..=4 => self.number(text),
            5 => {
                let mut lines: Vec<&str> = text.lines().collect();
                let (a, b) = (self.below(lines.len()), self.below(lines.len()));
                if a < lines.len() && b < lines.len() {
                    lines.swap(a, b);
                }
                *text = lines.join("\n");
            }
            _ => {
                let mut lines: Vec<&str> = text.lines().collect();
                let donors: Vec<&str> = other.lines().collect();
                if !donors.is_empty() {
                    let at = self.below(lines.len() + 1);
                    lines.insert(at, donors[self.below(donors.len())]);
                }
                *text = lines.join("\n");
            }
        }
    }

    /// Another number in the place of one.
    fn number(&mut self, text: &mut String) {
        let starts: Vec<usize> = text
            .char_indices()
            .filter(|(at, c)| {
                c.is_ascii_digit() && !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric())
            })
            .map(|(at, _)| at)
            .collect();
        let Some(&from) = starts.get(self.below(starts.len())) else { return };
        let length = text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
        let numbers = ["0", "1", "7", "100", "1460", "65535", "65536", "2147483648", "4294967295"];
        let new = numbers[self.below(numbers.len())];
        text.replace_range(from..from + length, new);
    }
}

#[test]
fn damaged_scripts_are_told_by_line_and_word() {
    let mut paths = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"), &mut paths);
    let texts: Vec<String> =
        paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    assert!(texts.len() >= 150, "only {} scripts were found", texts.len());
    let mut refused = 0;
    for round in 0..ROUNDS {
        let mut damage = Damage { prng: Prng::from_seed(0x5EED + round) };
        let mut text = texts[damage.below(texts.len())].clone();
        let other = texts[damage.below(texts.len())].clone();
        for _ in 0..=damage.below(4) {
            damage.damage(&mut text, &other);
        }
        let mode = Mode { v6: round % 2 == 1, wrap: round % 7 == 0, ..Mode::default() };
        let result = catch_unwind(AssertUnwindSafe(|| run_text(&text, mode)));
        match result {
            Err(_) => panic!("round {round} panics:\n{text}"),
            Ok(Ok(())) => {}
            Ok(Err(Stop::Failed { line, reason } | Stop::Unsupported { line, reason })) => {
                refused += 1;
                let lines = text.lines().count() + 1;
                assert!(line <= lines, "round {round}: line {line} of {lines}:\n{text}");
                assert!(!reason.is_empty(), "round {round}: no word:\n{text}");
            }
        }
    }
    assert!(refused > ROUNDS / 4, "the damage is no damage: {refused} of {ROUNDS}");
}

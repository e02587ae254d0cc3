//! What callgrind writes. Owns: reading its file. Must not know: what ran.

use std::collections::HashMap;

/// Instructions of each function itself, without what it called.
#[derive(Default, PartialEq, Debug)]
pub struct Profile {
    functions: HashMap<String, f64>,
}

impl Profile {
    /// Reads a file of callgrind, format version 1: functions by `fn=`, names given once and then by
    /// number, a line of costs for each source line, and after `calls=` one line that is not the
    /// function's own.
    pub fn parse(text: &str) -> Result<Profile, String> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut profile = Profile::default();
        let mut current = "";
        let mut inclusive = false;
        for line in text.lines() {
            if let Some(function) = line.strip_prefix("fn=") {
                current = named(function, &mut names);
            } else if let Some(function) = line.strip_prefix("cfn=") {
                named(function, &mut names);
            } else if line.starts_with("calls=") {
                inclusive = true;
            } else if is_cost(line) && !std::mem::take(&mut inclusive) {
                let count = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
                let count: f64 = count.ok_or_else(|| format!("no cost: {line}"))?;
                *profile.functions.entry(current.to_owned()).or_default() += count;
            }
        }
        if profile.functions.is_empty() {
            Err("callgrind counted nothing".into())
        } else {
            Ok(profile)
        }
    }

    /// What this one has more than `other`, the most first.
    pub fn minus(&self, other: &Profile) -> Vec<(String, f64)> {
        let more = |(name, count): (&String, &f64)| {
            (name.clone(), count - other.functions.get(name).copied().unwrap_or(0.0))
        };
        let mut more: Vec<(String, f64)> = self.functions.iter().map(more).collect();
        more.sort_by(|one, two| two.1.total_cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        more
    }
}

/// A line that begins with where in the source it is: absolutely, or from the line before.
fn is_cost(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
}

/// "(7) name" gives number 7 a name, "(7)" is that name.
fn named<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    match text.split_once(' ') {
        Some((number, name)) if number.starts_with('(') => {
            names.insert(number, name);
            name
        }
        _ => names.get(text).copied().unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\nevents: Ir\n\nfl=(1) a.rs\nfn=(1) main\n10 5\n+2 7\ncfn=(2) copy\n\
        calls=3 20\n12 900\n13 1\n\nfn=(2)\n20 900\n\nfn=(1)\n* 2\n\ntotals: 915\n";

    #[test]
    fn only_a_functions_own_cost_counts() {
        let profile = Profile::parse(FILE).unwrap();
        let found = profile.minus(&Profile::default());
        assert_eq!(found, [("copy".to_owned(), 900.0), ("main".to_owned(), 15.0)]);
        assert_eq!(profile.minus(&profile)[0].1, 0.0);
        assert!(Profile::parse("version: 1\n").is_err());
    }
}

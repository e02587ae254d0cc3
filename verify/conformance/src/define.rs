//! `-D name=value`. Owns: where in a script's text a word is replaced. Must not know: grammar.
//!
//! A word is looked up before anything else is made of it, but not in comments, option lines, texts,
//! commands and code, as in the field's runner.

use std::borrow::Cow;

/// The text with defined words replaced. Lines stay where they were.
pub fn replace<'a>(text: &'a str, definitions: &[(String, String)]) -> Cow<'a, str> {
    if definitions.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = verbatim(rest, out.is_empty() || out.ends_with('\n'));
        if length > 0 {
            out.push_str(rest.get(..length).unwrap_or(""));
            rest = rest.get(length..).unwrap_or("");
            continue;
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let word = rest.get(..length).unwrap_or("");
        let known = definitions.iter().find(|(name, _)| name == word);
        out.push_str(known.map_or(word, |(_, value)| value));
        rest = rest.get(length..).unwrap_or("");
    }
    Cow::Owned(out)
}

/// Octets of what stands as it is, if such a thing begins here.
fn verbatim(rest: &str, line_begins: bool) -> usize {
    let to = |end: &str, skip: usize| {
        let found = rest.get(skip..).and_then(|rest| rest.find(end));
        found.map_or(rest.len(), |at| at + skip + end.len())
    };
    match rest {
        _ if rest.starts_with("//") => to("\n", 2),
        _ if line_begins && rest.starts_with("--") => to("\n", 2),
        _ if rest.starts_with("/*") => to("*/", 2),
        _ if rest.starts_with("%{") => to("}%", 2),
        _ if rest.starts_with('`') => to("`", 1),
        _ if rest.starts_with('"') => to("\"", 1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_where_they_mean_something() {
        let all = [("WIN".to_string(), "100".to_string()), ("a".to_string(), "b".to_string())];
        let text = "--WIN=1\n// WIN\n0 < . win WIN `WIN` \"a\" a %{ a }% aWIN /* a */ a";
        let expected = "--WIN=1\n// WIN\n0 < . win 100 `WIN` \"a\" b %{ a }% aWIN /* a */ b";
        assert_eq!(replace(text, &all), expected);
    }
}

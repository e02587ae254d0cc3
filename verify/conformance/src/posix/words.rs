//! The words of a shell command. Owns: quotes, `$((…))`, redirections, pipes, what ends a command.
//! Must not know: what any command does.

use super::commands::Ran;

/// One command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// As written.
    pub text: String,
    /// Its words, quotes gone.
    pub words: Vec<String>,
    /// The words of what its output is piped through.
    pub pipe: Vec<Vec<String>>,
    /// The file its output goes to; nowhere is not told.
    pub output: Option<String>,
}

/// The commands of a text. An error is about one of them.
pub fn commands(text: &str) -> Vec<Result<Command, Ran>> {
    let joined = text.replace("\\\n", " ");
    let mut out = Vec::new();
    for line in joined.lines() {
        for part in split(line) {
            if !part.trim().is_empty() {
                out.push(command(part.trim()));
            }
        }
    }
    out
}

/// Cuts at `;` and `&&` outside quotes, and drops a comment.
fn split(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut from, mut quote, mut depth) = (0, None, 0u32);
    let octets = line.as_bytes();
    let mut at = 0;
    while at < octets.len() {
        let c = octets[at];
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(c),
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            (None, b'#') if at == 0 || octets[at - 1].is_ascii_whitespace() => break,
            (None, b';') if depth == 0 => {
                out.push(line.get(from..at).unwrap_or(""));
                from = at + 1;
            }
            (None, b'&') if octets.get(at + 1) == Some(&b'&') => {
                out.push(line.get(from..at).unwrap_or(""));
                at += 1;
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push(line.get(from..at).unwrap_or(""));
    out
}

fn command(text: &str) -> Result<Command, Ran> {
    let missing = || Ran::Missing(format!("shell command `{text}`"));
    let mut out = Command { text: text.to_string(), ..Command::default() };
    let mut place: Vec<String> = Vec::new();
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        if let Some(after) = rest.strip_prefix("||") {
            // `|| true`: a failure that does not matter.
            if after.trim() != "true" {
                return Err(missing());
            }
            break;
        }
        if let Some(after) = rest.strip_prefix('|') {
            parts.push(core::mem::take(&mut place));
            rest = after;
            continue;
        }
        if let Some(after) = ["2>&1", "2>/dev/null", "2> /dev/null", ">/dev/null", "> /dev/null"]
            .iter()
            .find_map(|sign| rest.strip_prefix(sign))
        {
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('>') {
            let (path, after) = word(after.trim_start()).ok_or_else(missing)?;
            out.output = Some(path);
            rest = after;
            continue;
        }
        let (one, after) = word(rest).ok_or_else(missing)?;
        place.push(one);
        rest = after;
    }
    parts.push(place);
    let mut parts = parts.into_iter();
    out.words = parts.next().unwrap_or_default();
    out.pipe = parts.collect();
    Ok(out)
}

/// The next word, quotes gone and sums done, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$((") {
            let (sum, after) = after.split_once("))")?;
            out.push_str(&product(sum)?.to_string());
            rest = after;
            continue;
        }
        match first {
            '\'' | '"' => {
                let (inside, after) = rest.get(1..)?.split_once(first)?;
                out.push_str(&expand(inside)?);
                rest = after;
            }
            c if c.is_whitespace() || c == '|' || c == '>' => break,
            '`' | '<' | '&' | '(' | ')' => return None,
            c => {
                out.push(c);
                rest = rest.get(c.len_utf8()..)?;
            }
        }
    }
    Some((out, rest))
}

/// Sums inside quotes.
fn expand(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$((") {
        let (sum, after) = after.split_once("))")?;
        out.push_str(before);
        out.push_str(&product(sum)?.to_string());
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// `a*b*c`, the only sums there are.
fn product(text: &str) -> Option<u64> {
    text.split('*').try_fold(1u64, |all, factor| all.checked_mul(factor.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_sums_and_pipes() {
        let text = "./defaults.sh\nsysctl -q a.b=\"1 $((2*3*4)) 5\" > /dev/null 2>&1; x # y\n\
                    nstat | grep Tcp | grep -q \" 3 \"\necho 1 > /proc/sys/z && true";
        let all: Vec<Command> = commands(text).into_iter().map(Result::unwrap).collect();
        let words: Vec<Vec<String>> = all.iter().map(|one| one.words.clone()).collect();
        let expected: [&[&str]; 6] = [
            &["./defaults.sh"],
            &["sysctl", "-q", "a.b=1 24 5"],
            &["x"],
            &["nstat"],
            &["echo", "1"],
            &["true"],
        ];
        assert_eq!(words, expected);
        assert_eq!(all[3].pipe, [vec!["grep", "Tcp"], vec!["grep", "-q", " 3 "]]);
        assert_eq!(all[4].output.as_deref(), Some("/proc/sys/z"));
        assert!(matches!(&commands("a < b")[..], [Err(Ran::Missing(_))]));
        assert!(matches!(&commands("a \"b")[..], [Err(Ran::Missing(_))]));
    }
}

//! From text to calls. Owns: arguments and results. Must not know: what a call does.

use crate::cursor::Cursor;
use crate::script::{Arg, Call, Stop};

/// A call with its result.
pub fn call(cursor: &mut Cursor<'_>) -> Result<Call, Stop> {
    let name = cursor.word().to_string();
    if name.is_empty() {
        return Err(cursor.error("an event expected"));
    }
    cursor.expect("(")?;
    let args = list(cursor, ")", 0)?;
    cursor.expect("=")?;
    let result = if cursor.eat("?") { None } else { Some(cursor.number()?) };
    cursor.skip_blanks();
    let errno = cursor.take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let errno = (!errno.is_empty()).then(|| errno.to_string());
    cursor.skip_blanks();
    if cursor.rest().starts_with('(') {
        cursor.until(")")?;
    }
    Ok(Call { name, args, result, errno })
}

fn list(cursor: &mut Cursor<'_>, close: &str, depth: usize) -> Result<Vec<Arg>, Stop> {
    let mut out = Vec::new();
    if cursor.eat(close) {
        return Ok(out);
    }
    loop {
        out.push(arg(cursor, depth)?);
        if cursor.eat(close) {
            return Ok(out);
        }
        cursor.expect(",")?;
    }
}

/// Nesting of lists and records at most: no script needs more than four.
const DEEPEST: usize = 16;

fn arg(cursor: &mut Cursor<'_>, depth: usize) -> Result<Arg, Stop> {
    if depth > DEEPEST {
        return Err(cursor.error("arguments nested too deeply"));
    }
    if cursor.eat("...") {
        return Ok(Arg::Ellipsis);
    }
    if cursor.eat("[") {
        return Ok(Arg::List(list(cursor, "]", depth + 1)?));
    }
    if cursor.eat("{") {
        return record(cursor, depth + 1);
    }
    cursor.skip();
    if cursor.peek() == Some('"') {
        return text(cursor);
    }
    if cursor.peek().is_some_and(|c| c.is_ascii_digit() || c == '-') {
        let before = cursor.clone();
        let value = cursor.number()?;
        cursor.skip();
        if cursor.peek() != Some('|') {
            return Ok(Arg::Number(value));
        }
        *cursor = before;
    }
    names(cursor, depth + 1)
}

/// Texts in a row are one; `...` after them is only a mark of the printer.
fn text(cursor: &mut Cursor<'_>) -> Result<Arg, Stop> {
    let mut out = String::new();
    while cursor.eat("\"") {
        out.push_str(cursor.until("\"")?);
    }
    cursor.eat("...");
    Ok(Arg::Text(out))
}

fn names(cursor: &mut Cursor<'_>, depth: usize) -> Result<Arg, Stop> {
    let mut out = Vec::new();
    loop {
        let name = cursor.word();
        if name.is_empty() {
            return Err(cursor.error("an argument expected"));
        }
        out.push(name.to_string());
        // htons(8080), inet_addr("…"): only their place matters, the mode says the addresses.
        if cursor.eat("(") {
            list(cursor, ")", depth)?;
        }
        if !cursor.eat("|") {
            return Ok(Arg::Names(out));
        }
    }
}

/// `{name=value, …}`, `{value, …}`, and `name(length)=value` where a length stands beside.
fn record(cursor: &mut Cursor<'_>, depth: usize) -> Result<Arg, Stop> {
    let mut out = Vec::new();
    loop {
        let before = cursor.clone();
        let mut name = cursor.word();
        if !name.is_empty() && cursor.eat("(") {
            list(cursor, ")", depth)?;
        }
        if name.is_empty() || !cursor.eat("=") {
            *cursor = before;
            name = "";
        }
        out.push((name.to_string(), arg(cursor, depth)?));
        if cursor.eat("}") {
            return Ok(Arg::Record(out));
        }
        cursor.expect(",")?;
    }
}

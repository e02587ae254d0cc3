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
    let args = list(cursor, ")")?;
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

fn list(cursor: &mut Cursor<'_>, close: &str) -> Result<Vec<Arg>, Stop> {
    let mut out = Vec::new();
    if cursor.eat(close) {
        return Ok(out);
    }
    loop {
        out.push(arg(cursor)?);
        if cursor.eat(close) {
            return Ok(out);
        }
        cursor.expect(",")?;
    }
}

fn arg(cursor: &mut Cursor<'_>) -> Result<Arg, Stop> {
    if cursor.eat("...") {
        return Ok(Arg::Ellipsis);
    }
    if cursor.eat("[") {
        return Ok(Arg::List(list(cursor, "]")?));
    }
    if cursor.eat("{") {
        return record(cursor);
    }
    if cursor.eat("\"") {
        return Ok(Arg::Text(cursor.until("\"")?.to_string()));
    }
    cursor.skip();
    if cursor.peek().is_some_and(|c| c.is_ascii_digit() || c == '-') {
        let value = cursor.number()?;
        return if cursor.eat("|") { names(cursor) } else { Ok(Arg::Number(value)) };
    }
    names(cursor)
}

fn names(cursor: &mut Cursor<'_>) -> Result<Arg, Stop> {
    let mut out = Vec::new();
    loop {
        let name = cursor.word();
        if name.is_empty() {
            return Err(cursor.error("an argument expected"));
        }
        out.push(name.to_string());
        // htons(8080), inet_addr("…"): only their place matters, the mode says the addresses.
        if cursor.eat("(") {
            list(cursor, ")")?;
        }
        if !cursor.eat("|") {
            return Ok(Arg::Names(out));
        }
    }
}

fn record(cursor: &mut Cursor<'_>) -> Result<Arg, Stop> {
    let mut out = Vec::new();
    loop {
        if cursor.eat("...") {
            out.push((String::new(), Arg::Ellipsis));
        } else {
            let name = cursor.word().to_string();
            // poll: {fd=4, events=…}; epoll: {events=…, fd=4}; lists of pairs have no other form.
            cursor.expect("=")?;
            out.push((name, arg(cursor)?));
        }
        if cursor.eat("}") {
            return Ok(Arg::Record(out));
        }
        cursor.expect(",")?;
    }
}

//! From text to a script. Owns: options, times, which kind of event a line is.
//! Must not know: packets and calls in detail.

use crate::cursor::Cursor;
use crate::icmp::icmp;
use crate::parse_call::call;
use crate::parse_packet::packet;
use crate::script::{Action, Event, Script, Stop, When};

/// Reads a whole script.
pub fn parse(text: &str) -> Result<Script, Stop> {
    let mut cursor = Cursor::new(text);
    let mut script = Script { options: options(&mut cursor), ..Script::default() };
    loop {
        cursor.skip();
        if cursor.rest().is_empty() {
            let empty = script.events.is_empty();
            return if empty { Err(cursor.error("a script without events")) } else { Ok(script) };
        }
        script.events.push(event(&mut cursor)?);
    }
}

/// The option lines alone.
pub fn parse_options(text: &str) -> Vec<(String, String)> {
    options(&mut Cursor::new(text))
}

fn options(cursor: &mut Cursor<'_>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    loop {
        cursor.skip();
        if !cursor.rest().starts_with("--") {
            return out;
        }
        out.push(option(cursor));
    }
}

/// `--name=value`, on one line: values may hold anything, colons and slashes too.
fn option(cursor: &mut Cursor<'_>) -> (String, String) {
    cursor.advance(2);
    let line = cursor.take_while(|c| c != '\n');
    let line = line.split("//").next().unwrap_or("").trim();
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    (name.trim().to_string(), value.trim().to_string())
}

fn event(cursor: &mut Cursor<'_>) -> Result<Event, Stop> {
    let (line, from) = (cursor.line(), cursor.at());
    // The first and the last command of a script stand without a time.
    let untimed = matches!(cursor.peek(), Some('`'));
    let when = if untimed { When::Relative(0) } else { when(cursor)? };
    let end = if cursor.eat("...") { Some(cursor.seconds()?) } else { None };
    cursor.skip();
    let action = if cursor.eat("<") {
        cursor.skip();
        if cursor.rest().starts_with("icmp") {
            Action::Icmp(icmp(cursor)?)
        } else {
            Action::Inbound(packet(cursor, true)?)
        }
    } else if cursor.eat(">") {
        Action::Outbound(packet(cursor, false)?)
    } else if cursor.eat("`") {
        Action::Shell(cursor.until("`")?.to_string())
    } else if cursor.eat("%{") {
        Action::Code(cursor.until("}%")?.to_string())
    } else {
        Action::Call(call(cursor)?, end)
    };
    let floating = matches!(when, When::Any | When::Range(..) | When::RelativeRange(..));
    if floating && !matches!(action, Action::Outbound(_)) {
        return Err(Stop::failed(line, "syntax: only an outbound packet may have a range or `*`"));
    }
    Ok(Event { line, text: cursor.since(from).to_string(), when, action })
}

fn when(cursor: &mut Cursor<'_>) -> Result<When, Stop> {
    if cursor.eat("*") {
        return Ok(When::Any);
    }
    let relative = cursor.eat("+");
    let first = cursor.seconds()?;
    if !cursor.eat("~") {
        return Ok(if relative { When::Relative(first) } else { When::Absolute(first) });
    }
    let second_relative = cursor.eat("+");
    let last = cursor.seconds()?;
    if relative != second_relative {
        return Err(cursor.error("both ends of a range are relative, or none"));
    }
    if last < first {
        return Err(cursor.error("a range ends after it begins"));
    }
    Ok(if relative { When::RelativeRange(first, last) } else { When::Range(first, last) })
}

//! Arguments of calls as values. Owns: how a word, a list, a record becomes a number or octets.
//! Must not know: calls.

use crate::posix::names;
use crate::script::Arg;

/// Something that the runner does not know, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing(pub String);

/// A number, or names joined by `|`. `...` is zero.
pub fn number(arg: &Arg) -> Result<i64, Missing> {
    match arg {
        Arg::Number(number) => Ok(*number),
        Arg::Ellipsis => Ok(0),
        Arg::Names(words) => {
            let mut sum = 0;
            for word in words {
                sum |= word_number(word)?;
            }
            Ok(sum)
        }
        Arg::List(list) if list.len() == 1 => number(&list[0]),
        other => Err(Missing(format!("`{}` as a number", text_of(other)))),
    }
}

fn word_number(word: &str) -> Result<i64, Missing> {
    names::number(word).or_else(|| word.parse().ok()).ok_or_else(|| Missing(format!("`{word}`")))
}

/// Whether `name` is among the names of an argument.
pub fn flag(arg: &Arg, name: &str) -> bool {
    match arg {
        Arg::Names(names) => names.iter().any(|one| one == name),
        Arg::Record(fields) => fields.iter().any(|(_, arg)| flag(arg, name)),
        _ => false,
    }
}

/// The type of a socket; `...` is a stream.
pub fn socket_type(arg: &Arg) -> Result<i64, Missing> {
    if *arg == Arg::Ellipsis { Ok(names::SOCK_STREAM) } else { number(arg) }
}

/// The octets of an option's value: integers of four octets, text as it is.
pub fn octets_of(arg: &Arg) -> Result<Vec<u8>, Missing> {
    match arg {
        Arg::Text(text) => Ok(text.as_bytes().to_vec()),
        Arg::List(list) => Ok(list.iter().map(octets_of).collect::<Result<Vec<_>, _>>()?.concat()),
        Arg::Record(fields) => {
            let all = fields.iter().map(|(_, arg)| octets_of(arg));
            Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
        }
        other => Ok((number(other)? as i32).to_ne_bytes().to_vec()),
    }
}

/// The fields of a record by name; one that is not there is `...`.
pub fn fields<'a>(arg: &'a Arg) -> Result<impl Fn(&str) -> &'a Arg, Missing> {
    match arg {
        Arg::Record(fields) => Ok(move |name: &str| field(fields, name)),
        other => Err(Missing(format!("`{}` instead of a record", text_of(other)))),
    }
}

fn field<'a>(fields: &'a [(String, Arg)], name: &str) -> &'a Arg {
    fields.iter().find(|(key, _)| key == name).map_or(&Arg::Ellipsis, |(_, arg)| arg)
}

/// An argument as it was written, nearly.
pub fn text_of(arg: &Arg) -> String {
    let joined = |list: &[Arg]| list.iter().map(text_of).collect::<Vec<_>>().join(", ");
    match arg {
        Arg::Number(number) => number.to_string(),
        Arg::Names(names) => names.join("|"),
        Arg::Text(text) => format!("\"{text}\""),
        Arg::Ellipsis => "...".to_string(),
        Arg::List(list) => format!("[{}]", joined(list)),
        Arg::Record(fields) => {
            let field = |(name, arg): &(String, Arg)| {
                if name.is_empty() { text_of(arg) } else { format!("{name}={}", text_of(arg)) }
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

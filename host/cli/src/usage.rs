//! The command line, read. Owns: clap's many errors in our two lines.
//! Must not know: what the options mean.

use crate::fault::Fault;
use crate::options::Cli;
use clap::Parser;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;

/// What reading the command line came to.
#[derive(Debug)]
pub enum Usage {
    /// Do this.
    Run(Box<Cli>),
    /// Print this to stdout and end well: help or version.
    Show(String),
    /// It was wrong.
    Wrong(Fault),
}

/// Reads a command line, the program's name first.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Usage {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => Usage::Run(Box::new(cli)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Usage::Show(error.render().to_string())
            }
            _ => Usage::Wrong(two_lines(&error, &see_help(&arguments))),
        },
    }
}

fn two_lines(error: &Error, see_help: &str) -> Fault {
    let argument = context(error, ContextKind::InvalidArg);
    let value = context(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::ValueValidation => validation(error, &argument, &value, see_help),
        ErrorKind::InvalidValue if value.is_empty() => {
            Fault::usage(format!("{} needs a value", option(&argument)), see_help)
        }
        ErrorKind::InvalidValue => Fault::usage(
            format!("{} {value}: there is no such choice", option(&argument)),
            format!("use one of: {}", context(error, ContextKind::ValidValue)),
        ),
        ErrorKind::UnknownArgument => unknown(error, &argument, see_help),
        ErrorKind::InvalidSubcommand => Fault::usage(
            format!("there is no command \"{}\"", context(error, ContextKind::InvalidSubcommand)),
            "use serve, services, connect or sim; `usertcp --help` shows examples",
        ),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Fault::usage("no command was given", "try `usertcp serve`, or `usertcp --help`")
        }
        ErrorKind::MissingRequiredArgument => {
            Fault::usage(format!("{argument} is missing"), see_help)
        }
        ErrorKind::ArgumentConflict => {
            Fault::usage(format!("{argument} was given more than once"), "give it once")
        }
        _ => Fault::usage(first_line(error), see_help),
    }
}

/// A value that one of our parsers refused: its fault, with the option in front.
fn validation(error: &Error, argument: &str, value: &str, see_help: &str) -> Fault {
    let place = format!("{} {value}", option(argument));
    match error.source().and_then(|source| source.downcast_ref::<Fault>()) {
        Some(fault) => fault.clone().within(place),
        None => {
            let why = error.source().map_or_else(|| "not understood".into(), ToString::to_string);
            Fault::usage(format!("{place}: {why}"), see_help)
        }
    }
}

fn unknown(error: &Error, argument: &str, see_help: &str) -> Fault {
    let likely = context(error, ContextKind::SuggestedArg);
    let remedy =
        if likely.is_empty() { see_help.into() } else { format!("did you mean {likely}?") };
    let noun = if argument.starts_with('-') { "option" } else { "argument" };
    Fault::usage(format!("there is no {noun} {argument} here"), remedy)
}

/// `"--addr"` out of clap's `"--addr <CIDR>"`; `"PORT"` out of `"<PORT>"`.
fn option(argument: &str) -> &str {
    let name = argument.split_whitespace().next().unwrap_or(argument);
    name.trim_start_matches(['<', '[']).trim_end_matches(['>', ']'])
}

/// Where the help is that has the answer.
fn see_help(arguments: &[OsString]) -> String {
    let command = arguments
        .get(1)
        .and_then(|word| word.to_str())
        .filter(|word| matches!(*word, "serve" | "services" | "connect" | "sim"));
    match command {
        Some(name) => format!("`usertcp {name} --help` shows what it takes"),
        None => "`usertcp --help` shows what it takes".to_owned(),
    }
}

fn first_line(error: &Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn context(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        Some(ContextValue::StyledStrs(texts)) => {
            texts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;

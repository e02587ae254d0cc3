//! `idle`: what connections cost while nothing happens on them, and when something does.
//!
//! Owns: which process measures what, in which order. Must not know: how any of it is measured.

mod child;
mod figures;
mod held;
mod options;
mod packet;
mod peers;
mod progress;
mod quantile;
mod site;
mod tuple;

use crate::Outcome;
use options::{HELP, Options};

/// Reads `words`, measures, prints.
pub fn run(words: impl Iterator<Item = String>) -> Result<Outcome, String> {
    let Some(options) = Options::read(words)? else {
        print!("{HELP}");
        return Ok(Outcome::Done);
    };
    if let Some(role) = options.role {
        return child::run(&options, role).map(|()| Outcome::Done);
    }
    Ok(Outcome::Done)
}

//! `memory`: what a connection costs while nothing happens on it.
//!
//! Owns: the counting, the table, the promised numbers. Must not know: how connections come about.

mod counting;

use crate::Outcome;
use crate::machine;
use crate::options::MemoryOptions;

/// Measures and prints.
pub fn run(options: &MemoryOptions) -> Result<Outcome, String> {
    let _ = (options.connections, &options.json, counting::heap(), machine::resident_octets());
    Ok(Outcome::Skipped("memory: the shard is not in the workspace yet".into()))
}

//! Virtual time, links, faults, workloads, oracles, seeds.
//!
//! Owns: the world around two or more stacks: links that lose, delay, reorder, duplicate, corrupt and
//! limit; applications; judges. A run is a function of its seed.
//! Must not know: any clock.

pub mod host;
pub mod link;
pub mod mark;
pub mod middlebox;
pub mod mixed;
pub mod oracle;
pub mod scenario;
pub mod signal;
pub mod stream;
pub mod table;
pub mod trial;
pub mod view;
pub mod world;

/// A number from the environment, for what is run by hand: which seeds, how many.
pub fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

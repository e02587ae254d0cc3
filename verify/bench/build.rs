//! Tells the program which commit it is built from (`src/revision.rs`), as `USERTCP_REVISION`.
//!
//! Cargo runs this again when another commit is checked out or made, and when any source changes by what cargo itself
//! would see: so `+changes` is as right as the program is fresh.

#[path = "src/revision.rs"]
mod revision;

use std::path::Path;

/// The checkout's root from here. Cargo takes paths from here too, so they are good in another checkout that uses the
/// same target directory.
const ROOT: &str = "../..";

fn main() {
    let revision = revision::of(Path::new(ROOT));
    let name = revision.as_ref().map_or("unknown", |revision| &revision.name);
    println!("cargo::rustc-env=USERTCP_REVISION={name}");
    // A checkout's directory of git's, or a worktree's file, and what is in the former is not looked at as a whole.
    let link = Path::new(ROOT).join(".git");
    let watched = revision.iter().flat_map(|revision| revision.watched.iter().cloned());
    for path in watched.chain(link.is_file().then_some(link)) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for source in revision::SOURCES {
        println!("cargo::rerun-if-changed={ROOT}/{source}");
    }
}

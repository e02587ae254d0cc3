//! A thread's core. Owns: the choice among those the process may use. Must not know: why.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Keeps this thread on the core at `index` of those it may use, counted around.
///
/// # Errors
/// The system's.
pub(crate) fn pin(index: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let Some(core) = cores.get(index % cores.len().max(1)) else {
        return Err(io::Error::other("the process may use no core"));
    };
    let mut only = CpuSet::new();
    only.set(*core);
    Ok(sched_setaffinity(None, &only)?)
}

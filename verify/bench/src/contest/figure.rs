//! The figures that are told of runs. Owns: their units, and which way is better.
//! Must not know: who is compared with whom.

use crate::run::Run;

/// One number of a run.
pub struct Figure {
    /// Its unit.
    pub unit: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// How it comes from a run, if the run knows it.
    pub of: fn(&Run) -> Option<f64>,
}

const fn figure(unit: &'static str, more_is_better: bool, of: fn(&Run) -> Option<f64>) -> Figure {
    Figure { unit, more_is_better, of }
}

/// Octets by the clock.
pub static GIGABITS: Figure = figure("Gbit/s", true, |run| Some(run.gigabits()));
/// Octets by the CPU time of both ends.
pub static GIGABITS_PER_CORE: Figure =
    figure("Gbit/s per core", true, |run| Some(run.gigabits_per_core()));
/// What octets cost the server.
pub static SERVER_PER_GIB: Figure =
    figure("server CPU s/GiB", false, |run| Some(run.server_seconds_per_gib()));
/// Operations by the clock.
pub static THOUSANDS: Figure = figure("thousand/s", true, |run| Some(run.thousands()));
/// What an operation costs both ends.
pub static CPU_OF_BOTH: Figure = figure("us of both ends", false, |run| Some(run.cpu_us_of_both()));
/// What an operation costs the server.
pub static SERVER_CPU: Figure = figure("server CPU us", false, |run| Some(run.server_us()));
/// How often the server's CPU went to another thread, or nobody, for an operation.
pub static SWITCHES: Figure = figure("context switches", false, |run| {
    run.server_switches.map(|switches| switches / run.operations)
});
/// System calls of the server for an operation.
pub static CALLS: Figure =
    figure("system calls", false, |run| run.server_calls.map(|calls| calls / run.operations));
/// The wait that all but one of a hundred had at most.
pub static P99: Figure = figure("p99 us", false, |run| run.p99_us);

impl Figure {
    /// Whether `ratio` is what was asked.
    pub fn is_reached(&self, ratio: f64, bound: f64) -> bool {
        if self.more_is_better { ratio >= bound } else { ratio <= bound }
    }
}

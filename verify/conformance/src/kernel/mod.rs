//! The Linux kernel as referee: the same scripts, in real time, against its TCP.
//!
//! Owns: which thread does what, and what must be there for it. Must not know: the stack; how
//! packets are compared (`compare` does it for both).
//!
//! Each script has a network namespace of its own, which ends with its threads: a TUN device with
//! the address the mode names is all that is in it, and settings of the kernel are set inside.
//! The script's thread reads and writes packets; calls that may wait are made on other threads.

mod calls;
mod drive;
mod epoll;
pub mod info;
mod link;
pub mod report;
mod sockopt;
mod sysctl;

use crate::options::{Mode, Setup};
use crate::parse::parse;
use crate::run::{Extra, with_definitions};
use crate::script::Stop;
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::time::Duration;

/// Real time, as the thread that runs a script would have it.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Least tolerance of times: what this machine may be late by.
    pub tolerance: Duration,
    /// A script whose scheduled times are longer than this is not run.
    pub longest: Duration,
    /// How often a script is run until it agrees: real time is unruly.
    pub attempts: u8,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            tolerance: Duration::from_millis(20),
            longest: Duration::from_secs(200),
            attempts: 2,
        }
    }
}

/// Why the kernel cannot be asked here; `None`: it can.
pub fn unavailable() -> Option<String> {
    if let Err(error) = usertcp_device_linux::tun::check_permission() {
        return Some(error.to_string());
    }
    inside(|| Ok(())).err().map(|error| format!("a network namespace cannot be made: {error}"))
}

/// Runs `work` on a thread of its own, in a network namespace of its own.
fn inside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            work()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the script's thread panicked")))
    })
}

/// How long a script takes at least by its times; `None`: it is no script.
pub fn scheduled(text: &str) -> Option<Duration> {
    Some(Duration::from_micros(drive::scheduled(&parse(text).ok()?)))
}

/// Runs the text of a script against the kernel.
///
/// # Errors
/// As in virtual time; what the machine refuses is `Unsupported`.
pub fn run_text(text: &str, v6: bool, patience: Patience) -> Result<(), Stop> {
    // The kernel chooses its initial numbers: they cannot be made to wrap.
    let mode = Mode { v6, ..Mode::default() };
    let script = parse(&with_definitions(text, mode, &Extra::default()))?;
    let mut setup = Setup::new(&script, mode)?;
    if setup.merged_mss.is_some() || setup.forgives_packets || setup.forgives_calls {
        return Err(Stop::unsupported(1, "`--mss` and `--non_fatal` in real time"));
    }
    setup.tolerance = setup.tolerance.max(patience.tolerance.as_micros() as u64);
    let scheduled = Duration::from_micros(drive::scheduled(&script));
    if scheduled > patience.longest {
        let reason = format!("it takes {} s of real time", scheduled.as_secs());
        return Err(Stop::unsupported(1, reason));
    }
    let result = inside(|| {
        sysctl::prepare()?;
        report::comment(text, "kernel sysctl").map_or(Ok(()), |words| sysctl::set_all(&words))?;
        let link = link::Link::open(&setup)?;
        Ok(drive::Drive::new(setup, link)?.execute(&script))
    });
    result.unwrap_or_else(|error| Err(Stop::unsupported(1, format!("set up: {error}"))))
}

//! How other threads get the worker's attention.
//!
//! Owns: the two flags and the event counter. Must not know: what was put where.
//!
//! The protocol, of which every step is needed:
//!
//! ```text
//! ringer                            worker
//! 1. put something somewhere        1. take_rung(), then look everywhere
//! 2. rung   := true                 2. asleep := true
//! 3. asleep == true?                3. rung == true?
//!    then wake by the counter          then do not sleep
//! ```
//!
//! Both sides write one flag and then read the other, all in sequentially consistent order: at
//! least one of them sees the other's write (Dekker), so either the ringer wakes the worker or the
//! worker does not sleep. A worker that is awake costs a ringer no system call.

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A bell one worker listens to.
#[derive(Debug)]
pub(crate) struct Doorbell {
    rung: AtomicBool,
    asleep: AtomicBool,
    counter: OwnedFd,
}

impl Doorbell {
    /// A new bell.
    ///
    /// # Errors
    /// The system's, when it has no file descriptor left.
    pub(crate) fn new() -> io::Result<Doorbell> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Doorbell { rung: AtomicBool::new(false), asleep: AtomicBool::new(false), counter })
    }

    /// Gets the worker to look. Call it after the thing to look at is in its place.
    pub(crate) fn ring(&self) {
        // One ring is enough until the worker has taken it: what was put before this read is seen
        // by the worker's look, which comes after its swap of the same flag.
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        // The swap leaves the writing to one of many ringers.
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Cannot fail but by overflow of the counter, and then the worker wakes anyway.
            let _ = rustix::io::write(&self.counter, &1u64.to_ne_bytes());
        }
    }

    /// Whether it rang since the last call. The worker looks everywhere after this.
    pub(crate) fn take_rung(&self) -> bool {
        // A plain read first: an idle bell's cache line stays shared.
        self.rung.load(Ordering::SeqCst) && self.rung.swap(false, Ordering::SeqCst)
    }

    /// Announces sleep. False: it rang meanwhile, do not sleep.
    #[must_use]
    pub(crate) fn lie_down(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        if self.rung.load(Ordering::SeqCst) {
            self.get_up(false);
            return false;
        }
        true
    }

    /// Ends sleep. `signalled`: the counter was seen readable.
    pub(crate) fn get_up(&self, signalled: bool) {
        let woken = !self.asleep.swap(false, Ordering::SeqCst);
        // When a ringer has taken the flag, its write comes or has come: it is left in the counter
        // if it comes late, and ends the next sleep early, once.
        if signalled || woken {
            let mut octets = [0; 8];
            let _ = rustix::io::read(&self.counter, &mut octets);
        }
    }

    /// What to wait on.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.counter.as_fd()
    }
}

#[cfg(test)]
mod tests;

//! Sleep. Owns: the one system call the worker blocks in.
//! Must not know: what the deadline is for.

use crate::runtime::doorbell::Doorbell;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, RawFd};

/// How long a device that reports nothing but an error is left alone: as an error may be gone once it was
/// received, little at first, and twice as long each time.
const FIRST_REST_NANOS: u64 = 1_000_000;
/// The longest.
const MOST_REST_NANOS: u64 = 128_000_000;

/// What ended a sleep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// The doorbell's counter is readable.
    pub(crate) doorbell: bool,
}

/// Waits for the doorbell, the device and the deadline.
#[derive(Debug)]
pub(crate) struct Waiter {
    device: Option<RawFd>,
    /// The device failed the last time: a sleep on it would end at once. For so long it is left alone.
    rest_nanos: Option<u64>,
}

impl Waiter {
    /// `device`: what becomes readable when a packet arrives.
    pub(crate) fn new(device: Option<RawFd>) -> Waiter {
        Waiter { device, rest_nanos: None }
    }

    /// Asks the kernel to end this thread's sleeps when they are due: by default it may be 50 µs
    /// late, and pacing waits are not much longer than that.
    pub(crate) fn sharpen() {
        // Where it is refused, sleeps are only less sharp.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
    }

    /// Sleeps until the doorbell or the device is readable, or for `nanos`.
    pub(crate) fn sleep(&mut self, doorbell: &Doorbell, nanos: Option<u64>) -> Woken {
        let bell = PollFd::from_borrowed_fd(doorbell.descriptor(), PollFlags::IN);
        let Some(device) = self.device.map(borrow) else {
            return Woken { doorbell: wait(&mut [bell], nanos).contains(PollFlags::IN) };
        };
        let device = PollFd::from_borrowed_fd(device, PollFlags::IN);
        let doorbell = if let Some(rest) = self.rest_nanos {
            let rung = wait(&mut [bell], Some(nanos.map_or(rest, |nanos| nanos.min(rest))));
            let device = wait(&mut [device], Some(0));
            self.judge(device);
            rung
        } else {
            let mut both = [bell, device];
            let rung = wait(&mut both, nanos);
            self.judge(both[1].revents());
            rung
        };
        Woken { doorbell: doorbell.contains(PollFlags::IN) }
    }

    /// Whether the device is worth a sleep, by what it reports.
    fn judge(&mut self, device: PollFlags) {
        let error = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        self.rest_nanos = if !device.intersects(error) || device.contains(PollFlags::IN) {
            None
        } else {
            let rest = |rest: u64| rest.saturating_mul(2).min(MOST_REST_NANOS);
            Some(self.rest_nanos.map_or(FIRST_REST_NANOS, rest))
        };
    }
}

/// Waits for any of `descriptors`, or for `nanos`; what the first reports.
fn wait(descriptors: &mut [PollFd<'_>], nanos: Option<u64>) -> PollFlags {
    let timeout = nanos.map(|nanos| Timespec {
        tv_sec: (nanos / 1_000_000_000) as i64,
        tv_nsec: (nanos % 1_000_000_000) as i64,
    });
    // An error is a signal that came: the turn goes on.
    let _ = poll(descriptors, timeout.as_ref());
    descriptors.first().map_or(PollFlags::empty(), PollFd::revents)
}

/// Not safe code, because the device trait, which must do without an operating system, gives a bare
/// number.
#[allow(unsafe_code)]
pub(crate) fn borrow<'a>(device: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the number comes from the queue's `wait_handle`, which promises that it stays open as
    // long as the queue; the worker owns the queue and drops it after its last sleep. Were that
    // promise broken, `poll` would report an error for a number that is not open: memory is safe
    // either way.
    unsafe { BorrowedFd::borrow_raw(device) }
}

#[cfg(test)]
mod tests;

//! Sleep. Owns: the one system call the worker blocks in.
//! Must not know: what the deadline is for.

use crate::runtime::doorbell::Doorbell;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, RawFd};

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
}

impl Waiter {
    /// `device`: what becomes readable when a packet arrives.
    pub(crate) fn new(device: Option<RawFd>) -> Waiter {
        Waiter { device }
    }

    /// Asks the kernel to end this thread's sleeps when they are due: by default it may be 50 µs
    /// late, and pacing waits are not much longer than that.
    pub(crate) fn sharpen() {
        // Where it is refused, sleeps are only less sharp.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
    }

    /// Sleeps until the doorbell or the device is readable, or for `nanos`.
    pub(crate) fn sleep(&mut self, doorbell: &Doorbell, nanos: Option<u64>) -> Woken {
        let timeout = nanos.map(|nanos| Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as i64,
        });
        let bell = PollFd::from_borrowed_fd(doorbell.descriptor(), PollFlags::IN);
        let mut both = match self.device {
            Some(device) => {
                let device = borrow(device);
                [bell, PollFd::from_borrowed_fd(device, PollFlags::IN)]
            }
            None => [bell.clone(), bell],
        };
        let waited = if self.device.is_some() { &mut both[..] } else { &mut both[..1] };
        // An error is a signal that came, or a device that went: both are for the turn to see.
        let _ = poll(waited, timeout.as_ref());
        Woken { doorbell: both[0].revents().contains(PollFlags::IN) }
    }
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

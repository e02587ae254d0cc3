//! A descriptor the driver sleeps on.
//! Owns: its registration with Tokio's reactor. Must not know: what becomes readable.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of our own, so that it stays open as long as it is registered.
pub(crate) struct Watch {
    descriptor: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Registers `descriptor`, inside of a runtime.
    // Not safe code, because Tokio cannot know that what it is given stays open.
    #[allow(unsafe_code)]
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Watch> {
        // SAFETY: an `OwnedFd` is open and names the same description until it is dropped, which the
        // `AsyncFd` does after its registration; it is never replaced or taken out.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Watch { descriptor: registered? })
    }

    /// Registers a duplicate of `descriptor`.
    pub(crate) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Watch> {
        Watch::new(descriptor.try_clone_to_owned()?)
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        self.descriptor.get_ref()
    }

    /// Forgets the readiness of what was read until nothing was left, and waits for the next. False: it
    /// does not end, as that of a descriptor that failed.
    pub(crate) fn wait(&self, context: &mut Context<'_>) -> bool {
        for _ in 0..3 {
            match self.descriptor.poll_read_ready(context) {
                Poll::Pending => return true,
                Poll::Ready(Ok(mut ready)) => ready.clear_ready(),
                Poll::Ready(Err(_)) => return false,
            }
        }
        false
    }
}

//! Many threads to one worker. Owns: the inbox.
//! Must not know: what is in it.

use crate::runtime::doorbell::Doorbell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks, whatever another thread died of: every critical section of this crate leaves its data
/// whole at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue that the worker takes whole.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    /// A hint that saves the worker the lock.
    filled: AtomicBool,
    doorbell: Arc<Doorbell>,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: Vec<T>,
    closed: bool,
}

impl<T> Inbox<T> {
    /// An empty one whose worker is at `doorbell`.
    pub(crate) fn new(doorbell: Arc<Doorbell>) -> Inbox<T> {
        let queue = Mutex::new(Queue { waiting: Vec::new(), closed: false });
        Inbox { queue, filled: AtomicBool::new(false), doorbell }
    }

    /// Puts one thing in and rings. `Err`: nobody takes it any more.
    pub(crate) fn push(&self, thing: T) -> Result<(), T> {
        self.put(thing)?;
        self.doorbell.ring();
        Ok(())
    }

    /// Puts one thing in. Somebody is to ring.
    pub(crate) fn put(&self, thing: T) -> Result<(), T> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(thing);
        }
        queue.waiting.push(thing);
        self.filled.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Whether something waits.
    #[cfg(feature = "relay")]
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::SeqCst)
    }

    /// Exchanges what waits with `empty`.
    pub(crate) fn take(&self, empty: &mut Vec<T>) {
        debug_assert!(empty.is_empty());
        if self.filled.load(Ordering::SeqCst) {
            let mut queue = lock(&self.queue);
            self.filled.store(false, Ordering::Relaxed);
            std::mem::swap(&mut queue.waiting, empty);
        }
    }

    /// Takes nothing more, and gives back what waits.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        std::mem::take(&mut queue.waiting)
    }
}

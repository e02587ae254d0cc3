//! One answer from the worker to whoever asked.
//! Owns: the slot, and the two ways to wait for it. Must not know: the question.

use crate::runtime::commands::lock;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

#[derive(Debug)]
struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
    /// Nobody will answer.
    gone: bool,
    /// Nobody waits.
    unwanted: bool,
}

/// The answering end. Dropped without an answer, the asker learns that there is none.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

/// The asking end: `None` when the worker went away.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

/// A question's two ends.
pub(crate) fn question<T>() -> (Reply<T>, Answer<T>) {
    let slot = Slot { answer: None, waker: None, gone: false, unwanted: false };
    let slot = Arc::new(Mutex::new(slot));
    (Reply { slot: Arc::clone(&slot) }, Answer { slot })
}

impl<T> Reply<T> {
    /// Answers. `Err`: nobody waits any more.
    pub(crate) fn send(self, answer: T) -> Result<(), T> {
        let mut slot = lock(&self.slot);
        if slot.unwanted {
            return Err(answer);
        }
        slot.answer = Some(answer);
        Ok(())
        // Dropping `self` wakes the asker, after the lock is gone.
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = lock(&self.slot);
            slot.gone = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let late = {
            let mut slot = lock(&self.slot);
            slot.unwanted = true;
            slot.answer.take()
        };
        drop(late);
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = lock(&self.slot);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(Some(answer));
        }
        if slot.gone {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `future` with this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

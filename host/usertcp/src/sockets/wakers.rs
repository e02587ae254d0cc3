//! Who waits for one thing. Owns: a set of wakers. Must not know: the thing.

use std::task::Waker;

/// Tasks to wake, each once. Nearly always none or one, which costs no heap.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    more: Vec<Waker>,
}

/// So many tasks are remembered; the next one wakes them all. They find that nothing happened
/// and come again, which is correct, and bounds what futures that were dropped leave behind.
const MOST: usize = 32;

impl Wakers {
    /// Adds the task behind `waker`. What is returned is to be woken once no lock is held.
    #[must_use]
    pub(crate) fn add(&mut self, waker: &Waker) -> Wakers {
        let Some(first) = &self.first else {
            self.first = Some(waker.clone());
            return Wakers::default();
        };
        if first.will_wake(waker) || self.more.iter().any(|other| other.will_wake(waker)) {
            return Wakers::default();
        }
        let crowd = if self.more.len() < MOST { Wakers::default() } else { self.take() };
        self.more.push(waker.clone());
        crowd
    }

    /// All of them; the set is empty then.
    #[must_use]
    pub(crate) fn take(&mut self) -> Wakers {
        std::mem::take(self)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_empty()
    }

    /// Wakes them. Never under a lock: a waker may run code that takes it again.
    pub(crate) fn wake(self) {
        self.first.into_iter().chain(self.more).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_task_is_woken_once() {
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count(AtomicU32::new(0)))).collect();
        let mut wakers = Wakers::default();
        for _ in 0..2 {
            for count in &counts {
                wakers.add(&Waker::from(Arc::clone(count))).wake();
            }
        }
        assert!(!wakers.is_empty());
        wakers.take().wake();
        assert!(wakers.is_empty());
        assert!(counts.iter().all(|count| count.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn a_crowd_is_woken_rather_than_kept() {
        let count = Arc::new(Count(AtomicU32::new(0)));
        let mut wakers = Wakers::default();
        for _ in 0..100 {
            let other = Arc::new(Count(AtomicU32::new(0)));
            wakers.add(&Waker::from(Arc::clone(&other))).wake();
            std::mem::forget(other); // keeps the addresses apart
        }
        wakers.add(&Waker::from(Arc::clone(&count))).wake();
        assert!(wakers.more.len() <= MOST);
        wakers.take().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}

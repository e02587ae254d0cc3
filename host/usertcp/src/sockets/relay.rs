//! One wake-up for a whole burst.
//!
//! Owns: the relays, one task of ours in each Tokio runtime whose tasks wait for streams; who is to be
//! woken by which; when a ring may wait. Must not know: streams, what the woken tasks do.
//!
//! To wake a task of a runtime from another thread costs a lock and mostly a system call, each time. So the
//! worker hands the tasks of one round to the relay of their runtime, wakes that alone, and the relay wakes
//! them where it is cheap. The tasks' answers would each wake the worker: while a relay is at it (its batch
//! is *open*) they go to the inbox without a ring, but for every sixteenth. The relay queues behind those it
//! woke; when its turn comes again and nobody new is to be woken, it closes the batch and rings once.
//!
//! ```text
//! who answers                      the relay
//! 1. inbox filled                  1. batch closed
//! 2. a batch open?                 2. inbox filled?
//!    else ring                        then ring
//! ```
//! All four in sequentially consistent order: no answer is left without a ring. And because a runtime may
//! stand still, a task may compute for long, or be polled in the name of another runtime than its own, the
//! worker sleeps no longer than [`PATIENCE`] while a batch is open. Then it closes the batch itself, looks
//! at the inbox once more, and wakes those whom the relay did not take; the relay gets no more until it was
//! seen alive. So a wake-up may come late, but is never lost.

use crate::runtime::commands::lock;
use crate::sockets::hub::Hub;
use crate::sockets::wakers::Wakers;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use usertcp_base::{Instant, Span};

/// How long a worker waits for a relay.
pub(crate) const PATIENCE: Span = Span::from_millis(1);
/// Of so many answers one rings, even while a batch is open: on another processor the worker begins to
/// send meanwhile.
const RING_EVERY: u32 = 16;
/// Which relay wakes a task. The default: none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Via(u8);

/// Tasks that wait for one thing, and who is to wake them.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    wakers: Wakers,
    via: Via,
}

impl Waiting {
    /// Adds the task behind `waker`. What is returned is to be woken once no lock is held.
    #[must_use]
    pub(crate) fn add(&mut self, waker: &Waker, via: Via) -> Wakers {
        // Tasks of several runtimes have no relay in common.
        self.via = if self.wakers.is_empty() || self.via == via { via } else { Via::default() };
        self.wakers.add(waker)
    }
    /// All of them; the set is empty then.
    #[must_use]
    pub(crate) fn take(&mut self) -> Waiting {
        std::mem::take(self)
    }
    /// Wakes them from here. Never under a lock.
    pub(crate) fn wake(self) {
        self.wakers.wake();
    }
}

/// Lets the task behind `waker` wait, and gives the lock back.
pub(crate) fn wait<S>(
    hub: &Arc<Hub>,
    mut state: MutexGuard<'_, S>,
    waker: &Waker,
    of: impl FnOnce(&mut S) -> &mut Waiting,
) {
    let found = find(hub.serial, waker);
    let via = match found {
        Found::Known(via) => via,
        Found::Unknown => Via::default(),
    };
    let crowd = of(&mut state).add(waker, via);
    drop(state);
    crowd.wake();
    if matches!(found, Found::Unknown) {
        engage(hub);
    }
}

/// The relays of one hub.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    list: Mutex<List>,
    /// Relays whose batch is open.
    open: AtomicUsize,
    /// Answers that did not ring at once.
    deferred: AtomicU32,
}

#[derive(Debug, Default)]
struct List {
    relays: Vec<Arc<Relay>>,
    #[cfg(feature = "relay")]
    runtimes: Vec<tokio::runtime::Id>,
    closed: bool,
}

/// What a relay shares with the worker.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Wakers>,
    task: Option<Waker>,
    /// The relay has something to do, and knows it.
    open: bool,
    /// It left tasks for longer than the worker's patience, and was not polled since.
    stalled: bool,
    /// Its runtime, or the stack, is gone.
    over: bool,
}

impl Relays {
    /// Whether an answer may wait for a relay's ring. The inbox is filled already.
    pub(crate) fn ring_can_wait(&self) -> bool {
        self.open.load(Ordering::SeqCst) > 0
            && self.deferred.fetch_add(1, Ordering::Relaxed) % RING_EVERY != RING_EVERY - 1
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst) > 0
    }

    /// The stack is gone: relays end.
    pub(crate) fn close(&self) {
        let relays = {
            let mut list = lock(&self.list);
            list.closed = true;
            std::mem::take(&mut list.relays)
        };
        for relay in relays {
            relay.end(self);
        }
    }
}

impl Relay {
    /// Hands over tasks; what comes back is for the caller to wake.
    fn give(&self, relays: &Relays, tasks: &mut Vec<Wakers>) {
        let sleeper = {
            let mut state = lock(&self.state);
            if state.over || state.stalled {
                return;
            }
            state.waiting.append(tasks);
            if std::mem::replace(&mut state.open, true) {
                return;
            }
            relays.open.fetch_add(1, Ordering::SeqCst);
            state.task.clone()
        };
        if let Some(task) = sleeper {
            task.wake();
        }
    }

    /// The worker's patience is at its end: closes the batch. Whom the relay did not take is to be woken.
    fn close(&self, relays: &Relays) -> Vec<Wakers> {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.open) {
            relays.open.fetch_sub(1, Ordering::SeqCst);
        }
        state.stalled = !state.waiting.is_empty();
        std::mem::take(&mut state.waiting)
    }

    /// Whether the batch is open.
    fn is_open(&self) -> bool {
        lock(&self.state).open
    }

    /// No more.
    fn end(&self, relays: &Relays) {
        let (left, task) = {
            let mut state = lock(&self.state);
            state.over = true;
            if std::mem::take(&mut state.open) {
                relays.open.fetch_sub(1, Ordering::SeqCst);
            }
            (std::mem::take(&mut state.waiting), state.task.take())
        };
        left.into_iter().for_each(Wakers::wake);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Whom the worker is to wake at the end of its round.
#[derive(Debug, Default)]
pub(crate) struct Roundup {
    /// By relay.
    groups: Vec<Vec<Wakers>>,
    relays: Vec<Arc<Relay>>,
    /// Since when each relay has been at it, as far as the worker saw.
    since: Vec<Option<Instant>>,
}

impl Roundup {
    /// Adds tasks; those without a relay are woken at once. Never under a lock.
    pub(crate) fn add(&mut self, tasks: Waiting) {
        let index = usize::from(tasks.via.0);
        if index == 0 {
            return tasks.wake();
        }
        if tasks.wakers.is_empty() {
            return;
        }
        if self.groups.len() < index {
            self.groups.resize_with(index, Vec::new);
        }
        if let Some(group) = self.groups.get_mut(index - 1) {
            group.push(tasks.wakers);
        }
    }

    /// Gives them to their relays. When to look again at the latest, if so.
    pub(crate) fn send(&mut self, relays: &Relays, now: Instant) -> Option<Span> {
        if self.groups.len() > self.relays.len() {
            self.relays.clone_from(&lock(&relays.list).relays);
            self.since.resize(self.relays.len(), None);
        }
        for (index, group) in self.groups.iter_mut().enumerate() {
            if group.is_empty() {
                continue;
            }
            if let Some(relay) = self.relays.get(index) {
                relay.give(relays, group);
            }
            // Whom nobody took.
            group.drain(..).for_each(Wakers::wake);
        }
        if !relays.is_open() {
            self.since.fill(None);
            return None;
        }
        let mut patience = PATIENCE;
        for (relay, since) in self.relays.iter().zip(&mut self.since) {
            if !relay.is_open() {
                *since = None;
            } else if now.since(*since.get_or_insert(now)) >= PATIENCE {
                *since = None;
                relay.close(relays).into_iter().for_each(Wakers::wake);
                // What was put into the inbox without a ring, just before, is seen by a round at once.
                patience = Span::ZERO;
            }
        }
        Some(patience)
    }

    /// Wakes all from here: nobody will call again.
    pub(crate) fn wake_all(&mut self) {
        self.groups.iter_mut().flat_map(|group| group.drain(..)).for_each(Wakers::wake);
    }
}

#[cfg(feature = "relay")]
mod task {
    //! The task itself.
    use super::{Relay, Via};
    use crate::runtime::commands::lock;
    use crate::sockets::hub::Hub;
    use crate::sockets::wakers::Wakers;
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicPtr, Ordering};
    use std::task::{Context, Poll, RawWakerVTable, Waker};
    use tokio::runtime::{Handle, Id};

    /// Runtimes that get a relay; more are unheard of, and their tasks are woken one by one.
    const MOST_RELAYS: usize = 32;
    /// Hubs a thread remembers; a stack has one for each shard.
    const KEPT: usize = 8;

    thread_local! {
        /// The relays that were found last on this thread: of which hub, in which runtime.
        static LAST: [Cell<Option<(u64, Id, Via)>>; KEPT] = const { [const { Cell::new(None) }; KEPT] };
    }

    /// How Tokio's tasks are woken, known once a relay has been polled. Wakers of other kinds (of futures
    /// that are polled by `block_on`, of sets of futures) are woken from where the worker is: the thread
    /// that would run the relay may be the one that waits.
    static TOKIO: AtomicPtr<RawWakerVTable> = AtomicPtr::new(std::ptr::null_mut());

    /// What is known of a task's relay.
    pub(crate) enum Found {
        Known(Via),
        /// [`engage`] will tell, with no lock held; the task is woken directly this time.
        Unknown,
    }

    /// The relay for a task that is polled on this thread.
    pub(crate) fn find(serial: u64, waker: &Waker) -> Found {
        let Ok(runtime) = Handle::try_current().map(|handle| handle.id()) else {
            return Found::Known(Via::default());
        };
        match LAST.with(|last| last.get(place(serial)).and_then(Cell::get)) {
            Some((hub, id, via)) if (hub, id) == (serial, runtime) => {
                let vtable = TOKIO.load(Ordering::Relaxed).cast_const();
                let of_tokio = std::ptr::eq(waker.vtable(), vtable);
                Found::Known(if of_tokio { via } else { Via::default() })
            }
            _ => Found::Unknown,
        }
    }

    /// Finds the relay of this runtime, or makes it.
    pub(crate) fn engage(hub: &Arc<Hub>) {
        let Ok(handle) = Handle::try_current() else { return };
        let (via, fresh) = {
            let mut list = lock(&hub.relays.list);
            let known = list.runtimes.iter().position(|id| *id == handle.id());
            match known {
                Some(index) => (via(index), None),
                None if list.closed || list.runtimes.len() >= MOST_RELAYS => (Via::default(), None),
                None => {
                    let relay = Arc::new(Relay::default());
                    list.relays.push(Arc::clone(&relay));
                    list.runtimes.push(handle.id());
                    (via(list.runtimes.len() - 1), Some(relay))
                }
            }
        };
        LAST.with(|last| {
            if let Some(last) = last.get(place(hub.serial)) {
                last.set(Some((hub.serial, handle.id(), via)));
            }
        });
        if let Some(relay) = fresh {
            drop(handle.spawn(Attend { hub: Arc::clone(hub), relay, batch: Vec::new() }));
        }
    }

    fn place(serial: u64) -> usize {
        serial as usize % KEPT
    }

    fn via(index: usize) -> Via {
        Via(u8::try_from(index + 1).unwrap_or(0))
    }

    /// The relay's task.
    struct Attend {
        hub: Arc<Hub>,
        relay: Arc<Relay>,
        batch: Vec<Wakers>,
    }

    /// What a look at the relay's state leaves to do.
    enum Look {
        Wake,
        Close,
        Nothing,
        Over,
    }

    impl Attend {
        fn look(&mut self, waker: &Waker) -> Look {
            let Attend { hub, relay, batch } = self;
            let mut state = lock(&relay.state);
            std::mem::swap(&mut state.waiting, batch);
            state.stalled = false;
            if !batch.is_empty() {
                return Look::Wake;
            }
            if state.over {
                return Look::Over;
            }
            if !state.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
                state.task = Some(waker.clone());
            }
            if std::mem::take(&mut state.open) {
                hub.relays.open.fetch_sub(1, Ordering::SeqCst);
                return Look::Close;
            }
            Look::Nothing
        }
    }

    impl Future for Attend {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let waker = context.waker();
            TOKIO.store(std::ptr::from_ref(waker.vtable()).cast_mut(), Ordering::Relaxed);
            match self.look(waker) {
                Look::Wake => {
                    self.batch.drain(..).for_each(Wakers::wake);
                    // Behind those just woken.
                    waker.wake_by_ref();
                    Poll::Pending
                }
                Look::Close => {
                    self.hub.ring_if_filled();
                    Poll::Pending
                }
                Look::Nothing => Poll::Pending,
                Look::Over => Poll::Ready(()),
            }
        }
    }

    impl Drop for Attend {
        /// Also when the runtime is shut down.
        fn drop(&mut self) {
            self.relay.end(&self.hub.relays);
            self.hub.ring_if_filled();
        }
    }
}

#[cfg(not(feature = "relay"))]
mod task {
    //! Without Tokio's runtime every task is woken from where the worker is.
    use super::Via;
    use crate::sockets::hub::Hub;
    use std::sync::Arc;
    use std::task::Waker;

    pub(crate) enum Found {
        Known(Via),
        #[allow(dead_code)] // matched where relays may be
        Unknown,
    }
    pub(crate) fn find(_: u64, _: &Waker) -> Found {
        Found::Known(Via::default())
    }
    pub(crate) fn engage(_: &Arc<Hub>) {}
}

pub(crate) use task::{Found, engage, find};

#[cfg(test)]
mod tests;

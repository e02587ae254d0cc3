//! What a stream's two sides share: the application's threads and the worker.
//!
//! Owns: the one lock of a stream and everything under it.
//! Must not know: the shard; futures and traits of the application's side (`stream`, `owned`).
//!
//! No wake-up is lost because every wait is announced (a waker added) under the lock under which
//! the state was found wanting, and every change is made under the same lock, which also hands out
//! the wakers; they are called once it is released. Payload is copied outside of the lock, but for
//! small writes that go on filling a frame.

use crate::runtime::commands::lock;
use crate::sockets::error;
use crate::sockets::hub::Hub;
use crate::sockets::idle::ParkOrder;
use crate::sockets::inbound::{Inbound, InboundLimits, Piece};
use crate::sockets::outbound::{Outbound, Parcel, Shut};
use crate::sockets::relay::{self, Roundup, Via, Waiting};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use usertcp_base::ConnId;
use usertcp_base::observe::CloseReason;
use usertcp_tcp::Settings;

/// One stream's shared state.
pub(crate) struct Cell {
    pub(crate) hub: Arc<Hub>,
    pub(crate) conn: ConnId,
    /// Its index with the driver.
    pub(crate) place: u32,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Octets put in one frame at most: a segment's worth, unless the device cuts segments.
    pub(crate) frame_octets: usize,
    state: Mutex<State>,
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    /// Payload octets read, and written, in all.
    pub(crate) totals: (u64, u64),
    pub(crate) settings: Settings,
    settings_changed: bool,
    /// The reader has made room for what was held back.
    resume: bool,
    end: Option<CloseReason>,
    readers: Waiting,
    writers: Waiting,
    /// The cell is in the worker's inbox.
    announced: bool,
    released: Option<Release>,
    /// The stream is to be parked.
    park: Option<ParkOrder>,
}

/// How soon the worker is to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// With the answers of the other tasks it had woken.
    Soon,
    /// At once: there is much to send, which it can do while the writer goes on.
    Now,
}

/// How the application let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// It dropped the stream: what it wrote is still delivered.
    Close,
    /// The same with data unread, or it asked for it: reset (RFC 9293 §3.6.1, RFC 2525 §2.17).
    Abort,
}

/// What the application wants of the worker.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) settings: Option<Settings>,
    pub(crate) shut: bool,
    pub(crate) resume: bool,
    pub(crate) released: Option<Release>,
    pub(crate) park: Option<ParkOrder>,
}

/// Why a stream cannot be parked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unfit {
    /// One side has closed.
    HalfClosed,
    /// The connection is over.
    Over,
}

impl Cell {
    /// A stream's cell, with nothing in it.
    pub(crate) fn new(
        hub: Arc<Hub>,
        (conn, place): (ConnId, u32),
        ends: (SocketAddr, SocketAddr),
        settings: Settings,
        frame_octets: usize,
    ) -> Cell {
        let state = State {
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            totals: (0, 0),
            settings,
            settings_changed: false,
            resume: false,
            end: None,
            readers: Waiting::default(),
            writers: Waiting::default(),
            announced: false,
            released: None,
            park: None,
        };
        let (local, remote) = ends;
        Cell { hub, conn, place, local, remote, frame_octets, state: Mutex::new(state) }
    }

    /// The lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Tells the worker, if `state` says that it has not been told. Consumes the guard: the inbox
    /// has a lock of its own, and no thread holds two.
    pub(crate) fn announce(self: &Arc<Self>, state: MutexGuard<'_, State>) {
        self.announce_as(state, Haste::Soon);
    }

    /// The same, with what can wait told apart from what cannot.
    pub(crate) fn announce_as(self: &Arc<Self>, mut state: MutexGuard<'_, State>, haste: Haste) {
        let first = !std::mem::replace(&mut state.announced, true);
        drop(state);
        if first {
            self.hub.announce(self, haste);
        } else if haste == Haste::Now {
            // It may have been told that it can wait.
            self.hub.doorbell.ring();
        }
    }

    // The worker's side.

    /// Takes what the application put here since the last time.
    pub(crate) fn collect(&self, parcels: &mut VecDeque<Parcel>) -> Errand {
        let mut state = self.lock();
        state.announced = false;
        state.outbound.take(parcels);
        let changed = std::mem::take(&mut state.settings_changed);
        Errand {
            settings: changed.then_some(state.settings),
            shut: state.outbound.shut == Shut::Asked,
            resume: std::mem::take(&mut state.resume),
            released: state.released,
            park: state.park.take(),
        }
    }

    /// The connection has room for `octets` beyond all that was collected.
    pub(crate) fn grant(&self, octets: usize, shut_done: bool, woken: &mut Roundup) {
        let writers = {
            let mut state = self.lock();
            state.outbound.grant(octets);
            if shut_done {
                state.outbound.shut = Shut::Done;
            }
            let of_use = shut_done || state.outbound.credit() > 0;
            if of_use { state.writers.take() } else { Waiting::default() }
        };
        woken.add(writers);
    }

    /// Whether a read would find something.
    pub(crate) fn has_news(&self) -> bool {
        let state = self.lock();
        !state.inbound.is_empty() || state.read_end().is_some()
    }

    /// Octets that may be lent to the reader.
    pub(crate) fn inbound_room(&self, limits: &InboundLimits) -> usize {
        let state = self.lock();
        if state.takes_data() { state.inbound.room(limits) } else { 0 }
    }

    /// Lends `pieces`; `rest` tells what comes after them. True: the reader has made room
    /// meanwhile, go on. (It could not know that anything was held back, so it will not say.)
    #[must_use]
    pub(crate) fn deliver(
        &self,
        pieces: &mut Vec<Piece>,
        rest: Rest,
        limits: &InboundLimits,
        woken: &mut Roundup,
    ) -> bool {
        let (readers, resumes) = {
            let mut state = self.lock();
            if state.takes_data() {
                state.inbound.append(pieces.drain(..));
                state.inbound.finished |= rest == Rest::End;
                state.inbound.held_back = rest == Rest::Held;
            }
            let news = !state.inbound.is_empty() || state.inbound.finished;
            let resumes = state.inbound.resumes(limits);
            (if news { state.readers.take() } else { Waiting::default() }, resumes)
        };
        // What nobody will read goes home.
        pieces.clear();
        woken.add(readers);
        resumes
    }

    /// The connection is over.
    pub(crate) fn end(&self, reason: CloseReason, woken: &mut Roundup) {
        let (readers, writers) = {
            let mut state = self.lock();
            state.end.get_or_insert(reason);
            state.outbound.shut = Shut::Done;
            (state.readers.take(), state.writers.take())
        };
        woken.add(readers);
        woken.add(writers);
    }

    // The application's side.

    /// Lets the task behind `waker` wait, and gives the lock back.
    pub(crate) fn wait(
        &self,
        state: MutexGuard<'_, State>,
        waker: Option<&Waker>,
        of: impl FnOnce(&mut State) -> &mut Waiting,
    ) {
        if let Some(waker) = waker {
            relay::wait(&self.hub, state, waker, of);
        }
    }

    /// How the connection ended, if it did.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        self.lock().end
    }

    /// Changes settings, here at once and in the connection soon, unless it is over.
    pub(crate) fn change(self: &Arc<Self>, change: impl FnOnce(&mut Settings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        if state.end.is_none() {
            state.settings_changed = true;
            self.announce(state);
        }
    }

    /// The application lets go.
    pub(crate) fn release(self: &Arc<Self>, how: Release) {
        let mut state = self.lock();
        if state.released == Some(Release::Abort) {
            return;
        }
        let unread = !state.inbound.is_empty() || state.inbound.borrowed;
        let how = if unread { Release::Abort } else { how };
        state.released = Some(how);
        let unread = state.inbound.take_all();
        let wakers = (state.readers.take(), state.writers.take());
        self.announce(state);
        drop(unread);
        wakers.0.wake();
        wakers.1.wake();
    }

    /// The application parks the stream: it holds the cell no more, and the worker gives it up when it has
    /// what was written, unless there is something to read.
    pub(crate) fn park(self: &Arc<Self>, order: ParkOrder) -> Result<(), Unfit> {
        let mut state = self.lock();
        if state.end.is_some() || state.released.is_some() {
            return Err(Unfit::Over);
        }
        if state.inbound.finished || state.outbound.shut != Shut::No {
            return Err(Unfit::HalfClosed);
        }
        state.park = Some(order);
        // Tasks that waited were borrowing the stream.
        let left = (state.readers.take(), state.writers.take());
        self.announce(state);
        drop(left);
        Ok(())
    }

    /// Asks for FIN after all data, and waits until the connection has taken both.
    pub(crate) fn poll_shut(self: &Arc<Self>, waker: &Waker) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        match (state.outbound.shut, state.end) {
            (_, Some(CloseReason::Normal)) | (Shut::Done, None) => Poll::Ready(Ok(())),
            (_, Some(reason)) => Poll::Ready(Err(error::ended(reason))),
            (Shut::Asked, None) => {
                self.wait(state, Some(waker), State::writers);
                Poll::Pending
            }
            (Shut::No, None) => {
                state.outbound.shut = Shut::Asked;
                let crowd = state.writers.add(waker, Via::default());
                self.announce(state);
                crowd.wake();
                Poll::Pending
            }
        }
    }

    /// Asks for FIN after all data.
    pub(crate) fn shut(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.outbound.shut == Shut::No {
            state.outbound.shut = Shut::Asked;
            self.announce(state);
        }
    }
}

/// What comes after the slices just lent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// Nothing now.
    Nothing,
    /// More, held back at the bounds.
    Held,
    /// The end of the stream.
    End,
}

impl State {
    /// Whether what arrives will be read.
    fn takes_data(&self) -> bool {
        self.released.is_none() && self.end.is_none()
    }
    /// Whether the application let go.
    pub(crate) fn is_released(&self) -> bool {
        self.released.is_some()
    }
    /// What a read finds when the queue is empty: the end, an error, or nothing yet.
    pub(crate) fn read_end(&self) -> Option<io::Result<()>> {
        match self.end {
            _ if self.inbound.finished => Some(Ok(())),
            Some(CloseReason::Normal) => Some(Ok(())),
            Some(reason) => Some(Err(error::ended(reason))),
            None if self.released.is_some() => Some(Err(error::ended(CloseReason::Aborted))),
            None => None,
        }
    }
    /// Why a write is impossible, if it is.
    pub(crate) fn write_end(&self) -> Option<io::Error> {
        match self.end {
            Some(CloseReason::Normal) => Some(error::shut()),
            Some(CloseReason::Reset) if self.inbound.finished => Some(error::reset_after_close()),
            Some(reason) => Some(error::ended(reason)),
            None if self.released.is_some() => Some(error::ended(CloseReason::Aborted)),
            None if self.outbound.shut != Shut::No => Some(error::shut()),
            None => None,
        }
    }
    /// A reader took something. True: announce the cell, the worker may go on lending.
    #[must_use]
    pub(crate) fn made_room(&mut self, limits: &InboundLimits) -> bool {
        let resumes = self.inbound.resumes(limits);
        self.resume |= resumes;
        resumes
    }
    /// Who waits for something to read.
    pub(crate) fn readers(&mut self) -> &mut Waiting {
        &mut self.readers
    }
    /// Who waits for credit.
    pub(crate) fn writers(&mut self) -> &mut Waiting {
        &mut self.writers
    }
    /// Takes the readers that wait: a borrowed piece came back.
    #[must_use]
    pub(crate) fn take_readers(&mut self) -> Waiting {
        self.readers.take()
    }
    /// The same for writers: credit was given back.
    #[must_use]
    pub(crate) fn take_writers(&mut self) -> Waiting {
        self.writers.take()
    }
}

//! Parked connections in their lots.
//!
//! Owns: which connection of a shard is in which lot, which of them wait there to be taken, the closing of a lot
//! that was dropped, a part in each round. Must not know: who holds a lot, futures, tasks.

use crate::engine::Engine;
use crate::native;
use crate::places::Marks;
use std::collections::VecDeque;
use usertcp_base::{ConnId, Instant, Span};

/// Lots there are at once at most: their numbers are 1 to this.
pub(crate) const MOST: u8 = DUE - 1;

/// In a mark: the connection is in its lot's `due`. The rest is the number of its lot; zero: it is in none.
const DUE: u8 = 1 << 7;

/// Connections visited in one round while a lot is closed.
const SWEPT: usize = 1024;

/// How long to wait for TCBs that closing connections have.
const ROOM_WAIT: Span = Span::from_millis(5);

/// The lots of a shard, each with what `T` knows of it.
pub(crate) struct Lots<T> {
    /// By slot.
    marks: Marks,
    /// By number; zero is nobody's.
    lots: Vec<Option<Lot<T>>>,
    sweeps: Vec<Sweep>,
}

/// A lot.
pub(crate) struct Lot<T> {
    /// What is known of it besides.
    pub(crate) holder: T,
    /// Connections in it.
    pub(crate) streams: usize,
    /// Those that wait to be taken, in the order in which they woke. One that left meanwhile has another mark, or
    /// another generation.
    due: VecDeque<ConnId>,
}

/// The closing of a lot's connections; of all lots', without a number.
struct Sweep {
    number: Option<u8>,
    last: Option<ConnId>,
}

/// How far the closing of lots has come.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Swept {
    /// None is to be closed.
    Done,
    /// There are more, for the next round.
    More,
    /// There is no memory to close more, before this span has passed.
    Later(Span),
}

impl<T> Default for Lots<T> {
    fn default() -> Self {
        Lots { marks: Marks::default(), lots: Vec::new(), sweeps: Vec::new() }
    }
}

impl<T> Lots<T> {
    /// The lot of that number.
    pub(crate) fn get(&self, number: u8) -> Option<&Lot<T>> {
        self.lots.get(usize::from(number))?.as_ref()
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, number: u8) -> Option<&mut Lot<T>> {
        self.lots.get_mut(usize::from(number))?.as_mut()
    }

    /// What is known of all lots.
    pub(crate) fn holders_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.lots.iter_mut().flatten().map(|lot| &mut lot.holder)
    }

    /// Makes a lot of that number, unless there is one.
    pub(crate) fn open_with(&mut self, number: u8, make: impl FnOnce() -> T) {
        let index = usize::from(number);
        if self.lots.len() <= index {
            self.lots.resize_with(index + 1, || None);
        }
        if let Some(lot) = self.lots.get_mut(index) {
            let new = || Lot { holder: make(), streams: 0, due: VecDeque::new() };
            lot.get_or_insert_with(new);
        }
    }

    /// The number of the lot that a connection is in.
    pub(crate) fn lot_of(&self, conn: ConnId) -> Option<u8> {
        let number = self.marks.get(conn.slot) & !DUE;
        (number != 0).then_some(number)
    }

    /// Whether it waits there to be taken.
    pub(crate) fn is_due(&self, conn: ConnId) -> bool {
        self.marks.get(conn.slot) & DUE != 0
    }

    /// A connection goes into a lot.
    pub(crate) fn put(&mut self, conn: ConnId, number: u8) {
        self.marks.set(conn.slot, number);
        if let Some(lot) = self.get_mut(number) {
            lot.streams += 1;
        }
    }

    /// The connection, or whoever had its slot before, is in no lot any more.
    pub(crate) fn leave(&mut self, conn: ConnId) {
        let Some(number) = self.lot_of(conn) else { return };
        self.marks.set(conn.slot, 0);
        if let Some(lot) = self.get_mut(number) {
            lot.streams = lot.streams.saturating_sub(1);
        }
    }

    /// A connection of a lot waits there to be taken.
    pub(crate) fn push_due(&mut self, conn: ConnId) {
        let Some(number) = self.lot_of(conn) else { return };
        self.marks.set(conn.slot, number | DUE);
        if let Some(lot) = self.get_mut(number) {
            lot.due.push_back(conn);
        }
    }

    /// Whether nobody waits in that lot.
    pub(crate) fn has_none_due(&self, number: u8) -> bool {
        self.get(number).is_none_or(|lot| lot.due.is_empty())
    }

    /// The first that waits in that lot, which may be gone. It does not wait any more.
    pub(crate) fn pop_due(&mut self, number: u8) -> Option<ConnId> {
        loop {
            let lot = self.get_mut(number)?;
            let Some(conn) = lot.due.pop_front() else {
                // A burst's memory.
                lot.due = VecDeque::new();
                return None;
            };
            if self.marks.get(conn.slot) == number | DUE {
                return Some(conn);
            }
        }
    }

    /// A lot is let go of: who waits is not taken any more, and its connections are closed from the next sweep on.
    pub(crate) fn release(&mut self, number: u8) {
        let Some(lot) = self.get_mut(number) else { return };
        lot.due = VecDeque::new();
        if !self.sweeps.iter().any(|sweep| sweep.number.is_none_or(|other| other == number)) {
            self.sweeps.push(Sweep { number: Some(number), last: None });
        }
    }

    /// The same of all lots there are.
    pub(crate) fn release_all(&mut self) {
        self.lots.iter_mut().flatten().for_each(|lot| lot.due = VecDeque::new());
        self.sweeps = vec![Sweep { number: None, last: None }];
    }

    /// Goes on closing what nobody holds any more.
    pub(crate) fn sweep(&mut self, now: Instant, engine: &mut dyn Engine) -> Swept {
        let Some(mut sweep) = self.sweeps.pop() else { return Swept::Done };
        for _ in 0..SWEPT {
            // A connection that closes needs a TCB until its peer has answered; without one it is reset.
            if !engine.has_tcb_room() {
                self.sweeps.push(sweep);
                return Swept::Later(ROOM_WAIT);
            }
            sweep.last = native::next_held(engine, sweep.last);
            let Some(conn) = sweep.last else { break };
            let number = self.lot_of(conn);
            if number.is_some() && (sweep.number.is_none() || sweep.number == number) {
                self.leave(conn);
                engine.close(now, conn);
            }
        }
        if sweep.last.is_some() {
            self.sweeps.push(sweep);
        } else if let Some(number) = sweep.number
            && let Some(lot) = self.lots.get_mut(usize::from(number))
        {
            *lot = None;
        }
        if self.sweeps.is_empty() { Swept::Done } else { Swept::More }
    }
}

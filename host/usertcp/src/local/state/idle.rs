//! Streams of this thread that gave up their slots.
//!
//! Owns: which connection is in which lot, which of them have something to read, the closing of a lot that
//! was dropped. Must not know: futures, the public face.

use crate::local::state::{Slot, State};
use crate::native;
use crate::places::Marks;
use crate::sockets::ParkRefusal;
use crate::sockets::error::Ended;
use crate::sockets::wakers::Wakers;
use std::collections::VecDeque;
use usertcp_base::{ConnId, Instant, Span};
use usertcp_tcp::{StateName, WriteEnd};

/// In a mark: the connection is in its lot's `due`. The rest is the number of its lot; zero: it is in none.
const DUE: u8 = 1 << 7;

/// Connections visited in one round while a lot is closed.
const SWEPT: usize = 1024;

/// How long to wait for TCBs that closing connections have.
const ROOM_WAIT: Span = Span::from_millis(5);

/// The parked connections of a stack.
#[derive(Default)]
pub(crate) struct IdleConns {
    /// By slot. The tag is the connection's token.
    marks: Marks,
    /// By number; zero is nobody's.
    lots: Vec<Option<Lot>>,
    sweeps: Vec<Sweep>,
}

#[derive(Default)]
struct Lot {
    streams: usize,
    /// Those with something to read, in the order in which it came.
    due: VecDeque<ConnId>,
    waiting: Wakers,
    /// Nobody holds it; it goes when its connections are closed.
    released: bool,
}

/// The closing of a lot's connections; of all lots', without a number.
struct Sweep {
    number: Option<u8>,
    last: Option<ConnId>,
}

/// What a stream that is parked leaves, to be dropped and woken once nothing is borrowed.
pub(crate) struct Left {
    pub(crate) slot: Option<Slot>,
    pub(crate) told: Option<Wakers>,
}

/// How far the closing of lots has come.
pub(crate) enum Swept {
    /// None is to be closed.
    Done,
    /// There are more, for the next round.
    More,
    /// There is no memory to close more, before this span has passed.
    Later(Span),
}

impl IdleConns {
    fn lot(&mut self, number: u8) -> Option<&mut Lot> {
        self.lots.get_mut(usize::from(number))?.as_mut()
    }

    /// A new lot's number; 127 there are at once.
    pub(crate) fn open(&mut self) -> Option<u8> {
        let number = (1..=127).find(|number| self.lot(*number).is_none())?;
        let index = usize::from(number);
        if self.lots.len() <= index {
            self.lots.resize_with(index + 1, || None);
        }
        *self.lots.get_mut(index)? = Some(Lot::default());
        Some(number)
    }

    /// A lot is let go of: its connections are closed from the next round on.
    pub(crate) fn release(&mut self, number: u8) -> Wakers {
        let Some(lot) = self.lot(number) else { return Wakers::default() };
        lot.released = true;
        lot.due = VecDeque::new();
        let waiting = lot.waiting.take();
        self.sweeps.push(Sweep { number: Some(number), last: None });
        waiting
    }

    /// Streams in a lot.
    pub(crate) fn count(&self, number: u8) -> usize {
        let lot = self.lots.get(usize::from(number)).and_then(Option::as_ref);
        lot.map_or(0, |lot| lot.streams)
    }

    /// A task waits for what is due. What is returned is to be woken once nothing is borrowed.
    pub(crate) fn wait(&mut self, number: u8, waker: &std::task::Waker) -> Wakers {
        self.lot(number).map(|lot| lot.waiting.add(waker)).unwrap_or_default()
    }

    /// The connection's slot is another's than it was.
    pub(crate) fn is_new(&mut self, conn: ConnId) {
        // Somebody ended it by way of `LocalStack::run`, if there is a mark.
        self.unmark(conn);
    }

    fn unmark(&mut self, conn: ConnId) {
        let number = self.marks.get(conn.slot) & !DUE;
        if number != 0 {
            self.marks.set(conn.slot, 0);
            if let Some(lot) = self.lot(number) {
                lot.streams = lot.streams.saturating_sub(1);
            }
        }
    }

    /// There is something to read for a connection without a slot; who is to be told.
    fn rouse(&mut self, conn: ConnId) -> Option<Wakers> {
        let number = self.marks.get(conn.slot);
        if number & DUE != 0 {
            return None;
        }
        // What was let go of is closed when its turn comes.
        let lot = self.lot(number).filter(|lot| !lot.released)?;
        lot.due.push_back(conn);
        let waiting = lot.waiting.take();
        self.marks.set(conn.slot, number | DUE);
        Some(waiting)
    }

    /// The stack ends: all connections here are closed, and who waits is to be told.
    pub(crate) fn stop(&mut self, waiting: &mut Vec<Wakers>) {
        self.sweeps = vec![Sweep { number: None, last: None }];
        for lot in self.lots.iter_mut().flatten() {
            lot.due = VecDeque::new();
            waiting.push(lot.waiting.take());
        }
    }
}

impl State {
    /// Parks a connection that a stream holds.
    pub(crate) fn park(
        &mut self,
        now: Instant,
        conn: ConnId,
        number: u8,
        tag: u32,
    ) -> Result<Left, ParkRefusal> {
        let over = self.is_over() || self.slot(conn).is_none_or(|slot| slot.end.is_some());
        let unread = self.engine.is_readable(conn);
        match self.engine.info(now, conn).map(|info| info.state) {
            _ if over => return Err(ParkRefusal::Over),
            None | Some(StateName::Closed) => return Err(ParkRefusal::Over),
            Some(StateName::Established) => {}
            Some(_) => return Err(ParkRefusal::HalfClosed),
        }
        let slot = self.release(conn);
        self.engine.set_token(conn, tag);
        self.idle.marks.set(conn.slot, number);
        if let Some(lot) = self.idle.lot(number) {
            lot.streams += 1;
        }
        let told = if unread { self.idle.rouse(conn) } else { None };
        Ok(Left { slot, told })
    }

    /// The next connection of a lot with something to read, and its tag. It is in no lot any more.
    pub(crate) fn next_due(&mut self, number: u8) -> Option<(ConnId, u32)> {
        loop {
            let lot = self.idle.lot(number)?;
            let Some(conn) = lot.due.pop_front() else {
                // A burst's memory.
                lot.due = VecDeque::new();
                return None;
            };
            if let Some(tag) = self.leave(conn, number | DUE) {
                return Some((conn, tag));
            }
        }
    }

    /// Takes a connection out of a lot, if it is there and not due.
    pub(crate) fn take_idle(&mut self, conn: ConnId, number: u8) -> Option<u32> {
        self.leave(conn, number)
    }

    fn leave(&mut self, conn: ConnId, mark: u8) -> Option<u32> {
        if self.idle.marks.get(conn.slot) != mark {
            return None;
        }
        // None: this one is gone, and the slot another's.
        let tag = self.engine.token(conn)?;
        self.idle.unmark(conn);
        Some(tag)
    }

    /// Its end may have come while nobody held the connection: an empty write tells.
    pub(crate) fn recall_end(&mut self, now: Instant, conn: ConnId) {
        let over = self.engine.info(now, conn).is_none_or(|info| info.state == StateName::Closed);
        if over {
            let told = self.engine.write(now, conn, &[], WriteEnd::Open);
            let end = Some(Ended::told_by(told.err()));
            if let Some(slot) = self.slot(conn) {
                slot.end = end;
            }
        }
    }

    /// There is something to read for a connection without a slot; who is to be told.
    pub(crate) fn rouse(&mut self, conn: ConnId) -> Option<Wakers> {
        self.idle.rouse(conn)
    }

    /// Goes on closing what nobody holds any more.
    pub(crate) fn sweep(&mut self, now: Instant) -> Swept {
        let Some(mut sweep) = self.idle.sweeps.pop() else { return Swept::Done };
        self.acted = true;
        for _ in 0..SWEPT {
            // A connection that closes needs a TCB until its peer has answered; without one it is reset.
            if !self.engine.has_tcb_room() {
                self.idle.sweeps.push(sweep);
                return Swept::Later(ROOM_WAIT);
            }
            sweep.last = native::next_held(&*self.engine, sweep.last);
            let Some(conn) = sweep.last else { break };
            let number = self.idle.marks.get(conn.slot) & !DUE;
            if number != 0 && sweep.number.is_none_or(|wanted| wanted == number) {
                self.idle.unmark(conn);
                self.engine.close(now, conn);
            }
        }
        if sweep.last.is_some() {
            self.idle.sweeps.push(sweep);
        } else if let Some(number) = sweep.number
            && let Some(lot) = self.idle.lots.get_mut(usize::from(number))
        {
            *lot = None;
        }
        if self.idle.sweeps.is_empty() { Swept::Done } else { Swept::More }
    }
}

//! Streams of this thread that gave up their slots.
//!
//! Owns: who waits for those of a lot that have something to read. Must not know: futures, the public face.

use crate::local::state::{Slot, State};
use crate::lots::{self, Lots, Swept};
use crate::sockets::ParkRefusal;
use crate::sockets::error::Ended;
use crate::sockets::wakers::Wakers;
use usertcp_base::{ConnId, Instant};
use usertcp_tcp::{StateName, WriteEnd};

/// The parked connections of a stack.
#[derive(Default)]
pub(crate) struct IdleConns(Lots<Holder>);

/// Who has a lot.
#[derive(Default)]
struct Holder {
    waiting: Wakers,
    /// Nobody holds it; it goes when its connections are closed.
    released: bool,
}

/// What a stream that is parked leaves, to be dropped and woken once nothing is borrowed.
pub(crate) struct Left {
    pub(crate) slot: Option<Slot>,
    pub(crate) told: Option<Wakers>,
}

impl IdleConns {
    /// A new lot's number; there are so many at once only.
    pub(crate) fn open(&mut self) -> Option<u8> {
        let number = (1..=lots::MOST).find(|number| self.0.get(*number).is_none())?;
        self.0.open_with(number, Holder::default);
        Some(number)
    }

    /// A lot is let go of: its connections are closed from the next round on.
    pub(crate) fn release(&mut self, number: u8) -> Wakers {
        let Some(lot) = self.0.get_mut(number) else { return Wakers::default() };
        lot.holder.released = true;
        let waiting = lot.holder.waiting.take();
        self.0.release(number);
        waiting
    }

    /// Streams in a lot.
    pub(crate) fn count(&self, number: u8) -> usize {
        self.0.get(number).map_or(0, |lot| lot.streams)
    }

    /// A task waits for what is due. What is returned is to be woken once nothing is borrowed.
    pub(crate) fn wait(&mut self, number: u8, waker: &std::task::Waker) -> Wakers {
        let lot = self.0.get_mut(number);
        lot.map(|lot| lot.holder.waiting.add(waker)).unwrap_or_default()
    }

    /// The connection's slot is another's than it was.
    pub(crate) fn is_new(&mut self, conn: ConnId) {
        // Somebody ended it by way of `LocalStack::run`, if it is in a lot.
        self.0.leave(conn);
    }

    /// There is something to read for a connection without a slot; who is to be told.
    fn rouse(&mut self, conn: ConnId) -> Option<Wakers> {
        if self.0.is_due(conn) {
            return None;
        }
        let lot = self.0.lot_of(conn).and_then(|number| self.0.get_mut(number));
        // What was let go of is closed when its turn comes.
        let waiting = lot.filter(|lot| !lot.holder.released)?.holder.waiting.take();
        self.0.push_due(conn);
        Some(waiting)
    }

    /// The stack ends: all connections here are closed, and who waits is to be told.
    pub(crate) fn stop(&mut self, waiting: &mut Vec<Wakers>) {
        waiting.extend(self.0.holders_mut().map(|holder| holder.waiting.take()));
        self.0.release_all();
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
        self.idle.0.put(conn, number);
        let told = if unread { self.idle.rouse(conn) } else { None };
        Ok(Left { slot, told })
    }

    /// The next connection of a lot with something to read, and its tag. It is in no lot any more.
    pub(crate) fn next_due(&mut self, number: u8) -> Option<(ConnId, u32)> {
        loop {
            let conn = self.idle.0.pop_due(number)?;
            if let Some(tag) = self.leave(conn) {
                return Some((conn, tag));
            }
        }
    }

    /// Takes a connection out of a lot, if it is there and not due.
    pub(crate) fn take_idle(&mut self, conn: ConnId, number: u8) -> Option<u32> {
        let lots = &self.idle.0;
        let waits = lots.lot_of(conn) == Some(number) && !lots.is_due(conn);
        if waits { self.leave(conn) } else { None }
    }

    /// The tag of a connection that leaves its lot.
    fn leave(&mut self, conn: ConnId) -> Option<u32> {
        // None: this one is gone, and the slot another's.
        let tag = self.engine.token(conn)?;
        self.idle.0.leave(conn);
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
        let swept = self.idle.0.sweep(now, &mut *self.engine);
        self.acted |= swept != Swept::Done;
        swept
    }
}

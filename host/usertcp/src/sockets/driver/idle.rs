//! Streams that gave up their cells.
//!
//! Owns: which connection is in which lot, which of them have something to read and wait for room, the
//! closing of a lot that was dropped. Must not know: futures, tasks.

use crate::native::Context;
use crate::places::Marks;
use crate::sockets::cell::Cell;
use crate::sockets::driver::{Driver, Spot};
use crate::sockets::idle::{Lot, ParkOrder};
use crate::sockets::relay::Roundup;
use crate::sockets::stream::Handle;
use std::collections::VecDeque;
use std::sync::Arc;
use usertcp_base::{ConnId, Span};

/// In a mark: the connection has something to read, and is in its lot's `due`. The rest is the number of its
/// lot; zero: it is in none.
const DUE: u8 = 1 << 7;

/// Connections visited in one turn while a lot is closed.
const SWEPT: usize = 1024;

/// How long to wait for TCBs that closing connections have.
const ROOM_WAIT: Span = Span::from_millis(5);

/// The parked connections of a shard.
#[derive(Default)]
pub(crate) struct IdleConns {
    /// By slot. The tag is the connection's token.
    marks: Marks,
    /// By number.
    lots: Vec<Option<Seat>>,
    sweeps: Vec<Sweep>,
    /// All are to be closed.
    stopping: bool,
}

struct Seat {
    lot: Arc<Lot>,
    /// Those with something to read, for whom there was no room. A connection that left meanwhile has
    /// another mark, or another generation.
    due: VecDeque<ConnId>,
}

/// The closing of a lot's connections; of all lots', without a number.
struct Sweep {
    number: Option<u8>,
    last: Option<ConnId>,
}

impl IdleConns {
    fn seat(&mut self, number: u8) -> Option<&mut Seat> {
        self.lots.get_mut(usize::from(number))?.as_mut()
    }

    /// Whoever had the connection's slot before.
    pub(crate) fn is_new(&mut self, conn: ConnId) {
        // Somebody may have ended it by way of `Stack::run`.
        if self.marks.get(conn.slot) != 0 {
            self.marks.set(conn.slot, 0);
        }
    }

    /// Makes the lot's place here.
    fn seat_of(&mut self, lot: &Arc<Lot>) {
        let index = usize::from(lot.number);
        if self.lots.len() <= index {
            self.lots.resize_with(index + 1, || None);
        }
        if let Some(seat) = self.lots.get_mut(index) {
            seat.get_or_insert_with(|| Seat { lot: Arc::clone(lot), due: VecDeque::new() });
        }
    }

    /// The worker ends.
    pub(crate) fn end(&mut self, woken: &mut Roundup) {
        self.lots.iter().flatten().for_each(|seat| seat.lot.end(woken));
    }

    /// The stack ends: all connections here are closed, a part in each turn.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.sweeps = vec![Sweep { number: None, last: None }];
    }
}

impl Driver {
    /// Parks a stream that is to be parked, once what was written is handed over; or gives it back, if there
    /// is something to read.
    pub(crate) fn try_park(&mut self, context: &mut Context<'_>, spot: Spot) {
        let stopping = self.idle.stopping;
        let Some(entry) = self.entry(spot) else { return };
        let Some(order) = &entry.park else { return };
        if order.lot.is_released() || stopping {
            entry.park = None;
            entry.closing = true;
            return self.push(context, spot);
        }
        if entry.cell.has_news() || context.is_readable(spot.conn) {
            let (order, cell) = (entry.park.take(), Arc::clone(&entry.cell));
            self.pull(context, spot, false);
            // What was written went to the connection without a look at what more it takes.
            self.grant(context, spot, false);
            return self.hand_back(order, cell);
        }
        if !entry.ahead.is_empty() {
            return;
        }
        let Some(entry) = self.entries.take(spot.place) else { return };
        if let Some(ParkOrder { lot, tag }) = entry.park {
            context.mark(spot.conn, tag);
            self.idle.marks.set(spot.conn.slot, lot.number);
        }
    }

    /// A stream that was to be parked, with its cell as it is.
    pub(crate) fn hand_back(&mut self, order: Option<ParkOrder>, cell: Arc<Cell>) {
        if let Some(ParkOrder { lot, tag }) = order {
            lot.put(Handle::new(cell), tag, &mut self.woken);
        }
    }

    /// Whether the connection, which has no cell, is parked.
    pub(crate) fn is_parked(&self, conn: ConnId) -> bool {
        self.idle.marks.get(conn.slot) != 0
    }

    /// There is something to read for a connection without a cell.
    pub(crate) fn rouse(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let mark = self.idle.marks.get(conn.slot);
        if mark == 0 || mark & DUE != 0 {
            return;
        }
        let stopping = self.idle.stopping;
        let Some(seat) = self.idle.seat(mark) else { return };
        if stopping || seat.lot.is_released() {
            self.idle.marks.set(conn.slot, 0);
            return context.close(conn);
        }
        // In the order in which they woke.
        if seat.due.is_empty() && seat.lot.has_room() {
            return self.bring_back(context, conn, mark);
        }
        seat.due.push_back(conn);
        self.idle.marks.set(conn.slot, mark | DUE);
    }

    fn bring_back(&mut self, context: &mut Context<'_>, conn: ConnId, number: u8) {
        let Some(lot) = self.idle.seat(number).map(|seat| Arc::clone(&seat.lot)) else { return };
        match self.unpark(context, conn) {
            Some((handle, tag)) => lot.put(handle, tag, &mut self.woken),
            None => lot.lose(),
        }
    }

    /// Makes a parked connection a stream again.
    fn unpark(&mut self, context: &mut Context<'_>, conn: ConnId) -> Option<(Handle, u32)> {
        let tag = context.token(conn)?;
        self.idle.marks.set(conn.slot, 0);
        let handle = self.adopt(context, conn);
        if handle.is_none() {
            context.abort(conn);
        }
        Some((handle?, tag))
    }

    /// The application asks for a stream of `lot`.
    pub(crate) fn take_idle(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        lot: &Arc<Lot>,
    ) -> Option<(Handle, u32)> {
        if let Some(spot) = self.spot(context, conn) {
            // On its way, until what it wrote is handed over.
            let entry = self.entry(spot)?;
            let order = entry.park.take_if(|order| Arc::ptr_eq(&order.lot, lot))?;
            return Some((Handle::new(Arc::clone(&entry.cell)), order.tag));
        }
        let here = self.idle.marks.get(conn.slot) & !DUE == lot.number;
        if here { self.unpark(context, conn) } else { None }
    }

    /// The application took from, or let go of, a lot.
    pub(crate) fn tend_lot(&mut self, context: &mut Context<'_>, lot: &Arc<Lot>) {
        if lot.is_released() {
            let held = self.held();
            held.into_iter().for_each(|spot| self.try_park(context, spot));
            let number = Some(lot.number);
            let begun = self.idle.sweeps.iter().any(|sweep| sweep.number == number);
            if self.idle.seat(lot.number).is_some() && !begun && !self.idle.stopping {
                self.idle.sweeps.push(Sweep { number, last: None });
            }
            return;
        }
        self.idle.seat_of(lot);
        while lot.has_room() {
            let Some(seat) = self.idle.seat(lot.number) else { return };
            let Some(conn) = seat.due.pop_front() else {
                seat.due = VecDeque::new();
                return;
            };
            let waits = self.idle.marks.get(conn.slot) == lot.number | DUE;
            if waits && context.token(conn).is_some() {
                self.bring_back(context, conn, lot.number);
            }
        }
    }

    /// Goes on closing what nobody holds any more.
    pub(crate) fn sweep(&mut self, context: &mut Context<'_>) {
        let Some(mut sweep) = self.idle.sweeps.pop() else { return };
        for _ in 0..SWEPT {
            // A connection that closes needs a TCB until its peer has answered; without one it is reset.
            if !context.has_tcb_room() {
                self.idle.sweeps.push(sweep);
                return context.wake_after(ROOM_WAIT);
            }
            sweep.last = context.next_held(sweep.last);
            let Some(conn) = sweep.last else {
                let dropped = sweep.number.and_then(|n| self.idle.lots.get_mut(usize::from(n)));
                if let Some(seat) = dropped {
                    *seat = None;
                }
                break;
            };
            let number = self.idle.marks.get(conn.slot) & !DUE;
            if number != 0 && sweep.number.is_none_or(|wanted| wanted == number) {
                self.idle.marks.set(conn.slot, 0);
                context.close(conn);
            }
        }
        if sweep.last.is_some() {
            self.idle.sweeps.push(sweep);
        }
        if !self.idle.sweeps.is_empty() {
            context.wake_after(Span::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;

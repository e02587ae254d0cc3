//! Streams that gave up their cells.
//!
//! Owns: which of a lot's connections have something to read and wait for room there. Must not know: futures,
//! tasks.

use crate::lots::{Lots, Swept};
use crate::native::Context;
use crate::sockets::cell::Cell;
use crate::sockets::driver::{Driver, Spot};
use crate::sockets::idle::{Lot, ParkOrder};
use crate::sockets::relay::Roundup;
use crate::sockets::stream::Handle;
use std::sync::Arc;
use usertcp_base::{ConnId, Span};

/// The parked connections of a shard. Due are those with something to read for whom there was no room.
#[derive(Default)]
pub(crate) struct IdleConns {
    lots: Lots<Arc<Lot>>,
    /// All are to be closed.
    stopping: bool,
}

impl IdleConns {
    /// Whoever had the connection's slot before.
    pub(crate) fn is_new(&mut self, conn: ConnId) {
        // Somebody may have ended it by way of `Stack::run`.
        self.lots.leave(conn);
    }

    /// The worker ends.
    pub(crate) fn end(&mut self, woken: &mut Roundup) {
        self.lots.holders_mut().for_each(|lot| lot.end(woken));
    }

    /// The stack ends: all connections here are closed, a part in each turn.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.lots.release_all();
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
            self.idle.lots.put(spot.conn, lot.number);
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
        self.idle.lots.lot_of(conn).is_some()
    }

    /// There is something to read for a connection without a cell.
    pub(crate) fn rouse(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let IdleConns { lots, stopping } = &mut self.idle;
        if lots.is_due(conn) {
            return;
        }
        let Some(lot) = lots.lot_of(conn).and_then(|number| lots.get(number)) else { return };
        let lot = Arc::clone(&lot.holder);
        if *stopping || lot.is_released() {
            lots.leave(conn);
            return context.close(conn);
        }
        // In the order in which they woke.
        if lots.has_none_due(lot.number) && lot.has_room() {
            return self.bring_back(context, conn, &lot);
        }
        lots.push_due(conn);
    }

    fn bring_back(&mut self, context: &mut Context<'_>, conn: ConnId, lot: &Lot) {
        match self.unpark(context, conn) {
            Some((handle, tag)) => lot.put(handle, tag, &mut self.woken),
            None => lot.lose(),
        }
    }

    /// Makes a parked connection a stream again.
    fn unpark(&mut self, context: &mut Context<'_>, conn: ConnId) -> Option<(Handle, u32)> {
        let tag = context.token(conn)?;
        self.idle.lots.leave(conn);
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
        let here = self.idle.lots.lot_of(conn) == Some(lot.number);
        if here { self.unpark(context, conn) } else { None }
    }

    /// The application took from, or let go of, a lot.
    pub(crate) fn tend_lot(&mut self, context: &mut Context<'_>, lot: &Arc<Lot>) {
        if lot.is_released() {
            let held = self.held();
            held.into_iter().for_each(|spot| self.try_park(context, spot));
            if !self.idle.stopping {
                self.idle.lots.release(lot.number);
            }
            return;
        }
        self.idle.lots.open_with(lot.number, || Arc::clone(lot));
        while lot.has_room() {
            let Some(conn) = self.idle.lots.pop_due(lot.number) else { return };
            if context.token(conn).is_some() {
                self.bring_back(context, conn, lot);
            }
        }
    }

    /// Goes on closing what nobody holds any more.
    pub(crate) fn sweep(&mut self, context: &mut Context<'_>) {
        match context.sweep(&mut self.idle.lots) {
            Swept::Done => {}
            Swept::More => context.wake_after(Span::ZERO),
            Swept::Later(span) => context.wake_after(span),
        }
    }
}

#[cfg(test)]
mod tests;

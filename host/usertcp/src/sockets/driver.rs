//! The sockets' half on the worker: one native handler that serves all cells.
//!
//! Owns: which connection belongs to which cell, and the moving of slices and frames between them.
//! Must not know: futures, tasks.

use crate::engine::FirstData;
use crate::engine::Read;
use crate::engine::ShardEvent;
use crate::native::{ConnectOptions, Context, Handler, ListenAt, ListenOptions};
use crate::places::Places;
use crate::runtime::reply::Reply;
use crate::sockets::cell::{Cell, Release, Rest};
use crate::sockets::driver::idle::IdleConns;
use crate::sockets::error::{self, Ended};
use crate::sockets::hub::{Hub, Task, Ticket};
use crate::sockets::idle::ParkOrder;
use crate::sockets::inbound::Piece;
use crate::sockets::listener::Pool;
use crate::sockets::outbound::Parcel;
use crate::sockets::relay::Roundup;
use crate::sockets::stream::Handle;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, ListenerId, Span};
use usertcp_frame::Chain;
use usertcp_tcp::{HEADROOM_OCTETS, StateName};

mod idle;

/// Octets a writer may be ahead of the connection's room. They wait here, so that the connection
/// finds more to send the moment an acknowledgement makes room, without waking the writer first;
/// and a write of them that found no room is what makes the connection tell when there is.
const AHEAD_OCTETS: usize = 32 << 10;

/// How long to wait for frames that other threads may give up, when the pool is used up.
const FRAME_WAIT: Span = Span::from_millis(1);

/// The handler behind all sockets of a stack.
pub(crate) struct Driver {
    hub: Arc<Hub>,
    /// By the connection's token. A parked connection has none, and a token of its own meaning.
    entries: Places<Entry>,
    idle: IdleConns,
    opening: HashMap<ConnId, Attempt>,
    listeners: HashMap<ListenerId, Arc<Pool>>,
    super_segments: bool,
    was_tight: bool,
    // Emptied after each use; kept for their memory.
    tasks: Vec<Task>,
    parcels: VecDeque<Parcel>,
    pieces: Vec<Piece>,
    /// Who is to be woken at the end of the round.
    woken: Roundup,
}

/// A connection's cell, and what waits for room in the connection.
struct Entry {
    cell: Arc<Cell>,
    ahead: Chain,
    /// FIN follows `ahead`.
    shut: bool,
    /// Nobody holds the stream; the connection is let go of once `ahead` is empty.
    closing: bool,
    /// Nobody holds the stream; it is parked once `ahead` is empty, if there is nothing to read.
    park: Option<ParkOrder>,
}

/// A connection that has an entry, or had one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    conn: ConnId,
    place: u32,
}

/// An active open, and who waits for it.
pub(crate) struct Attempt {
    pub(crate) ticket: Ticket,
    pub(crate) reply: Reply<io::Result<Handle>>,
}

impl Driver {
    pub(crate) fn new(hub: Arc<Hub>, super_segments: bool) -> Driver {
        Driver {
            hub,
            entries: Places::default(),
            idle: IdleConns::default(),
            opening: HashMap::new(),
            listeners: HashMap::new(),
            super_segments,
            was_tight: false,
            tasks: Vec::new(),
            parcels: VecDeque::new(),
            pieces: Vec::new(),
            woken: Roundup::default(),
        }
    }

    // Opening.

    /// Begins to connect.
    pub(crate) fn connect(
        &mut self,
        context: &mut Context<'_>,
        remote: SocketAddr,
        options: &ConnectOptions,
        ticket: Ticket,
        reply: Reply<io::Result<Handle>>,
    ) {
        match context.connect(remote, options) {
            Ok(conn) => {
                self.idle.is_new(conn);
                drop(self.opening.insert(conn, Attempt { ticket, reply }));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// The same with data for the SYN; the answer comes when the handshake is complete.
    pub(crate) fn connect_with_data(
        &mut self,
        context: &mut Context<'_>,
        remote: SocketAddr,
        options: &ConnectOptions,
        first: FirstData<'_>,
        taken: &AtomicUsize,
        attempt: Attempt,
    ) {
        match context.connect_with_data(remote, options, first) {
            Ok((conn, octets)) => {
                taken.store(octets, Ordering::Release);
                self.idle.is_new(conn);
                drop(self.opening.insert(conn, attempt));
            }
            Err(error) => drop(attempt.reply.send(Err(error))),
        }
    }

    fn forget(&mut self, context: &mut Context<'_>, ticket: Ticket) {
        let found = self.opening.iter().find(|(_, attempt)| attempt.ticket == ticket);
        if let Some(conn) = found.map(|(conn, _)| *conn) {
            self.opening.remove(&conn);
            context.abort(conn);
        }
    }

    fn on_connected(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let Some(attempt) = self.opening.remove(&conn) else { return };
        let Some(handle) = self.adopt(context, conn) else {
            context.abort(conn);
            return drop(attempt.reply.send(Err(error::gone())));
        };
        // An answer nobody waits for comes back, and is dropped: that closes the stream.
        drop(attempt.reply.send(Ok(handle)));
    }

    /// Makes the cell of an established connection, or of one that is over.
    fn adopt(&mut self, context: &mut Context<'_>, conn: ConnId) -> Option<Handle> {
        let info = context.info(conn)?;
        let ends = (info.local, info.remote);
        let settings = context.settings(conn).unwrap_or_default();
        let frame_octets = match info.figures {
            Some(figures) if !self.super_segments => figures.send_mss_octets as usize,
            _ => usize::MAX,
        };
        let hub = Arc::clone(&self.hub);
        let place = self.entries.insert_with(|place| {
            let cell = Arc::new(Cell::new(hub, (conn, place), ends, settings, frame_octets));
            Entry { cell, ahead: Chain::default(), shut: false, closing: false, park: None }
        });
        context.mark(conn, place);
        self.idle.is_new(conn);
        let spot = Spot { conn, place };
        let cell = Arc::clone(&self.entry(spot)?.cell);
        let handle = Handle::new(cell);
        if info.state == StateName::Closed {
            let reason = reason_of(context, conn);
            self.end_stream(context, spot, reason);
            return Some(handle);
        }
        self.grant(context, spot, false);
        // Data may have come before anybody took the connection.
        self.pull(context, spot, false);
        Some(handle)
    }

    // Listening.

    /// Listens; the pool is where accepted streams are put. `shown`: what the listener tells as
    /// its address, but for a port that is chosen here.
    pub(crate) fn listen(
        &mut self,
        context: &mut Context<'_>,
        at: ListenAt,
        shown: SocketAddr,
        options: &ListenOptions,
    ) -> io::Result<Arc<Pool>> {
        let listener = context.listen(at, options)?;
        let chosen = context.listener_info(listener).and_then(|info| info.port);
        let local = SocketAddr::new(shown.ip(), chosen.unwrap_or(shown.port()));
        let pool = Arc::new(Pool::new(Arc::clone(&self.hub), listener, local));
        self.listeners.insert(listener, Arc::clone(&pool));
        Ok(pool)
    }

    fn tend_listener(&mut self, context: &mut Context<'_>, pool: &Arc<Pool>) {
        if pool.collect() {
            self.listeners.remove(&pool.listener);
            context.unlisten(pool.listener);
        } else {
            self.accept(context, pool);
        }
    }

    fn accept(&mut self, context: &mut Context<'_>, pool: &Arc<Pool>) {
        while pool.has_room() {
            let Some(conn) = context.accept(pool.listener) else { return };
            match self.adopt(context, conn) {
                Some(handle) => pool.put(handle, &mut self.woken),
                None => context.abort(conn),
            }
        }
    }

    // Moving data.

    /// Where the cell of `conn` is, if it has one.
    fn spot(&mut self, context: &Context<'_>, conn: ConnId) -> Option<Spot> {
        let spot = Spot { conn, place: context.token(conn)? };
        self.entry(spot).map(|_| spot)
    }

    fn entry(&mut self, spot: Spot) -> Option<&mut Entry> {
        entry_of(&mut self.entries, spot)
    }

    /// All connections that have a cell.
    fn held(&self) -> Vec<Spot> {
        let spot = |(place, entry): (u32, &Entry)| Spot { conn: entry.cell.conn, place };
        self.entries.iter().map(spot).collect()
    }

    /// Lends what the connection has received. `all`: whatever the bounds; it is over.
    fn pull(&mut self, context: &mut Context<'_>, spot: Spot, all: bool) {
        let Some(entry) = self.entry(spot) else { return };
        if entry.closing {
            return;
        }
        let cell = Arc::clone(&entry.cell);
        let limits = self.hub.inbound_limits.when(context.pool().is_tight());
        loop {
            let room = if all { usize::MAX } else { cell.inbound_room(&limits) };
            let rest = self.take_slices(context, spot.conn, room);
            if rest == Rest::Nothing && self.pieces.is_empty() {
                return;
            }
            if !cell.deliver(&mut self.pieces, rest, &limits, &mut self.woken) {
                break;
            }
        }
        self.try_park(context, spot);
    }

    fn take_slices(&mut self, context: &mut Context<'_>, conn: ConnId, room: usize) -> Rest {
        let mut left = room;
        while left > 0 {
            match context.read_slice(conn) {
                Ok(Read::Data(slice)) => {
                    let charge = slice.charge() as usize;
                    left = left.saturating_sub(slice.len().max(charge / 2));
                    self.pieces.push(Piece::new(slice.lend(), charge));
                }
                Ok(Read::Nothing) | Err(_) => return Rest::Nothing,
                Ok(Read::End) => return Rest::End,
            }
        }
        Rest::Held
    }

    /// Does what the application left in a stream's cell.
    fn serve(&mut self, context: &mut Context<'_>, cell: &Arc<Cell>) {
        let spot = Spot { conn: cell.conn, place: cell.place };
        let mut errand = cell.collect(&mut self.parcels);
        if self.entry(spot).is_none() {
            // Over: what it has received is in the cell, and why it ended.
            self.hand_back(errand.park.take(), Arc::clone(cell));
            return self.parcels.clear();
        }
        if let Some(settings) = &errand.settings {
            // It can only fail for a connection that is over, which the cell is told of.
            let _ = context.set_settings(spot.conn, settings);
        }
        let Some(fresh) = self.unpack(context) else {
            self.parcels.clear();
            self.give_up(context, spot, CloseReason::Limit);
            return self.hand_back(errand.park.take(), Arc::clone(cell));
        };
        if errand.released == Some(Release::Abort) {
            return self.give_up(context, spot, CloseReason::Aborted);
        }
        if let Some(entry) = self.entry(spot) {
            entry.ahead.append(fresh);
            entry.shut |= errand.shut;
            entry.closing |= errand.released.is_some();
            entry.park = errand.park.or(entry.park.take());
        }
        self.push(context, spot);
        if errand.resume {
            self.pull(context, spot, false);
        }
    }

    fn give_up(&mut self, context: &mut Context<'_>, spot: Spot, reason: CloseReason) {
        if let Some(entry) = self.drop_entry(spot) {
            entry.cell.end(reason, &mut self.woken);
            self.hand_back(entry.park, entry.cell);
        }
        context.abort(spot.conn);
    }

    /// Frames that came from the application, as slices of this shard. No copy, except for what
    /// another stack lent. `None`: there was no memory for that; the stream cannot go on, because
    /// it must not go on with a gap.
    fn unpack(&mut self, context: &mut Context<'_>) -> Option<Chain> {
        let pool = context.pool();
        let mut chain = Chain::default();
        for parcel in self.parcels.drain(..) {
            let slice = match parcel {
                Parcel::Frame(frame) => frame.into_frame(pool).into_slice(),
                Parcel::Slice(lent, from) => match lent.into_slice(pool) {
                    Ok(mut slice) => {
                        slice.advance(from);
                        slice
                    }
                    Err(lent) => {
                        let rest = lent.get(from..).unwrap_or_default();
                        pool.copy_of(rest, HEADROOM_OCTETS)?
                    }
                },
            };
            if !slice.is_empty() {
                chain.push_back(slice);
            }
        }
        Some(chain)
    }

    /// Gives the connection what waits for it, and then the order to close.
    fn push(&mut self, context: &mut Context<'_>, spot: Spot) {
        let Some(entry) = self.entry(spot) else { return };
        if !entry.ahead.is_empty() {
            let chain = std::mem::take(&mut entry.ahead);
            match context.write_chain(spot.conn, chain) {
                Ok(left) => entry.ahead = left,
                // The sending side is closed or the connection over; its events tell the rest.
                Err(_) => entry.ahead = Chain::default(),
            }
        }
        let done = entry.ahead.is_empty();
        if done && entry.closing {
            self.drop_entry(spot);
            return context.close(spot.conn);
        }
        let shut = done && entry.shut;
        if shut {
            entry.shut = false;
            let _ = context.shutdown_write(spot.conn);
        }
        if done && entry.park.is_some() {
            return self.try_park(context, spot);
        }
        self.grant(context, spot, shut);
    }

    /// Tells the cell how much may be written.
    fn grant(&mut self, context: &mut Context<'_>, spot: Spot, shut_done: bool) {
        let room = context.send_room(spot.conn);
        let tight = context.pool().is_tight();
        let Driver { entries, woken, .. } = self;
        let Some(entry) = entry_of(entries, spot) else { return };
        // While memory is short nobody gets ahead: what is left of it is for answers, without which
        // those who wait for them would hold theirs for ever.
        let most = if tight { room } else { room + AHEAD_OCTETS };
        let octets = most.saturating_sub(entry.ahead.len());
        entry.cell.grant(octets, shut_done, woken);
        if octets == 0 && entry.ahead.is_empty() {
            // Nothing was refused yet, so nothing would tell of room. There is none: this octet
            // stays here.
            let _ = context.write(spot.conn, &[0]);
        }
    }

    /// When memory becomes short, credit given before is taken back.
    fn heed_memory(&mut self, context: &mut Context<'_>) {
        let tight = context.pool().is_tight();
        if std::mem::replace(&mut self.was_tight, tight) || !tight {
            return;
        }
        for spot in self.held() {
            self.grant(context, spot, false);
        }
    }

    fn drop_entry(&mut self, spot: Spot) -> Option<Entry> {
        self.entry(spot)?;
        self.entries.take(spot.place)
    }

    fn on_closed(&mut self, context: &mut Context<'_>, conn: ConnId, reason: CloseReason) {
        if let Some(attempt) = self.opening.remove(&conn) {
            drop(attempt.reply.send(Err(error::ended(reason))));
        }
        match self.spot(context, conn) {
            Some(spot) => self.end_stream(context, spot, reason),
            // It is kept for who resumes the stream.
            None if self.is_parked(conn) => self.rouse(context, conn),
            None => context.close(conn),
        }
    }

    /// Tells the cell all there was and why it is over, and lets go of the connection.
    fn end_stream(&mut self, context: &mut Context<'_>, spot: Spot, reason: CloseReason) {
        self.pull(context, spot, true);
        if let Some(entry) = self.drop_entry(spot) {
            entry.cell.end(reason, &mut self.woken);
            self.hand_back(entry.park, entry.cell);
        }
        context.close(spot.conn);
    }

    fn work(&mut self, context: &mut Context<'_>) {
        let mut tasks = std::mem::take(&mut self.tasks);
        self.hub.inbox.take(&mut tasks);
        for task in tasks.drain(..) {
            match task {
                Task::Stream(cell) => self.serve(context, &cell),
                Task::Listener(pool) => self.tend_listener(context, &pool),
                Task::Idle(lot) => self.tend_lot(context, &lot),
                Task::Forget(ticket) => self.forget(context, ticket),
                Task::Call(call) => call(self, context),
            }
        }
        self.tasks = tasks;
    }

    fn fill_stash(&mut self, context: &mut Context<'_>) {
        if !self.hub.stash.is_low() {
            return;
        }
        let (wakers, stuck) = self.hub.stash.fill(context.pool());
        wakers.wake();
        if stuck {
            context.wake_after(FRAME_WAIT);
        }
    }
}

fn entry_of(entries: &mut Places<Entry>, spot: Spot) -> Option<&mut Entry> {
    let entry = entries.get_mut(spot.place)?;
    (entry.cell.conn == spot.conn).then_some(entry)
}

/// Why a connection is over, which is.
fn reason_of(context: &mut Context<'_>, conn: ConnId) -> CloseReason {
    Ended::told_by(context.write(conn, &[]).err())
}

impl Handler for Driver {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.state.of_sockets = true;
        self.fill_stash(context);
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            // Sockets set no gate.
            ShardEvent::Asked { .. } => {}
            ShardEvent::Accepted { listener, .. } => {
                if let Some(pool) = self.listeners.get(&listener).map(Arc::clone) {
                    self.accept(context, &pool);
                }
            }
            ShardEvent::Connected(conn) => self.on_connected(context, conn),
            ShardEvent::Readable(conn) | ShardEvent::PeerClosed(conn) => {
                match self.spot(context, conn) {
                    Some(spot) => self.pull(context, spot, false),
                    None => self.rouse(context, conn),
                }
            }
            ShardEvent::Writable(conn) => {
                if let Some(spot) = self.spot(context, conn) {
                    self.push(context, spot);
                }
            }
            ShardEvent::Closed { conn, reason } => self.on_closed(context, conn, reason),
            // Told by `info()` for those who ask.
            ShardEvent::Urgent(_) | ShardEvent::PathSuspect(_) | ShardEvent::SoftError(_) => {}
        }
    }

    fn on_turn(&mut self, context: &mut Context<'_>) {
        context.sleep_freely();
        self.work(context);
        self.sweep(context);
        self.heed_memory(context);
        self.fill_stash(context);
        if let Some(patience) = self.woken.send(&self.hub.relays, context.now()) {
            context.wake_after(patience);
        }
    }

    fn on_stop(&mut self, context: &mut Context<'_>) {
        // What the application handed over before is still delivered, and then FIN.
        self.work(context);
        self.let_go();
        self.idle.stop();
        for spot in self.held() {
            if let Some(entry) = self.entry(spot) {
                entry.shut = true;
            }
            self.push(context, spot);
        }
        for pool in std::mem::take(&mut self.listeners).into_values() {
            context.unlisten(pool.listener);
        }
    }
}

impl Driver {
    /// Tells everybody that the stack is gone. Connections go on as the worker sees fit.
    fn let_go(&mut self) {
        for task in self.hub.inbox.close() {
            if let Task::Idle(lot) = task {
                lot.end(&mut self.woken);
            }
        }
        self.opening.clear();
        for pool in self.listeners.values() {
            pool.end(&mut self.woken);
        }
        self.idle.end(&mut self.woken);
        for (_, entry) in self.entries.iter() {
            entry.cell.end(CloseReason::Aborted, &mut self.woken);
        }
        self.hub.stash.close().wake();
        self.woken.wake_all();
        self.hub.relays.close();
    }
}

impl Drop for Driver {
    /// Also when the worker panicked.
    fn drop(&mut self) {
        self.let_go();
    }
}

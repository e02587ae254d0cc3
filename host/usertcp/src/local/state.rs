//! What the driver and the sockets of one local stack share.
//!
//! Owns: the machine, who waits for what of each connection and listener, the moment of the turn.
//! Must not know: futures, Tokio.
//!
//! No waker is called or dropped while the state is borrowed: what runs then may come back here.

use crate::engine::{Engine, ShardEvent};
use crate::local::state::idle::IdleConns;
use crate::local::state::pages::Pages;
use crate::native::ContextState;
use crate::runtime::clock::Clock;
use crate::runtime::doorbell::Doorbell;
use crate::sockets::wakers::Wakers;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, ListenerId, Span};
use usertcp_device::DeviceFacts;

mod idle;
mod pages;

/// A local stack's one shared value.
pub(crate) struct Shared {
    state: RefCell<State>,
    pub(crate) clock: Clock,
    pub(crate) doorbell: Arc<Doorbell>,
    pub(crate) device: DeviceFacts,
    pub(crate) linger: Span,
    /// Handles of the stack that are left.
    pub(crate) handles: Cell<usize>,
}

/// Who waits for what.
pub(crate) struct State {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) context: ContextState,
    /// By slot of the connection: those that a stream, or an attempt, holds.
    slots: Pages<Slot>,
    pub(crate) idle: IdleConns,
    listeners: Vec<(ListenerId, Wakers)>,
    /// The moment of the turn under way. `None`: the driver sleeps.
    pub(crate) turn: Option<Instant>,
    /// Something was done that may want a flush.
    pub(crate) acted: bool,
    /// The driver's task, while it sleeps.
    pub(crate) driver: Option<Waker>,
    /// Connections are closing, until this moment at the latest.
    pub(crate) stopping: Option<Instant>,
    /// The driver is gone.
    pub(crate) gone: bool,
}

/// One connection's waiters.
pub(crate) struct Slot {
    conn: ConnId,
    pub(crate) readers: Wakers,
    pub(crate) writers: Wakers,
    /// The handshake is complete.
    pub(crate) connected: bool,
    /// A write took nothing, and nothing told of room since.
    pub(crate) full: bool,
    /// The peer closed its sending side.
    pub(crate) peer_closed: bool,
    /// Our sending side is closed.
    pub(crate) shut: bool,
    /// How it ended.
    pub(crate) end: Option<CloseReason>,
}

impl Shared {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        clock: Clock,
        doorbell: Arc<Doorbell>,
        device: DeviceFacts,
        linger: Span,
    ) -> Shared {
        let state = State {
            engine,
            // Parked streams' tags are their connections' tokens.
            context: ContextState { of_sockets: true, ..ContextState::default() },
            slots: Pages::default(),
            idle: IdleConns::default(),
            listeners: Vec::new(),
            turn: None,
            acted: false,
            driver: None,
            stopping: None,
            gone: false,
        };
        let handles = Cell::new(1);
        Shared { state: RefCell::new(state), clock, doorbell, device, linger, handles }
    }

    /// A call on the machine, at the moment of the turn or, between turns, at that of the clock. If it
    /// acted, and the driver sleeps, the driver is woken.
    pub(crate) fn call<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let (result, sleeper) = {
            let mut state = self.state.borrow_mut();
            let now = state.turn.unwrap_or_else(|| self.clock.now());
            let result = act(&mut state, now);
            let wakes = state.acted && state.turn.is_none();
            (result, if wakes { state.driver.take() } else { None })
        };
        if let Some(driver) = sleeper {
            driver.wake();
        }
        result
    }

    /// The end of the stack, in good order: FIN after what was written, on every connection.
    pub(crate) fn stop(&self) {
        let mut waiting = Vec::new();
        self.call(|state, now| {
            if state.stopping.is_some() || state.gone {
                return;
            }
            state.stopping = Some(now + self.linger);
            state.acted = true;
            for (listener, wakers) in std::mem::take(&mut state.listeners) {
                state.engine.unlisten(now, listener);
                waiting.push(wakers);
            }
            let State { slots, engine, idle, .. } = state;
            idle.stop(&mut waiting);
            for slot in slots.iter_mut() {
                if engine.shutdown_write(now, slot.conn).is_err() {
                    engine.abort(now, slot.conn);
                }
                waiting.push(std::mem::take(&mut slot.readers));
                waiting.push(std::mem::take(&mut slot.writers));
            }
        });
        waiting.into_iter().for_each(Wakers::wake);
    }

    /// The driver is gone: everything fails from now on.
    pub(crate) fn end(&self) {
        self.stop();
        self.call(|state, _| state.gone = true);
    }
}

impl State {
    /// Whether the stack serves.
    pub(crate) fn is_over(&self) -> bool {
        self.stopping.is_some() || self.gone
    }

    /// Makes a connection's slot.
    pub(crate) fn adopt(&mut self, conn: ConnId, connected: bool) {
        self.idle.is_new(conn);
        let slot = Slot {
            conn,
            readers: Wakers::default(),
            writers: Wakers::default(),
            connected,
            full: false,
            peer_closed: false,
            shut: false,
            end: None,
        };
        // Who has a stream releases it first.
        drop(self.slots.put(conn.slot, slot));
    }

    /// A connection's slot.
    pub(crate) fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.slot)?;
        (slot.conn == conn).then_some(slot)
    }

    /// Takes it out; to be dropped once nothing is borrowed.
    pub(crate) fn release(&mut self, conn: ConnId) -> Option<Slot> {
        self.slot(conn)?;
        self.slots.take(conn.slot)
    }

    /// Adds a listener.
    pub(crate) fn add_listener(&mut self, listener: ListenerId) {
        self.listeners.push((listener, Wakers::default()));
    }

    /// Who waits at a listener.
    pub(crate) fn waiting_at(&mut self, listener: ListenerId) -> Option<&mut Wakers> {
        self.listeners.iter_mut().find(|(id, _)| *id == listener).map(|(_, wakers)| wakers)
    }

    /// Takes a listener out; its waiters are to be woken once nothing is borrowed.
    pub(crate) fn remove_listener(&mut self, listener: ListenerId) -> Option<Wakers> {
        let index = self.listeners.iter().position(|(id, _)| *id == listener)?;
        Some(self.listeners.swap_remove(index).1)
    }

    /// Notes all that happened, and adds who is to be told to `told`; whether anything did.
    pub(crate) fn drain_events(&mut self, told: &mut Vec<Wakers>) -> bool {
        let mut any = false;
        while let Some(event) = self.engine.poll_event() {
            any = true;
            self.note(event, told);
        }
        any
    }

    fn note(&mut self, event: ShardEvent, told: &mut Vec<Wakers>) {
        let mut tell = |wakers: &mut Wakers| {
            if !wakers.is_empty() {
                told.push(wakers.take());
            }
        };
        match event {
            ShardEvent::Accepted { listener, .. } => {
                if let Some(waiting) = self.waiting_at(listener) {
                    tell(waiting);
                }
            }
            ShardEvent::Readable(conn) | ShardEvent::PeerClosed(conn) => match self.slot(conn) {
                Some(slot) => {
                    slot.peer_closed |= matches!(event, ShardEvent::PeerClosed(_));
                    tell(&mut slot.readers);
                }
                None => told.extend(self.rouse(conn)),
            },
            ShardEvent::Writable(conn) => {
                if let Some(slot) = self.slot(conn) {
                    slot.full = false;
                    tell(&mut slot.writers);
                }
            }
            ShardEvent::Connected(conn) => {
                if let Some(slot) = self.slot(conn) {
                    slot.connected = true;
                    tell(&mut slot.writers);
                }
            }
            ShardEvent::Closed { conn, reason } => {
                match self.slot(conn) {
                    Some(slot) => {
                        slot.end = Some(reason);
                        tell(&mut slot.readers);
                        tell(&mut slot.writers);
                    }
                    // It is kept for who resumes the stream.
                    None => told.extend(self.rouse(conn)),
                }
            }
            // No gate is set here; the rest is told by `info()` for those who ask.
            ShardEvent::Asked { .. }
            | ShardEvent::Urgent(_)
            | ShardEvent::PathSuspect(_)
            | ShardEvent::SoftError(_) => {}
        }
    }

    /// Resets what is left of all connections.
    pub(crate) fn abort_all(&mut self, now: Instant) {
        let mut last = None;
        while let Some(conn) = self.engine.next_connection(last) {
            last = Some(conn);
            self.engine.abort(now, conn);
        }
    }
}

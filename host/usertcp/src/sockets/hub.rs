//! What all sockets of one stack share with its worker.
//!
//! Owns: the worker's inbox for sockets, the stash, the bounds of streams' queues.
//! Must not know: what is in a stream's cell.

use crate::native::Context;
use crate::runtime::commands::Inbox;
use crate::runtime::doorbell::Doorbell;
use crate::sockets::cell::{Cell, Haste};
use crate::sockets::driver::Driver;
use crate::sockets::idle::{Lot, LotNumbers};
use crate::sockets::inbound::InboundLimits;
use crate::sockets::listener::Pool;
use crate::sockets::relay::Relays;
use crate::sockets::stash::{Stash, StashSize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use usertcp_base::Limits;

/// Something for the driver to do.
type DriverCall = Box<dyn FnOnce(&mut Driver, &mut Context<'_>) + Send>;

/// Something for the driver to look at.
pub(crate) enum Task {
    /// The application put something in a stream's cell.
    Stream(Arc<Cell>),
    /// It took from, or let go of, a listener.
    Listener(Arc<Pool>),
    /// The same with a lot of idle streams.
    Idle(Arc<Lot>),
    /// Nobody waits for this attempt to connect any more.
    Forget(Ticket),
    /// Rare things.
    Call(DriverCall),
}

/// Names an attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

/// What sockets and their worker share.
pub(crate) struct Hub {
    pub(crate) inbox: Inbox<Task>,
    pub(crate) stash: Stash,
    pub(crate) doorbell: Arc<Doorbell>,
    pub(crate) inbound_limits: InboundLimits,
    pub(crate) relays: Relays,
    /// No other hub of this process has it.
    pub(crate) serial: u64,
    tickets: AtomicU64,
    pub(crate) lot_numbers: LotNumbers,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Hub {
    /// For a stack with this much memory.
    pub(crate) fn new(doorbell: Arc<Doorbell>, pool_octets: usize, limits: &Limits) -> Hub {
        // What is lent to readers is beyond the receive window's reach: no more than one window to
        // start with, and little of a small pool.
        let octets = (256 << 10).min(limits.receive_buffer_start_octets.saturating_mul(2) as usize);
        let octets = octets.min(pool_octets / 16).max(16 << 10);
        Hub {
            inbox: Inbox::new(Arc::clone(&doorbell)),
            stash: Stash::new(StashSize::for_budget(pool_octets)),
            doorbell,
            inbound_limits: InboundLimits { octets, charge: octets * 2 },
            relays: Relays::default(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            tickets: AtomicU64::new(0),
            lot_numbers: LotNumbers::default(),
        }
    }

    /// Puts a cell into the inbox. The worker is rung, now or by the relay that is at it. A closed inbox
    /// means that the worker is gone, and has said so in every cell.
    pub(crate) fn announce(&self, cell: &Arc<Cell>, haste: Haste) {
        let taken = self.inbox.put(Task::Stream(Arc::clone(cell))).is_ok();
        if taken && (haste == Haste::Now || !self.relays.ring_can_wait()) {
            self.doorbell.ring();
        }
    }

    /// A relay closed its batch.
    #[cfg(feature = "relay")]
    pub(crate) fn ring_if_filled(&self) {
        if self.inbox.is_filled() {
            self.doorbell.ring();
        }
    }

    /// A ticket nobody else has.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

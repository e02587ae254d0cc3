//! What the application is told.
//!
//! Owns: pending notices, one bit each per connection, and whose turn it is to be told.
//! Must not know: why something happened, or who listens.
//!
//! A notice that is pending already is not added again, so the memory is bounded by connections,
//! not by arrivals; one that was told is told again only when the connection reports it anew. That
//! makes each unblocking change one event (DESIGN §10, no lost wake-ups).

use crate::anchor::{Anchor, Anchors, Owner};
use crate::fifo::Fifo;
use crate::ready::ReadyList;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, ListenerId};

/// Something an application may want to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardEvent {
    /// A connection waits to be accepted.
    Accepted {
        /// At this listener.
        listener: ListenerId,
        /// Its handle.
        conn: ConnId,
    },
    /// A SYN waits for [`crate::Shard::decide`], because the listener's gate asks.
    Asked {
        /// At this listener.
        listener: ListenerId,
        /// The handle of what may become a connection; it tells both ends.
        conn: ConnId,
    },
    /// An active open succeeded.
    Connected(ConnId),
    /// There is something to read: data, the end, or an error.
    Readable(ConnId),
    /// A write that found no room may be tried again.
    Writable(ConnId),
    /// The peer will send no more; what it sent can still be read.
    PeerClosed(ConnId),
    /// Urgent data was announced, or its end moved on (MUST-32).
    Urgent(ConnId),
    /// Repeated retransmission: the path is suspect (MUST-20, MUST-22).
    PathSuspect(ConnId),
    /// The network reported a soft error; the connection lives on (MUST-47).
    SoftError(ConnId),
    /// It is over. What was received can still be read until the application closes the handle.
    Closed {
        /// The handle; the application closes it. No end is told of what it let go of before.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
}

/// A set of notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pending(u8);

impl Pending {
    pub(crate) const NONE: Pending = Pending(0);
    /// In the order in which they are told.
    /// Waits to be accepted, or for the gate's decision.
    pub(crate) const ACCEPTED: Pending = Pending(1);
    pub(crate) const CONNECTED: Pending = Pending(1 << 1);
    pub(crate) const URGENT: Pending = Pending(1 << 2);
    pub(crate) const READABLE: Pending = Pending(1 << 3);
    pub(crate) const WRITABLE: Pending = Pending(1 << 4);
    pub(crate) const PEER_CLOSED: Pending = Pending(1 << 5);
    pub(crate) const PATH_SUSPECT: Pending = Pending(1 << 6);
    pub(crate) const SOFT_ERROR: Pending = Pending(1 << 7);

    /// The notices of both.
    pub(crate) const fn and(self, other: Pending) -> Pending {
        Pending(self.0 | other.0)
    }
    /// These notices if `condition`.
    pub(crate) const fn when(self, condition: bool) -> Pending {
        if condition { self } else { Pending::NONE }
    }
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Takes the first one out.
    fn take_first(&mut self) -> Pending {
        let first = Pending(self.0 & self.0.wrapping_neg());
        self.0 &= !first.0;
        first
    }
}

/// The queue of notices.
#[derive(Debug, Default)]
pub(crate) struct Events {
    ready: ReadyList,
    closed: Fifo<(ConnId, CloseReason)>,
}

impl Events {
    /// Adds notices for the record at `index`. A connection nobody holds has nobody to be told.
    #[inline(always)] // most often one of the two marks and a place in the list
    pub(crate) fn add(&mut self, index: u32, anchor: &mut Anchor, notices: Pending) {
        if !notices.is_empty() && anchor.is_held() {
            anchor.pending = anchor.pending.and(notices);
            self.ready.push(index);
        }
    }

    /// Reads a little of what is noted of the record at `index`, so that it is on its way from memory.
    #[inline]
    pub(crate) fn touch(&self, index: u32) -> u64 {
        self.ready.touch(index)
    }

    /// A connection is over.
    pub(crate) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.closed.push((conn, reason));
    }

    /// The record at `index` goes away, or to another owner who is not to be told.
    pub(crate) fn forget(&mut self, index: u32) {
        self.ready.remove(index);
    }

    /// Whose turn it is, if anybody's.
    #[inline]
    pub(crate) fn front(&mut self) -> Option<u32> {
        self.ready.front()
    }

    /// It was told all there was to tell: the first one's turn is over.
    #[inline]
    pub(crate) fn told(&mut self) {
        self.ready.pop();
    }

    /// The next event. Ends come last, so nothing is told of a connection after its end.
    #[inline]
    pub(crate) fn poll(&mut self, anchors: &mut Anchors) -> Option<ShardEvent> {
        if self.ready.is_empty() && self.closed.is_empty() { None } else { self.poll_some(anchors) }
    }

    fn poll_some(&mut self, anchors: &mut Anchors) -> Option<ShardEvent> {
        while let Some(index) = self.ready.pop() {
            let Some((conn, anchor)) = anchors.with_id_mut(index) else { continue };
            let notice = anchor.pending.take_first();
            if !anchor.pending.is_empty() {
                self.ready.push(index);
            }
            // Most often it is this.
            if notice == Pending::READABLE {
                return Some(ShardEvent::Readable(conn));
            }
            if let Some(event) = event(notice, conn, anchor) {
                return Some(event);
            }
        }
        let (conn, reason) = self.closed.pop()?;
        Some(ShardEvent::Closed { conn, reason })
    }
}

#[inline(never)]
fn event(notice: Pending, conn: ConnId, anchor: &Anchor) -> Option<ShardEvent> {
    Some(match notice {
        Pending::ACCEPTED => match anchor.owner() {
            Owner::Listener(listener) => ShardEvent::Accepted { listener, conn },
            Owner::Gate(listener) => ShardEvent::Asked { listener, conn },
            // Accepted before it was told: nothing is left to tell.
            Owner::Application(_) | Owner::Nobody => return None,
        },
        Pending::CONNECTED => ShardEvent::Connected(conn),
        Pending::URGENT => ShardEvent::Urgent(conn),
        Pending::READABLE => ShardEvent::Readable(conn),
        Pending::WRITABLE => ShardEvent::Writable(conn),
        Pending::PEER_CLOSED => ShardEvent::PeerClosed(conn),
        Pending::PATH_SUSPECT => ShardEvent::PathSuspect(conn),
        Pending::SOFT_ERROR => ShardEvent::SoftError(conn),
        _ => return None,
    })
}

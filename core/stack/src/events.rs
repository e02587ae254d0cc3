//! What the application is told.
//!
//! Owns: pending notices, one bit each per connection, and whose turn it is to be told.
//! Must not know: why something happened, or who listens.
//!
//! A notice that is pending already is not added again, so the memory is bounded by connections,
//! not by arrivals; one that was told is told again only when the connection reports it anew. That
//! makes each unblocking change one event (DESIGN §10, no lost wake-ups).
//!
//! A connection is in the queue while a notice of its own is pending: the record itself says so. What is
//! forgotten leaves a dead entry behind, of which there are never many (`fifo`).

use crate::anchor::{Anchor, Anchors, Owner};
use crate::fifo::{Fifo, Mortal};
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
    /// There is something to read, behind which the peer has closed.
    pub(crate) const LAST_READABLE: Pending = Pending::READABLE.and(Pending::PEER_CLOSED);

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
    /// These notices but for `others`.
    const fn without(self, others: Pending) -> Pending {
        Pending(self.0 & !others.0)
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
    /// Connections with notices, the first to be told first. Some were forgotten since.
    turns: Mortal<ConnId>,
    closed: Fifo<(ConnId, CloseReason)>,
}

impl Events {
    /// Adds notices for a record. A connection nobody holds has nobody to be told.
    #[inline(always)] // most often one of the two marks and a place in the queue
    pub(crate) fn add(&mut self, id: ConnId, anchor: &mut Anchor, notices: Pending) {
        if !notices.is_empty() && anchor.is_held() {
            if anchor.pending.is_empty() {
                self.turns.push(id);
            }
            anchor.pending = anchor.pending.and(notices);
        }
    }

    /// A connection is over.
    pub(crate) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.closed.push((conn, reason));
    }

    /// The record goes away, or to another owner who is not to be told.
    #[inline]
    pub(crate) fn forget(&mut self, id: ConnId, anchors: &mut Anchors) {
        let Some(anchor) = anchors.get_mut(id) else { return };
        if !anchor.pending.is_empty() {
            anchor.pending = Pending::NONE;
            match self.front() == Some(id) {
                true => self.told(),
                false => self.leave_dead(anchors),
            }
        }
    }

    #[inline(never)]
    fn leave_dead(&mut self, anchors: &Anchors) {
        self.turns.die(|other| is_pending(anchors, *other));
    }

    /// Whose turn it is, if anybody's. It may have been forgotten.
    #[inline]
    pub(crate) fn front(&self) -> Option<ConnId> {
        self.turns.front().copied()
    }

    /// The queue in front of which is whose turn it is.
    #[inline(always)] // for each message
    pub(crate) fn queue(&mut self) -> &mut Fifo<ConnId> {
        self.turns.queue()
    }

    /// It was told all there was to tell: the first one's turn is over.
    #[inline]
    pub(crate) fn told(&mut self) {
        self.turns.pop();
    }

    /// The next event. Ends come last, so nothing is told of a connection after its end.
    #[inline]
    pub(crate) fn poll(&mut self, anchors: &mut Anchors) -> Option<ShardEvent> {
        match self.turns.is_empty() && self.closed.is_empty() {
            true => None,
            false => self.poll_some(anchors),
        }
    }

    /// The same where there is one. Most often there is something to read, and nothing else. That it is the end of
    /// what the peer sends is told next: it is nobody else's turn before, as there cannot be more of these.
    fn poll_some(&mut self, anchors: &mut Anchors) -> Option<ShardEvent> {
        if let Some(conn) = self.front()
            && let Some(anchor) = anchors.get_mut(conn)
        {
            if anchor.pending.without(Pending::PEER_CLOSED) == Pending::READABLE {
                anchor.pending = anchor.pending.without(Pending::READABLE);
                if anchor.pending.is_empty() {
                    self.told();
                }
                return Some(ShardEvent::Readable(conn));
            }
            if !anchor.pending.is_empty() {
                self.told();
                if let Some(event) = self.tell_first(conn, anchor) {
                    return Some(event);
                }
            }
        }
        self.poll_any(anchors)
    }

    /// Tells the first of the notices of a connection whose turn it was.
    #[inline(always)] // twice
    fn tell_first(&mut self, conn: ConnId, anchor: &mut Anchor) -> Option<ShardEvent> {
        let notice = anchor.pending.take_first();
        if !anchor.pending.is_empty() {
            self.turns.push(conn);
        }
        event(notice, conn, anchor)
    }

    #[inline(never)]
    fn poll_any(&mut self, anchors: &mut Anchors) -> Option<ShardEvent> {
        while let Some(conn) = self.turns.pop() {
            let anchor = anchors.get_mut(conn).filter(|anchor| !anchor.pending.is_empty());
            let Some(anchor) = anchor else {
                self.turns.buried();
                continue;
            };
            if let Some(event) = self.tell_first(conn, anchor) {
                return Some(event);
            }
        }
        let (conn, reason) = self.closed.pop()?;
        Some(ShardEvent::Closed { conn, reason })
    }
}

/// Whether there is anything to be told of a record.
fn is_pending(anchors: &Anchors, id: ConnId) -> bool {
    anchors.get(id).is_some_and(|anchor| !anchor.pending.is_empty())
}

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

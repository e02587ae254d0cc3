//! What arrives whole, and its answer.
//!
//! Owns: an event, the read that follows it and the write that answers it, with one look for the connection.
//! Must not know: what a message is to the application, how much a connection may hold.
//! Implements: RFC 9293 §3.9.1.2, §3.9.1.3.

use crate::anchor::{Anchor, Body, Owner};
use crate::app::is_held_back;
use crate::events::Pending;
use crate::shard::Shard;
use crate::turns::Turns;
use usertcp_base::{ConnId, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{FramePool, FrameSlice};
use usertcp_tcp::Tcb;

/// Octets that arrived, all that there are to be read, in one piece. They count as read.
pub struct Message<'a, C> {
    /// They, as they lie in their frame.
    pub octets: FrameSlice,
    /// The peer has closed behind them: nothing more comes.
    pub last: bool,
    /// Whose they are.
    pub stream: Stream<'a, C>,
}

/// A connection at hand: it is written to without another look for it.
pub struct Stream<'a, C> {
    id: ConnId,
    now: Instant,
    anchor: &'a mut Anchor,
    tcb: &'a mut Tcb<C>,
    transmit: &'a mut Turns,
    pool: &'a FramePool,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// The next event and the read that follows it in one, where it is that there is something to read, and all of it
    /// lies in one frame; and the event after that, if it is that the peer has closed. `None`: the next event is
    /// another, or this is not to be read so, or its connection is not accepted yet; ask [`Shard::poll_event`].
    ///
    /// Most events of an application that exchanges messages are of this kind, and all it does is to look at this, and
    /// to answer.
    #[inline(always)] // what it finds stays in registers
    pub fn poll_message(&mut self, now: Instant) -> Option<Message<'_, C>> {
        let turns = self.events.queue();
        let id = *turns.front()?;
        let anchor = self.table.anchors.get_mut(id)?;
        let Body::Hot(hot, _) = anchor.body else { return None };
        let tcb = self.table.hot.at_mut(hot).filter(|tcb| stays(anchor, tcb))?;
        let (octets, last) = if anchor.pending == Pending::READABLE {
            let (octets, opens) = tcb.take_message(now, &self.common.pool)?;
            if opens {
                self.transmit.push(id, anchor);
            }
            (octets, false)
        } else if is_last(anchor.pending) {
            (tcb.take_last_message(now, &self.common.pool)?, true)
        } else {
            return None;
        };
        anchor.pending = Pending::NONE;
        turns.skip_first();
        let (transmit, pool) = (&mut self.transmit, &self.common.pool);
        Some(Message { octets, last, stream: Stream { id, now, anchor, tcb, transmit, pool } })
    }
}

impl<C: CongestionController> Stream<'_, C> {
    /// Its handle.
    #[inline]
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Writes a short message; true: all of it was taken. False: none of it, it is for [`Shard::write`], which says
    /// what there is room for.
    #[must_use]
    #[inline(always)] // as above
    pub fn write_short(&mut self, octets: &[u8]) -> bool {
        let taken = self.tcb.write_short(self.pool, octets);
        // Most often it owes an acknowledgement of what was read, and waits to transmit.
        if taken && !self.anchor.is_queued() {
            wake(self.now, self.id, self.anchor, self.tcb, self.transmit);
        }
        taken
    }

    /// Lets go of the connection, as [`crate::Shard::close`] does; true: that is done. False: nothing has changed, it is
    /// for that.
    #[must_use]
    #[inline(always)] // as above
    pub fn close(self) -> bool {
        let Stream { id, anchor, tcb, transmit, .. } = self;
        // It was accepted, and all there was to be told of it was told with the message.
        debug_assert!(anchor.is_accepted() && anchor.pending.is_empty());
        let closes = tcb.close_in_order();
        if closes {
            transmit.push(id, anchor);
            anchor.set_owner(Owner::Nobody);
        }
        closes
    }
}

/// Whether an accepted connection does not come to rest because it was read: that may be all that keeps it from it, and
/// who waits to transmit is asked then.
#[inline(always)] // for each message
fn stays<C: CongestionController>(anchor: &Anchor, tcb: &Tcb<C>) -> bool {
    anchor.is_accepted_and_queued()
        || anchor.is_accepted() && (anchor.is_queued() || !tcb.is_quiet_when_read())
}

/// Whether it is the end too that is to be told; apart, as seldom as it is.
#[cold]
#[inline(never)]
fn is_last(pending: Pending) -> bool {
    pending == Pending::LAST_READABLE
}

/// As in [`Shard::write`].
#[inline(never)]
fn wake<C: CongestionController>(
    now: Instant,
    id: ConnId,
    anchor: &mut Anchor,
    tcb: &Tcb<C>,
    transmit: &mut Turns,
) {
    if !is_held_back(now, anchor, tcb) {
        transmit.push(id, anchor);
    }
}

impl<C> core::fmt::Debug for Message<'_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Message { octets, last, stream } = self;
        let mut message = f.debug_struct("Message");
        message.field("octets", octets).field("last", last).field("stream", stream).finish()
    }
}

impl<C> core::fmt::Debug for Stream<'_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

//! CLOSE and ABORT.
//!
//! Owns: letting go of a connection, in order or at once.
//! Must not know: FIN, TIME-WAIT.
//! Implements: RFC 9293 §3.9.1.4, §3.9.1.5, §3.10.4, §3.10.5; E-27, E-28, SHLD-3.

use crate::anchor::{Body, Owner};
use crate::app::ConnError;
use crate::shard::Shard;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Effects, HandshakePhase};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Closes our sending side: data that is queued, then FIN. The peer may go on sending.
    pub fn shutdown_write(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        self.held(id)?;
        let _ = self.awake(now, id);
        let anchor = self.held(id)?;
        match &anchor.body {
            Body::Parked(_) => Err(ConnError::Limit),
            Body::Hot(..) | Body::Early(..) => {
                self.close_sending(now, id);
                Ok(())
            }
            Body::Ended(reason, _) => Err(ConnError::Ended(*reason)),
            _ => {
                self.close_opening(now, id, false);
                Ok(())
            }
        }
    }

    /// The application reads no more. With the sending side closed too, new data of the peer is
    /// answered by a reset (SHLD-3).
    pub fn shutdown_read(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        self.held(id)?;
        if let Some(hot) = self.awake(now, id)
            && let Some(tcb) = self.table.hot.at_mut(hot)
        {
            tcb.shutdown_read();
        }
        self.is_awake(id)
    }

    pub(crate) fn close_sending(&mut self, now: Instant, id: ConnId) {
        let hot = self.table.anchors.get(id).and_then(|anchor| anchor.body.hot());
        let Some(tcb) = hot.and_then(|hot| self.table.hot.at_mut(hot)) else { return };
        let effects = tcb.shutdown_write(&mut self.common.env(now, id));
        self.transmit.push_at(id, &mut self.table.anchors);
        self.apply(now, id, effects);
    }

    /// Lets go of the connection. What was written is still delivered, then FIN; what was received
    /// and not read makes it a reset (SHLD-3). An idle one for which there is no TCB is reset too: all
    /// that was written has been delivered.
    pub fn close(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        let Some((anchor, tcb)) = self.table.held_hot(id) else {
            return self.close_without(now, id);
        };
        let in_order = tcb.close_in_order();
        if in_order {
            self.transmit.push(id, anchor);
        }
        let owner = anchor.owner();
        anchor.set_owner(Owner::Nobody);
        if !anchor.pending.is_empty() {
            self.events.forget(id, &mut self.table.anchors);
        }
        self.leave_queue(owner);
        if !in_order {
            self.release(now, id);
        }
        Ok(())
    }

    /// The same where there is no TCB at hand.
    #[inline(never)]
    fn close_without(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        match &self.held(id)?.body {
            Body::Parked(_) => match self.awake(now, id) {
                Some(_) => return self.close(now, id),
                None => self.abort(now, id),
            },
            Body::Opening(_) => self.close_opening(now, id, true),
            _ => self.discard(id),
        }
        Ok(())
    }

    /// Closes a connection that nobody holds.
    pub(crate) fn release(&mut self, now: Instant, id: ConnId) {
        let _ = self.act(now, id, |tcb, env| Some(tcb.close(env)));
    }

    /// Nobody is to be told anything more.
    fn detach(&mut self, id: ConnId) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let owner = anchor.owner();
        anchor.set_owner(Owner::Nobody);
        self.events.forget(id, &mut self.table.anchors);
        self.leave_queue(owner);
    }

    /// RFC 9293 §3.10.4: in SYN-SENT the record goes; in SYN-RECEIVED the FIN waits for the end of
    /// the handshake.
    fn close_opening(&mut self, now: Instant, id: ConnId, let_go: bool) {
        let Some(anchor) = self.table.anchors.get(id) else { return };
        let Body::Opening(opening) = anchor.body else { return };
        let Some(opening) = self.table.openings.at_mut(opening) else { return };
        match opening.handshake.phase() {
            HandshakePhase::SynReceived => {
                opening.closed = true;
                if let_go {
                    self.detach(id);
                }
            }
            HandshakePhase::SynSent => {
                self.common.note_end(now, id, CloseReason::Aborted);
                if !let_go {
                    self.events.close(id, CloseReason::Aborted);
                }
                self.discard(id);
            }
        }
    }

    /// Ends the connection at once: a reset, no data, no TIME-WAIT (E-28). The handle is stale.
    pub fn abort(&mut self, now: Instant, id: ConnId) {
        if self.held(id).is_err() {
            return;
        }
        if let Some(anchor) = self.table.anchors.get(id)
            && matches!(anchor.body, Body::Hot(..) | Body::Early(..) | Body::Parked(_))
            && let Some(flow) = self.table.flow(id)
        {
            let effects = match &anchor.body {
                Body::Parked(parked) => {
                    let offset = self.timestamp_offset(now, &flow);
                    let mut tcb = self.table.moulds.copy(now, parked, offset);
                    tcb.abort(&mut self.common.env(now, id))
                }
                body => match body.hot().and_then(|hot| self.table.hot.at_mut(hot)) {
                    Some(tcb) => tcb.abort(&mut self.common.env(now, id)),
                    None => Effects::default(),
                },
            };
            if let Some(reset) = effects.reset {
                self.send_reply(now, &flow, &reset);
            }
            self.common.note_end(now, id, CloseReason::Aborted);
        }
        self.discard(id);
    }
}

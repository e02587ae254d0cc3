//! The gate before the SYN-ACK (DESIGN §10): the application decides on each SYN.
//!
//! Owns: SYNs that wait for a decision, and what each decision does.
//! Must not know: why an application decides as it does.
//! Implements: AT-39 (policy by source is the application's), DESIGN §8.3.
//!
//! A program may refuse with a reset, stay silent, demand a cookie, or take its time, until it has
//! connected upstream, say. A SYN that waits counts as half-open, so there are never more of them
//! than of those; beyond that they are dropped, because a cookie would let in whom nobody decided on.

use crate::anchor::{Body, Owner};
use crate::app::ConnError;
use crate::events::Pending;
use crate::ingress::stray;
use crate::listener::Gate;
use crate::replies;
use crate::shard::Shard;
use crate::table::Full;
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, ListenerId, Observer, Span};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_tcp::Segment;
use usertcp_wire::tcp::Flags;

/// How long a SYN waits at most. Peers give up after one to three minutes.
const LONGEST: Span = Span::from_secs(75);

/// What becomes of a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is answered; [`crate::ShardEvent::Accepted`] follows when the handshake is complete.
    Accept,
    /// It is reset.
    Refuse,
    /// It is forgotten; the peer will try again.
    Ignore,
    /// It is answered by a cookie: the peer must show that it is where it says, and nothing is kept
    /// meanwhile.
    Cookie,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Lets the stack or the application decide on each SYN at `listener`.
    pub fn set_gate(&mut self, listener: ListenerId, gate: Gate) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.set_gate(gate);
        }
    }

    /// Keeps a SYN, which is accounted for as half-open, until there is a decision.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &Segment,
    ) {
        // Data on a SYN is sent again by the peer (E-5).
        let kept = self.table.asked.insert(copy(syn)).map(|kept| kept.slot);
        let inserted = kept.map(|kept| {
            self.table.insert(flow, Owner::Gate(listener), Body::Asked(kept, listener))
        });
        match inserted.unwrap_or(Err(Full::Anchors)) {
            Ok((id, evicted)) => {
                self.note_eviction(now, evicted);
                self.table.arm(id, Some(now + LONGEST));
                if let Some(anchor) = self.table.anchors.get_mut(id) {
                    self.events.add(id, anchor, Pending::ACCEPTED);
                }
            }
            Err(_) => {
                if let Some(kept) = kept {
                    self.table.asked.discard(kept);
                }
                self.listeners.remove_embryo(listener, &flow.remote);
                self.common.drop_packet(None, now, DropReason::ConnectionLimit);
            }
        }
    }

    /// A segment for a SYN that waits. Only the peer's own reset counts.
    pub(crate) fn deliver_asked(&mut self, now: Instant, id: ConnId, segment: &Segment) {
        let Some(Body::Asked(kept, _)) = self.table.anchors.get(id).map(|anchor| &anchor.body)
        else {
            return;
        };
        let Some(syn) = self.table.asked.at(*kept) else { return };
        if segment.has(Flags::RST) && segment.header.seq == syn.header.seq + 1 {
            return self.discard(id);
        }
        self.common.drop_packet(Some(id), now, DropReason::HandshakeUnexpected);
    }

    /// The application decided on [`crate::ShardEvent::Asked`].
    pub fn decide(
        &mut self,
        now: Instant,
        id: ConnId,
        decision: Decision,
    ) -> Result<(), ConnError> {
        let flow = self.table.anchors.flow(id).ok_or(ConnError::Stale)?;
        let (kept, listener) = match self.table.anchors.get(id).map(|anchor| &anchor.body) {
            Some(Body::Asked(kept, listener)) => (*kept, *listener),
            _ => return Err(ConnError::Stale),
        };
        let mut syn = self.table.asked.at(kept).map(copy).ok_or(ConnError::Stale)?;
        match decision {
            Decision::Ignore => self.discard(id),
            Decision::Refuse => {
                self.discard(id);
                self.reset_stray(now, &flow, replies::closed(&stray(&syn)));
            }
            Decision::Cookie => {
                self.discard(id);
                self.send_cookie(now, &flow, listener, &mut syn);
            }
            Decision::Accept => self.answer_asked(now, id, &flow, listener, &syn),
        }
        Ok(())
    }

    fn answer_asked(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &Segment,
    ) {
        let Some((handshake, reply)) = self.begin_passive(now, flow, listener, syn, None) else {
            return self.discard(id);
        };
        self.events.forget(id, &mut self.table.anchors);
        if let Some(anchor) = self.table.set_body(id, Body::Embryo(handshake, listener)) {
            anchor.set_owner(Owner::Nobody);
        }
        self.rearm(now, id);
        self.send_reply(now, flow, &reply);
    }
}

/// A SYN without its payload.
fn copy(syn: &Segment) -> Segment {
    Segment {
        header: syn.header,
        options: syn.options,
        payload: Chain::new(),
        ecn: syn.ecn,
        wire_segments: syn.wire_segments,
    }
}

//! The permanent record of a connection (DESIGN §5).
//!
//! Owns: identity, timer links, who holds the handle, pending events, and the body: a handshake,
//! a TCB by its index, TIME-WAIT, or the rest of an ended connection.
//! Must not know: how any of these handles a segment.
//! Implements: BG-5, MSL-1 (sizes).

use crate::config::Profile;
use crate::events::Pending;
use crate::fast_open::{Attempt, EarlyConnection};
use crate::slab::Slab;
use crate::wheel::{Links, WheelLinks};
use alloc::boxed::Box;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, FlowKey, Instant, ListenerId};
use usertcp_tcp::{Effects, Handshake, Parked, Segment, Signal, SignalKind, SoftErrors, TimeWait};

/// The record.
#[derive(Debug)]
pub(crate) struct Anchor<C> {
    pub flow: FlowKey,
    pub links: WheelLinks,
    pub owner: Owner,
    pub pending: Pending,
    pub body: Body<C>,
}

/// Who holds the handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// Nobody: half-open, TIME-WAIT, or the application has let go.
    Nobody,
    /// It waits in this listener's accept queue.
    Listener(ListenerId),
    /// The application is asked whether this listener should answer it.
    Gate(ListenerId),
    /// The application, with the token it gave the connection.
    Application(u32),
}

impl Owner {
    /// The application, which has said nothing of the connection yet.
    pub(crate) const APPLICATION: Owner = Owner::Application(0);
}

/// What a connection is at the moment.
#[derive(Debug)]
pub(crate) enum Body<C> {
    /// SYN-RECEIVED, for this listener.
    Embryo(Handshake, ListenerId),
    /// A SYN that is not answered yet, for this listener.
    Asked(Box<Segment>, ListenerId),
    /// SYN-SENT, or SYN-RECEIVED after a simultaneous open.
    Opening(Box<Opening<C>>),
    /// A TCB, by its index among the hot.
    Hot(u32),
    /// The same, while its SYN-ACK is not acknowledged: a fast open by the peer (RFC 7413).
    Early(Box<EarlyConnection>, u32),
    /// A connection that holds, owes and awaits nothing.
    Parked(Parked),
    /// TIME-WAIT until the moment given.
    TimeWait(TimeWait, Instant),
    /// Over; the application has not let go yet, and may read what its TCB still holds.
    Ended(CloseReason, Option<u32>),
}

/// An active open under way.
#[derive(Debug)]
pub(crate) struct Opening<C> {
    pub handshake: Handshake,
    pub profile: Profile<C>,
    /// What the SYN carried beside itself (RFC 7413).
    pub attempt: Attempt,
    /// The application closed meanwhile: FIN follows the handshake (RFC 9293 §3.10.4).
    pub closed: bool,
    pub soft_errors: SoftErrors,
}

/// Half-open, parked, TIME-WAIT: all of them this (BG-5, MSL-1).
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Anchor<()>>() <= 104);

impl<C> Body<C> {
    /// The TCB of a connection that has one and is not over.
    pub(crate) fn hot(&self) -> Option<u32> {
        match self {
            Body::Hot(hot) | Body::Early(_, hot) => Some(*hot),
            _ => None,
        }
    }

    /// Whether this is a handshake under way at `listener`, or the question about one.
    pub(crate) fn is_half_open_at(&self, listener: ListenerId) -> bool {
        matches!(self, Body::Embryo(_, at) | Body::Asked(_, at) if *at == listener)
    }
}

impl<C> Opening<C> {
    /// RFC 5927 §5, RFC 9293 §3.9.2.2: a hard error about our very SYN ends the attempt, a soft one
    /// is told. `None`: it is about something else.
    pub(crate) fn on_signal(&mut self, now: Instant, signal: &Signal) -> Option<Effects> {
        if signal.seq != self.handshake.iss() {
            return None;
        }
        Some(match signal.kind {
            SignalKind::Hard => Effects::ended(CloseReason::Unreachable),
            SignalKind::Soft => {
                let wanted = self.profile.settings.soft_errors;
                let soft_error = wanted && self.soft_errors.on_error(now);
                Effects { soft_error, ..Effects::default() }
            }
            // With data it may be; without, which is how it goes out again, it never is.
            SignalKind::TooBig { .. } => return None,
        })
    }
}

impl<C> Anchor<C> {
    pub(crate) fn new(flow: FlowKey, owner: Owner, body: Body<C>) -> Anchor<C> {
        Anchor { flow, links: WheelLinks::UNLINKED, owner, pending: Pending::NONE, body }
    }
}

impl<C> Links for Slab<Anchor<C>> {
    fn links(&self, index: u32) -> &WheelLinks {
        match self.at(index) {
            Some(anchor) => &anchor.links,
            None => unlinked_record(index),
        }
    }
    fn links_mut(&mut self, index: u32) -> &mut WheelLinks {
        match self.at_mut(index) {
            Some(anchor) => &mut anchor.links,
            None => unlinked_record(index),
        }
    }
}

/// Whether the connection of a handle waits to be accepted at `listener`.
pub(crate) fn waits_at<C>(anchors: &Slab<Anchor<C>>, id: ConnId, listener: ListenerId) -> bool {
    anchors.get(id).is_some_and(|anchor| anchor.owner == Owner::Listener(listener))
}

/// A record leaves the wheel before it leaves the slab, so this is our mistake.
#[cold]
fn unlinked_record(index: u32) -> ! {
    panic!("record {index} is in the wheel and not in the slab")
}

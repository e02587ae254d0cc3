//! What an application does with listeners and connections.
//!
//! Owns: the results of the calls of RFC 9293 §3.9.1; the calls are in the files below, one for
//! each part of a connection's life.
//! Must not know: descriptors, tasks, threads.
//! Implements: RFC 9293 §3.9.1.
//!
//! Waiting is not an error: a call that cannot go on says so in its result, and an event follows
//! when it can. After each of these calls the shard is to be polled, as after an arrival.

mod close;
mod message;
mod open;
mod rates;
mod status;
mod stream;

pub use message::{Message, Stream};

use crate::anchor::Anchor;
use crate::shard::Shard;
use core::net::{IpAddr, SocketAddr};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_tcp::{Info, StateName, Tcb};

/// Why a call on a connection fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnError {
    /// There is no such connection, or no more.
    Stale,
    /// Our sending side is closed already.
    SendClosed,
    /// The connection is over.
    Ended(CloseReason),
    /// It is idle, and what is asked of it needs a TCB, of which there are no more
    /// ([`usertcp_base::Limits::hot_connections`]). Later it may succeed.
    Limit,
}

/// What a read finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read<T> {
    /// Data.
    Data(T),
    /// None yet; [`crate::ShardEvent::Readable`] follows.
    Nothing,
    /// The peer has sent its last octet, and it was read.
    End,
}

/// Frames that were not taken.
#[derive(Debug)]
pub struct Refused {
    /// They.
    pub octets: Chain,
    /// Why; `None`: there is no room, and [`crate::ShardEvent::Writable`] follows.
    pub error: Option<ConnError>,
}

/// A listener as its application sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerInfo {
    /// Its address, or any.
    pub local: Option<IpAddr>,
    /// Its port, or any.
    pub port: Option<u16>,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// Handshakes under way.
    pub half_open: u32,
}

/// A connection as its application sees it.
#[derive(Clone, Copy, Debug)]
pub struct ConnInfo {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The RFC's state.
    pub state: StateName,
    /// Its figures, while it has a TCB.
    pub figures: Option<Info>,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A record the application may act on.
    #[inline]
    pub(crate) fn held(&self, id: ConnId) -> Result<&Anchor, ConnError> {
        match self.table.anchors.get(id) {
            Some(anchor) if anchor.is_held() => Ok(anchor),
            _ => Err(ConnError::Stale),
        }
    }

    /// The connection may have something to send. It is asked for a deadline when nothing is left to send.
    pub(crate) fn wake(&mut self, id: ConnId) {
        self.transmit.push_at(id, &mut self.table.anchors);
    }
}

/// Whether nothing that was written leaves before the release that the connection's deadline is for.
#[inline(always)] // in each write
fn is_held_back<C: CongestionController>(now: Instant, anchor: &Anchor, tcb: &Tcb<C>) -> bool {
    anchor.links.is_linked() && tcb.awaits_release(now)
}

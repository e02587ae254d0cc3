//! The way of the usual segment through a shard, in one piece each way.
//!
//! Owns: from a packet of the usual shape to its connection (`arrive`), from a connection's usual
//! segment to a packet (`send`) or to several (`cut`); what a burst needs, fetched together (`ahead`).
//! Must not know: any rule. Whatever is not as expected goes the way of `ingress` and `egress`, which know
//! all; what `tcp` calls usual it decides itself.
//! Implements: what those two implement.

mod ahead;
mod arrive;
mod cut;
mod gather;
mod give;
mod last;
mod open;
mod send;

pub(crate) use ahead::{AHEAD, BURST, CROWD, LONG_QUEUE};
pub(crate) use arrive::{Network, Read, as_segment};
pub(crate) use gather::Gathered;
pub(crate) use give::Flow;
pub(crate) use send::{
    EndsV4, Envelope, checksum_state, offload, pack_acknowledgement, pack_short, pack_short_v6,
    put_either,
};

use core::net::IpAddr;
use usertcp_base::{LocalIndex, RemoteAddr};

/// The last local address of each version that packets came to, by IPv6 perhaps one that is none: nearly always that
/// of the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastLocal {
    /// The address as a number, or one that is none's.
    v4: (u64, LocalIndex),
    v6: (RemoteAddr, Option<LocalIndex>),
    /// Both ends of the last active open, and what was asked for: the peer's address, and ours if that was chosen.
    pub(crate) towards: Option<((IpAddr, Option<IpAddr>), Ends)>,
}

/// The addresses of both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) remote: RemoteAddr,
    pub(crate) local: LocalIndex,
}

impl LastLocal {
    /// Before the first packet.
    pub(crate) const NONE: LastLocal =
        LastLocal { v4: (u64::MAX, LocalIndex(0)), v6: (RemoteAddr([0; 16]), None), towards: None };
}

//! The way of the usual segment through a shard, in one piece each way.
//!
//! Owns: from a packet of the usual shape to its connection (`arrive`; its IP header `network`, whose address it came to
//! `local`), from a connection's usual segment to a packet (`send`) or to several (`cut`); what a burst needs, fetched
//! together (`ahead`).
//! Must not know: any rule. Whatever is not as expected goes the way of `ingress` and `egress`, which know
//! all; what `tcp` calls usual it decides itself.
//! Implements: what those two implement.

mod ahead;
mod arrive;
mod cut;
mod gather;
mod give;
mod last;
mod local;
mod network;
mod open;
mod send;

pub(crate) use ahead::{AHEAD, BURST, CROWD, LONG_QUEUE};
pub(crate) use arrive::{Read, as_segment};
pub(crate) use gather::Gathered;
pub(crate) use give::Flow;
pub(crate) use local::{Ends, LastLocal};
pub(crate) use network::Network;
pub(crate) use send::{
    EndsV4, Envelope, checksum_state, offload, pack_acknowledgement, pack_short, pack_short_v6,
    put_either,
};

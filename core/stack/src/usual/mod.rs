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
mod open;
mod send;

pub(crate) use ahead::{AHEAD, CROWD, LONG_QUEUE};
pub(crate) use arrive::{Network, Read, as_segment};
pub(crate) use gather::Gathered;
pub(crate) use send::{
    EndsV4, Envelope, checksum_state, pack_acknowledgement, pack_short, pack_short_v6, put_bare,
    put_in_place,
};

use core::net::IpAddr;
use usertcp_base::{LocalIndex, RemoteAddr};
use usertcp_ip::Ip;

/// The local address of the last packet of each version, if it is one: nearly always that of the next one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastLocal {
    v4: ([u8; 4], Option<LocalIndex>),
    v6: (RemoteAddr, Option<LocalIndex>),
    /// That of the last active open, and where it went.
    towards: Option<(IpAddr, LocalIndex)>,
}

impl LastLocal {
    /// Our address for an active open to `remote` (MUST-44). Addresses stay what they are.
    #[inline]
    pub(crate) fn source_for(&mut self, remote: IpAddr, ip: &Ip) -> Option<LocalIndex> {
        match self.towards {
            Some((last, local)) if last == remote => Some(local),
            _ => {
                let local = ip.source_for(remote)?;
                self.towards = Some((remote, local));
                Some(local)
            }
        }
    }
}

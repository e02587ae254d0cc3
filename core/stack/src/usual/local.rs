//! Which of our addresses a packet came to.
//!
//! Owns: the last answers, one of each version, which most often are the next ones; the ends of the last active open.
//! Must not know: which addresses are ours (`ip`).

use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_base::{LocalIndex, Observer, RemoteAddr};
use usertcp_cc::CongestionController;

/// The address of each version that a packet came to last, and which of ours it is: nearly always that of the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastLocal {
    /// The address as [`number`], or one that no address has.
    pub(super) v4: (u64, LocalIndex),
    /// `None`: the address is not ours.
    pub(super) v6: (RemoteAddr, Option<LocalIndex>),
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

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Which of our addresses this is. `None`: none.
    #[inline]
    pub(super) fn local_of(&mut self, address: RemoteAddr) -> Option<LocalIndex> {
        match usertcp_ip::ip_address(address) {
            IpAddr::V4(address) => self.local_v4(address.octets()),
            IpAddr::V6(_) => {
                if self.last_local.v6.0 != address {
                    let index = self.ip.local_index(usertcp_ip::ip_address(address));
                    self.last_local.v6 = (address, index);
                }
                self.last_local.v6.1
            }
        }
    }

    /// The same of one by IPv4.
    #[inline(always)] // its result stays in registers
    pub(crate) fn local_v4(&mut self, address: [u8; 4]) -> Option<LocalIndex> {
        if self.last_local.v4.0 != number(address) {
            return self.look_up_local(address);
        }
        Some(self.last_local.v4.1)
    }

    #[cold]
    fn look_up_local(&mut self, address: [u8; 4]) -> Option<LocalIndex> {
        let local = self.ip.local_index(IpAddr::V4(address.into()))?;
        self.last_local.v4 = (number(address), local);
        Some(local)
    }
}

/// An address as a number, however it lies in memory.
#[inline(always)]
fn number(address: [u8; 4]) -> u64 {
    u64::from(u32::from_ne_bytes(address))
}

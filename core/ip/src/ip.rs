//! The layer as one value.
//!
//! Owns: configuration, addresses, buckets, what waits to be polled, deadlines.
//! Must not know: what a packet says (`input`), how headers look (`output`).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{DropReason, FlowKey, Instant, Limits, LocalIndex, Purpose, Secrets};
use usertcp_frame::Packet;

use crate::Cidr;
use crate::address::{AddressTable, is_v4};
use crate::bucket::TokenBucket;
use crate::reassembly::Reassembly;

/// What the layer is told at start.
#[derive(Clone, Debug)]
pub struct IpConfig {
    /// Our addresses; their order is the order of [`LocalIndex`].
    pub addresses: Vec<Cidr>,
    /// Largest packet of the link, octets.
    pub mtu: u16,
    /// Fragments and rates: the fields `fragment_*`, `resets_per_second`,
    /// `icmp_errors_per_second` and `echo_replies_per_second` count here.
    pub limits: Limits,
    /// Keys: fragment identifications and flow labels are made with them.
    pub secrets: Secrets,
}

/// Figures of the layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IpStats {
    /// Packets whose headers had to be copied into one piece.
    pub made_contiguous: u64,
    /// Datagrams put together from fragments.
    pub reassembled: u64,
    /// Datagrams that are incomplete now.
    pub incomplete: usize,
    /// Octets of memory they hold.
    pub fragment_octets: usize,
}

/// Drops that are not the answer of one `input`.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) fragment_limit: u32,
    pub(crate) fragment_timeout: u32,
    pub(crate) protocol: u32,
}

/// The IP layer of one shard. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Ip {
    pub(crate) addresses: AddressTable,
    pub(crate) mtu: u16,
    pub(crate) secrets: Secrets,
    pub(crate) reassembly: Reassembly,
    pub(crate) icmp_errors: TokenBucket,
    pub(crate) echo_replies: TokenBucket,
    resets: TokenBucket,
    /// Later fragments of the last reply.
    pub(crate) replies: VecDeque<Packet>,
    pub(crate) beside: Beside,
    pub(crate) made_contiguous: u64,
    identifications: u64,
}

impl Ip {
    /// A layer that answers to `config.addresses`.
    pub fn new(config: IpConfig) -> Ip {
        let limits = &config.limits;
        Ip {
            addresses: AddressTable::new(config.addresses),
            mtu: config.mtu,
            reassembly: Reassembly::new(limits),
            icmp_errors: TokenBucket::new(limits.icmp_errors_per_second),
            echo_replies: TokenBucket::new(limits.echo_replies_per_second),
            resets: TokenBucket::new(limits.resets_per_second),
            secrets: config.secrets,
            replies: VecDeque::new(),
            beside: Beside::default(),
            made_contiguous: 0,
            identifications: 0,
        }
    }

    /// The address behind an index.
    #[inline]
    pub fn local(&self, index: LocalIndex) -> Option<IpAddr> {
        self.addresses.address(index)
    }
    /// Both addresses of a flow by IPv4, ours first; `None`: it is none of IPv4. A flow has two addresses
    /// of one family.
    #[inline]
    pub fn ends_v4(&self, flow: &FlowKey) -> Option<([u8; 4], [u8; 4])> {
        match self.addresses.address(flow.local)? {
            IpAddr::V4(local) => {
                debug_assert!(is_v4(&flow.remote));
                let [.., a, b, c, d] = flow.remote.0;
                Some((local.octets(), [a, b, c, d]))
            }
            IpAddr::V6(_) => None,
        }
    }
    /// The index of an address of ours.
    pub fn local_index(&self, address: IpAddr) -> Option<LocalIndex> {
        self.addresses.index(address)
    }
    /// Which address of ours talks to `remote`: of its family, of its scope when there is one,
    /// with the longest common prefix; the first of equals. `None`: none of that family.
    pub fn source_for(&self, remote: IpAddr) -> Option<LocalIndex> {
        self.addresses.source_for(remote)
    }
    /// Largest packet of the link, octets.
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }
    /// The link's MTU has changed.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
    }

    /// Whether a reset to an unknown flow may be sent now (AT-2); takes its token if so.
    #[must_use]
    pub fn allow_reset(&mut self, now: Instant) -> bool {
        self.resets.allow(now)
    }
    /// Whether an ICMP error may be sent now (RFC 4443 §2.4 f); takes its token if so. `input`
    /// asks for the errors it makes itself.
    #[must_use]
    pub fn allow_icmp_error(&mut self, now: Instant) -> bool {
        self.icmp_errors.allow(now)
    }

    /// The next fragment of the reply that [`crate::Input::Reply`] began.
    pub fn poll_reply(&mut self) -> Option<Packet> {
        self.replies.pop_front()
    }

    /// Drops that were not the answer of one `input`, and how many: datagrams evicted for want of
    /// room or gone with age, packets of unknown protocols that were answered by an error.
    pub fn poll_drop(&mut self) -> Option<(DropReason, u32)> {
        let beside = &mut self.beside;
        for (count, reason) in [
            (&mut beside.fragment_limit, DropReason::FragmentLimit),
            (&mut beside.fragment_timeout, DropReason::FragmentTimeout),
            (&mut beside.protocol, DropReason::IpProtocol),
        ] {
            if *count > 0 {
                return Some((reason, core::mem::take(count)));
            }
        }
        None
    }

    /// Drops the datagrams that stayed incomplete too long (I-3); [`Ip::poll_drop`] tells how
    /// many. No "time exceeded" is sent about them: it would help nobody but a scanner.
    pub fn expire(&mut self, now: Instant) {
        let expired = self.reassembly.expire(now);
        self.beside.fragment_timeout = self.beside.fragment_timeout.saturating_add(expired);
    }

    /// When [`Ip::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.reassembly.next_deadline()
    }

    /// The figures now.
    pub fn stats(&self) -> IpStats {
        IpStats {
            made_contiguous: self.made_contiguous,
            reassembled: self.reassembly.completed(),
            incomplete: self.reassembly.incomplete(),
            fragment_octets: self.reassembly.octets(),
        }
    }

    /// An identification for a packet that may be cut: no counter shows through it (I-6).
    pub(crate) fn next_identification(&mut self) -> u32 {
        self.identifications = self.identifications.wrapping_add(1);
        self.secrets.hash(Purpose::Fragments, &self.identifications.to_be_bytes()) as u32
    }
}

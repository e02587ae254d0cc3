//! A packet as devices and the network layer hand it over.
//! Owns: the packet's octets and what a device is asked, or vouches, to do for it.
//! Must not know: addresses, ports, which device. Shaped after the virtio-net header, which most
//! devices speak.

use crate::chain::Chain;
use crate::slice::FrameSlice;

/// Who answers for the transport checksum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ChecksumState {
    /// Received: nobody has looked, check it. To send: it is complete.
    #[default]
    Unverified,
    /// Received: the device vouches for it. To send: it is complete.
    Verified,
    /// The field holds the pseudo header's sum only; whoever puts the packet on a wire completes
    /// it.
    Partial {
        /// Octets from the packet's first to where summing starts (the transport header).
        start: u16,
        /// Octets from `start` to the checksum field.
        offset: u16,
    },
}

/// What a super-packet is cut into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

/// A super-packet: several segments behind one header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gso {
    /// What it is cut into.
    pub kind: GsoKind,
    /// TCP payload octets of each segment but the last. Not zero.
    pub segment_octets: u16,
}

/// What goes beside a packet. The default asks for nothing and vouches for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Offload {
    /// The transport checksum.
    pub checksum: ChecksumState,
    /// Whether it is a super-packet. To send, it needs [`ChecksumState::Partial`].
    pub gso: Option<Gso>,
    /// Octets of all headers up to the payload; 0 when not known.
    pub header_octets: u16,
}

/// One packet.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// What goes beside it.
    pub offload: Offload,
    /// Its octets. The first slice holds all protocol headers without a gap.
    pub octets: Chain,
}

impl Packet {
    /// A packet without offloads.
    pub fn plain(octets: Chain) -> Packet {
        Packet { offload: Offload::default(), octets }
    }
    /// Becomes a packet of one slice, where it has no octets.
    #[inline(always)] // for each packet
    pub fn begin(&mut self, offload: Offload, slice: FrameSlice) {
        debug_assert!(self.is_empty());
        self.offload = offload;
        self.octets.begin(|| Chain::of_one(slice));
    }
    /// The same of two slices.
    #[inline(always)] // as above
    pub fn begin_two(&mut self, offload: Offload, headers: FrameSlice, payload: FrameSlice) {
        debug_assert!(self.is_empty());
        self.offload = offload;
        self.octets.begin(|| Chain::of_two(headers, payload));
    }
    /// Octets of the packet.
    pub fn len(&self) -> usize {
        self.octets.len()
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Packet>() <= 64);

//! Names of things. Owns: connection and listener handles, the flow key, the ECN mark.
//! Must not know: address families; a remote address is sixteen opaque octets.

/// A connection's handle: stable for its life, through parking. A stale one is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Index of the anchor.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// A listener's handle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u32);

/// A rate limit that several connections share, by its handle; the default names none. A stale one
/// is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RateGroupId {
    /// Its place; zero is no group's.
    pub slot: u16,
    /// How often the place was used before.
    pub generation: u16,
}

impl RateGroupId {
    /// No group.
    pub const NONE: RateGroupId = RateGroupId { slot: 0, generation: 0 };
}

/// A local address, by its index in the network's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LocalIndex(pub u16);

/// A remote address as the network below writes it (IPv4 as `::ffff:a.b.c.d`).
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Debug, Default)]
pub struct RemoteAddr(pub [u8; 16]);

impl PartialEq for RemoteAddr {
    /// As one number: comparing octets would be a call.
    #[inline]
    fn eq(&self, other: &RemoteAddr) -> bool {
        u128::from_ne_bytes(self.0) == u128::from_ne_bytes(other.0)
    }
}

impl core::hash::Hash for RemoteAddr {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// What tells one connection from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FlowKey {
    /// The peer's address.
    pub remote: RemoteAddr,
    /// Our address.
    pub local: LocalIndex,
    /// The peer's port.
    pub remote_port: u16,
    /// Our port.
    pub local_port: u16,
}

impl FlowKey {
    /// Both ports as one number, the remote one in the upper half.
    #[inline]
    pub const fn ports(&self) -> u32 {
        (self.remote_port as u32) << 16 | self.local_port as u32
    }
    /// The key as octets, for keyed hashes.
    pub fn octets(&self) -> [u8; 22] {
        let mut out = [0; 22];
        out[..16].copy_from_slice(&self.remote.0);
        out[16..18].copy_from_slice(&self.local.0.to_be_bytes());
        out[18..20].copy_from_slice(&self.remote_port.to_be_bytes());
        out[20..].copy_from_slice(&self.local_port.to_be_bytes());
        out
    }
}

/// The two ECN bits of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Ecn {
    /// 00: the transport does not use ECN.
    #[default]
    NotCapable,
    /// 01: ECN-capable, ECT(1).
    Capable1,
    /// 10: ECN-capable, ECT(0).
    Capable0,
    /// 11: a router marked congestion.
    CongestionExperienced,
}

impl Ecn {
    /// From the low two bits of the traffic class octet.
    pub const fn from_bits(bits: u8) -> Ecn {
        match bits & 3 {
            0 => Ecn::NotCapable,
            1 => Ecn::Capable1,
            2 => Ecn::Capable0,
            _ => Ecn::CongestionExperienced,
        }
    }
    /// The two bits.
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

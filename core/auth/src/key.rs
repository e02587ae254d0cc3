//! Keys, and whom they are for.
//!
//! Owns: what a key may be, which flows its scope covers, which keys exclude each other.
//! Must not know: sessions, messages.
//! Implements: RFC 5925 §3.1 (the MKT and its rules), RFC 2385 §4.5 (key size).

use crate::mac::Algorithm;
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::FlowKey;

/// Longest key, octets: what other stacks and their tools take.
const LONGEST_KEY_OCTETS: usize = 80;

/// A secret shared with a peer. Its octets are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Vec<u8>);

impl MasterKey {
    /// A key of 1 to 80 octets.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn new(octets: &[u8]) -> Result<MasterKey, KeyError> {
        if octets.is_empty() || octets.len() > LONGEST_KEY_OCTETS {
            return Err(KeyError::Length);
        }
        Ok(MasterKey(octets.to_vec()))
    }
    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The flows a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The peer's address, or its network's.
    pub remote: IpAddr,
    /// Leading bits of it that count: 32 or 128 for one host.
    pub prefix_bits: u8,
    /// The peer's port; `None`: any.
    pub remote_port: Option<u16>,
    /// Our port; `None`: any.
    pub local_port: Option<u16>,
}

impl Scope {
    /// All ports of one host.
    pub fn host(remote: IpAddr) -> Scope {
        let prefix_bits = if remote.is_ipv4() { 32 } else { 128 };
        Scope { remote, prefix_bits, remote_port: None, local_port: None }
    }

    fn is_legal(&self) -> bool {
        self.prefix_bits <= if self.remote.is_ipv4() { 32 } else { 128 }
    }

    /// Whether a flow with this peer is meant.
    pub(crate) fn covers(&self, remote: IpAddr, flow: &FlowKey) -> bool {
        let same = |wanted: Option<u16>, port| wanted.is_none_or(|wanted| wanted == port);
        same(self.remote_port, flow.remote_port)
            && same(self.local_port, flow.local_port)
            && shares_prefix(self.remote, remote, self.prefix_bits)
    }

    /// Whether some flow is meant by both.
    fn overlaps(&self, other: &Scope) -> bool {
        let both = |a: Option<u16>, b: Option<u16>| a.is_none() || b.is_none() || a == b;
        both(self.remote_port, other.remote_port)
            && both(self.local_port, other.local_port)
            && shares_prefix(self.remote, other.remote, self.prefix_bits.min(other.prefix_bits))
    }
}

fn shares_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let differing_above = |difference: u128, width: u32| {
        let below = width.saturating_sub(u32::from(bits));
        difference.checked_shr(below).unwrap_or(0) != 0
    };
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            !differing_above(u128::from(a.to_bits() ^ b.to_bits()), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => !differing_above(a.to_bits() ^ b.to_bits(), 128),
        _ => false,
    }
}

/// What a key is used with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// The MD5 option (RFC 2385): for peers that have nothing better.
    Md5(MasterKey),
    /// TCP-AO (RFC 5925): a master key tuple.
    Ao {
        /// KeyID of what we send: the peer's number for this key.
        send_id: u8,
        /// KeyID of what we receive: our number for it.
        receive_id: u8,
        /// The algorithms of both directions.
        algorithm: Algorithm,
        /// Whether other options are covered by the code; a path that changes options needs `false`.
        cover_options: bool,
        /// The secret.
        master: MasterKey,
    },
}

/// A key and the flows it protects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthKey {
    /// Whom it is for.
    pub scope: Scope,
    /// What it is.
    pub kind: KeyKind,
}

/// A key's handle.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyHandle(pub u32);

/// Why a key is not taken, or not given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// Not 1 to 80 octets.
    Length,
    /// More prefix bits than the address has.
    Prefix,
    /// A key of an overlapping scope has the same identifier, or is the MD5 key there.
    Taken,
    /// MD5 and TCP-AO for the same flows (RFC 5925 §2: never both).
    Mixed,
    /// A connection uses it.
    InUse,
    /// No such key.
    Unknown,
}

impl core::fmt::Display for KeyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            KeyError::Length => "a key has 1 to 80 octets",
            KeyError::Prefix => "the prefix is longer than the address",
            KeyError::Taken => "another key of these flows has the identifier",
            KeyError::Mixed => "these flows have a key of the other kind",
            KeyError::InUse => "a connection uses the key",
            KeyError::Unknown => "there is no such key",
        })
    }
}

impl core::error::Error for KeyError {}

impl AuthKey {
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if self.scope.is_legal() { Ok(()) } else { Err(KeyError::Prefix) }
    }

    /// Whether both may be there (RFC 5925 §3.1: identifiers are unique within a connection).
    pub(crate) fn agrees_with(&self, other: &AuthKey) -> Result<(), KeyError> {
        if !self.scope.overlaps(&other.scope) {
            return Ok(());
        }
        match (&self.kind, &other.kind) {
            // Of two MD5 keys the one of the longer prefix counts.
            (KeyKind::Md5(_), KeyKind::Md5(_)) if self.scope != other.scope => Ok(()),
            (KeyKind::Md5(_), KeyKind::Md5(_)) => Err(KeyError::Taken),
            (
                KeyKind::Ao { send_id, receive_id, .. },
                KeyKind::Ao { send_id: send, receive_id: receive, .. },
            ) if send_id != send && receive_id != receive => Ok(()),
            (KeyKind::Ao { .. }, KeyKind::Ao { .. }) => Err(KeyError::Taken),
            _ => Err(KeyError::Mixed),
        }
    }
}

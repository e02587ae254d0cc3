//! The header in front of every packet of a TUN device or packet socket.
//! Owns: its ten octets, and what they mean as [`Offload`]. Must not know: reading, writing.
//! Implements: virtio 1.2 §5.1.6 in its old form (no `num_buffers`, the host's byte order).

use usertcp_device::{ChecksumState, Gso, GsoKind, Offload};

/// Octets of the header.
pub(crate) const HEADER_OCTETS: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// The header of a packet received. `None`: a super-packet of a kind we never agreed to.
///
/// A checksum the kernel left unfinished counts as verified: those octets never crossed a wire.
pub(crate) fn decode(header: &[u8; HEADER_OCTETS]) -> Option<Offload> {
    let [flags, gso_type, h0, h1, s0, s1, ..] = *header;
    let segment_octets = u16::from_ne_bytes([s0, s1]);
    let kind = match gso_type & !GSO_ECN {
        GSO_NONE => None,
        GSO_TCP4 => Some(GsoKind::Tcp4),
        GSO_TCP6 => Some(GsoKind::Tcp6),
        _ => return None,
    };
    let vouched = flags & (NEEDS_CHECKSUM | DATA_VALID) != 0;
    Some(Offload {
        checksum: if vouched { ChecksumState::Verified } else { ChecksumState::Unverified },
        gso: kind.filter(|_| segment_octets > 0).map(|kind| Gso { kind, segment_octets }),
        header_octets: u16::from_ne_bytes([h0, h1]),
    })
}

/// The header of a packet to send, of which `first` are the first octets.
pub(crate) fn encode(offload: &Offload, first: &[u8]) -> [u8; HEADER_OCTETS] {
    let (flags, start, offset) = match offload.checksum {
        ChecksumState::Partial { start, offset } => (NEEDS_CHECKSUM, start, offset),
        ChecksumState::Unverified | ChecksumState::Verified => (0, 0, 0),
    };
    let (gso_type, segment_octets) = match offload.gso {
        Some(gso) => (gso_bits(gso.kind) | ecn_bit(first, start), gso.segment_octets),
        None => (GSO_NONE, 0),
    };
    let [h0, h1] = offload.header_octets.to_ne_bytes();
    let [s0, s1] = segment_octets.to_ne_bytes();
    let [b0, b1] = start.to_ne_bytes();
    let [o0, o1] = offset.to_ne_bytes();
    [flags, gso_type, h0, h1, s0, s1, b0, b1, o0, o1]
}

fn gso_bits(kind: GsoKind) -> u8 {
    match kind {
        GsoKind::Tcp4 => GSO_TCP4,
        GsoKind::Tcp6 => GSO_TCP6,
    }
}

/// Set when the TCP header at `start` has CWR: only the first segment may keep it (RFC 3168
/// §6.1.2).
fn ecn_bit(first: &[u8], start: u16) -> u8 {
    const FLAGS: usize = 13;
    const CWR: u8 = 0x80;
    let flags = first.get(usize::from(start) + FLAGS).copied().unwrap_or(0);
    if flags & CWR != 0 { GSO_ECN } else { 0 }
}

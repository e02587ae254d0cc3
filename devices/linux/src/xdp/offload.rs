//! Checksums a sender on the same machine left unfinished.
//! Owns: how such a packet is told. Must not know: sockets, rings.
//! Implements: the pseudo headers of RFC 9293 §3.1 and RFC 8200 §8.1, as far as the sum goes.
//!
//! A kernel leaves the TCP checksum to the device, and virtual devices leave it to nobody: over
//! veth a packet arrives whose checksum field holds the sum of the pseudo header alone. The mark
//! that says so does not reach an XDP program, so AF_XDP shows a checksum that is wrong. Such a
//! packet can be told by that very sum: this module vouches for packets that have it, and for no
//! others.
//!
//! What it costs: of packets harmed on a real wire, one in 65,536 has that sum by chance and would
//! pass; a checksum passes as many. Where packets cross a wire and nobody leaves sums unfinished
//! there is nothing to gain, so [`PartialChecksums::Auto`] vouches only on devices without a wire.

use usertcp_device::ChecksumState;

/// What to make of a TCP checksum that holds the pseudo header's sum and no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PartialChecksums {
    /// Accept it when the interface has no wire: veth. Else refuse it.
    #[default]
    Auto,
    /// Accept it. For other virtual interfaces.
    Accept,
    /// It is wrong, as anything else would be. A sender on the same machine must then be told to
    /// finish its checksums: `ethtool -K PEER tx off`.
    Refuse,
}

impl PartialChecksums {
    /// Whether to look for them on an interface of that driver.
    pub(super) fn accepts(self, driver: &str) -> bool {
        match self {
            PartialChecksums::Auto => driver == "veth",
            PartialChecksums::Accept => true,
            PartialChecksums::Refuse => false,
        }
    }
}

const ETHERNET_OCTETS: usize = 14;
const TCP: u8 = 6;
const TCP_CHECKSUM_AT: usize = 16;

/// What is known of the checksum of a packet that begins with `frame`, an Ethernet header first.
#[inline]
pub(super) fn checksum_state(frame: &[u8]) -> ChecksumState {
    match has_pseudo_sum(frame) {
        Some(true) => ChecksumState::Verified,
        _ => ChecksumState::Unverified,
    }
}

/// Whether it is an unfragmented TCP segment with the pseudo header's sum as its checksum. `None`:
/// it is something else.
fn has_pseudo_sum(frame: &[u8]) -> Option<bool> {
    let ethertype = frame.get(12..14)?;
    let packet = frame.get(ETHERNET_OCTETS..)?;
    let (addresses, tcp_at, tcp_octets) = match ethertype {
        [0x08, 0x00] => ipv4(packet)?,
        [0x86, 0xdd] => ipv6(packet)?,
        _ => return None,
    };
    let at = tcp_at + TCP_CHECKSUM_AT;
    let field = u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?);
    let words = addresses.chunks_exact(2);
    let sum: u32 = words.map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    Some(field == fold(sum + u32::from(TCP) + tcp_octets))
}

/// Addresses, octets in front of the segment, octets of it.
fn ipv4(packet: &[u8]) -> Option<(&[u8], usize, u32)> {
    let header = packet.get(..20)?;
    let header_octets = usize::from(header[0] & 0x0F) * 4;
    let total = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF;
    if header[0] >> 4 != 4 || header_octets < 20 || fragment != 0 || header[9] != TCP {
        return None;
    }
    Some((&header[12..], header_octets, total.checked_sub(header_octets as u32)?))
}

fn ipv6(packet: &[u8]) -> Option<(&[u8], usize, u32)> {
    let header = packet.get(..40)?;
    // Behind extension headers senders of the kernel finish their sums, or cannot be told.
    if header[0] >> 4 != 6 || header[6] != TCP {
        return None;
    }
    let octets = u32::from(u16::from_be_bytes([header[4], header[5]]));
    Some((&header[8..], 40, octets))
}

/// The ones' complement sum in 16 bits.
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xFFFF) + (sum >> 16);
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

//! ARP: addresses of IPv4 to addresses of Ethernet.
//!
//! Owns: the typed form of a packet. Must not know: which addresses are ours, what to believe.
//! Implements: RFC 826 (packet format), for Ethernet and IPv4 only.

use crate::ethernet::Mac;
use core::net::Ipv4Addr;
use usertcp_base::DropReason;

/// Octets of a packet, behind the Ethernet header. Frames have padding behind it.
pub const PACKET_OCTETS: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, six and four octets of address.
const FIXED: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has the sender's address.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's address on the link.
    pub sender_mac: Mac,
    /// The sender's address; unspecified in a probe (RFC 5227 §1.1).
    pub sender: Ipv4Addr,
    /// The target's address on the link; means nothing in a request.
    pub target_mac: Mac,
    /// The target's address.
    pub target: Ipv4Addr,
}

/// Reads a packet; what follows it is padding. Error: `LinkMalformed` when it is too short, of
/// other address families, or neither request nor reply.
pub fn parse(bytes: &[u8]) -> Result<Packet, DropReason> {
    let packet = bytes.first_chunk::<PACKET_OCTETS>().ok_or(DropReason::LinkMalformed)?;
    let Some((fixed, [o0, o1, rest @ ..])) = packet.split_first_chunk::<6>() else {
        return Err(DropReason::LinkMalformed);
    };
    let operation = match u16::from_be_bytes([*o0, *o1]) {
        _ if *fixed != FIXED => return Err(DropReason::LinkMalformed),
        1 => Operation::Request,
        2 => Operation::Reply,
        _ => return Err(DropReason::LinkMalformed),
    };
    let (sender_mac, sender, rest) = pair(rest).ok_or(DropReason::LinkMalformed)?;
    let (target_mac, target, _) = pair(rest).ok_or(DropReason::LinkMalformed)?;
    Ok(Packet { operation, sender_mac, sender, target_mac, target })
}

fn pair(bytes: &[u8]) -> Option<(Mac, Ipv4Addr, &[u8])> {
    let (mac, rest) = bytes.split_first_chunk::<6>()?;
    let (address, rest) = rest.split_first_chunk::<4>()?;
    Some((*mac, Ipv4Addr::from(*address), rest))
}

/// The packet's octets.
pub fn emit(packet: &Packet) -> [u8; PACKET_OCTETS] {
    let mut out = [0; PACKET_OCTETS];
    out[..6].copy_from_slice(&FIXED);
    out[7] = match packet.operation {
        Operation::Request => 1,
        Operation::Reply => 2,
    };
    out[8..14].copy_from_slice(&packet.sender_mac);
    out[14..18].copy_from_slice(&packet.sender.octets());
    out[18..24].copy_from_slice(&packet.target_mac);
    out[24..].copy_from_slice(&packet.target.octets());
    out
}

#[cfg(test)]
mod tests;

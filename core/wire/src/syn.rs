//! SYN and SYN-ACK of the usual shape, read and written in one piece.
//!
//! Owns: TCP headers with SYN, perhaps ACK, and nothing but MSS, SACK-permitted, timestamps and window scale
//! in the layout of `tcp::emit`: what nearly every connection begins with.
//! Must not know: any other shape. `tcp` reads and writes all; a test holds this module against it.
//! Implements: RFC 9293 §3.1, §3.2; RFC 7323 appendix A; RFC 2018 §2.

use crate::checksum::Running;
use crate::plain::{MSS, SACK_PERMITTED_STAMPS, SCALE, put};
use crate::tcp;
use crate::usual::{IPV4_OCTETS, IpHeader, write_ipv4};
use usertcp_base::{Seq, WireWindow};

/// Octets of the TCP header.
pub const SYN_OCTETS: usize = 40;
/// Octets of both headers by IPv4.
pub const BOTH_V4: usize = IPV4_OCTETS + SYN_OCTETS;

/// A data offset of ten words, SYN; and ACK.
const OFFSET_SYN: u64 = 0xA002;
const ACK: u64 = 0x10;

/// What such a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SynHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; `None`: a SYN.
    pub ack: Option<Seq>,
    /// The window field.
    pub window: WireWindow,
    /// The largest segment, octets.
    pub mss: u16,
    /// Window scale.
    pub scale: u8,
    /// TSval.
    pub value: u32,
    /// TSecr.
    pub echo: u32,
}

/// Reads a TCP header; the checksum is not looked at. `None`: it is of another shape.
#[inline(always)] // in one place
pub fn read_syn(octets: &[u8; SYN_OCTETS]) -> Option<SynHeader> {
    let (words, _) = octets.as_chunks::<8>();
    let [first, second, third, fourth, fifth] = words else { return None };
    let [first, second, third, fourth, fifth] =
        [first, second, third, fourth, fifth].map(|word| u64::from_be_bytes(*word));
    let flags = second >> 16 & 0xFFFF;
    let usual = flags & !ACK == OFFSET_SYN
        && third as u32 & 0xFFFF_0000 == MSS
        && (fourth >> 32) as u32 == SACK_PERMITTED_STAMPS
        && fifth as u32 & 0xFFFF_FF00 == SCALE;
    usual.then_some(SynHeader {
        source_port: (first >> 48) as u16,
        destination_port: (first >> 32) as u16,
        seq: Seq(first as u32),
        ack: (flags & ACK != 0).then_some(Seq((second >> 32) as u32)),
        window: WireWindow(second as u16),
        mss: third as u16,
        scale: fifth as u8,
        value: fourth as u32,
        echo: (fifth >> 32) as u32,
    })
}

/// Writes both headers of a packet by IPv4. `complete`: the TCP checksum, which a device completes otherwise.
pub fn write_syn_v4(
    out: &mut [u8; BOTH_V4],
    ip: &IpHeader<[u8; 4]>,
    header: &SynHeader,
    complete: bool,
) {
    let (front, back) = out.split_at_mut(IPV4_OCTETS);
    if let Some(front) = front.first_chunk_mut() {
        write_ipv4(front, ip);
    }
    let length = u32::from(ip.payload_octets);
    let pseudo = Running::pseudo_v4(ip.source, ip.destination, tcp::PROTOCOL, length);
    let SynHeader { source_port, destination_port, seq, ack, window, mss, scale, value, echo } =
        *header;
    let ports = u64::from(source_port) << 48 | u64::from(destination_port) << 32;
    let flags = OFFSET_SYN | if ack.is_some() { ACK } else { 0 };
    let ack = u64::from(ack.unwrap_or(Seq(0)).0);
    let words = [
        ports | u64::from(seq.0),
        ack << 32 | flags << 16 | u64::from(window.0),
        u64::from(MSS | u32::from(mss)),
        u64::from(SACK_PERMITTED_STAMPS) << 32 | u64::from(value),
        u64::from(echo) << 32 | u64::from(SCALE | u32::from(scale)),
    ];
    let written = put(back, words, pseudo, complete);
    debug_assert!(written, "there is room for forty octets");
}

#[cfg(test)]
mod tests;

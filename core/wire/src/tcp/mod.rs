//! The TCP header.
//!
//! Owns: the typed header, its flags and options, `parse` and `emit`, where options stand.
//! Must not know: connections, states, the layer below (a partial sum stands for it).
//! Implements: RFC 9293 §3.1 and §3.2 (MUST-1, 4 to 7, 64, 65, 68, 69), E-25, E-26, PR-1 to PR-8.

mod emit;
mod flags;
mod options;
mod parse;
mod raw;
#[cfg(test)]
mod tests;

use usertcp_base::{Seq, WireWindow};

pub use emit::{EmitChecksum, emit, header_len};
pub use flags::Flags;
pub use options::{
    AccurateEcn, AccurateEcnOrder, Authentication, Cookie, Options, SackBlock, SackBlocks,
    Timestamps,
};
pub use parse::parse;
pub use raw::{RawOption, raw_options};

/// Octets of a header without options.
pub const HEADER_OCTETS: usize = 20;
/// Most octets the options may take: the data offset ends at 15 words.
pub const OPTION_OCTETS: usize = 40;
/// Octets of the longest header.
pub const LONGEST_HEADER_OCTETS: usize = HEADER_OCTETS + OPTION_OCTETS;
/// Offset of the checksum field, for devices that fill it in.
pub const CHECKSUM_OFFSET: usize = 16;
/// The protocol number (IPv4) and next-header value (IPv6) of TCP.
pub const PROTOCOL: u8 = 6;

/// The fixed part of a header, without data offset and checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The sender's port. Zero is not judged here.
    pub source_port: u16,
    /// The receiver's port. Zero is not judged here.
    pub destination_port: u16,
    /// Sequence number of the first octet, or of the SYN.
    pub seq: Seq,
    /// Next sequence number expected; zero without [`Flags::ACK`], whatever the packet said.
    pub ack: Seq,
    /// The control bits. The three unassigned ones are never set (E-26).
    pub flags: Flags,
    /// The window field as it stands: unscaled, unsigned 16 bits (MUST-1).
    pub window: WireWindow,
    /// The urgent pointer; means something only with [`Flags::URG`].
    pub urgent: u16,
}

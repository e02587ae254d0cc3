//! ICMP for IPv6.
//!
//! Owns: its types and codes, parse, the error and echo reply that we send.
//! Must not know: rates, whether an answer is due (RFC 4443 §2.4 e is the caller's), neighbours.
//! Implements: RFC 4443, RFC 8201 §3 (packet too big).

use crate::checksum;
use crate::icmp::{self, HEADER_OCTETS, Message, Problem};
use usertcp_base::DropReason;

/// The next-header value.
pub const PROTOCOL: u8 = 58;

/// Code of "unreachable": no such port here.
pub const CODE_PORT: u8 = 4;
/// Code of "parameter problem": no such next header here.
pub const CODE_NEXT_HEADER: u8 = 1;

const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// Reads a message whose checksum (pseudo-header included) the caller has verified. Error:
/// `IcmpMalformed` below eight octets.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, DropReason> {
    let Some((header, quote)) = bytes.split_first_chunk::<HEADER_OCTETS>() else {
        return Err(DropReason::IcmpMalformed);
    };
    let [kind, code, _, _, a, b, c, d] = *header;
    let field = u32::from_be_bytes([a, b, c, d]);
    let problem = match kind {
        ECHO_REQUEST => return Ok(Message::EchoRequest),
        ECHO_REPLY => return Ok(Message::EchoReply),
        UNREACHABLE => Problem::Unreachable { code },
        TOO_BIG => Problem::TooBig { mtu: field },
        TIME_EXCEEDED => Problem::TimeExceeded { code },
        PARAMETER_PROBLEM => Problem::Parameter { code, pointer: field },
        _ => return Ok(Message::Other),
    };
    Ok(Message::Error { problem, quote })
}

/// Whether a message of this type is an error (RFC 4443 §2.1), or a redirect: nothing is ever
/// sent about those (§2.4 e.1, e.2).
pub const fn is_error(kind: u8) -> bool {
    kind < 128 || kind == 137
}

/// Turns the eight header octets of an echo request into those of its reply; the checksum is
/// carried over (RFC 1624): exchanging the addresses does not change the pseudo-header's sum.
pub fn answer_echo(header: &mut [u8; HEADER_OCTETS]) {
    icmp::retype(header, ECHO_REPLY);
}

/// An error that we send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// "Destination unreachable": no such port.
    PortUnreachable,
    /// "Parameter problem": the next header at this octet of the packet is unknown.
    UnknownNextHeader {
        /// Octets from the start of the packet to the next-header field.
        pointer: u32,
    },
}

/// Writes an error about the packet that begins with `quote`; `addresses` is the partial sum of
/// the pseudo-header for a length of zero. Returns the octets written: eight and the quote; zero
/// when `out` is shorter.
pub fn emit_error(out: &mut [u8], error: Sent, quote: &[u8], addresses: u32) -> usize {
    let len = HEADER_OCTETS + quote.len();
    let Some((header, rest)) =
        out.get_mut(..len).and_then(|out| out.split_first_chunk_mut::<HEADER_OCTETS>())
    else {
        return 0;
    };
    let quoted = checksum::copy_and_sum(rest, quote);
    let (kind, code, field) = match error {
        Sent::PortUnreachable => (UNREACHABLE, CODE_PORT, 0),
        Sent::UnknownNextHeader { pointer } => (PARAMETER_PROBLEM, CODE_NEXT_HEADER, pointer),
    };
    let [a, b, c, d] = field.to_be_bytes();
    *header = [kind, code, 0, 0, a, b, c, d];
    // The length of an error is far below 64 KiB: it is one word of the pseudo-header.
    let partial = u32::from(checksum::fold(addresses)) + (len as u32 & 0xFFFF);
    let [high, low] = checksum::finish(partial + quoted + checksum::sum(header)).to_be_bytes();
    header[2] = high;
    header[3] = low;
    len
}

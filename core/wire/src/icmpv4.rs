//! ICMP for IPv4.
//!
//! Owns: its types and codes, parse, the error and echo reply that we send.
//! Must not know: rates, whether an answer is due (RFC 1122 §3.2.2 is the caller's).
//! Implements: RFC 792, RFC 1191 §4, RFC 1122 §3.2.2, RFC 6633 (source quench is ignored).

use crate::checksum;
use crate::icmp::{self, HEADER_OCTETS, Message, Problem};
use usertcp_base::DropReason;

/// The protocol number.
pub const PROTOCOL: u8 = 1;

/// Code of "unreachable": no such protocol here.
pub const CODE_PROTOCOL: u8 = 2;
/// Code of "unreachable": no such port here.
pub const CODE_PORT: u8 = 3;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
/// Code of "unreachable": fragmentation needed and DF set.
const CODE_TOO_BIG: u8 = 4;

/// Reads a message whose checksum the caller has verified (it may go on in other slices). Error:
/// `IcmpMalformed` below eight octets.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, DropReason> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_OCTETS>() else {
        return Err(DropReason::IcmpMalformed);
    };
    let [kind, code, _, _, a, _, c, d] = *header;
    let problem = match (kind, code) {
        (ECHO_REQUEST, 0) => return Ok(Message::EchoRequest),
        (ECHO_REPLY, 0) => return Ok(Message::EchoReply),
        (UNREACHABLE, CODE_TOO_BIG) => {
            Problem::TooBig { mtu: u32::from(u16::from_be_bytes([c, d])) }
        }
        (UNREACHABLE, code) => Problem::Unreachable { code },
        (TIME_EXCEEDED, code) => Problem::TimeExceeded { code },
        (PARAMETER_PROBLEM, code) => Problem::Parameter { code, pointer: u32::from(a) },
        _ => return Ok(Message::Other),
    };
    Ok(Message::Error { problem, quote: rest })
}

/// Whether a message of this type is an error: nothing is ever sent about those (RFC 1122
/// §3.2.2). Types nobody knows count as errors, to be safe.
pub const fn is_error(kind: u8) -> bool {
    !matches!(kind, ECHO_REPLY | ECHO_REQUEST | 9 | 10 | 13..=18 | 40 | 42 | 43)
}

/// Turns the eight header octets of an echo request into those of its reply; the checksum is
/// carried over, whatever the payload (RFC 1624).
pub fn answer_echo(header: &mut [u8; HEADER_OCTETS]) {
    icmp::retype(header, ECHO_REPLY);
}

/// Writes "destination unreachable" with `code` about the packet that begins with `quote`.
/// Returns the octets written: eight and the quote; zero when `out` is shorter.
pub fn emit_unreachable(out: &mut [u8], code: u8, quote: &[u8]) -> usize {
    let len = HEADER_OCTETS + quote.len();
    let Some((header, rest)) =
        out.get_mut(..len).and_then(|out| out.split_first_chunk_mut::<HEADER_OCTETS>())
    else {
        return 0;
    };
    let quoted = checksum::copy_and_sum(rest, quote);
    *header = [UNREACHABLE, code, 0, 0, 0, 0, 0, 0];
    let [high, low] = checksum::finish(quoted + checksum::sum(header)).to_be_bytes();
    header[2] = high;
    header[3] = low;
    len
}

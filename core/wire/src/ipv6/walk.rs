//! The walk over extension headers.
//!
//! Owns: which of them are passed over, which end the walk, which are refused.
//! Must not know: the fixed header, reassembly.
//! Implements: RFC 8200 §4.1 to §4.6, RFC 5095 (I-11), AT-29.

use usertcp_base::DropReason;

/// Next-header value of the fragment header.
pub const FRAGMENT: u8 = 44;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Most extension headers of one packet (AT-29).
const MOST_HEADERS: usize = 8;

/// The fields of a fragment header that count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where the part lies in the fragmentable part, octets (a multiple of eight).
    pub offset: u16,
    /// Whether more follow.
    pub more: bool,
    /// Which datagram it belongs to, per pair of addresses.
    pub identification: u32,
}

/// Where the walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upper {
    /// Kind of what begins at `offset`: the upper layer, or, with `fragment`, the first header
    /// of the fragmentable part.
    pub protocol: u8,
    /// Octets of the extension headers passed, a fragment header included.
    pub offset: usize,
    /// Where the next-header field lies that named `protocol`, octets from the first extension
    /// header on; `None` when it is the fixed header's.
    pub protocol_at: Option<usize>,
    /// The packet is a true fragment; the walk ended behind its fragment header.
    pub fragment: Option<Fragment>,
}

/// Walks from the header of kind `next_header` at the front of `bytes` (what follows the fixed
/// header) to the upper layer.
///
/// Passed over: hop-by-hop options (first place only), destination options, routing headers with
/// nothing left to visit, a fragment header that makes no fragment (RFC 6946). Any other kind
/// counts as the upper layer, unknown ones and tunnels too: the caller refuses them.
///
/// Errors: `IpSourceRoute` for routing type 0 or segments left; `IpExtension` for more than
/// eight headers, an authentication header, hop-by-hop out of place, or an unknown option that
/// forbids going on; `IpMalformed` for a header past the end of `bytes`.
pub fn walk(next_header: u8, bytes: &[u8]) -> Result<Upper, DropReason> {
    let mut protocol = next_header;
    let mut rest = bytes;
    let mut offset = 0;
    let mut protocol_at = None;
    for index in 0..=MOST_HEADERS {
        if !matches!(
            protocol,
            HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS
        ) {
            return Ok(Upper { protocol, offset, protocol_at, fragment: None });
        }
        if index == MOST_HEADERS {
            break;
        }
        let [following, units, ..] = *rest else {
            return Err(DropReason::IpMalformed);
        };
        let octets = match protocol {
            FRAGMENT => 8,
            _ => usize::from(units) * 8 + 8,
        };
        let Some((header, after)) = rest.split_at_checked(octets) else {
            return Err(DropReason::IpMalformed);
        };
        protocol_at = Some(offset);
        offset += octets;
        match protocol {
            HOP_BY_HOP if index != 0 => return Err(DropReason::IpExtension),
            HOP_BY_HOP | DESTINATION_OPTIONS => check_options(header)?,
            ROUTING => check_routing(header)?,
            FRAGMENT => {
                if let Some(fragment) = true_fragment(header) {
                    return Ok(Upper {
                        protocol: following,
                        offset,
                        protocol_at,
                        fragment: Some(fragment),
                    });
                }
            }
            _ => return Err(DropReason::IpExtension),
        }
        protocol = following;
        rest = after;
    }
    Err(DropReason::IpExtension)
}

/// Nothing but the end of its way may be in a routing header: type 0 is refused outright
/// (RFC 5095), any other when it has segments left (RFC 8200 §4.4: discard).
fn check_routing(header: &[u8]) -> Result<(), DropReason> {
    match *header {
        [_, _, kind, segments_left, ..] if kind != 0 && segments_left == 0 => Ok(()),
        _ => Err(DropReason::IpSourceRoute),
    }
}

/// The fields, unless the packet is whole in spite of the header (an atomic fragment).
fn true_fragment(header: &[u8]) -> Option<Fragment> {
    let [_, _, o0, o1, a, b, c, d] = *header else {
        return None;
    };
    let field = u16::from_be_bytes([o0, o1]);
    let fragment = Fragment {
        offset: field & !7,
        more: field & 1 == 1,
        identification: u32::from_be_bytes([a, b, c, d]),
    };
    (fragment.more || fragment.offset != 0).then_some(fragment)
}

/// Options with the high two bits 00 may be passed over; of all others none is known here, and
/// each asks to discard the packet (RFC 8200 §4.2). No parameter problem is sent.
fn check_options(header: &[u8]) -> Result<(), DropReason> {
    let mut rest = header.get(2..).unwrap_or(&[]);
    while let [kind, after_kind @ ..] = rest {
        if *kind == 0 {
            rest = after_kind;
            continue;
        }
        let [len, after_len @ ..] = after_kind else {
            return Err(DropReason::IpMalformed);
        };
        if kind >> 6 != 0 {
            return Err(DropReason::IpExtension);
        }
        rest = match after_len.get(usize::from(*len)..) {
            Some(after) => after,
            None => return Err(DropReason::IpMalformed),
        };
    }
    Ok(())
}

//! From octets to a header.
//!
//! Owns: every length check of a received TCP header, and which options count where.
//! Must not know: checksums (the caller has verified it), connections.
//! Implements: RFC 9293 §3.1 (MUST-4 to 7, 64, 68, 69), E-25, E-26, PR-1 to PR-7, AT-28.

use super::{
    AccurateEcn, AccurateEcnOrder, Authentication, Cookie, Flags, HEADER_OCTETS, Header, Options,
    SackBlock, SackBlocks, Timestamps,
};
use usertcp_base::{DropReason, Seq, WireWindow};

/// MSS, SACK-permitted, timestamps, a NOP and window scale.
const SYN_OPTION_OCTETS: usize = 20;

/// Parses the header at the front of `bytes`. `segment_octets` is the length of the whole
/// segment, which may go on in other slices; the header itself must lie within `bytes`.
///
/// Returns header, options and the octets they take. Errors: [`DropReason::TcpMalformed`] when
/// the data offset is below five words or past the segment (E-25); [`DropReason::TcpOptions`]
/// when an option's length is 0, 1 or runs past the header (MUST-7: the segment dies silently).
/// Ports are not judged.
#[inline]
pub fn parse(bytes: &[u8], segment_octets: usize) -> Result<(Header, Options, usize), DropReason> {
    let Some(fixed) = bytes.first_chunk::<HEADER_OCTETS>() else {
        return Err(DropReason::TcpMalformed);
    };
    let header_octets = usize::from(fixed[12] >> 4) * 4;
    if header_octets < HEADER_OCTETS || header_octets > segment_octets {
        return Err(DropReason::TcpMalformed);
    }
    let header = fixed_part(fixed);
    if header_octets == HEADER_OCTETS {
        return Ok((header, Options::default(), header_octets));
    }
    let Some(area) = bytes.get(HEADER_OCTETS..header_octets) else {
        return Err(DropReason::TcpMalformed);
    };
    // What nearly every segment of a connection with timestamps carries (RFC 7323 appendix A).
    if let [1, 1, 8, 10, fields @ ..] = area
        && let Some(fields) = exact(fields)
    {
        let options = Options { timestamps: Some(timestamps(fields)), ..Options::default() };
        return Ok((header, options, header_octets));
    }
    // What nearly every SYN carries: the layout of `emit`.
    if header.flags.contains(Flags::SYN)
        && let Some([2, 4, m0, m1, 4, 2, 8, 10, fields @ .., 1, 3, 3, shift]) =
            exact::<SYN_OPTION_OCTETS>(area)
    {
        let options = Options {
            mss: Some(u16::from_be_bytes([*m0, *m1])),
            sack_permitted: true,
            timestamps: Some(timestamps(fields)),
            scale: Some(*shift),
            ..Options::default()
        };
        return Ok((header, options, header_octets));
    }
    let mut options = Options::default();
    let steps = walk(area, header.flags.contains(Flags::SYN), &mut options)?;
    debug_assert!(steps <= area.len());
    Ok((header, options, header_octets))
}

fn fixed_part(fixed: &[u8; HEADER_OCTETS]) -> Header {
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let flags = Flags::from_bits(pair(fixed[12], fixed[13]));
    let ack = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    Header {
        source_port: pair(fixed[0], fixed[1]),
        destination_port: pair(fixed[2], fixed[3]),
        seq: Seq(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
        ack: Seq(if flags.contains(Flags::ACK) { ack } else { 0 }),
        flags,
        window: WireWindow(pair(fixed[14], fixed[15])),
        urgent: pair(fixed[18], fixed[19]),
    }
}

/// One pass; each step takes at least one octet, so 40 steps at most (PR-6). Returns how many.
pub(super) fn walk(area: &[u8], syn: bool, options: &mut Options) -> Result<usize, DropReason> {
    let (mut rest, mut steps) = (area, 0);
    while let [kind, after_kind @ ..] = rest {
        steps += 1;
        match (kind, after_kind) {
            // MUST-69: what follows the end of the list is not looked at.
            (0, _) => return Ok(steps),
            (1, _) => rest = after_kind,
            (_, []) => return Err(DropReason::TcpOptions),
            (_, [len, after_len @ ..]) => {
                let Some(body_octets) = usize::from(*len).checked_sub(2) else {
                    return Err(DropReason::TcpOptions);
                };
                let Some((body, after)) = after_len.split_at_checked(body_octets) else {
                    return Err(DropReason::TcpOptions);
                };
                take(*kind, body, syn, options);
                rest = after;
            }
        }
    }
    Ok(steps)
}

/// One option: wrong lengths are passed over (PR-3), as are SYN-only kinds elsewhere (PR-4).
fn take(kind: u8, body: &[u8], syn: bool, options: &mut Options) {
    let duplicate = match kind {
        2 if syn => keep(&mut options.mss, number(body)),
        3 if syn => keep(&mut options.scale, exact(body).map(|[shift]| *shift)),
        4 if syn && body.is_empty() => core::mem::replace(&mut options.sack_permitted, true),
        5 if !syn => take_sack(body, &mut options.sack),
        8 => keep(&mut options.timestamps, exact(body).map(timestamps)),
        19 if body.len() == 16 => keep(&mut options.authentication, Some(Authentication::Md5)),
        29 => keep(&mut options.authentication, authentication(body)),
        28 => keep(&mut options.user_timeout, number(body)),
        34 if syn => keep(&mut options.fast_open, Cookie::new(body)),
        172 => keep(&mut options.accurate_ecn, accurate_ecn(AccurateEcnOrder::Capable0First, body)),
        174 => keep(&mut options.accurate_ecn, accurate_ecn(AccurateEcnOrder::Capable1First, body)),
        _ => false,
    };
    options.duplicates = options.duplicates.saturating_add(u8::from(duplicate));
}

/// Stores `value` unless something is there already; true when a good value came second (PR-5).
fn keep<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    if value.is_none() {
        return false;
    }
    if place.is_some() {
        return true;
    }
    *place = value;
    false
}

fn take_sack(body: &[u8], blocks: &mut SackBlocks) -> bool {
    let (pairs, odd) = body.as_chunks::<8>();
    if pairs.is_empty() || !odd.is_empty() {
        return false;
    }
    if !blocks.is_empty() {
        return true;
    }
    for [a, b, c, d, e, f, g, h] in pairs {
        blocks.push(SackBlock {
            left: Seq(u32::from_be_bytes([*a, *b, *c, *d])),
            right: Seq(u32::from_be_bytes([*e, *f, *g, *h])),
        });
    }
    false
}

fn timestamps(fields: &[u8; 8]) -> Timestamps {
    let [a, b, c, d, e, f, g, h] = *fields;
    Timestamps { value: u32::from_be_bytes([a, b, c, d]), echo: u32::from_be_bytes([e, f, g, h]) }
}

fn authentication(body: &[u8]) -> Option<Authentication> {
    let [key_id, next_key_id, ..] = *body else { return None };
    Some(Authentication::Ao { key_id, next_key_id })
}

/// Of any length: the whole fields that fit count, up to three (RFC 9768 §3.2.3).
fn accurate_ecn(order: AccurateEcnOrder, body: &[u8]) -> Option<AccurateEcn> {
    let (fields, _) = body.as_chunks::<3>();
    let count = fields.len().min(3) as u8;
    let mut option = AccurateEcn { order, count, counters: [0; 3] };
    for (counter, [a, b, c]) in option.counters.iter_mut().zip(fields) {
        *counter = u32::from_be_bytes([0, *a, *b, *c]);
    }
    Some(option)
}

/// The slice as an array when its length is exactly that: octets are read by copy, at whatever
/// alignment they stand (PR-7, MUST-64).
fn exact<const N: usize>(body: &[u8]) -> Option<&[u8; N]> {
    body.try_into().ok()
}

fn number(body: &[u8]) -> Option<u16> {
    exact(body).map(|octets| u16::from_be_bytes(*octets))
}

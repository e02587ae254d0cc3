//! Expected and actual. Owns: what of a packet and of a time is compared, merging of segments, and
//! the text of a difference. Must not know: the stack, the script around the line.

use crate::script::{EcnWanted, Packet, When};
use crate::wire::{Opt, Wire, flag_text, options_length, options_text};
use core::fmt::Write as _;

const URG: u16 = 32;
const ACK: u16 = 16;
/// FIN, PSH and CWR may differ between segments of one burst.
const MAY_DIFFER: u16 = 1 | 8 | 128;
const ECN_BITS: u16 = 64 | 128 | 256;

/// A time in seconds, as scripts write it.
pub fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Whether `actual` meets `when`; `base` is what relative times count from, `previous` the time of
/// the event before. The error says what was expected.
pub fn time_differs(
    when: When,
    actual: u64,
    base: u64,
    previous: u64,
    tolerance: u64,
) -> Option<String> {
    let (first, last) = match when {
        When::Any => return None,
        When::Absolute(at) => (at, at),
        When::Relative(at) => (base + at, base + at),
        When::Range(first, last) => (first, last),
        When::RelativeRange(first, last) => (base + first, base + last),
    };
    let slack = tolerance.max(last.saturating_sub(previous) / 8);
    if actual.saturating_add(slack) >= first && actual <= last.saturating_add(slack) {
        return None;
    }
    let expected = if first == last {
        seconds(first)
    } else {
        format!("{} to {}", seconds(first), seconds(last))
    };
    Some(format!("time: expected {expected} ± {} s, got {} s", seconds(slack), seconds(actual)))
}

/// When the wait for a packet ends: two seconds after its latest time.
pub fn patience(when: When, base: u64) -> u64 {
    let last = match when {
        // No time is named, so any the stack may need: its longest timers are minutes.
        When::Any => base + 300_000_000,
        When::Absolute(at) | When::Range(_, at) => at.max(base),
        When::Relative(at) | When::RelativeRange(_, at) => base + at,
    };
    last + 2_000_000
}

/// Joins `next` to `whole`, as if the device had cut one burst; the error says why it cannot be.
pub fn merge(whole: &mut Wire, next: Wire, piece: &mut usize) -> Result<(), String> {
    let expected = whole.seq.wrapping_add(whole.payload.len() as u32);
    let same = |what: &str, good: bool| {
        if good { Ok(()) } else { Err(format!("segments of one burst differ in {what}")) }
    };
    same("sequence (not contiguous)", next.seq == expected)?;
    same("size", whole.payload.len().is_multiple_of(*piece) && next.payload.len() <= *piece)?;
    same("ack", next.ack == whole.ack)?;
    same("window", next.window == whole.window)?;
    same("options", options_length(&next.options) == options_length(&whole.options))?;
    same("flags", (next.flags ^ whole.flags) & !MAY_DIFFER == 0)?;
    whole.flags = next.flags;
    whole.payload.extend_from_slice(&next.payload);
    Ok(())
}

/// Every difference between a line and a packet in the script's numbers.
pub fn differences(wanted: &Packet, got: &Wire) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |what: &str, expected: String, actual: String| {
        if expected != actual {
            out.push(format!("{what}: expected {expected}, got {actual}"));
        }
    };
    if wanted.ace {
        check("ACE", ace(wanted.flags).to_string(), ace(got.flags).to_string());
        check("flags", flag_text(wanted.flags & !ECN_BITS), flag_text(got.flags & !ECN_BITS));
    } else {
        check("flags", flag_text(wanted.flags), flag_text(got.flags));
    }
    check("seq", wanted.seq.to_string(), got.seq.to_string());
    check("payload length", wanted.length.to_string(), got.payload.len().to_string());
    let ack = if got.flags & ACK != 0 { Some(got.ack) } else { None };
    if wanted.flags & ACK != 0 && ack.is_some() {
        check("ack", number(wanted.ack), number(ack));
    }
    if wanted.window.is_some() {
        check("win", number(wanted.window), number(Some(got.window)));
    }
    if wanted.flags & got.flags & URG != 0 {
        check("urg", wanted.urgent.to_string(), got.urgent.to_string());
    }
    if let Some(ecn) = wanted.ecn
        && !ecn.allows(got.tos & 3)
    {
        check("IP ECN", ecn_text(ecn), ecn_text(EcnWanted::Bits(got.tos & 3)));
    }
    if wanted.tos.is_some() {
        check("TOS", number(wanted.tos), number(Some(got.tos)));
    }
    if wanted.ttl.is_some() {
        check("TTL", number(wanted.ttl), number(Some(got.ttl)));
    }
    if let Some(options) = &wanted.options
        && without_stamps(options) != without_stamps(&got.options)
    {
        check("options", options_text(options), options_text(&got.options));
    }
    if got.payload.iter().any(|octet| *octet != 0) {
        out.push("payload: expected zeros, got other octets".to_string());
    }
    out
}

/// Whether our timestamps echo something else than the line says.
pub fn echo_differs(wanted: &Packet, got: &Wire) -> Option<String> {
    let echo = |options: &[Opt]| options.iter().find_map(echo_in);
    let (expected, actual) = (echo(wanted.options.as_deref()?), echo(&got.options));
    let differs = expected.is_some() && expected != actual;
    differs.then(|| format!("TS ecr: expected {}, got {}", number(expected), number(actual)))
}

fn echo_in(option: &Opt) -> Option<u32> {
    match option {
        Opt::Ts { ecr, .. } => Some(*ecr),
        _ => None,
    }
}

/// Timestamps are compared by their presence and place only.
fn without_stamps(options: &[Opt]) -> Vec<Opt> {
    let zeroed = options.iter().cloned().map(|option| match option {
        Opt::Ts { .. } => Opt::Ts { val: 0, ecr: 0 },
        other => other,
    });
    zeroed.collect()
}

fn ace(flags: u16) -> u16 {
    (flags >> 8 & 1) << 2 | (flags >> 7 & 1) << 1 | flags >> 6 & 1
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_string(), |value| value.to_string())
}

fn ecn_text(ecn: EcnWanted) -> String {
    let names = ["noecn", "ect1", "ect0", "ce"];
    match ecn {
        EcnWanted::Bits(bits) => names[usize::from(bits & 3)].to_string(),
        EcnWanted::Capable => "ect01".to_string(),
    }
}

/// A packet in the script's language.
pub fn line(packet: &Wire) -> String {
    let mut out = String::from("> ");
    if packet.tos & 3 != 0 {
        let _ = write!(out, "[{}] ", ecn_text(EcnWanted::Bits(packet.tos & 3)));
    }
    let length = packet.payload.len() as u32;
    let end = packet.seq.wrapping_add(length);
    let _ = write!(out, "{} {}:{end}({length})", flag_text(packet.flags), packet.seq);
    if packet.flags & ACK != 0 {
        let _ = write!(out, " ack {}", packet.ack);
    }
    let _ = write!(out, " win {}", packet.window);
    if packet.flags & URG != 0 {
        let _ = write!(out, " urg {}", packet.urgent);
    }
    if !packet.options.is_empty() {
        let _ = write!(out, " {}", options_text(&packet.options));
    }
    out
}

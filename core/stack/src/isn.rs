//! Numbers a connection starts with.
//!
//! Owns: initial sequence numbers and timestamp offsets, keyed by the flow.
//! Must not know: connections.
//! Implements: RFC 6528 §3 (6528-1), RFC 7323 §7.1, AT-19, AT-25.

use usertcp_base::{FlowKey, Instant, Purpose, Secrets, Seq};

/// RFC 6528 §3, SHOULD: ISN = M + F(flow, secret), where M is a clock of 4 µs steps. Two
/// connections of one flow get numbers that grow with time, two flows numbers unrelated to each
/// other. Quiet time after a restart (E-30) is not needed: the secret is new then.
pub fn initial_sequence(secrets: &Secrets, flow: &FlowKey, now: Instant) -> Seq {
    let clock = (now.as_micros() / 4) as u32;
    Seq(clock.wrapping_add(secrets.hash(Purpose::InitialSequence, &flow.octets()) as u32))
}

/// What a connection adds to the clock in its timestamps, so that they tell nobody our uptime and
/// do not compare between flows. One flow always has the same, so PAWS and RFC 6191 hold from one
/// connection to the next.
pub fn timestamp_offset(secrets: &Secrets, flow: &FlowKey) -> u32 {
    secrets.hash(Purpose::TimestampOffset, &flow.octets()) as u32
}

#[cfg(test)]
mod tests;

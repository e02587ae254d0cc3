//! Octets to typed headers and back.
//!
//! Owns: checksums, and the parse and emit functions of TCP, IPv4, IPv6 and ICMP headers.
//! Must not know: connections, addresses of ours, memory pools, time. Nothing here allocates,
//! and no input makes it panic: every access to packet octets carries its own length check.
//! Implements: the formats of RFC 9293 §3.1, RFC 791, RFC 8200, RFC 792, RFC 4443, RFC 1071.
#![no_std]

pub mod checksum;
pub mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;

#[cfg(test)]
extern crate std;

/// Tenths of a nanosecond that one call takes, the best of many short runs: the machine is shared.
#[cfg(test)]
pub(crate) fn tenths_of_nanos(mut call: impl FnMut()) -> u64 {
    let run = |call: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        (0..20_000).for_each(|_| call());
        start.elapsed().as_nanos() as u64 / 2_000
    };
    (0..200).map(|_| run(&mut call)).min().unwrap_or(0)
}

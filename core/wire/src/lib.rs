//! Octets to typed headers and back.
//!
//! Owns: checksums, and the parse and emit functions of Ethernet, ARP, TCP, IPv4, IPv6, ICMP and
//! neighbour discovery.
//! Must not know: connections, addresses of ours, memory pools, time. Nothing here allocates,
//! and no input makes it panic: every access to packet octets carries its own length check.
//! Implements: the formats of RFC 9293 §3.1, RFC 791, RFC 8200, RFC 792, RFC 4443, RFC 4861,
//! RFC 826, RFC 894, RFC 1071.
#![no_std]

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod plain;
pub mod syn;
pub mod tcp;
pub mod usual;

#[cfg(test)]
extern crate std;

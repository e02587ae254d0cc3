//! Numbers a connection starts with.
//!
//! Owns: initial sequence numbers and timestamp offsets, keyed by the flow.
//! Must not know: connections.
//! Implements: RFC 6528 §3 (6528-1), RFC 7323 §7.1, AT-19, AT-25.

use core::net::IpAddr;
use usertcp_base::{FlowKey, Instant, Purpose, Secrets, Seq};

/// The numbers of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// RFC 6528 §3, SHOULD: ISN = M + F(flow, secret), where M is a clock of 4 µs steps. Two
    /// connections of one flow get numbers that grow with time, two flows numbers unrelated to each
    /// other. Quiet time after a restart (E-30) is not needed: the secret is new then.
    pub initial_sequence: Seq,
    /// What a connection adds to the clock in its timestamps, so that they tell nobody our uptime and
    /// do not compare between flows. One flow always has the same, so PAWS and RFC 6191 hold from one
    /// connection to the next.
    pub timestamp_offset: u32,
}

impl Numbers {
    /// The numbers of a connection of `flow` that begins now. Two halves of one 64-bit keyed hash are
    /// as independent as two hashes: whoever is told one learns nothing of the other.
    pub fn of(secrets: &Secrets, flow: &FlowKey, now: Instant) -> Numbers {
        match usertcp_ip::ip_address(flow.remote) {
            IpAddr::V4(remote) => Numbers::of_v4(secrets, remote.octets(), flow, now),
            IpAddr::V6(_) => {
                Numbers::by(secrets.hash(Purpose::InitialSequence, &flow.octets()), now)
            }
        }
    }

    /// The same of a flow whose peer has this address of IPv4. What all such addresses have in common tells nothing.
    #[inline(always)] // once for each side
    pub(crate) fn of_v4(
        secrets: &Secrets,
        remote: [u8; 4],
        flow: &FlowKey,
        now: Instant,
    ) -> Numbers {
        // In the order in which `FlowKey::octets` has them.
        let [local, remote_port, local_port] = [flow.local.0, flow.remote_port, flow.local_port]
            .map(|number| u64::from(number.swap_bytes()));
        let address = u64::from(u32::from_le_bytes(remote));
        let eight = address | local << 32 | remote_port << 48;
        let hash = secrets.hash_short(Purpose::InitialSequence, eight, (local_port, 2));
        Numbers::by(hash, now)
    }

    #[inline]
    fn by(hash: u64, now: Instant) -> Numbers {
        let clock = (now.as_micros() / 4) as u32;
        Numbers {
            initial_sequence: Seq(clock.wrapping_add(hash as u32)),
            timestamp_offset: (hash >> 32) as u32,
        }
    }

    /// The initial sequence number of one that follows another of its flow, which sent up to `above`.
    pub(crate) fn initial_above(&self, above: Option<Seq>) -> Seq {
        match above {
            // One maximum window beyond what the old connection may have in the network.
            Some(above) if !self.initial_sequence.after(above) => above + (1 << 17),
            _ => self.initial_sequence,
        }
    }
}

#[cfg(test)]
mod tests;

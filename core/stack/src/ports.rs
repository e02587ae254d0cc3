//! Local ports for active opens.
//!
//! Owns: the order in which ports are tried for a destination.
//! Must not know: which ports are in use; a closure says so.
//! Implements: RFC 6056 §3.3.4-3.3.5 (double hash with random increments), 6056-1, 6056-2, AT-25.
//!
//! The first hash gives each destination a starting point of its own; the second picks a counter
//! that few destinations share; each use moves that counter by a random step, so even those that
//! share one cannot count each other's connections.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::RangeInclusive;
use usertcp_base::{LocalIndex, Prng, Purpose, RemoteAddr, Secrets};

/// Counters; a power of two.
const BUCKETS: usize = 2048;
/// A counter moves by one to this many ports: more hides better, and wraps the range sooner.
const LARGEST_STEP: u64 = 8;
/// Ports where clients are expected, clear of most registered services (RFC 6335 §6).
pub const DEFAULT_RANGE: RangeInclusive<u16> = 32_768..=60_999;

/// Chooses local ports.
#[derive(Debug)]
pub struct Ports {
    secrets: Secrets,
    first: u16,
    count: u16,
    counters: Box<[u32]>,
    /// The hash of the destination that was last: mostly that of the next one.
    last: (Destination, u64),
}

/// Where a connection is to go: what the choice of a port depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Destination {
    /// Our address.
    pub local: LocalIndex,
    /// The peer's address.
    pub remote: RemoteAddr,
    /// The peer's port.
    pub remote_port: u16,
}

impl Ports {
    /// Ports out of `range`. Port zero is left out; an empty range counts as the default one.
    pub fn new(secrets: Secrets, range: RangeInclusive<u16>) -> Ports {
        let (mut first, last) = ((*range.start()).max(1), *range.end());
        let mut count = u32::from(last).saturating_sub(u32::from(first)) + 1;
        if last < first {
            first = *DEFAULT_RANGE.start();
            count = u32::from(*DEFAULT_RANGE.end() - first) + 1;
        }
        // 65,535 ports at most, as zero is left out.
        let count = count as u16;
        let to = Destination::default();
        let last = (to, secrets.hash(Purpose::Ports, &to.octets()));
        Ports { secrets, first, count, counters: vec![0; BUCKETS].into_boxed_slice(), last }
    }

    /// The port for a connection to `to`; `None` when all are in use.
    #[inline(always)] // each look is another
    pub fn choose(
        &mut self,
        to: &Destination,
        prng: &mut Prng,
        mut in_use: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        if self.last.0 != *to {
            self.last = (*to, self.secrets.hash(Purpose::Ports, &to.octets()));
        }
        let hash = self.last.1;
        // Two halves of one 64-bit keyed hash are as independent as two hashes.
        let start = (hash >> 32) as u32;
        let counter = self.counters.get_mut(hash as usize % BUCKETS)?;
        *counter = counter.wrapping_add(1 + prng.below(LARGEST_STEP) as u32);
        let begin = start.wrapping_add(*counter);
        for step in 0..u32::from(self.count) {
            let offset = begin.wrapping_add(step) % u32::from(self.count);
            let port = self.first + offset as u16;
            if !in_use(port) {
                *counter = counter.wrapping_add(step);
                return Some(port);
            }
        }
        None
    }
}

impl Destination {
    fn octets(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..16].copy_from_slice(&self.remote.0);
        out[16..18].copy_from_slice(&self.local.0.to_be_bytes());
        out[18..].copy_from_slice(&self.remote_port.to_be_bytes());
        out
    }
}

#[cfg(test)]
mod tests;

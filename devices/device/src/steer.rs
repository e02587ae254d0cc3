//! Which of several shards a flow belongs to: the rule every part of a stack computes alike.
//!
//! Owns: the keyed, symmetric hash of a four-tuple, and its reduction to a shard.
//! Must not know: packets (the stack reads them), rings, threads.
//!
//! It is here, below the stack, so that a device can compute it too: a program it puts in front of
//! its queues, say, which then lead each flow to its owner by themselves. For that it is made of 64-bit
//! multiplications, shifts and exclusive-ors only. It need not withstand who sees its results, for nobody
//! outside does; the key keeps outsiders from aiming flows at one shard.

use core::net::IpAddr;

/// Odd constants with no structure (those of SplitMix64).
const FIRST: u64 = 0xBF58_476D_1CE4_E5B9;
const SECOND: u64 = 0x94D0_49BB_1331_11EB;

/// One end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowEnd {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// The rule: the same for both directions of a flow, and on every shard of a stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SteerRule {
    key: [u64; 2],
    shards: u16,
}

impl SteerRule {
    /// A rule for `shards` shards, at least one.
    pub const fn new(key: [u64; 2], shards: u16) -> SteerRule {
        SteerRule { key, shards: if shards == 0 { 1 } else { shards } }
    }

    /// How many shards there are.
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// The key, for a device that computes the rule itself.
    pub const fn key(&self) -> [u64; 2] {
        self.key
    }

    /// The shard of the flow between two ends, whichever is named first.
    #[inline]
    pub fn owner(&self, one: FlowEnd, other: FlowEnd) -> u16 {
        let sum = self.end(one).wrapping_add(self.end(other));
        // The upper half of the hash as a fraction of one, times the number of shards.
        (((mix(sum ^ self.key[1]) >> 32) * u64::from(self.shards)) >> 32) as u16
    }

    /// The shard that puts datagrams between two hosts together, if they come in fragments: only the
    /// first tells the ports.
    pub fn fragments_owner(&self, one: IpAddr, other: IpAddr) -> u16 {
        self.owner(FlowEnd { address: one, port: 0 }, FlowEnd { address: other, port: 0 })
    }

    #[inline]
    fn end(&self, end: FlowEnd) -> u64 {
        let port = u64::from(end.port);
        match end.address {
            IpAddr::V4(address) => mix(u64::from(address.to_bits()) ^ (port << 32) ^ self.key[0]),
            IpAddr::V6(address) => {
                // A step for each word: who has a whole network may choose address and port.
                let bits = address.to_bits();
                let upper = mix((bits >> 64) as u64 ^ self.key[1]);
                mix(mix(bits as u64 ^ upper ^ self.key[0]) ^ port)
            }
        }
    }
}

/// Not the key.
impl core::fmt::Debug for SteerRule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SteerRule").field("shards", &self.shards).finish_non_exhaustive()
    }
}

#[inline]
const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(FIRST);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(SECOND);
    bits ^ (bits >> 32)
}

#[cfg(test)]
mod tests;

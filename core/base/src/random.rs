//! Randomness, public and secret kept apart.
//! Owns: `Secrets` (keyed hashes), `SharedKey` (one that hosts may have in common) and `Prng` (jitter). Must not know: where entropy comes from.

use crate::siphash;
use siphasher::sip::{SipHasher13, SipHasher24};

/// What a secret is for. Each purpose has a key of its own, so that what one reveals tells
/// nothing about another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The demultiplexer's hash.
    Demux,
    /// Initial sequence numbers (RFC 6528), and timestamp offsets (RFC 7323 §7.1).
    InitialSequence,
    /// SYN cookies (RFC 4987).
    Cookie,
    /// Ephemeral ports (RFC 6056).
    Ports,
    /// IPv6 flow labels (RFC 6437).
    FlowLabel,
    /// Fragment reassembly keys.
    Fragments,
    /// Fast Open cookies (RFC 7413), when no key is set.
    FastOpen,
    /// The cache of what is known of remote hosts.
    Hosts,
    /// Which of several shards a flow belongs to; and the seeds of shards.
    Shards,
}

/// Secret keys of one shard. Cannot be printed.
#[derive(Clone)]
pub struct Secrets {
    key: [u64; 4],
}

impl Secrets {
    /// Keys from 32 octets of entropy. An all-zero seed is refused: it means that there was none.
    pub fn from_seed(seed: [u8; 32]) -> Option<Secrets> {
        if seed == [0; 32] {
            return None;
        }
        let mut key = [0; 4];
        for (word, octets) in key.iter_mut().zip(seed.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(octets);
            *word = u64::from_le_bytes(eight);
        }
        Some(Secrets { key })
    }

    /// A keyed hash of `message` (SipHash-2-4), for anything an outsider might want to predict.
    pub fn hash(&self, purpose: Purpose, message: &[u8]) -> u64 {
        let (a, b) = self.keys(purpose);
        SipHasher24::new_with_keys(a, b).hash(message)
    }

    /// [`Secrets::hash`] of a short message: eight octets, and up to seven more, both as numbers whose lowest octet
    /// comes first. For what is hashed for each connection.
    #[inline]
    pub fn hash_short(&self, purpose: Purpose, eight: u64, (rest, octets): (u64, u8)) -> u64 {
        let (a, b) = self.keys(purpose);
        let last = u64::from(octets.wrapping_add(8)) << 56 | rest;
        siphash::of_two((a, b), eight, last)
    }

    /// A faster keyed hash (SipHash-1-3) whose output never leaves the shard.
    pub fn hash_internal(&self, purpose: Purpose, message: &[u8]) -> u64 {
        let (a, b) = self.keys(purpose);
        SipHasher13::new_with_keys(a, b).hash(message)
    }

    /// A generator of public randomness, seeded from here.
    pub fn prng(&self) -> Prng {
        Prng::from_seed(self.hash(Purpose::Fragments, b"prng"))
    }

    /// A key of its own for `purpose`, in the form that can be replaced by one from outside.
    pub fn shared_key(&self, purpose: Purpose) -> SharedKey {
        SharedKey { key: (self.hash(purpose, b"first"), self.hash(purpose, b"second")) }
    }

    fn keys(&self, purpose: Purpose) -> (u64, u64) {
        let tweak = (purpose as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (self.key[0] ^ self.key[2].rotate_left(17) ^ tweak, self.key[1] ^ self.key[3] ^ !tweak)
    }
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// A secret that several hosts may have in common: those behind one address, say. Cannot be
/// printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedKey {
    key: (u64, u64),
}

impl SharedKey {
    /// A key of 128 bits, its two words the lower octets first.
    pub fn from_octets(octets: [u8; 16]) -> SharedKey {
        let words = u128::from_le_bytes(octets);
        SharedKey { key: (words as u64, (words >> 64) as u64) }
    }

    /// SipHash-2-4 of `message`.
    pub fn hash(&self, message: &[u8]) -> u64 {
        SipHasher24::new_with_keys(self.key.0, self.key.1).hash(message)
    }
}

impl core::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// Public randomness: jitter and simulation. Not for anything an attacker must not guess.
#[derive(Clone, Debug)]
pub struct Prng {
    state: u64,
}

impl Prng {
    /// A generator that always gives the same run for the same seed.
    pub const fn from_seed(seed: u64) -> Prng {
        Prng { state: seed }
    }
    /// The next 64 bits (SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
    /// A number below `bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
    /// True `parts` times in a million.
    pub fn chance_per_million(&mut self, parts: u32) -> bool {
        self.below(1_000_000) < u64::from(parts)
    }
}

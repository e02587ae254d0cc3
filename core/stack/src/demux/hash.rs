//! The hash of a flow key.
//!
//! Owns: a strongly universal hash of 64 bits, and its secret.
//! Must not know: tables.
//! Implements: AT-23. The function is "multilinear with half the multiplications" (Lemire and Kaser,
//! "Strongly universal string hashing is fast", 2014), twice: for any two keys chosen without
//! knowledge of the secret, each half collides with probability 2^-32, whatever the keys are. Its output
//! never leaves the shard. It takes a tenth of the instructions of SipHash-1-3 on a key this short.

use usertcp_base::{FlowKey, LocalIndex, Purpose, Secrets};

/// Words of 32 bits in a key.
const WORDS: usize = 6;

/// The third word of an IPv4 address, behind two that are zero (RFC 4291 §2.5.5.2).
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xFF, 0xFF]);

/// The secret of one table.
#[derive(Clone)]
pub(super) struct FlowHash {
    halves: [Half; 2],
}

/// Of one half of the hash.
#[derive(Clone)]
struct Half {
    secret: [u64; WORDS + 1],
    /// What the first words of an IPv4 address, which are the same of all, come to: a sum, and a factor.
    mapped: (u64, u64),
}

impl FlowHash {
    pub(super) fn new(secrets: &Secrets) -> FlowHash {
        let word = |index: usize| secrets.hash(Purpose::Demux, &[index as u8]);
        let half =
            |half: usize| Half::new(core::array::from_fn(|index| word(half * (WORDS + 1) + index)));
        FlowHash { halves: [half(0), half(1)] }
    }

    #[inline]
    pub(super) fn of(&self, key: &FlowKey) -> u64 {
        let words = words(key);
        if let [0, 0, MAPPED, rest @ ..] = words {
            return self.of_mapped(rest);
        }
        let [high, low] = &self.halves;
        together(high.of(words), low.of(words))
    }

    /// The same of a flow by IPv4: the peer's address, ours, the [ports](FlowKey::ports).
    #[inline(always)] // a few instructions
    pub(super) fn of_v4(&self, peer: [u8; 4], local: LocalIndex, ports: u32) -> u64 {
        self.of_mapped([u32::from_ne_bytes(peer), ports, u32::from(local.0)])
    }

    #[inline(always)] // as above
    fn of_mapped(&self, rest: [u32; 3]) -> u64 {
        let [high, low] = &self.halves;
        together(high.of_mapped(rest), low.of_mapped(rest))
    }
}

impl core::fmt::Debug for FlowHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FlowHash(..)")
    }
}

/// A hash of its halves.
#[inline(always)]
fn together(high: u64, low: u64) -> u64 {
    (high & !0xFFFF_FFFF) | (low >> 32)
}

#[inline]
fn words(key: &FlowKey) -> [u32; WORDS] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = key.remote.0;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
        u32::from(key.remote_port) << 16 | u32::from(key.local_port),
        u32::from(key.local.0),
    ]
}

impl Half {
    fn new(secret: [u64; WORDS + 1]) -> Half {
        let [s0, s1, s2, s3, ..] = secret;
        let sum = s0.wrapping_add(s1.wrapping_mul(s2));
        Half { secret, mapped: (sum, s3.wrapping_add(u64::from(MAPPED))) }
    }

    /// The upper 32 bits are the hash.
    #[inline(always)] // one of the two
    fn of(&self, words: [u32; WORDS]) -> u64 {
        let [s0, s1, s2, s3, s4, s5, s6] = self.secret;
        let [w0, w1, w2, w3, w4, w5] = words;
        s0.wrapping_add(product((s1, w0), (s2, w1)))
            .wrapping_add(product((s3, w2), (s4, w3)))
            .wrapping_add(product((s5, w4), (s6, w5)))
    }

    /// The same behind the first words of an IPv4 address.
    #[inline(always)] // as above
    fn of_mapped(&self, [w3, w4, w5]: [u32; 3]) -> u64 {
        let ([.., s4, s5, s6], (sum, factor)) = (self.secret, self.mapped);
        sum.wrapping_add(product((factor, 0), (s4, w3))).wrapping_add(product((s5, w4), (s6, w5)))
    }
}

#[inline(always)]
fn product((s, v): (u64, u32), (t, w): (u64, u32)) -> u64 {
    s.wrapping_add(u64::from(v)).wrapping_mul(t.wrapping_add(u64::from(w)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_base::RemoteAddr;

    fn key(remote: u128, local: u16, ports: (u16, u16)) -> FlowKey {
        FlowKey {
            remote: RemoteAddr(remote.to_be_bytes()),
            local: LocalIndex(local),
            remote_port: ports.0,
            local_port: ports.1,
        }
    }

    // proves AT-23
    #[test]
    fn every_part_of_the_key_and_of_the_secret_counts() {
        let secrets = |seed| Secrets::from_seed([seed; 32]).unwrap();
        let (one, other) = (FlowHash::new(&secrets(1)), FlowHash::new(&secrets(2)));
        let base = key(7, 0, (1, 2));
        let mut keys: alloc::vec::Vec<FlowKey> =
            (0..128).map(|bit| key(7 ^ 1 << bit, 0, (1, 2))).collect();
        keys.extend([key(7, 1, (1, 2)), key(7, 0, (2, 1)), key(7, 0, (1, 3)), base]);
        let hashes: alloc::collections::BTreeSet<u64> =
            keys.iter().map(|key| one.of(key)).collect();
        assert_eq!(hashes.len(), keys.len());
        assert_ne!(one.of(&base), other.of(&base));
    }

    #[test]
    fn what_is_known_of_ipv4_is_what_any_address_comes_to() {
        let hash = FlowHash::new(&Secrets::from_seed([4; 32]).unwrap());
        for (near, ports) in
            [(0, (1, 2)), (u32::MAX, (u16::MAX, u16::MAX)), (0x0A00_0001, (80, 443))]
        {
            let key = key(0xFFFF_0000_0000 | u128::from(near), 7, ports);
            let words = words(&key);
            let [0, 0, MAPPED, rest @ ..] = words else { panic!("not mapped: {words:?}") };
            assert!(hash.halves.iter().all(|half| half.of_mapped(rest) == half.of(words)));
            assert_eq!(hash.of(&key), hash.of_v4(near.to_be_bytes(), key.local, key.ports()));
        }
    }

    // proves AT-23: keys an attacker chooses fall as random ones do, in both halves.
    #[test]
    fn chosen_keys_spread() {
        let hash = FlowHash::new(&Secrets::from_seed([3; 32]).unwrap());
        for shift in [0, 7, 57] {
            let mut buckets = [0u32; 128];
            for number in 0..12_800u32 {
                let flow = key(0xFFFF_0A00_0000 + u128::from(number / 128), 0, (number as u16, 80));
                buckets[(hash.of(&flow) >> shift) as usize % 128] += 1;
            }
            let (least, most) = (buckets.iter().min().unwrap(), buckets.iter().max().unwrap());
            assert!((50..=99).contains(least) && (101..=160).contains(most), "{least} {most}");
        }
    }
}

//! SipHash-2-4 of a message that fits two words.
//!
//! Owns: the function (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) where its message has a known
//! length, so that nothing is put together from octets and no loop runs. Must not know: keys, or what is hashed.

/// The hash of a message of two words, the second of which has the length in its top octet, by a key of two.
#[inline]
pub(crate) fn of_two((first, second): (u64, u64), one: u64, two: u64) -> u64 {
    let mut state = [
        first ^ 0x736F_6D65_7073_6575,
        second ^ 0x646F_7261_6E64_6F6D,
        first ^ 0x6C79_6765_6E65_7261,
        second ^ 0x7465_6462_7974_6573,
    ];
    for word in [one, two] {
        state[3] ^= word;
        state = round(round(state));
        state[0] ^= word;
    }
    state[2] ^= 0xFF;
    let [a, b, c, d] = round(round(round(round(state))));
    a ^ b ^ c ^ d
}

#[inline(always)] // eight times, on four registers
fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32).wrapping_add(d);
    c = c.wrapping_add(b);
    d = d.rotate_left(21) ^ a;
    b = b.rotate_left(17) ^ c;
    [a, b, c.rotate_left(32), d]
}

#[cfg(test)]
mod tests {
    use crate::{Prng, Purpose, Secrets};

    #[test]
    fn a_short_message_has_the_hash_of_any() {
        let mut prng = Prng::from_seed(7);
        for octets in (0..8_u8).cycle().take(800) {
            let mut seed = [0; 32];
            seed.fill_with(|| prng.next_u32() as u8);
            let Some(secrets) = Secrets::from_seed(seed) else { continue };
            let (eight, rest) = (prng.next_u64(), prng.next_u64() & ((1 << (8 * octets)) - 1));
            let mut message = [0; 16];
            message[..8].copy_from_slice(&eight.to_le_bytes());
            message[8..].copy_from_slice(&rest.to_le_bytes());
            for purpose in [Purpose::InitialSequence, Purpose::Cookie] {
                let whole = secrets.hash(purpose, &message[..8 + usize::from(octets)]);
                assert_eq!(secrets.hash_short(purpose, eight, (rest, octets)), whole);
            }
        }
    }
}

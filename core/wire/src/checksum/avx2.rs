//! Sums in vector registers of 256 bits.
//!
//! Owns: the loops. Must not know: whether the machine has such registers: the caller has asked it.
//!
//! Plain arithmetic in a form that the compiler turns into registers full of 32-bit sums.

use super::{from_native, words};

/// 16-bit words the loops take at a time, each into a sum of its own.
const LANES: usize = 32;
/// Octets the loops take at a time.
const BLOCK: usize = 2 * LANES;
/// Most octets before a sum of 32 bits could overflow.
const STRETCH: usize = 65_536 * BLOCK;

/// As [`super::sum`], for machines with AVX2.
///
/// # Safety
/// To call it from where AVX2 is not known to be there is unsafe: the caller must have asked the
/// machine for it.
#[target_feature(enable = "avx2")]
pub fn sum_avx2(bytes: &[u8]) -> u32 {
    if bytes.len() > STRETCH {
        let stretches = bytes.chunks(STRETCH);
        return stretches.fold(0, |sum, stretch| super::combine(sum, sum_avx2(stretch), false));
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut lanes = [0; LANES];
    for block in blocks {
        add(&mut lanes, block);
    }
    from_native(total(&lanes).wrapping_add(words::folded_once(words::sum(rest))))
}

#[inline(always)]
fn add(lanes: &mut [u32; LANES], block: &[u8; BLOCK]) {
    let (words, _) = block.as_chunks::<2>();
    for (sum, word) in lanes.iter_mut().zip(words) {
        *sum = sum.wrapping_add(u32::from(u16::from_ne_bytes(*word)));
    }
}

/// Below 2^38.
#[inline(always)]
fn total(lanes: &[u32; LANES]) -> u64 {
    lanes.iter().map(|sum| u64::from(*sum)).sum()
}

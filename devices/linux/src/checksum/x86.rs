//! Sums in vector registers.
//!
//! Owns: the loops. Must not know: whether the machine has such registers: the caller has asked it.
//!
//! One instruction multiplies sixteen signed 16-bit words by one and adds them in pairs. Words are
//! unsigned here: each has its upper bit flipped first, which takes 32,768 off it, and in the end
//! 32,768 are added for every word there was.

use core::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32, _mm256_add_epi32,
    _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_xor_si256,
};
use usertcp_wire::checksum;

/// Octets of a register.
const REGISTER: usize = 32;
/// Octets the loop takes at a time, in registers that do not wait for each other.
const BLOCK: usize = 4 * REGISTER;
/// Most octets that are summed at a time: their words, signed, sum up to less than 2^31.
pub(super) const STRETCH: usize = 64 << 10;

/// As [`checksum::sum`], for machines with AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn sum_avx2(bytes: &[u8]) -> u32 {
    if bytes.len() > STRETCH {
        return in_stretches(bytes, |part| sum_avx2(part));
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut sums = [_mm256_setzero_si256(); BLOCK / REGISTER];
    for block in blocks {
        let (registers, _) = block.as_chunks::<REGISTER>();
        for (sum, register) in sums.iter_mut().zip(registers) {
            *sum = _mm256_add_epi32(*sum, pairs(load(register)));
        }
    }
    let (registers, rest) = rest.as_chunks::<REGISTER>();
    for (sum, register) in sums.iter_mut().zip(registers) {
        *sum = _mm256_add_epi32(*sum, pairs(load(register)));
    }
    let [a, b, c, d] = sums;
    let d = _mm256_add_epi32(d, pairs(end(bytes, rest)));
    let signed = total(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
    from_signed(signed, bytes.len() - rest.len() + REGISTER)
}

/// The sum of more than a stretch, by `sum` of no more than one.
#[cold]
pub(super) fn in_stretches(bytes: &[u8], sum: impl Fn(&[u8]) -> u32) -> u32 {
    bytes.chunks(STRETCH).fold(0, |total, part| checksum::combine(total, sum(part), false))
}

/// The partial sum of octets that were summed as signed words, zeros behind them included.
#[inline]
pub(super) fn from_signed(signed: i32, octets: usize) -> u32 {
    // What was taken off each word comes back: not negative, and below 2^32 with at most 2^15 words and
    // a register more.
    let total = (i64::from(signed) + (octets as i64 / 2) * 0x8000) as u32;
    u32::from(u16::from_be(checksum::fold(total)))
}

/// The octets as they are.
#[target_feature(enable = "avx2")]
#[inline]
fn load(octets: &[u8; REGISTER]) -> __m256i {
    // Not safely: the instruction is given as a function that takes a pointer.
    // SAFETY: the reference covers all the octets that are read, at any alignment.
    unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
}

/// The words of `rest`, the less than a register that `bytes` ends with, and zeros.
#[target_feature(enable = "avx2")]
#[inline]
fn end(bytes: &[u8], rest: &[u8]) -> __m256i {
    // Zeros and ones: from the number of octets on they leave that many at the end.
    const MASKS: [u8; 2 * REGISTER] = {
        let mut masks = [0; 2 * REGISTER];
        let (_, ones) = masks.split_at_mut(REGISTER);
        ones.copy_from_slice(&[0xFF; REGISTER]);
        masks
    };
    let mask = MASKS.get(rest.len()..).and_then(|masks| masks.first_chunk());
    // Where they lie in a register that ends with them words are words only if there is no odd octet.
    match (bytes.last_chunk(), mask) {
        (Some(last), Some(mask)) if rest.len().is_multiple_of(2) => {
            _mm256_and_si256(load(last), load(mask))
        }
        _ => {
            let mut octets = [0; REGISTER];
            for (to, from) in octets.iter_mut().zip(rest) {
                *to = *from;
            }
            load(&octets)
        }
    }
}

/// The sums of eight pairs of words, 65,536 too small each.
#[target_feature(enable = "avx2")]
#[inline]
fn pairs(words: __m256i) -> __m256i {
    let signed = _mm256_xor_si256(words, _mm256_set1_epi16(i16::MIN));
    _mm256_madd_epi16(signed, _mm256_set1_epi16(1))
}

/// The sum of eight sums.
#[target_feature(enable = "avx2")]
#[inline]
fn total(sums: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

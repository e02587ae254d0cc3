//! Sums in vector registers.
//!
//! Owns: the loops. Must not know: whether the machine has such registers: the caller has asked it.
//!
//! One instruction multiplies sixteen signed 16-bit words by one and adds them in pairs. Words are
//! unsigned here: each has its upper bit flipped first, which takes 32,768 off it, and in the end
//! 32,768 are added for every word there was.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_add_epi64, _mm256_castsi256_si128, _mm256_cvtepi32_epi64,
    _mm256_extract_epi64, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_set1_epi16, _mm256_setzero_si256, _mm256_xor_si256,
};
use usertcp_wire::checksum;

/// Octets of a register.
const REGISTER: usize = 32;
/// Octets the loop takes at a time, in registers that do not wait for each other.
const BLOCK: usize = 4 * REGISTER;
/// Most octets before the sums of pairs are widened. Each grows by at most 65,536 per register, and all
/// four together stay below 2^31.
const STRETCH: usize = 8_000 * BLOCK;

/// As [`checksum::sum`], for machines with AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn sum_avx2(bytes: &[u8]) -> u32 {
    if bytes.len() > STRETCH {
        let stretches = bytes.chunks(STRETCH);
        return stretches.fold(0, |sum, part| checksum::combine(sum, sum_avx2(part), false));
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut sums = [_mm256_setzero_si256(); BLOCK / REGISTER];
    for block in blocks {
        let (registers, _) = block.as_chunks::<REGISTER>();
        for (sum, register) in sums.iter_mut().zip(registers) {
            *sum = _mm256_add_epi32(*sum, pairs(register));
        }
    }
    let (registers, rest) = rest.as_chunks::<REGISTER>();
    for (sum, register) in sums.iter_mut().zip(registers) {
        *sum = _mm256_add_epi32(*sum, pairs(register));
    }
    let mut last = [0; REGISTER];
    if let Some(place) = last.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    let [a, b, c, d] = sums;
    let d = _mm256_add_epi32(d, pairs(&last));
    let signed = widened(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
    let words = (bytes.len() - rest.len() + REGISTER) as i64 / 2;
    // Not negative once the words have back what was taken off them; below 2^37.
    let total = (total(signed) + words * 0x8000) as u64;
    let once = (total & 0xFFFF) + (total >> 16 & 0xFFFF) + (total >> 32);
    u32::from(u16::from_be(checksum::fold(once as u32)))
}

/// The sums of eight pairs of words, 65,536 too small each.
#[target_feature(enable = "avx2")]
#[inline]
fn pairs(octets: &[u8; REGISTER]) -> __m256i {
    // Not safely: the instruction is given as a function that takes a pointer.
    // SAFETY: the reference covers all the octets that are read, at any alignment.
    let words = unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) };
    let signed = _mm256_xor_si256(words, _mm256_set1_epi16(i16::MIN));
    _mm256_madd_epi16(signed, _mm256_set1_epi16(1))
}

/// Eight sums of 32 bits as four of 64.
#[target_feature(enable = "avx2")]
#[inline]
fn widened(sums: __m256i) -> __m256i {
    let lower = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums));
    _mm256_add_epi64(lower, _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sums)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn total(sums: __m256i) -> i64 {
    _mm256_extract_epi64::<0>(sums)
        + _mm256_extract_epi64::<1>(sums)
        + _mm256_extract_epi64::<2>(sums)
        + _mm256_extract_epi64::<3>(sums)
}

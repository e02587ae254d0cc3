//! Sums in vector registers of 64 octets.
//!
//! Owns: the loop. Must not know: whether the machine has such registers: the caller has asked it.
//!
//! As `x86` does it; one instruction multiplies, adds in pairs, and adds to what there was. The end of a
//! stretch is read under a mask.

use super::x86::{STRETCH, from_signed, in_parts};
use core::arch::x86_64::{
    __m512i, __mmask64, _mm512_add_epi32, _mm512_dpwssd_epi32, _mm512_loadu_si512,
    _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi32, _mm512_set1_epi16, _mm512_setzero_si512,
    _mm512_xor_si512,
};

/// Octets of a register.
const REGISTER: usize = 64;
/// Octets the loop takes at a time, in registers that do not wait for each other.
const BLOCK: usize = 4 * REGISTER;

/// As `checksum::native`, for machines with AVX-512 BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn sum_avx512(bytes: &[u8]) -> u64 {
    if bytes.len() > STRETCH {
        return in_parts(bytes, |part| sum_avx512(part));
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut sums = [_mm512_setzero_si512(); BLOCK / REGISTER];
    for block in blocks {
        let (registers, _) = block.as_chunks::<REGISTER>();
        for (sum, register) in sums.iter_mut().zip(registers) {
            *sum = with_pairs(*sum, whole(register));
        }
    }
    let (registers, rest) = rest.as_chunks::<REGISTER>();
    for (sum, register) in sums.iter_mut().zip(registers) {
        *sum = with_pairs(*sum, whole(register));
    }
    let [a, b, c, d] = sums;
    let d = with_pairs(d, part(rest));
    let signed = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
    from_signed(_mm512_reduce_add_epi32(signed), bytes.len() - rest.len() + REGISTER)
}

/// Sixteen sums with a pair of words more each, 65,536 too small.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn with_pairs(sums: __m512i, words: __m512i) -> __m512i {
    let signed = _mm512_xor_si512(words, _mm512_set1_epi16(i16::MIN));
    _mm512_dpwssd_epi32(sums, signed, _mm512_set1_epi16(1))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn whole(octets: &[u8; REGISTER]) -> __m512i {
    // Not safely: the instruction is given as a function that takes a pointer.
    // SAFETY: the reference covers all the octets that are read, at any alignment.
    unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) }
}

/// Fewer octets than a register has, and zeros behind them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn part(octets: &[u8]) -> __m512i {
    let mask: __mmask64 = (1 << (octets.len() % REGISTER)) - 1;
    // Not safely: as above.
    // SAFETY: what the mask leaves out is not read, and it has as many bits as there are octets.
    unsafe { _mm512_maskz_loadu_epi8(mask, octets.as_ptr().cast()) }
}

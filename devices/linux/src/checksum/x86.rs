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
/// Sums that do not wait for each other.
const SUMS: usize = 4;
/// Octets the loop takes at a time.
const BLOCK: usize = 8 * REGISTER;
/// What a whole segment on an Ethernet has in whole registers, be there timestamps or not: most of what is summed, and
/// summed without a loop.
const SEGMENT: usize = 45 * REGISTER;
/// Most octets that are summed at a time: their words, signed, sum up to less than 2^31.
pub(super) const STRETCH: usize = 64 << 10;

/// As [`checksum::native`], for machines with AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn sum_avx2(bytes: &[u8]) -> u64 {
    if let Some((segment, rest)) = bytes.split_first_chunk::<SEGMENT>()
        && is_end(rest)
    {
        let mut sums = [_mm256_setzero_si256(); SUMS];
        add(&mut sums, segment);
        return whole(sums, bytes, rest);
    }
    sum_blocks(bytes)
}

/// The same of any length.
#[target_feature(enable = "avx2")]
#[inline(never)] // the other is often asked
fn sum_blocks(bytes: &[u8]) -> u64 {
    let Some((first, others)) = bytes.split_first_chunk::<BLOCK>() else {
        return checksum::native(bytes);
    };
    if bytes.len() > STRETCH || bytes.len() % 2 == 1 {
        return in_parts(bytes, |part| sum_avx2(part));
    }
    let mut sums = [_mm256_setzero_si256(); SUMS];
    add(&mut sums, first);
    let (blocks, rest) = others.as_chunks::<BLOCK>();
    for block in blocks {
        add(&mut sums, block);
    }
    // What is less than a block, each part at most once.
    let rest = add_first::<{ BLOCK / 2 }>(&mut sums, rest);
    let rest = add_first::<{ BLOCK / 4 }>(&mut sums, rest);
    let rest = add_first::<{ BLOCK / 8 }>(&mut sums, rest);
    whole(sums, bytes, rest)
}

/// Whether `rest` is what [`end`] takes: less than a register, and an even number of octets.
#[inline]
fn is_end(rest: &[u8]) -> bool {
    const EVEN: usize = REGISTER - 2;
    rest.len() & !EVEN == 0
}

/// What `bytes` sum to, whose registers but the `rest` are in `sums`.
#[target_feature(enable = "avx2")]
#[inline]
fn whole(sums: [__m256i; SUMS], bytes: &[u8], rest: &[u8]) -> u64 {
    let [a, b, c, d] = sums;
    let d = _mm256_add_epi32(d, pairs(end(bytes, rest)));
    let signed = total(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
    from_signed(signed, bytes.len() - rest.len() + REGISTER)
}

/// The sum of more than a stretch, or of an odd number of octets, by `sum` of no more than one and of an even number.
#[cold]
pub(super) fn in_parts(bytes: &[u8], sum: impl Fn(&[u8]) -> u64) -> u64 {
    let (words, odd) = bytes.split_at(bytes.len() & !1);
    // There are fewer stretches than leave room for their carries.
    words.chunks(STRETCH).chain([odd]).fold(0, |total, part| {
        let part = if part.len() == 1 { checksum::native(part) } else { sum(part) };
        total + u64::from(checksum::folded(part))
    })
}

/// The sum of octets that were summed as signed words, zeros behind them included.
#[inline]
pub(super) fn from_signed(signed: i32, octets: usize) -> u64 {
    // What was taken off each word comes back: not negative, and below 2^32 with at most 2^15 words and
    // a register more.
    u64::from((signed as u32).wrapping_add((octets as u32 / 2) << 15))
}

/// Adds all registers of a block.
#[target_feature(enable = "avx2")]
#[inline]
fn add<const OCTETS: usize>(sums: &mut [__m256i; SUMS], block: &[u8; OCTETS]) {
    for registers in block.as_chunks::<REGISTER>().0.chunks(SUMS) {
        for (sum, register) in sums.iter_mut().zip(registers) {
            *sum = _mm256_add_epi32(*sum, pairs(load(register)));
        }
    }
}

/// Adds the first octets of `rest`, so many, if they are there. The others.
#[target_feature(enable = "avx2")]
#[inline]
fn add_first<'a, const OCTETS: usize>(sums: &mut [__m256i; SUMS], rest: &'a [u8]) -> &'a [u8] {
    match rest.split_first_chunk::<OCTETS>() {
        Some((block, rest)) => {
            add(sums, block);
            rest
        }
        None => rest,
    }
}

/// The octets as they are.
#[target_feature(enable = "avx2")]
#[inline]
fn load(octets: &[u8; REGISTER]) -> __m256i {
    // Not safely: the instruction is given as a function that takes a pointer.
    // SAFETY: the reference covers all the octets that are read, at any alignment.
    unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
}

/// The words of `rest`, the less than a register that `bytes` end with, and zeros in front. There are an even number
/// of both, and a register of `bytes` at least.
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
    let [last, mask] = [&bytes[bytes.len() - REGISTER..], &MASKS[rest.len() % REGISTER..]];
    match (last.first_chunk(), mask.first_chunk()) {
        (Some(last), Some(mask)) => _mm256_and_si256(load(last), load(mask)),
        _ => _mm256_setzero_si256(),
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

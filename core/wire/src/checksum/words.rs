//! Sums of words in the machine's order, on any machine.
//!
//! Owns: the loops. Must not know: the order of octets on the wire, what a sum is for.
//! Implements: RFC 1071 §2 (any word size, deferred carries).
//!
//! A sum of 64-bit words in 128 bits costs an addition and an addition of the carry per word. Every
//! function returns it with end-around carry into 64 bits: its fold is that of the 16-bit words.

/// The sum of up to a few hundred octets.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    end_around(sum_from(0, bytes))
}

/// The same added to `total`, not yet carried around.
#[inline(always)]
pub(super) fn sum_from(mut total: u128, bytes: &[u8]) -> u128 {
    let mut rest = bytes;
    // A header and a payload of some blocks leave nothing behind this way.
    if bytes.len() % 64 >= 32
        && let Some((block, after)) = rest.split_first_chunk::<32>()
    {
        total = total.wrapping_add(word_sum(block));
        rest = after;
    }
    let (blocks, mut rest) = rest.as_chunks::<64>();
    for block in blocks {
        total = total.wrapping_add(word_sum(block));
    }
    if rest.is_empty() {
        return total;
    }
    if let Some((block, after)) = rest.split_first_chunk::<16>() {
        total = total.wrapping_add(word_sum(block));
        rest = after;
    }
    if let Some((block, after)) = rest.split_first_chunk::<8>() {
        total = total.wrapping_add(word_sum(block));
        rest = after;
    }
    total.wrapping_add(u128::from(odd_word(bytes, rest)))
}

/// The sum of octets that are copied over `target`; so many as both have. `None`: there are 192 or more.
#[inline(always)]
pub(super) fn copy(target: &mut [u8], source: &[u8]) -> Option<u64> {
    let len = target.len().min(source.len());
    let (mut places, mut rest) = (target.get_mut(..len)?, source.get(..len)?);
    let mut total: u128 = 0;
    // Each is taken once at most, in a straight line: a loop would be a call of memcpy and a loop.
    macro_rules! take {
        ($octets:literal) => {
            if let Some((block, after)) = rest.split_first_chunk::<$octets>()
                && let Some(place) = places.split_off_mut(..$octets)
            {
                place.copy_from_slice(block);
                total = total.wrapping_add(word_sum(block));
                rest = after;
            }
        };
    }
    take!(64);
    take!(64);
    take!(32);
    take!(16);
    take!(8);
    if !rest.is_empty() {
        if rest.len() >= 8 {
            return None;
        }
        places.copy_from_slice(rest);
        total = total.wrapping_add(u128::from(odd_word(source, rest)));
    }
    Some(end_around(total))
}

/// The sum of many octets: four sums that do not wait for each other.
pub(super) fn sum_long(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut totals = [0u128; 4];
    for block in blocks {
        let (parts, _) = block.as_chunks::<16>();
        for (total, part) in totals.iter_mut().zip(parts) {
            *total = total.wrapping_add(word_sum(part));
        }
    }
    let total = totals.iter().fold(0u128, |sum, total| sum.wrapping_add(*total));
    end_around(total.wrapping_add(u128::from(sum(rest))))
}

#[inline(always)]
fn word_sum<const N: usize>(block: &[u8; N]) -> u128 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().fold(0u128, |sum, word| sum.wrapping_add(u128::from(u64::from_ne_bytes(*word))))
}

/// The word made of `odd`, the less than eight octets that `bytes` ends with, and zeros.
#[inline(always)]
fn odd_word(bytes: &[u8], odd: &[u8]) -> u64 {
    if odd.is_empty() {
        return 0;
    }
    let word = match bytes.last_chunk::<8>() {
        // The octets before them are shifted out.
        Some(last) => u64::from_le_bytes(*last) >> ((64 - 8 * odd.len() as u32) & 63),
        None => odd.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)),
    };
    u64::from_ne_bytes(word.to_le_bytes())
}

/// End-around carry from 128 bits into 64: the upper half counts carries, far from overflowing.
#[inline(always)]
pub(super) fn end_around(total: u128) -> u64 {
    let (sum, carry) = (total as u64).overflowing_add((total >> 64) as u64);
    sum.wrapping_add(u64::from(carry))
}

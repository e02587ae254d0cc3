//! Sums of words in the machine's order, on any machine.
//!
//! Owns: the loops. Must not know: the order of octets on the wire, what a sum is for.
//! Implements: RFC 1071 §2 (any word size, deferred carries).
//!
//! A sum of 64-bit words costs one addition with carry per word. Every function returns it with end-around carry:
//! its fold is that of the 16-bit words.

/// The sum of up to a few hundred octets.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    sum_from(0, bytes)
}

/// The same added to `total`.
#[inline(always)]
pub(super) fn sum_from(mut total: u64, bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    // The first in a straight line too: often it is the only one.
    if let Some((block, after)) = rest.split_first_chunk::<64>() {
        total = plus(total, block);
        if after.is_empty() {
            return total;
        }
        rest = after;
        while let Some((block, after)) = rest.split_first_chunk::<64>() {
            total = plus(total, block);
            rest = after;
        }
    }
    // Each is taken once at most, in a straight line.
    macro_rules! take {
        ($octets:literal) => {
            if let Some((block, after)) = rest.split_first_chunk::<$octets>() {
                total = plus(total, block);
                rest = after;
            }
        };
    }
    take!(32);
    if rest.is_empty() {
        return total;
    }
    take!(16);
    take!(8);
    plus_word(total, odd_word(bytes, rest))
}

/// The sum of octets that are copied over `target`; so many as both have. `None`: there are 192 or more.
#[inline(always)]
pub(super) fn copy(target: &mut [u8], source: &[u8]) -> Option<u64> {
    let len = target.len().min(source.len());
    let (mut places, mut rest) = (target.get_mut(..len)?, source.get(..len)?);
    let mut total = 0;
    // As above: a loop would be a call of memcpy and a loop.
    macro_rules! take {
        ($octets:literal) => {
            if let Some((block, after)) = rest.split_first_chunk::<$octets>()
                && let Some(place) = places.split_off_mut(..$octets)
            {
                place.copy_from_slice(block);
                total = plus(total, block);
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
        total = plus_word(total, odd_word(source, rest));
    }
    Some(total)
}

/// The sum of many octets: two sums that do not wait for each other.
pub(super) fn sum_long(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<128>();
    let mut totals = [0; 2];
    for block in blocks {
        let (parts, _) = block.as_chunks::<64>();
        for (total, part) in totals.iter_mut().zip(parts) {
            *total = plus(*total, part);
        }
    }
    plus_word(sum_from(totals[0], rest), totals[1])
}

/// `total` and the words of `block`.
#[inline(always)]
fn plus<const N: usize>(total: u64, block: &[u8; N]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    plus_words(total, words.iter().map(|word| u64::from_ne_bytes(*word)))
}

/// `total` and `words`: the carry of each goes with the next, that of the last goes around.
#[inline(always)]
pub(super) fn plus_words(total: u64, words: impl IntoIterator<Item = u64>) -> u64 {
    let (sum, carry) = words.into_iter().fold((total, false), |(sum, carry), word| {
        let (sum, first) = sum.overflowing_add(word);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (sum, first | second)
    });
    // Without a carry to begin with no sum that carries is all ones: it does not carry again.
    sum.wrapping_add(u64::from(carry))
}

/// `total` and one word.
#[inline(always)]
pub(super) const fn plus_word(total: u64, word: u64) -> u64 {
    let (sum, carry) = total.overflowing_add(word);
    sum.wrapping_add(carry as u64)
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

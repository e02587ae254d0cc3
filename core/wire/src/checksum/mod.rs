//! The internet checksum.
//!
//! Owns: partial sums, how they combine, and the update of one changed word.
//! Must not know: which header a sum is for, the two pseudo-headers excepted.
//! Implements: RFC 1071 (computing), RFC 1624 (incremental update), RFC 9293 §3.1 (MUST-2, MUST-3),
//! RFC 8200 §8.1 (IPv6 pseudo-header).
//!
//! A *partial sum* is a `u32` whose one's-complement fold to 16 bits is the sum of big-endian
//! words. Every function here returns it folded (at most 0xFFFF), so up to 65,537 of them may be
//! added with plain `+` before the next fold.

#[cfg(test)]
mod tests;

/// Octets the main loop takes at a time.
const BLOCK: usize = 64;
/// 64-bit words in a block.
const LANES: usize = BLOCK / 8;

/// The partial sum of `bytes`, as if they began at an even offset. An odd last octet counts as
/// the high half of a word, as RFC 1071 pads it.
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    // Headers of known length are summed where they are made.
    if bytes.len() < BLOCK { from_native(sum_short(bytes)) } else { sum_long(bytes) }
}

fn sum_long(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut lanes = Lanes::default();
    for block in blocks {
        lanes.add(block);
    }
    from_native(lanes.total().wrapping_add(sum_short(rest)))
}

/// Copies `source` into the front of `target` and returns the partial sum of what was copied,
/// while it is still in the nearest cache. Copies as much as the shorter of both holds.
///
/// Step by step on purpose: a loop that does both at once needs more vector registers than there
/// are, and was measured slower.
pub fn copy_and_sum(target: &mut [u8], source: &[u8]) -> u32 {
    const STEP: usize = 4096;
    let len = target.len().min(source.len());
    let (Some(target), Some(source)) = (target.get_mut(..len), source.get(..len)) else {
        return 0;
    };
    let mut total = 0;
    for (to, from) in target.chunks_mut(STEP).zip(source.chunks(STEP)) {
        to.copy_from_slice(from);
        total = u32::from(fold(total + sum(from)));
    }
    total
}

/// The sum of two stretches, `second` following `first`. `second_offset_odd` tells whether the
/// second stretch begins at an odd offset of the whole: its octets then change places.
pub const fn combine(first: u32, second: u32, second_offset_odd: bool) -> u32 {
    let second = fold(second);
    let second = if second_offset_odd { second.swap_bytes() } else { second };
    fold(fold(first) as u32 + second as u32) as u32
}

/// Folds a partial sum to 16 bits with end-around carries.
pub const fn fold(partial: u32) -> u16 {
    let once = (partial & 0xFFFF) + (partial >> 16);
    let twice = (once & 0xFFFF) + (once >> 16);
    twice as u16
}

/// The checksum field for a partial sum. Over data that includes a correct checksum field the
/// result is zero: that is how a receiver verifies.
pub const fn finish(partial: u32) -> u16 {
    !fold(partial)
}

/// The partial sum of the pseudo-header of IPv4. `len` is the transport header and data, octets.
pub const fn pseudo_v4(source: [u8; 4], destination: [u8; 4], protocol: u8, len: u32) -> u32 {
    let [a, b, c, d] = source;
    let [e, f, g, h] = destination;
    let words = word(a, b) + word(c, d) + word(e, f) + word(g, h);
    fold(words + protocol as u32 + (len >> 16) + (len & 0xFFFF)) as u32
}

/// The partial sum of the pseudo-header of IPv6 (RFC 8200 §8.1). `destination` is the final one,
/// `protocol` the upper layer's next-header value, `len` its header and data in octets.
pub fn pseudo_v6(source: [u8; 16], destination: [u8; 16], protocol: u8, len: u32) -> u32 {
    let addresses = sum(&source) + sum(&destination);
    u32::from(fold(addresses + u32::from(protocol) + (len >> 16) + (len & 0xFFFF)))
}

/// A checksum field after one 16-bit word under it changed from `old` to `new` (RFC 1624 §3,
/// equation 3).
pub const fn updated(field: u16, old: u16, new: u16) -> u16 {
    !fold(!field as u32 + !old as u32 + new as u32)
}

/// A sum over a run of pieces, whatever their lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    partial: u32,
    odd: bool,
}

impl Running {
    /// Starts from a partial sum of an even number of octets, such as a pseudo-header.
    pub const fn from_partial(partial: u32) -> Running {
        Running { partial, odd: false }
    }
    /// Adds the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.add_partial(sum(piece), piece.len());
    }
    /// Adds a piece of `len` octets whose partial sum is known.
    pub const fn add_partial(&mut self, partial: u32, len: usize) {
        self.partial = combine(self.partial, partial, self.odd);
        self.odd ^= len % 2 == 1;
    }
    /// The partial sum so far.
    pub const fn partial(self) -> u32 {
        self.partial
    }
    /// The checksum field for what was added.
    pub const fn finish(self) -> u16 {
        finish(self.partial)
    }
}

const fn word(high: u8, low: u8) -> u32 {
    u16::from_be_bytes([high, low]) as u32
}

/// Sums of the low and of the high halves of 64-bit words, kept apart so that no carry is ever
/// lost and the compiler may use vector registers: 2^32 blocks pass before a lane could overflow.
#[derive(Default)]
struct Lanes {
    low: [u64; LANES],
    high: [u64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, block: &[u8; BLOCK]) {
        let (words, _) = block.as_chunks::<8>();
        for ((low, high), word) in self.low.iter_mut().zip(&mut self.high).zip(words) {
            let word = u64::from_ne_bytes(*word);
            *low = low.wrapping_add(word & 0xFFFF_FFFF);
            *high = high.wrapping_add(word >> 32);
        }
    }
    fn total(&self) -> u64 {
        self.low.iter().chain(&self.high).fold(0, |total: u64, lane| total.wrapping_add(*lane))
    }
}

/// What is left after the blocks, or a header: 32-bit words in the machine's order, whose sum
/// cannot overflow 64 bits.
#[inline]
fn sum_short(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = 0;
    for word in words {
        total = total.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
    }
    let last = match *rest {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    total.wrapping_add(u64::from(u32::from_ne_bytes(last)))
}

/// Folds a sum of words in the machine's order and turns it into network order: one's-complement
/// sums do not care about the order until the very end (RFC 1071 §2 B).
#[inline]
fn from_native(total: u64) -> u32 {
    let folded = fold(fold_carry(total));
    u32::from(u16::from_be_bytes(folded.to_ne_bytes()))
}

/// End-around carry from 64 bits into 32; what may still carry out is added once more.
#[inline]
const fn fold_carry(value: u64) -> u32 {
    let once = (value & 0xFFFF_FFFF) + (value >> 32);
    ((once & 0xFFFF_FFFF) + (once >> 32)) as u32
}

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

mod words;

#[cfg(test)]
mod tests;

/// From this length on a machine's vector instructions pay for the call.
const LONG: usize = 256;

/// The partial sum of `bytes`, as if they began at an even offset. An odd last octet counts as
/// the high half of a word, as RFC 1071 pads it.
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    from_native(native(bytes))
}

/// The sum of the 16-bit words of `bytes` as they lie in memory, with end-around carry: one's-complement sums do not
/// care about the order of octets until the very end (RFC 1071 §2 B). Zeros behind it make an odd last octet a word.
#[inline]
pub fn native(bytes: &[u8]) -> u64 {
    // Headers of known length are summed where they are made.
    if bytes.len() < LONG { words::sum(bytes) } else { words::sum_long(bytes) }
}

/// How long stretches are summed: with what every machine has, or with what a host has found its
/// machine to have. Both ways give the same sums.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    long: fn(&[u8]) -> u64,
}

impl Engine {
    /// What every machine has.
    pub const PORTABLE: Engine = Engine { long: native };

    /// Long stretches by `long`, which must give what [`native`] gives, or what folds to the same.
    pub const fn new(long: fn(&[u8]) -> u64) -> Engine {
        Engine { long }
    }

    /// As [`sum`].
    #[inline]
    pub fn sum(self, bytes: &[u8]) -> u32 {
        from_native(self.native(bytes))
    }

    #[inline]
    fn native(self, bytes: &[u8]) -> u64 {
        if bytes.len() < LONG { words::sum(bytes) } else { (self.long)(bytes) }
    }

    /// What sums pieces of so many octets: to be asked once for many of them.
    #[inline]
    #[must_use]
    pub fn for_octets(self, octets: usize) -> Summer {
        Summer { native: if octets < LONG { native } else { self.long } }
    }

    /// Copies `source` into the front of `target` and returns the partial sum of what was copied.
    /// Copies as much as the shorter of both holds.
    ///
    /// Step by step, so that the sum finds its octets in the nearest cache: a loop that does both at
    /// once was measured slower.
    pub fn copy_and_sum(self, target: &mut [u8], source: &[u8]) -> u32 {
        // And not so long that a C library has the processor copy it, which may be slow: `usertcp_frame::copy`.
        const STEP: usize = 31 * 64;
        let len = target.len().min(source.len());
        let (Some(target), Some(source)) = (target.get_mut(..len), source.get(..len)) else {
            return 0;
        };
        let mut total = 0;
        for (to, from) in target.chunks_mut(STEP).zip(source.chunks(STEP)) {
            to.copy_from_slice(from);
            total = u32::from(fold(total + self.sum(from)));
        }
        total
    }
}

/// What sums pieces that are about as long as each other, each by a call. See [`Engine::for_octets`].
#[derive(Clone, Copy, Debug)]
pub struct Summer {
    native: fn(&[u8]) -> u64,
}

impl Summer {
    /// Of what nobody is to sum.
    pub const NOTHING: Summer = Summer { native: |_| 0 };

    /// The sum of a piece.
    #[inline(always)] // for each packet
    #[must_use]
    pub fn sum(self, piece: &[u8]) -> Running {
        Running { total: (self.native)(piece), odd: piece.len() % 2 == 1 }
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::PORTABLE
    }
}

/// As [`Engine::copy_and_sum`], with what every machine has.
#[inline]
pub fn copy_and_sum(target: &mut [u8], source: &[u8]) -> u32 {
    Engine::PORTABLE.copy_and_sum(target, source)
}

/// The sum of two stretches, `second` following `first`. `second_offset_odd` tells whether the
/// second stretch begins at an odd offset of the whole: its octets then change places.
#[inline]
pub const fn combine(first: u32, second: u32, second_offset_odd: bool) -> u32 {
    let second = fold(second);
    let second = if second_offset_odd { second.swap_bytes() } else { second };
    fold(fold(first) as u32 + second as u32) as u32
}

/// Folds a partial sum to 16 bits with end-around carries.
#[inline]
pub const fn fold(partial: u32) -> u16 {
    // The end-around sum of the halves, in the upper half.
    (partial.wrapping_add(partial.rotate_left(16)) >> 16) as u16
}

/// The checksum field for a partial sum. Over data that includes a correct checksum field the
/// result is zero: that is how a receiver verifies.
#[inline]
pub const fn finish(partial: u32) -> u16 {
    !fold(partial)
}

/// The partial sum of the pseudo-header of IPv4. `len` is the transport header and data, octets.
#[inline]
pub const fn pseudo_v4(source: [u8; 4], destination: [u8; 4], protocol: u8, len: u32) -> u32 {
    Running::pseudo_v4(source, destination, protocol, len).partial()
}

/// The partial sum of the pseudo-header of IPv6 (RFC 8200 §8.1). `destination` is the final one,
/// `protocol` the upper layer's next-header value, `len` its header and data in octets.
#[inline]
pub fn pseudo_v6(source: [u8; 16], destination: [u8; 16], protocol: u8, len: u32) -> u32 {
    Running::pseudo_v6(source, destination, protocol, len).partial()
}

/// A checksum field after one 16-bit word under it changed from `old` to `new` (RFC 1624 §3,
/// equation 3).
#[inline]
pub const fn updated(field: u16, old: u16, new: u16) -> u16 {
    !fold(!field as u32 + !old as u32 + new as u32)
}

/// A sum over a run of pieces, whatever their lengths. Nothing is folded before the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// Words in the machine's order, with end-around carry.
    total: u64,
    odd: bool,
}

impl Running {
    /// Starts from a partial sum of an even number of octets, such as a pseudo-header.
    #[inline]
    pub const fn from_partial(partial: u32) -> Running {
        Running { total: to_native(fold(partial)), odd: false }
    }
    /// Starts from the pseudo-header of IPv4, as [`pseudo_v4`].
    #[inline]
    pub const fn pseudo_v4(
        source: [u8; 4],
        destination: [u8; 4],
        protocol: u8,
        len: u32,
    ) -> Running {
        let addresses = u32::from_ne_bytes(source) as u64 + u32::from_ne_bytes(destination) as u64;
        Running { total: addresses + protocol_and_len(protocol, len), odd: false }
    }
    /// Starts from what both pseudo-headers end with: the addresses are added like other words.
    #[inline]
    pub(crate) const fn end_of_pseudo(protocol: u8, len: u32) -> Running {
        Running { total: protocol_and_len(protocol, len), odd: false }
    }
    /// Starts from the pseudo-header of IPv6, as [`pseudo_v6`].
    #[inline]
    pub fn pseudo_v6(source: [u8; 16], destination: [u8; 16], protocol: u8, len: u32) -> Running {
        let mut sum = Running { total: 0, odd: false };
        sum.add_pseudo_v6(source, destination, protocol, len);
        sum
    }
    /// Adds the same, whatever was added before: it begins at an even offset.
    #[inline]
    pub fn add_pseudo_v6(
        &mut self,
        source: [u8; 16],
        destination: [u8; 16],
        protocol: u8,
        len: u32,
    ) {
        self.add_even(words::sum(&source));
        self.add_even(words::sum(&destination));
        self.add_even(protocol_and_len(protocol, len));
    }
    /// Adds the next piece.
    #[inline]
    pub fn add(&mut self, piece: &[u8]) {
        self.add_native(native(piece), piece.len());
    }
    /// The sum of a piece that is short most often.
    #[inline(always)] // it stays in registers
    #[must_use]
    pub fn of_short(piece: &[u8]) -> Running {
        Running { total: words::sum(piece), odd: piece.len() % 2 == 1 }
    }
    /// Adds a last piece that is short most often, before which there was an even number of octets.
    #[inline(always)] // as above
    pub fn add_short(&mut self, piece: &[u8]) {
        self.total = words::sum_from(self.total, piece);
        self.odd = piece.len() % 2 == 1;
    }
    /// Copies `piece` over `target`, which is as long, and is its sum: in one go when it is short.
    #[inline(always)]
    #[must_use]
    pub fn of_copy(target: &mut [u8], piece: &[u8]) -> Running {
        match words::copy(target, piece) {
            Some(total) => Running { total, odd: piece.len() % 2 == 1 },
            None => Running::of_long_copy(target, piece),
        }
    }
    #[inline(never)]
    fn of_long_copy(target: &mut [u8], piece: &[u8]) -> Running {
        for (to, from) in target.iter_mut().zip(piece) {
            *to = *from;
        }
        let mut sum = Running::default();
        sum.add(piece);
        sum
    }
    /// Adds the next piece, summed by `engine` when it is long.
    #[inline(always)] // the sum stays in registers
    pub fn add_by(&mut self, engine: Engine, piece: &[u8]) {
        self.add_native(engine.native(piece), piece.len());
    }
    /// As [`Running::is_complete`] after a last `piece`, before which there was an even number of octets. `None`:
    /// it is not short.
    #[inline(always)] // as above
    #[must_use]
    pub fn is_complete_with_short(self, piece: &[u8]) -> Option<bool> {
        if piece.len() >= LONG {
            return None;
        }
        let total = words::sum_from(self.total, piece);
        Some(Running { total, odd: false }.is_complete())
    }
    /// Whether nothing is missing: what was added, which is not all zeros, as no header is, holds its own checksum.
    /// Then [`Running::finish`] is zero.
    #[inline(always)]
    #[must_use]
    pub const fn is_complete(self) -> bool {
        debug_assert!(self.total != 0);
        // An end-around sum is what is left modulo 2^16 - 1: with a multiplication that is known of all 64 bits at
        // once.
        self.total.is_multiple_of(0xFFFF)
    }
    /// The partial sum so far.
    #[inline]
    pub const fn partial(self) -> u32 {
        from_native(self.total)
    }
    /// The checksum field for what was added.
    #[inline]
    pub const fn finish(self) -> u16 {
        !(self.partial() as u16)
    }

    /// What was added as the sum of two words in the order of the network: there is room for 2^30 more.
    #[inline]
    pub(crate) const fn in_two_words(self) -> u64 {
        let total = u64::from_be(self.total);
        (total >> 32) + (total & 0xFFFF_FFFF)
    }

    /// What was added, as words in the machine's order.
    #[inline]
    pub(crate) const fn words(self) -> u64 {
        self.total
    }

    /// Adds words that begin at an even offset of the whole, whatever was added before. They are in
    /// the machine's order.
    #[inline]
    pub(crate) fn add_words<const N: usize>(&mut self, words: [u64; N]) {
        self.total = words::plus_words(self.total, words);
    }

    /// Octets at odd offsets change places with their neighbours: the whole sum is turned by one.
    #[inline]
    const fn add_native(&mut self, words: u64, len: usize) {
        self.add_even(if self.odd { words.rotate_left(8) } else { words });
        self.odd ^= len % 2 == 1;
    }

    /// The end-around sum of what was added, in the machine's order.
    #[inline]
    pub(crate) const fn folded(self) -> u16 {
        folded(self.total)
    }

    /// The same with words added that begin at an even offset.
    #[inline]
    pub(crate) const fn plus_even(mut self, words: u64) -> Running {
        self.add_even(words);
        self
    }

    /// Adds words that begin at an even offset.
    #[inline]
    const fn add_even(&mut self, words: u64) {
        self.total = words::plus_word(self.total, words);
    }
}

/// `first` and words in the machine's order, as another.
#[inline(always)] // in registers
pub(crate) fn sum_of_words<const N: usize>(first: u64, words: [u64; N]) -> u64 {
    words::plus_words(first, words)
}

/// The end of both pseudo-headers: some zeros, the protocol, the length.
#[inline]
const fn protocol_and_len(protocol: u8, len: u32) -> u64 {
    (len.to_be() as u64) + ((protocol as u32).to_be() as u64)
}

/// A folded sum as a word of the machine.
#[inline]
const fn to_native(folded: u16) -> u64 {
    folded.to_be() as u64
}

/// Folds a sum of words in the machine's order and turns it into network order: one's-complement
/// sums do not care about the order until the very end (RFC 1071 §2 B).
///
/// A number added to itself with its halves changed over has the end-around sum of the halves in
/// its upper half.
#[inline]
const fn from_native(total: u64) -> u32 {
    u16::from_be_bytes(folded(total).to_ne_bytes()) as u32
}

/// The end-around sum of the 16-bit words of `total`.
#[inline]
pub const fn folded(total: u64) -> u16 {
    let half = (total.wrapping_add(total.rotate_left(32)) >> 32) as u32;
    (half.wrapping_add(half.rotate_left(16)) >> 16) as u16
}

//! Sequence numbers of 64 bits out of those of 32.
//!
//! Owns: the extension of one direction. Must not know: keys, segments.
//! Implements: RFC 5925 §6.2.

use usertcp_base::Seq;

/// One direction's numbers: a number is taken for the one nearest to the highest known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extended {
    highest: u64,
}

impl Extended {
    /// From the initial sequence number on, whose extension is zero.
    pub(crate) fn new(initial: Seq) -> Extended {
        Extended { highest: u64::from(initial.0) }
    }

    fn nearest(self, seq: Seq) -> u64 {
        let ahead = seq.0.wrapping_sub(self.highest as u32) as i32;
        self.highest.wrapping_add_signed(i64::from(ahead))
    }

    /// SNE: the upper 32 bits of `seq`.
    pub(crate) fn extension(self, seq: Seq) -> u32 {
        (self.nearest(seq) >> 32) as u32
    }

    /// A segment at `seq` was sent, or verified.
    pub(crate) fn advance(&mut self, seq: Seq) {
        let nearest = self.nearest(seq);
        // What lies before the first number wraps to the far end, and is no progress.
        if nearest.wrapping_sub(self.highest) < 1 << 31 {
            self.highest = nearest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves 5925-3
    #[test]
    fn more_than_four_gibioctets_keep_their_extension() {
        let mut numbers = Extended::new(Seq(u32::MAX - 5));
        assert_eq!(numbers.extension(Seq(u32::MAX)), 0);
        assert_eq!(numbers.extension(Seq(3)), 1, "across the wrap before anything advanced");
        let mut octets = 0u64;
        for _ in 0..40_000 {
            octets += 500_000;
            let at = u64::from(u32::MAX - 5) + octets;
            assert_eq!(numbers.extension(Seq(at as u32)), (at >> 32) as u32);
            numbers.advance(Seq(at as u32));
            let before = at - 1_000_000_000.min(octets);
            assert_eq!(numbers.extension(Seq(before as u32)), (before >> 32) as u32);
            numbers.advance(Seq(before as u32));
        }
        assert!(octets > 4 << 32);
    }

    #[test]
    fn a_number_before_the_first_is_no_progress() {
        let mut numbers = Extended::new(Seq(5));
        assert_eq!(numbers.extension(Seq(u32::MAX)), u32::MAX);
        numbers.advance(Seq(u32::MAX));
        assert_eq!(numbers.extension(Seq(6)), 0);
    }
}

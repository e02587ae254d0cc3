//! TCBs of connections that were parked a moment ago.
//!
//! Owns: where some of them are, the last one first, and of which mould each is a copy.
//! Must not know: TCBs, moulds but by their serial numbers.
//!
//! A TCB that was parked is equal to its mould, and the caches still hold it. The next connection that wakes
//! most probably has the same mould: it takes such a *blank*, and neither is memory looked at that nobody
//! has looked at for a while, nor a TCB copied.

use alloc::collections::VecDeque;

/// As many as come to rest and wake between two looks at the time; with more, the oldest would not be in the caches
/// any more when it is used, or goes.
const MOST: u32 = 512;
/// As many as a burst of packets wakes, although nobody has a TCB when it comes: all of the burst before it may have come
/// to rest again. They are no more than the chunk of TCBs that stays in any case (`slab`).
const LEAST: u32 = 256;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blank {
    /// Where it is.
    pub hot: u32,
    /// The serial number of its mould.
    pub mould: u64,
}

/// All of a shard.
#[derive(Debug)]
pub(crate) struct Blanks {
    blanks: VecDeque<Blank>,
}

impl Blanks {
    /// None yet.
    pub(crate) const fn new() -> Blanks {
        Blanks { blanks: VecDeque::new() }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.blanks.len() as u32
    }

    /// One more.
    #[inline]
    pub(crate) fn push(&mut self, hot: u32, mould: u64) {
        self.blanks.push_back(Blank { hot, mould });
    }

    /// The one that came last.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Blank> {
        self.blanks.pop_back()
    }

    /// The slot of the oldest, if there are more than `most`.
    #[inline]
    pub(crate) fn pop_excess(&mut self, most: u32) -> Option<u32> {
        if self.len() <= most { None } else { self.blanks.pop_front().map(|blank| blank.hot) }
    }
}

/// As many as so many TCBs of connections are worth.
#[inline]
pub(crate) fn worth(tcbs: u32) -> u32 {
    tcbs.div_ceil(2).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_taken_and_the_oldest_goes() {
        let mut blanks = Blanks::new();
        for hot in 0..4 {
            blanks.push(hot, u64::from(hot) + 10);
        }
        let last = blanks.pop().map(|blank| (blank.hot, blank.mould));
        assert_eq!((last, blanks.len()), (Some((3, 13)), 3));
        // One is worth a TCB or two, where those are many.
        assert_eq!([0, 1, 2 * LEAST + 3, 10_000].map(worth), [LEAST, LEAST, LEAST + 2, MOST]);
        let gone = core::iter::from_fn(|| blanks.pop_excess(1));
        assert_eq!(gone.collect::<alloc::vec::Vec<_>>(), [0, 1]);
        assert_eq!(blanks.pop().map(|blank| blank.hot), Some(2));
        assert!(blanks.pop().is_none());
    }
}

//! First in, first out, without a pause however many there are.
//!
//! Owns: [`Fifo`], a queue in pieces; [`Sifted`], one whose entries may have died meanwhile.
//! Must not know: what an entry is.
//!
//! A short queue is one ring. A long one goes on in pieces that are never copied, and given back when
//! they were read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Entries of a piece.
const PIECE: usize = if cfg!(test) { 4 } else { 1024 };
/// Entries looked at with each that is added, while too many are dead.
const SIFTED: usize = 4;

/// Entries of a ring at first.
const LEAST: usize = if cfg!(test) { 2 } else { 16 };

/// A queue.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// The first of them, from `first` on and round. As many places as a power of two, or none.
    ring: Vec<T>,
    first: u32,
    len: u32,
    /// Entries that may be in the ring: no other than are there, while more wait behind it.
    room: u32,
    /// What has come since the ring was full.
    more: VecDeque<Vec<T>>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Fifo<T> {
        Fifo::new()
    }
}

impl<T> Fifo<T> {
    /// An empty queue.
    pub(crate) const fn new() -> Fifo<T> {
        Fifo { ring: Vec::new(), first: 0, len: 0, room: 0, more: VecDeque::new() }
    }

    /// Whether nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && self.more.is_empty()
    }
}

impl<T: Copy> Fifo<T> {
    /// Adds an entry behind all others.
    #[inline(always)] // a few instructions
    pub(crate) fn push(&mut self, entry: T) {
        let place = self.place(self.len);
        match self.ring.get_mut(place) {
            Some(place) if self.len < self.room => {
                *place = entry;
                self.len += 1;
            }
            _ => self.push_more(entry),
        }
    }

    /// Takes the first entry out.
    #[inline(always)] // as above
    pub(crate) fn pop(&mut self) -> Option<T> {
        match self.ring.get(self.first as usize) {
            Some(entry) if self.len > 0 => {
                self.first = self.place(1) as u32;
                self.len -= 1;
                Some(*entry)
            }
            _ => self.pop_more(),
        }
    }

    /// The first entry, left where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        match self.len {
            0 => self.more.front()?.first(),
            _ => self.ring.get(self.first as usize),
        }
    }

    /// The first entries, as many as are at hand.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &T> {
        (0..self.len).filter_map(|number| self.ring.get(self.place(number)))
    }

    /// Where the entry of that number is, from the first one on.
    #[inline]
    fn place(&self, number: u32) -> usize {
        self.first.wrapping_add(number) as usize & self.ring.len().wrapping_sub(1)
    }

    #[cold]
    fn push_more(&mut self, entry: T) {
        if self.more.is_empty() && self.ring.len() < PIECE {
            self.ring.rotate_left(self.first as usize);
            self.first = 0;
            let places = (2 * self.ring.len()).clamp(LEAST, PIECE);
            self.ring.resize(places, entry);
            self.room = places as u32;
            return self.push(entry);
        }
        self.room = 0;
        match self.more.back_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(entry),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(entry);
                self.more.push_back(piece);
            }
        }
    }

    #[cold]
    fn pop_more(&mut self) -> Option<T> {
        let mut piece = self.more.pop_front()?;
        if self.more.is_empty() {
            self.more = VecDeque::new();
            self.room = PIECE as u32;
        }
        (self.first, self.len) = (0, piece.len() as u32);
        if let Some(last) = piece.last().copied() {
            piece.resize(PIECE, last);
        }
        self.ring = piece;
        self.pop()
    }
}

/// A queue of which some entries may be dead: as many at most as are alive, and a few.
#[derive(Debug)]
pub(crate) struct Sifted<T> {
    /// What comes first, and was looked at.
    sifted: Fifo<T>,
    rest: Fifo<T>,
    len: usize,
}

impl<T> Default for Sifted<T> {
    fn default() -> Sifted<T> {
        Sifted { sifted: Fifo::new(), rest: Fifo::new(), len: 0 }
    }
}

impl<T: Copy> Sifted<T> {
    /// Adds an entry behind all others. With so `many` alive, itself included, and more than twice as many
    /// in all, and `slack`, some are looked at: those that `lives` tells dead go.
    pub(crate) fn push(&mut self, entry: T, many: usize, slack: usize, lives: impl Fn(&T) -> bool) {
        self.rest.push(entry);
        self.len += 1;
        if self.len > 2 * many + slack {
            for _ in 0..SIFTED {
                self.sift(&lives);
            }
        }
    }

    /// Takes the first entry out, dead or alive.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.sifted.pop().or_else(|| self.rest.pop())?;
        self.len -= 1;
        Some(first)
    }

    /// The first entry, dead or alive, left where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.sifted.front().or_else(|| self.rest.front())
    }

    /// Entries, dead ones too.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn sift(&mut self, lives: &impl Fn(&T) -> bool) {
        if self.rest.is_empty() {
            core::mem::swap(&mut self.rest, &mut self.sifted);
        }
        let Some(entry) = self.rest.pop() else { return };
        if lives(&entry) {
            self.sifted.push(entry);
        } else {
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_queue_agrees_with_a_plain_one(steps in prop::collection::vec(prop::option::of(any::<u8>()), 0..200)) {
            let mut queue = Fifo::new();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(entry) => {
                        queue.push(entry);
                        model.push_back(entry);
                    }
                    None => prop_assert_eq!(queue.pop(), model.pop_front()),
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }

        // Entries are numbers; they die in any order.
        #[test]
        fn what_lives_keeps_its_order_and_what_is_dead_does_not_pile_up(
            steps in prop::collection::vec((0u8..4, any::<u16>()), 0..400),
        ) {
            let mut queue = Sifted::default();
            let mut alive = Vec::<u16>::new();
            for (number, (what, which)) in (0_u16..).zip(steps) {
                match what {
                    0 | 1 => {
                        alive.push(number);
                        queue.push(number, alive.len(), 3, |entry| alive.contains(entry));
                    }
                    2 if !alive.is_empty() => {
                        alive.remove(usize::from(which) % alive.len());
                    }
                    _ => {
                        let first = core::iter::from_fn(|| queue.pop()).find(|entry| alive.contains(entry));
                        prop_assert_eq!(first, alive.first().copied());
                        alive.retain(|entry| Some(*entry) != first);
                    }
                }
            }
            let rest = core::iter::from_fn(|| queue.pop()).filter(|entry| alive.contains(entry));
            prop_assert_eq!(rest.collect::<Vec<_>>(), alive);
        }
    }

    #[test]
    fn a_queue_that_nobody_reads_stays_as_long_as_what_lives() {
        let mut queue = Sifted::default();
        let lives = |entry: &u32| *entry < 100 || entry.is_multiple_of(1000);
        for number in 0..100_000 {
            let many = number.min(100) + number / 1000 + 1;
            queue.push(number, many as usize, 8, lives);
            assert!(queue.len <= 4 * many as usize + 100, "{} of {number}", queue.len);
        }
    }
}

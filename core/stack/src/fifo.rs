//! First in, first out, without a pause however many there are.
//!
//! Owns: [`Fifo`], a queue in pieces; [`Sifted`], one whose entries may have died meanwhile, and [`Mortal`], which is
//! told when one dies.
//! Must not know: what an entry is.
//!
//! A short queue is one array, read from somewhere on. A long one goes on in others that are never copied, and given
//! back when they were read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Entries of a piece.
const PIECE: usize = if cfg!(test) { 4 } else { 1024 };
/// Entries looked at with each that is added, while too many are dead.
const SIFTED: usize = 4;

/// Entries there is room for at first.
const LEAST: usize = if cfg!(test) { 2 } else { 16 };

/// A queue.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// The first of them, from `next` on; nothing at all when there are none. It is full while more wait behind it.
    first: Vec<T>,
    next: usize,
    /// How many wait behind it.
    behind: usize,
    /// They: what has come since it was full.
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
        Fifo { first: Vec::new(), next: 0, behind: 0, more: VecDeque::new() }
    }

    /// Whether nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.first.len() - self.next + self.behind
    }
}

impl<T: Copy> Fifo<T> {
    /// Adds an entry behind all others.
    #[inline(always)] // a few instructions
    pub(crate) fn push(&mut self, entry: T) {
        if self.first.len() < self.first.capacity() {
            self.first.push(entry);
        } else {
            self.push_more(entry);
        }
    }

    /// Takes the first entry out.
    #[inline(always)] // as above
    pub(crate) fn pop(&mut self) -> Option<T> {
        let entry = *self.first.get(self.next)?;
        self.next += 1;
        if self.next == self.first.len() {
            self.begin_anew();
        }
        Some(entry)
    }

    /// Drops the first entry, which there is.
    #[inline(always)] // as above
    pub(crate) fn skip_first(&mut self) {
        debug_assert!(self.front().is_some());
        self.next += 1;
        if self.next >= self.first.len() {
            self.begin_anew();
        }
    }

    /// The first entry, left where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.first.get(self.next)
    }

    /// The first entries, as many as lie together.
    pub(crate) fn ahead(&self) -> &[T] {
        self.first.get(self.next..).unwrap_or_default()
    }

    /// The first piece has been read: it is empty, or the next one is the first.
    #[inline(always)] // as above
    fn begin_anew(&mut self) {
        self.first.clear();
        self.next = 0;
        if self.behind > 0 {
            self.refill();
        }
    }

    #[cold]
    fn push_more(&mut self, entry: T) {
        if self.behind > 0 || self.first.len() >= PIECE && self.next < PIECE / 2 {
            return self.push_behind(entry);
        }
        if self.next >= self.first.len().div_ceil(2) {
            // Half of it was read: what is left moves there.
            self.first.drain(..core::mem::take(&mut self.next));
        }
        let places = (2 * self.first.len()).clamp(LEAST, PIECE);
        if places > self.first.capacity() {
            self.first.reserve_exact(places - self.first.len());
        }
        self.first.push(entry);
    }

    /// Behind a first piece that is full.
    fn push_behind(&mut self, entry: T) {
        self.behind += 1;
        match self.more.back_mut() {
            Some(piece) if piece.len() < piece.capacity() => piece.push(entry),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(entry);
                self.more.push_back(piece);
            }
        }
    }

    #[cold]
    fn refill(&mut self) {
        let Some(piece) = self.more.pop_front() else { return };
        if self.more.is_empty() {
            self.more = VecDeque::new();
        }
        self.behind -= piece.len();
        self.first = piece;
    }
}

/// A queue of which some entries may be dead: as many at most as are alive, and a few.
#[derive(Debug)]
pub(crate) struct Sifted<T> {
    parts: Parts<T>,
    len: usize,
}

impl<T> Default for Sifted<T> {
    fn default() -> Sifted<T> {
        Sifted { parts: Parts::default(), len: 0 }
    }
}

impl<T: Copy> Sifted<T> {
    /// Adds an entry behind all others. With so `many` alive, itself included, and more than twice as many
    /// in all, and `slack`, some are looked at: those that `lives` tells dead go.
    pub(crate) fn push(&mut self, entry: T, many: usize, slack: usize, lives: impl Fn(&T) -> bool) {
        self.parts.rest.push(entry);
        self.len += 1;
        if self.len > 2 * many + slack {
            self.len -= self.parts.sift(&lives);
        }
    }

    /// Takes the first entry out, dead or alive.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.parts.pop()?;
        self.len -= 1;
        Some(first)
    }

    /// The first entry, dead or alive, left where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.parts.front()
    }

    /// The first entries, as many as lie together.
    pub(crate) fn ahead(&self) -> &[T] {
        if self.parts.sifted.is_empty() {
            self.parts.rest.ahead()
        } else {
            self.parts.sifted.ahead()
        }
    }

    /// Entries, dead ones too.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The same, told of each entry that dies: so it counts nothing while none does.
#[derive(Debug)]
pub(crate) struct Mortal<T> {
    parts: Parts<T>,
    /// Of the entries, those that died.
    dead: usize,
}

/// Dead entries of which nothing is made.
const SLACK: usize = if cfg!(test) { 3 } else { 64 };

impl<T> Default for Mortal<T> {
    fn default() -> Mortal<T> {
        Mortal { parts: Parts::default(), dead: 0 }
    }
}

impl<T: Copy> Mortal<T> {
    /// Whether there is no entry, dead or alive.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.rest.is_empty() && self.parts.sifted.is_empty()
    }

    /// Adds an entry behind all others.
    #[inline(always)] // as `Fifo`'s
    pub(crate) fn push(&mut self, entry: T) {
        self.parts.rest.push(entry);
    }

    /// Adds an entry before those that nobody has looked at, behind others that were added so.
    pub(crate) fn push_ahead(&mut self, entry: T) {
        self.parts.sifted.push(entry);
    }

    /// Takes the first entry out, dead or alive: of a dead one [`Mortal::buried`] is to be told.
    #[inline(always)] // as above
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.parts.pop()
    }

    /// The first entry, dead or alive, left where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.parts.front()
    }

    /// The queue that begins with the first entry.
    #[inline(always)] // as above
    pub(crate) fn queue(&mut self) -> &mut Fifo<T> {
        if self.parts.sifted.is_empty() { &mut self.parts.rest } else { &mut self.parts.sifted }
    }

    /// The first entries, as many as are at hand.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &T> {
        self.parts.sifted.ahead().iter().chain(self.parts.rest.ahead())
    }

    /// Entries, dead or alive.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.parts.sifted.len() + self.parts.rest.len()
    }

    /// Entries that go before those that nobody has looked at.
    #[inline]
    pub(crate) fn looked_at(&self) -> usize {
        self.parts.sifted.len()
    }

    /// Whether there are about as many as a piece has, or more.
    #[inline]
    pub(crate) fn has_full_piece(&self) -> bool {
        self.parts.rest.first.len() >= PIECE
    }

    /// Entries that live.
    #[inline]
    pub(crate) fn alive(&self) -> usize {
        self.len().saturating_sub(self.dead)
    }

    /// An entry has died. When more than half of them are dead some are looked at, and those go that `lives` tells
    /// so.
    pub(crate) fn die(&mut self, lives: impl Fn(&T) -> bool) {
        self.dead += 1;
        if self.dead * 2 > self.len() + SLACK {
            self.dead = self.dead.saturating_sub(self.parts.sift(&lives));
        }
    }

    /// A dead one was taken out.
    #[cold]
    pub(crate) fn buried(&mut self) {
        self.dead = self.dead.saturating_sub(1);
    }
}

/// What was looked at, and comes first, and the rest.
#[derive(Debug)]
struct Parts<T> {
    sifted: Fifo<T>,
    rest: Fifo<T>,
}

impl<T> Default for Parts<T> {
    fn default() -> Parts<T> {
        Parts { sifted: Fifo::new(), rest: Fifo::new() }
    }
}

impl<T: Copy> Parts<T> {
    #[inline(always)] // as `Fifo`'s
    fn pop(&mut self) -> Option<T> {
        if self.sifted.is_empty() { self.rest.pop() } else { self.sifted.pop() }
    }

    #[inline]
    fn front(&self) -> Option<&T> {
        self.sifted.front().or_else(|| self.rest.front())
    }

    /// Looks at some. How many were dead, and went.
    fn sift(&mut self, lives: &impl Fn(&T) -> bool) -> usize {
        let mut dead = 0;
        for _ in 0..SIFTED {
            if self.rest.is_empty() {
                core::mem::swap(&mut self.rest, &mut self.sifted);
            }
            let Some(entry) = self.rest.pop() else { break };
            if lives(&entry) {
                self.sifted.push(entry);
            } else {
                dead += 1;
            }
        }
        dead
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
                    None if model.len() % 3 > 0 => {
                        prop_assert_eq!(queue.front(), model.front());
                        queue.skip_first();
                        model.pop_front();
                    }
                    None => prop_assert_eq!(queue.pop(), model.pop_front()),
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.len(), model.len());
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

    proptest! {
        // The same where each death is told.
        #[test]
        fn of_those_whose_deaths_are_told_not_many_more_are_dead_than_alive(
            steps in prop::collection::vec((0u8..5, any::<u16>()), 0..400),
        ) {
            let mut queue = Mortal::default();
            let mut alive = Vec::<u16>::new();
            for (number, (what, which)) in (0_u16..).zip(steps) {
                match what {
                    0 | 1 => {
                        alive.push(number);
                        queue.push(number);
                    }
                    2 | 3 if !alive.is_empty() => {
                        alive.remove(usize::from(which) % alive.len());
                        queue.die(|entry| alive.contains(entry));
                    }
                    _ => {
                        let mut first = queue.pop();
                        while first.is_some_and(|entry| !alive.contains(&entry)) {
                            queue.buried();
                            first = queue.pop();
                        }
                        prop_assert_eq!(first, alive.first().copied());
                        alive.retain(|entry| Some(*entry) != first);
                    }
                }
                let entries = queue.len();
                prop_assert_eq!(queue.dead, entries - alive.len());
                prop_assert!(entries <= 2 * alive.len() + 2 * SLACK, "{} of {}", entries, alive.len());
            }
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

    // As it is with connections that come and go while nobody asks what happened.
    #[test]
    fn nor_does_one_grow_whose_entries_all_die() {
        let mut queue = Mortal::default();
        (0..100).for_each(|entry| queue.push(entry));
        for number in 100..100_000_u32 {
            queue.push(number);
            queue.die(|entry| *entry < 100);
        }
        assert!(queue.dead <= 100 + SLACK, "{} dead", queue.dead);
        assert_eq!(queue.len(), 100 + queue.dead);
    }
}

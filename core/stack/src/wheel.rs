//! The one timer wheel of a shard (DESIGN §7.4).
//!
//! Owns: where every deadline is filed, and the order in which they come due.
//! Must not know: what a deadline is for, or what a record holds beside its links.
//! Implements: no RFC; bounded work per call is AT-40.
//!
//! A near level of 4096 slots of 64 µs each, a quarter of a second, and three of 64 slots above it, to
//! 19 hours. A deadline is a number whose last digit has twelve bits and the others six. What is less than a
//! round of the near level away is filed there, which is a circle. All else is filed by the highest digit in which its deadline
//! differs from the current tick, so everything on such a level lies before everything on the next one, and a slot never
//! holds entries of two rounds. What is filed near is
//! not moved again before it is due: to move a record costs a look at memory that nobody has looked at
//! for a while, and most deadlines of a busy connection are near. Lists are threaded through the
//! records by index; the wheel itself holds the heads and which of them are in use.
//!
//! Deadlines that are seldom moved, and come in order because all are about as far away, need not look at
//! memory before they are due: they stand in a line beside the wheel (`line`), whose entries are together.

mod ahead;
mod line;
mod near;

pub(crate) use ahead::SCOUTS;
use ahead::Scouts;
use line::Line;
use near::Near;
use usertcp_base::{Instant, Tick};

/// Levels above the near one.
const LEVELS: usize = 3;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const TOP: usize = LEVELS - 1;
/// Ticks are 64 µs.
const TICK_MICROS_SHIFT: u32 = 6;
/// Deadlines further away are filed here and wake early: within half the circle of [`Tick`].
const HORIZON_TICKS: u64 = 1 << 30;

/// No record.
const NONE: u32 = u32::MAX;
/// A `prev` with this bit names the slot whose first record this is.
const HEAD: u32 = 1 << 31;
/// The `prev` of a record that stands in the line; `next` is its ticket.
const LINED_UP: u32 = NONE - 1;

/// What the wheel keeps in each record: twelve octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WheelLinks {
    next: u32,
    prev: u32,
    deadline: Tick,
}

impl WheelLinks {
    /// Links of a record that waits for nothing.
    pub const UNLINKED: WheelLinks = WheelLinks { next: NONE, prev: NONE, deadline: Tick(0) };

    /// Whether the record is in the wheel.
    pub const fn is_linked(&self) -> bool {
        self.prev != NONE
    }

    /// They lead nowhere any more: where they led.
    #[inline]
    fn leave(&mut self) -> WheelLinks {
        let left = *self;
        (self.next, self.prev) = (NONE, NONE);
        left
    }

    /// Whether the record wakes by `tick`, which lies within the circle of [`Tick`] around that.
    #[inline]
    pub const fn wakes_by(&self, tick: Tick) -> bool {
        self.is_linked() && !self.deadline.after(tick)
    }
}

impl Default for WheelLinks {
    fn default() -> Self {
        WheelLinks::UNLINKED
    }
}

/// The records a wheel is threaded through. An index the wheel was given stays valid until it is
/// cancelled or popped.
pub trait Links {
    /// The links of the record at `index`.
    fn links(&self, index: u32) -> &WheelLinks;
    /// The same, to change.
    fn links_mut(&mut self, index: u32) -> &mut WheelLinks;
    /// The links at an index that the wheel was given once, if there is a record.
    fn find(&self, index: u32) -> Option<&WheelLinks>;
}

/// The wheel. At most one entry per record.
#[derive(Debug)]
pub struct Wheel {
    /// Every tick before this one is done with. It stands still until its slot is empty and the
    /// slots above that begin with it were distributed: an interrupted cascade is finished before
    /// time advances.
    current: u64,
    near: Near,
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
    line: Line,
    scouts: Scouts,
    entries: u32,
    /// Nothing happens before this tick: a bound, found when the wheel was looked at last.
    soonest: u64,
}

/// Where an entry is filed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Near(usize),
    /// A level, from zero on, and a slot of it.
    Far(usize, usize),
}

impl Place {
    /// The number by which a record names it.
    fn number(self) -> u32 {
        match self {
            Place::Near(slot) => slot as u32,
            Place::Far(level, slot) => (near::SLOTS + level * SLOTS + slot) as u32,
        }
    }

    fn of_number(number: u32) -> Place {
        match (number as usize).checked_sub(near::SLOTS) {
            None => Place::Near(number as usize),
            Some(far) => Place::Far(far / SLOTS, far % SLOTS),
        }
    }
}

/// What comes next in the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Next {
    tick: u64,
    place: Place,
}

impl Wheel {
    /// An empty wheel whose time begins at `now`.
    pub fn new(now: Instant) -> Wheel {
        Wheel {
            current: tick_of(now),
            near: Near::new(),
            occupied: [0; LEVELS],
            heads: [[NONE; SLOTS]; LEVELS],
            line: Line::new(),
            scouts: Scouts::new(),
            entries: 0,
            soonest: u64::MAX,
        }
    }

    /// How many records wait.
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Wakes `index` not later than `deadline` (rounded up to a tick). An entry that would wake
    /// earlier stays where it is: its owner is asked when it fires and arms again. A deadline more
    /// than 19 hours away wakes early for the same reason.
    pub fn schedule(&mut self, index: u32, deadline: Instant, records: &mut impl Links) {
        debug_assert!(index < HEAD, "an index must leave the head bit free");
        let wanted = self.within_horizon(deadline);
        let links = *records.links(index);
        if links.is_linked() {
            if self.widen(links.deadline) <= wanted {
                return;
            }
            self.unlink(index, records);
        }
        self.link(index, wanted, records);
    }

    /// The same of a record that does not wait: what its links are to be.
    #[inline(always)] // in two places
    #[must_use]
    pub fn enter(&mut self, index: u32, deadline: Instant, records: &mut impl Links) -> WheelLinks {
        debug_assert!(index < HEAD && !records.links(index).is_linked(), "it waits");
        self.chain(index, self.within_horizon(deadline), records)
    }

    /// The tick by which a record wakes that is to wake by `deadline`.
    #[inline]
    fn within_horizon(&self, deadline: Instant) -> u64 {
        tick_after(deadline).min(self.current.saturating_add(HORIZON_TICKS)).max(self.current)
    }

    /// Wakes `index` at `deadline` (rounded up to a tick) and not before.
    pub fn postpone(&mut self, index: u32, deadline: Instant, records: &mut impl Links) {
        let links = *records.links(index);
        if links.is_linked() && self.widen(links.deadline) < tick_after(deadline) {
            self.unlink(index, records);
        }
        self.schedule(index, deadline, records);
    }

    /// The same of a deadline about a second away, which will probably not be moved: what is filed so comes in
    /// order, or is filed as any other. A record that stands in the line wakes when it would have.
    pub fn line_up(&mut self, index: u32, deadline: Instant, records: &mut impl Links) {
        let wanted = tick_after(deadline);
        let links = *records.links(index);
        if links.prev == LINED_UP && self.widen(links.deadline) <= wanted {
            return;
        }
        if !self.line.takes(self.current, wanted) {
            return self.postpone(index, deadline, records);
        }
        if links.is_linked() {
            self.unlink(index, records);
        }
        let next = self.line.push(index, wanted);
        *records.links_mut(index) =
            WheelLinks { next, prev: LINED_UP, deadline: Tick(wanted as u32) };
        self.entries += 1;
        self.soonest = self.soonest.min(wanted);
    }

    /// Records that come next in the line, if the first is due, and some that have left it.
    pub fn due_in_line(&self, now: Instant) -> impl Iterator<Item = u32> {
        self.line.due(tick_of(now))
    }

    /// Records that come next in the slot that is due, as far as [`Wheel::look_ahead`] has seen them before.
    pub fn due_ahead(&mut self) -> [Option<u32>; SCOUTS] {
        self.scouts.begin(self.current, &self.near);
        self.scouts.due(self.current)
    }

    /// Records of the next ticks that nobody has looked at for a while, another one of each tick whenever it is asked: what
    /// is in one slot is found one through the other, so several slots are walked along at once. It is a guess.
    pub fn look_ahead(&mut self, records: &impl Links) -> [Option<u32>; SCOUTS] {
        self.scouts.begin(self.current, &self.near);
        self.scouts.step(|index| records.find(index).map(|links| links.next))
    }

    /// Whether a record with these links wakes by `deadline` already: then nothing is to be done.
    #[inline]
    pub fn wakes_by(&self, links: &WheelLinks, deadline: Instant) -> bool {
        links.is_linked() && self.widen(links.deadline) <= tick_after(deadline)
    }

    /// Forgets `index`; nothing when it does not wait.
    pub fn cancel(&mut self, index: u32, records: &mut impl Links) {
        let links = records.links_mut(index);
        if links.is_linked() {
            let left = links.leave();
            self.forget(&left, records);
        }
    }

    /// Whether [`Wheel::pop_due`] has something to do.
    #[inline(always)] // looked at in every turn
    pub fn may_be_due(&self, now: Instant) -> bool {
        tick_of(now) >= self.soonest || self.entries == 0
    }

    /// The next record whose deadline is not after `now`, taken out of the wheel. Each record moved
    /// or returned costs one of `work`; `None` with no work left means that there may be more, and
    /// [`Wheel::next_deadline`] is then not after `now`.
    #[inline(always)] // looked at in every turn
    pub fn pop_due(
        &mut self,
        now: Instant,
        work: &mut u32,
        records: &mut impl Links,
    ) -> Option<u32> {
        let now = tick_of(now);
        if now < self.soonest {
            if self.entries == 0 {
                self.current = self.current.max(now);
            }
            return None;
        }
        self.pop_reached(now, work, records)
    }

    /// The same when the time to look has come.
    fn pop_reached(&mut self, now: u64, work: &mut u32, records: &mut impl Links) -> Option<u32> {
        loop {
            let next = self.next();
            let in_line = self.line.first_tick();
            if in_line <= now && next.is_none_or(|next| in_line < next.tick) {
                if *work == 0 {
                    return None;
                }
                *work -= 1;
                match self.pop_line(records) {
                    None => continue,
                    index => return index,
                }
            }
            let Some(next) = next.filter(|next| next.tick <= now) else {
                self.current = self.current.max(now);
                self.soonest = next.map_or(u64::MAX, |next| next.tick).min(in_line);
                return None;
            };
            self.current = next.tick;
            let index = self.head(next.place);
            if *work == 0 || index == NONE {
                debug_assert!(index != NONE, "an occupied slot has a head");
                return None;
            }
            *work -= 1;
            self.unlink(index, records);
            let deadline = self.widen(records.links(index).deadline);
            if deadline <= self.current {
                return Some(index);
            }
            self.link(index, deadline, records);
        }
    }

    /// The first record of the line, taken out; `None` when it has left the line before.
    #[inline]
    fn pop_line(&mut self, records: &mut impl Links) -> Option<u32> {
        let (index, ticket) = self.line.pop()?;
        let links = records.find(index)?;
        if (links.prev, links.next) != (LINED_UP, ticket) {
            return None;
        }
        *records.links_mut(index) = WheelLinks { deadline: links.deadline, ..WheelLinks::UNLINKED };
        self.line.leave();
        self.entries -= 1;
        Some(index)
    }

    /// Not after the earliest deadline: the time at which [`Wheel::pop_due`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        (self.entries > 0).then(|| Instant::from_micros(self.soonest << TICK_MICROS_SHIFT))
    }

    /// The next occupied slot and the tick it begins with. A slot above the near level is distributed when its first
    /// tick has come, before what is near and due then.
    fn next(&self) -> Option<Next> {
        if self.entries == self.line.len() {
            return None;
        }
        let (near, far) = (self.next_near(), self.next_far());
        match (near, far) {
            (Some(near), Some(far)) if near.tick < far.tick => Some(near),
            (near, far) => far.or(near),
        }
    }

    /// The same of the near level alone.
    #[inline]
    fn next_near(&self) -> Option<Next> {
        let (slot, distance) = self.near.first_from(near::digit(self.current))?;
        Some(Next { tick: self.current + distance as u64, place: Place::Near(slot) })
    }

    /// The same of the levels above it. The lowest occupied one is always the earliest; a slot that began with the
    /// current tick is one whose cascade was interrupted, and comes before everything.
    #[inline]
    fn next_far(&self) -> Option<Next> {
        if self.occupied == [0; LEVELS] {
            return None;
        }
        for level in (0..LEVELS).rev() {
            let slot = digit(self.current, level);
            if self.occupied[level] & (1 << slot) != 0 {
                return Some(Next { tick: self.current, place: Place::Far(level, slot) });
            }
        }
        for level in 0..TOP {
            let ahead = self.occupied[level] >> digit(self.current, level);
            if ahead != 0 {
                let slot = digit(self.current, level) + ahead.trailing_zeros() as usize;
                let shift = shift(level);
                let above = self.current >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
                let tick = above | (slot as u64) << shift;
                return Some(Next { tick, place: Place::Far(level, slot) });
            }
        }
        // The outermost level is a circle: what lies behind the current digit comes next round.
        let here = digit(self.current, TOP);
        let ahead = self.occupied[TOP].rotate_right(here as u32);
        if ahead == 0 {
            return None;
        }
        let shift = shift(TOP);
        let steps = u64::from(ahead.trailing_zeros());
        let tick = ((self.current >> shift) + steps) << shift;
        let slot = (here + steps as usize) % SLOTS;
        Some(Next { tick, place: Place::Far(TOP, slot) })
    }

    /// Where a deadline belongs, seen from the current tick.
    #[inline]
    fn place(&self, deadline: u64) -> Place {
        if deadline.wrapping_sub(self.current) < near::SLOTS as u64 {
            return Place::Near(near::digit(deadline));
        }
        let differing = deadline ^ self.current;
        let level = ((63 - differing.leading_zeros() - near::BITS) / SLOT_BITS) as usize;
        if level < TOP {
            return Place::Far(level, digit(deadline, level));
        }
        let shift = shift(TOP);
        let steps = (deadline >> shift) - (self.current >> shift);
        let steps = steps.min(SLOTS as u64 - 1) as usize;
        Place::Far(TOP, (digit(self.current, TOP) + steps) % SLOTS)
    }

    /// The full tick a stored deadline stands for: the one nearest to the current tick. Ticks have 58
    /// bits, so that the sum is a number; before zero it is taken for zero.
    #[inline]
    fn widen(&self, deadline: Tick) -> u64 {
        let ahead = i64::from(deadline.0.wrapping_sub(self.current as u32) as i32);
        (self.current as i64).wrapping_add(ahead).max(0) as u64
    }

    fn head(&self, place: Place) -> u32 {
        match place {
            Place::Near(slot) => self.near.head(slot),
            Place::Far(level, slot) => self.heads[level][slot],
        }
    }

    /// Makes `index` the first of a slot: the one that was.
    #[inline]
    fn push_head(&mut self, place: Place, index: u32) -> u32 {
        match place {
            Place::Near(slot) => self.near.push(slot, index),
            Place::Far(level, slot) => {
                self.occupied[level] |= 1 << slot;
                core::mem::replace(&mut self.heads[level][slot], index)
            }
        }
    }

    fn set_head(&mut self, place: Place, index: u32) {
        match place {
            Place::Near(slot) => self.near.set_head(slot, index),
            Place::Far(level, slot) => {
                self.heads[level][slot] = index;
                let bit = 1 << slot;
                self.occupied[level] &= !bit;
                if index != NONE {
                    self.occupied[level] |= bit;
                }
            }
        }
    }

    #[inline(always)] // for each deadline that is filed
    fn link(&mut self, index: u32, deadline: u64, records: &mut impl Links) {
        *records.links_mut(index) = self.chain(index, deadline, records);
    }

    /// The same but for the links of the record itself, which are to be these.
    #[inline(always)] // as above
    fn chain(&mut self, index: u32, deadline: u64, records: &mut impl Links) -> WheelLinks {
        let deadline = deadline.max(self.current);
        let place = self.place(deadline);
        let next = self.push_head(place, index);
        let prev = HEAD | place.number();
        if next != NONE {
            records.links_mut(next).prev = index;
        }
        self.entries += 1;
        self.soonest = self.soonest.min(deadline);
        WheelLinks { next, prev, deadline: Tick(deadline as u32) }
    }

    fn unlink(&mut self, index: u32, records: &mut impl Links) {
        let left = records.links_mut(index).leave();
        self.forget(&left, records);
    }

    /// The record that had these links has left.
    #[inline]
    fn forget(&mut self, left: &WheelLinks, records: &mut impl Links) {
        if left.prev == LINED_UP {
            // Its entry stays, and will be nobody's.
            self.line.leave();
        } else {
            self.unchain(left, records);
        }
        self.entries -= 1;
    }

    /// Neighbours of a record become each other's.
    fn unchain(&mut self, links: &WheelLinks, records: &mut impl Links) {
        if links.next != NONE {
            records.links_mut(links.next).prev = links.prev;
        }
        if links.prev & HEAD == 0 {
            records.links_mut(links.prev).next = links.next;
        } else {
            self.set_head(Place::of_number(links.prev & !HEAD), links.next);
        }
    }
}

/// Bits of a tick below the digit that a level files by.
const fn shift(level: usize) -> u32 {
    near::BITS + SLOT_BITS * level as u32
}

/// The digit of a tick that a level files by.
const fn digit(tick: u64, level: usize) -> usize {
    (tick >> shift(level)) as usize % SLOTS
}

const fn tick_of(moment: Instant) -> u64 {
    moment.as_micros() >> TICK_MICROS_SHIFT
}

/// Rounded up, so that nothing fires early.
const fn tick_after(moment: Instant) -> u64 {
    moment.as_micros().div_ceil(1 << TICK_MICROS_SHIFT)
}

#[cfg(test)]
mod tests;

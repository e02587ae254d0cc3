//! Who has to leave soon, because its limit lets it out often.
//!
//! Owns: the order among connections with a rate limit that are due. Must not know: segments, what is due when.
//!
//! A release that is late by as much as the next one comes after it cannot be made up for without being
//! ahead of the limit. That is 240 ms at 100 kbit/s, and a quarter of a millisecond at 100 Mbit/s, so
//! when thousands of slow streams are due together, who has the shorter time goes first (rate-monotonic order,
//! Liu and Layland 1973). Their limits bound what those ahead can take; that a class never keeps the others
//! waiting for ever is seen to all the same.

use crate::rates::Rates;
use crate::ready::ReadyList;
use usertcp_base::Rate;
use usertcp_tcp::Settings;

/// Classes, the shortest time first. From each to the next it is four times as long.
const CLASSES: usize = 4;
/// Octets a second of the last class, as a power of two: half a megabit. Who is slower has time.
const LEAST_SHIFT: u32 = 16;
/// Turns of a class in a row while the next ones wait.
const IN_A_ROW: u8 = 3;

/// How soon. The least is the soonest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Press(u8);

impl Press {
    /// Of a connection with this limit; none where it has time, or no limit.
    #[inline]
    pub(crate) fn of(limit: Rate) -> Option<Press> {
        let octets = limit.octets_per_second();
        if limit.is_unlimited() || octets >> LEAST_SHIFT == 0 {
            return None;
        }
        let fours = (octets >> LEAST_SHIFT).ilog2() / 2;
        Some(Press((CLASSES as u32 - 1).saturating_sub(fours) as u8))
    }
}

/// How soon a connection with these settings has to leave once it is due: its own limit says so, or a rate that it
/// shares, whichever is more pressing.
#[inline]
pub(crate) fn press_of(settings: &Settings, rates: &Rates) -> Option<Press> {
    let own = Press::of(settings.rate_limit);
    if rates.is_empty() {
        return own;
    }
    let shared = rates.highest(&settings.shares).and_then(Press::of);
    own.into_iter().chain(shared).min()
}

/// Connections that have to leave soon, each at most once.
#[derive(Debug)]
pub(super) struct Pressing {
    classes: [ReadyList; CLASSES],
    /// Turns that each class had in a row.
    row: [u8; CLASSES],
    /// In all classes together.
    len: u32,
}

impl Pressing {
    pub(super) fn new() -> Pressing {
        Pressing { classes: [const { ReadyList::new() }; CLASSES], row: [0; CLASSES], len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    fn count(&mut self) {
        self.len = self.classes.iter().map(ReadyList::len).sum();
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.classes.iter().any(|class| class.contains(index))
    }

    pub(super) fn push(&mut self, index: u32, press: Press) {
        if let Some(class) = self.classes.get_mut(usize::from(press.0)) {
            class.push(index);
            self.count();
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.classes.iter_mut().for_each(|class| class.remove(index));
        self.count();
    }

    /// Takes out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let last = self.classes.iter().rposition(|class| !class.is_empty())?;
        for (at, (class, row)) in self.classes.iter_mut().zip(&mut self.row).enumerate() {
            if at == last || (!class.is_empty() && *row < IN_A_ROW) {
                *row = if at == last { 0 } else { *row + 1 };
                let next = class.pop();
                self.count();
                return next;
            }
            *row = 0;
        }
        None
    }
}

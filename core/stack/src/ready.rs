//! Lists of connections that have something to do: to transmit, to tell.
//!
//! Owns: whose turn it is. First in, first out; each member at most once, so a busy connection
//! that asks again goes behind the others.
//! Must not know: what is to be done.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Dead entries that are tolerated before the queue is swept.
const SLACK: usize = 64;

/// A queue of record indices without duplicates.
#[derive(Debug, Default)]
pub struct ReadyList {
    queue: VecDeque<u32>,
    /// One bit per record: whether it is a member. An entry whose bit is clear is dead.
    member: Vec<u64>,
    members: u32,
}

impl ReadyList {
    /// An empty list.
    pub const fn new() -> ReadyList {
        ReadyList { queue: VecDeque::new(), member: Vec::new(), members: 0 }
    }

    /// Members.
    pub fn len(&self) -> u32 {
        self.members
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Whether `index` is a member.
    pub fn contains(&self, index: u32) -> bool {
        self.member.get(word(index)).is_some_and(|bits| bits & bit(index) != 0)
    }

    /// Adds `index` at the end; nothing when it is a member already.
    #[inline]
    pub fn push(&mut self, index: u32) {
        match self.member.get_mut(word(index)) {
            Some(bits) if *bits & bit(index) != 0 => return,
            Some(bits) => *bits |= bit(index),
            None => self.grow(index),
        }
        self.members += 1;
        if self.queue.len() > 2 * self.members as usize + SLACK {
            self.sweep();
        }
        self.queue.push_back(index);
    }

    /// Takes the first member out.
    #[inline]
    pub fn pop(&mut self) -> Option<u32> {
        while let Some(index) = self.queue.pop_front() {
            if let Some(bits) = self.member.get_mut(word(index))
                && *bits & bit(index) != 0
            {
                *bits &= !bit(index);
                self.members -= 1;
                return Some(index);
            }
        }
        None
    }

    #[cold]
    fn grow(&mut self, index: u32) {
        self.member.resize(word(index) + 1, 0);
        self.set(index);
    }

    /// Takes `index` out, wherever it stands; nothing when it is no member.
    pub fn remove(&mut self, index: u32) {
        if self.contains(index) {
            if let Some(bits) = self.member.get_mut(word(index)) {
                *bits &= !bit(index);
            }
            self.members -= 1;
        }
    }

    fn set(&mut self, index: u32) {
        if let Some(bits) = self.member.get_mut(word(index)) {
            *bits |= bit(index);
        }
    }

    /// Drops the dead entries, and second entries of what was removed and came back.
    fn sweep(&mut self) {
        for _ in 0..self.queue.len() {
            let Some(index) = self.queue.pop_front() else { break };
            if self.contains(index) {
                if let Some(bits) = self.member.get_mut(word(index)) {
                    *bits &= !bit(index);
                }
                self.queue.push_back(index);
            }
        }
        for position in 0..self.queue.len() {
            if let Some(index) = self.queue.get(position).copied() {
                self.set(index);
            }
        }
    }
}

const fn word(index: u32) -> usize {
    index as usize / 64
}

const fn bit(index: u32) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests;

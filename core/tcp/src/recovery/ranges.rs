//! Sets of sequence ranges.
//!
//! Owns: `Ranges`, a sorted list of disjoint, non-adjacent ranges, with queries by binary search.
//! Must not know: what its ranges stand for.
//! Implements: AT-8 (a repeated block costs O(log n)).

use alloc::collections::VecDeque;
use usertcp_base::Seq;

/// Disjoint ranges `[start, end)` in order, all within half the sequence space.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    list: VecDeque<(Seq, Seq)>,
}

impl Ranges {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
    pub(super) fn first(&self) -> Option<(Seq, Seq)> {
        self.list.front().copied()
    }
    pub(super) fn last(&self) -> Option<(Seq, Seq)> {
        self.list.back().copied()
    }
    pub(super) fn clear(&mut self) {
        self.list = VecDeque::new();
    }
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, Seq)> {
        self.list.iter().copied()
    }
    /// Indices of the ranges that overlap or touch `[from, to)`.
    fn touching(&self, from: Seq, to: Seq) -> (usize, usize) {
        let low = self.list.partition_point(|range| range.1.before(from));
        let high = self.list.partition_point(|range| range.0.at_or_before(to));
        (low, high)
    }
    /// Whether adding `[from, to)` would lengthen the list.
    pub(super) fn would_grow(&self, from: Seq, to: Seq) -> bool {
        let (low, high) = self.touching(from, to);
        low >= high
    }
    /// Adds `[from, to)`.
    pub(super) fn insert(&mut self, from: Seq, to: Seq) {
        if !from.before(to) {
            return;
        }
        let (low, high) = self.touching(from, to);
        if low >= high {
            self.list.insert(low.min(self.list.len()), (from, to));
            return;
        }
        let last = self.list.get(high - 1).copied();
        if let (Some(first), Some(last)) = (self.list.get_mut(low), last) {
            *first = (first.0.earliest(from), last.1.latest(to));
        }
        self.list.drain(low + 1..high);
    }
    /// Takes `[from, to)` out.
    pub(super) fn remove(&mut self, from: Seq, to: Seq) {
        let low = self.list.partition_point(|range| range.1.at_or_before(from));
        let high = self.list.partition_point(|range| range.0.before(to));
        if low >= high {
            return;
        }
        let (Some(&first), Some(&last)) = (self.list.get(low), self.list.get(high - 1)) else {
            return;
        };
        self.list.drain(low..high);
        if last.1.after(to) {
            self.list.insert(low, (to, last.1));
        }
        if first.0.before(from) {
            self.list.insert(low, (first.0, from));
        }
    }
    /// Forgets everything before `seq`.
    pub(super) fn forget_before(&mut self, seq: Seq) {
        while let Some(front) = self.list.front_mut() {
            if front.1.after(seq) {
                front.0 = front.0.latest(seq);
                return;
            }
            self.list.pop_front();
        }
    }
    /// The first part of `[from, to)` that is not in the set.
    pub(super) fn next_gap(&self, from: Seq, to: Seq) -> Option<(Seq, Seq)> {
        let index = self.list.partition_point(|range| range.1.at_or_before(from));
        let mut start = from;
        let mut end = to;
        if let Some(range) = self.list.get(index) {
            if range.0.at_or_before(from) {
                start = range.1;
                end = self.list.get(index + 1).map_or(to, |next| next.0.earliest(to));
            } else {
                end = range.0.earliest(to);
            }
        }
        start.before(end).then_some((start, end))
    }
}

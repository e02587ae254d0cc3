//! Which SACK blocks an acknowledgement carries.
//!
//! Owns: the order of recency among held ranges, the duplicate still to be reported.
//! Must not know: payload, the option's format, whether SACK was negotiated.
//! Implements: RFC 2018 §3, §4 (2018-2, -3, -4); RFC 2883 §4 (2883-1, -2).

use super::reassembly::Reassembly;
use arrayvec::ArrayVec;
use usertcp_base::Seq;

/// As many blocks as an option without timestamps has room for.
pub const MOST_BLOCKS: usize = 4;

/// Blocks in the order they are written: left edge, right edge (the number after the last octet).
pub type SackBlocks = ArrayVec<(Seq, Seq), MOST_BLOCKS>;

/// What was reported lately. A range is remembered by one sequence number inside it, so that it
/// is still found after it grew or merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackReport {
    recent: [Seq; MOST_BLOCKS],
    duplicate: (Seq, Seq),
    count: u8,
}

impl SackReport {
    /// Nothing reported yet.
    pub const fn new() -> SackReport {
        SackReport { recent: [Seq(0); MOST_BLOCKS], duplicate: (Seq(0), Seq(0)), count: 0 }
    }

    /// Data at `seq` arrived out of order and are held: their range comes first.
    pub fn on_held(&mut self, seq: Seq, held: &Reassembly) {
        let Some(range) = held.containing(seq) else { return };
        let mut order: ArrayVec<Seq, MOST_BLOCKS> = ArrayVec::new();
        order.push(range.0);
        for &other in self.recent.iter().take(usize::from(self.count)) {
            // Merged into the new range, or delivered: no block of its own any more.
            let distinct = held.containing(other).is_some_and(|found| found != range);
            if distinct && !order.is_full() {
                order.push(other);
            }
        }
        self.count = order.len() as u8;
        for (slot, seq) in self.recent.iter_mut().zip(order) {
            *slot = seq;
        }
    }

    /// `[left, right)` arrived although it was there already. It is told once. A second one before
    /// that extends the first if they touch, and replaces it otherwise: the block stands for the
    /// segment that caused the acknowledgement.
    pub fn on_duplicate(&mut self, left: Seq, right: Seq) {
        let (old_left, old_right) = self.duplicate;
        let touches =
            old_left != old_right && left.at_or_before(old_right) && right.at_or_after(old_left);
        self.duplicate = if touches {
            (left.earliest(old_left), right.latest(old_right))
        } else {
            (left, right)
        };
    }

    /// Whether a duplicate waits to be reported.
    pub fn owes_duplicate(&self) -> bool {
        self.duplicate.0 != self.duplicate.1
    }

    /// The blocks for an acknowledgement that leaves now, at most `room` (3 beside timestamps).
    /// Empty when nothing is held and no duplicate is to be told.
    pub fn take_blocks(&mut self, held: &Reassembly, room: usize) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        let room = room.min(MOST_BLOCKS);
        if room == 0 {
            return blocks;
        }
        if self.owes_duplicate() {
            let duplicate = self.duplicate;
            self.duplicate = (Seq(0), Seq(0));
            blocks.push(duplicate);
            // Inside a held range the range must follow, or the sender cannot tell the block from
            // an ordinary one (2883-2), even if the two are equal.
            if let Some(around) = held.containing(duplicate.0).filter(|_| room > 1) {
                blocks.push(around);
            }
        }
        for &seq in self.recent.iter().take(usize::from(self.count)) {
            if let Some(range) = held.containing(seq) {
                push(&mut blocks, range, room);
            }
        }
        // Recency is forgotten beyond four ranges; any others fill the rest, the highest first.
        for range in held.ranges().rev().take(MOST_BLOCKS * 2) {
            push(&mut blocks, range, room);
        }
        blocks
    }
}

/// Adds `range` unless it is there.
fn push(blocks: &mut SackBlocks, range: (Seq, Seq), room: usize) {
    if blocks.len() < room && !blocks.contains(&range) {
        blocks.push(range);
    }
}

//! Which retransmissions were needed. Owns: what of a flow was lost and not yet sent again.
//!
//! Must not know: what the stack believes. It stands beside the bottleneck, where it is known what
//! was dropped; DSACK (RFC 2883) tells a sender the same later and not always.

use std::collections::BTreeMap;
use usertcp_base::Seq;

/// One flow's lost octets, as offsets from its first.
#[derive(Debug, Default)]
pub struct Repairs {
    first: Option<Seq>,
    /// Offset after the highest sent, counted without wrapping.
    sent: u64,
    /// Start to end.
    lost: BTreeMap<u64, u64>,
}

/// A data segment as the bottleneck sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// Its sequence number.
    pub seq: Seq,
    /// Its octets.
    pub octets: u32,
    /// It was dropped.
    pub dropped: bool,
}

impl Repairs {
    /// A data segment went by; whether it was needless: sent before, and nothing in it lost since.
    pub fn observe(&mut self, passing: &Passing) -> bool {
        let first = *self.first.get_or_insert(passing.seq);
        // Within 2^31 of the highest sent, either way.
        let highest = first + (self.sent as u32);
        let ahead = i64::from(passing.seq.0.wrapping_sub(highest.0) as i32);
        let start = self.sent.saturating_add_signed(ahead);
        let end = start + u64::from(passing.octets);
        let again = start < self.sent;
        self.sent = self.sent.max(end);
        let needed = self.forget(start, end);
        if passing.dropped {
            self.lost.insert(start, end);
        }
        again && !needed
    }

    /// Takes `start..end` out of what is lost; whether any of it was.
    fn forget(&mut self, start: u64, end: u64) -> bool {
        let touched: Vec<(u64, u64)> = self
            .lost
            .range(..end)
            .rev()
            .map(|(from, to)| (*from, *to))
            .take_while(|(_, to)| *to > start)
            .collect();
        for (from, to) in &touched {
            self.lost.remove(from);
            if *from < start {
                self.lost.insert(*from, start);
            }
            if *to > end {
                self.lost.insert(end, *to);
            }
        }
        !touched.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(repairs: &mut Repairs, seq: u32, octets: u32, dropped: bool) -> bool {
        repairs.observe(&Passing { seq: Seq(seq), octets, dropped })
    }

    #[test]
    fn a_retransmission_is_needed_while_something_in_it_is_lost() {
        let mut repairs = Repairs::default();
        let base = u32::MAX - 1500;
        let at = |offset: u32| base.wrapping_add(offset);
        for (offset, dropped) in [(0, false), (1000, true), (2000, false), (3000, true)] {
            assert!(!pass(&mut repairs, at(offset), 1000, dropped), "new data is never needless");
        }
        assert!(pass(&mut repairs, at(0), 1000, false), "it had arrived");
        assert!(!pass(&mut repairs, at(1000), 1000, true), "needed, and lost again");
        assert!(!pass(&mut repairs, at(1000), 500, false), "the first half");
        assert!(pass(&mut repairs, at(1000), 500, false), "the first half again");
        assert!(!pass(&mut repairs, at(500), 2000, false), "the second half lies in it");
        assert!(pass(&mut repairs, at(1500), 500, false));
        assert!(!pass(&mut repairs, at(3000), 1000, false));
        assert!(repairs.lost.is_empty());
    }
}

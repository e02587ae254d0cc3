//! One incomplete datagram.
//! Owns: its parts, in order and without overlap, and when they are all there.
//! Must not know: other datagrams, memory limits, time.
//! Implements: RFC 8200 §4.5, RFC 5722 §4, RFC 3168 §5.3.

use alloc::vec::Vec;
use usertcp_base::Ecn;
use usertcp_frame::Chain;

use crate::input::{Arrival, Fragment};

#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) serial: u64,
    /// Octets charged for it.
    pub(super) charge: usize,
    parts: Vec<Part>,
    /// Octets in `parts`.
    held: usize,
    /// Its length, once the last part is here.
    total: Option<usize>,
    /// What the first part's header said.
    first: Option<Arrival>,
    marks: Marks,
    dead: bool,
}

#[derive(Debug)]
struct Part {
    offset: usize,
    end: usize,
    octets: Chain,
}

/// Which ECN marks the parts had.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    not_capable: bool,
    congestion: bool,
}

/// What became of a part.
#[derive(Debug)]
pub(super) enum Joined {
    /// Kept.
    Kept,
    /// Held already, to the octet (RFC 8200 §4.5 lets these be dropped alone).
    Duplicate,
    /// Kept, and nothing is missing.
    Whole(Arrival, Chain),
    /// It contradicts the others: the datagram is dead, its parts are gone.
    Overlap,
}

impl Datagram {
    pub(super) const fn new(serial: u64, charge: usize) -> Datagram {
        Datagram {
            serial,
            charge,
            parts: Vec::new(),
            held: 0,
            total: None,
            first: None,
            marks: Marks { not_capable: false, congestion: false },
            dead: false,
        }
    }

    pub(super) const fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn join(&mut self, arrival: &Arrival, fragment: Fragment, octets: Chain) -> Joined {
        if self.dead {
            return Joined::Overlap;
        }
        let (offset, end) = (fragment.offset, fragment.offset + octets.len());
        let at = self.parts.partition_point(|part| part.end <= offset);
        let same_place =
            self.parts.get(at).is_some_and(|part| (part.offset, part.end) == (offset, end));
        let same_end = fragment.more != (self.total == Some(end));
        if same_place && same_end {
            return Joined::Duplicate;
        }
        let free = self.parts.get(at).is_none_or(|next| end <= next.offset);
        self.marks.add(arrival.ecn);
        if !free || !self.fits(end, fragment.more) || self.marks.contradict() {
            return self.die();
        }
        if !fragment.more {
            self.total = Some(end);
        }
        if offset == 0 {
            self.first = Some(*arrival);
        }
        self.held += octets.len();
        self.parts.insert(at, Part { offset, end, octets });
        match (self.total, self.first) {
            // No two overlap, so equal length means that none is missing.
            (Some(total), Some(first)) if total == self.held => self.finish(first),
            _ => Joined::Kept,
        }
    }

    /// Whether a part that ends at `end` agrees with where the datagram ends.
    fn fits(&self, end: usize, more: bool) -> bool {
        let furthest = self.parts.last().map_or(0, |part| part.end);
        match (self.total, more) {
            (Some(total), true) => end < total,
            (Some(total), false) => end == total,
            (None, true) => true,
            (None, false) => furthest <= end,
        }
    }

    fn finish(&mut self, first: Arrival) -> Joined {
        let mut octets = Chain::new();
        for part in self.parts.drain(..) {
            octets.append(part.octets);
        }
        let ecn = if self.marks.congestion { Ecn::CongestionExperienced } else { first.ecn };
        Joined::Whole(Arrival { ecn, header_octets: 0, ..first }, octets)
    }

    fn die(&mut self) -> Joined {
        self.dead = true;
        self.parts = Vec::new();
        self.held = 0;
        Joined::Overlap
    }
}

impl Marks {
    fn add(&mut self, ecn: Ecn) {
        self.not_capable |= ecn == Ecn::NotCapable;
        self.congestion |= ecn == Ecn::CongestionExperienced;
    }
    /// A mark on a datagram that cannot bear one (RFC 3168 §5.3: it must not be delivered).
    const fn contradict(self) -> bool {
        self.not_capable && self.congestion
    }
}

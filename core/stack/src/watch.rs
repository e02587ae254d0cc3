//! Peers that read too slowly.
//!
//! Owns: the connections whose settings demand a least progress, and when each is looked at next.
//! Must not know: why a peer is slow. A connection without the demand costs nothing here.
//! Implements: AT-10 (slow read).
//!
//! A connection is looked at four times in an interval. While something has waited for the peer since
//! the look an interval ago, the demanded octets must have been acknowledged since. If all that waited
//! at one look is through by the next, the peer is fast enough, however little it was.

use crate::anchor::Body;
use crate::shard::Shard;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::collections::{BTreeSet, VecDeque};
use usertcp_base::{ConnId, Instant, Observer, Seq, Span};
use usertcp_cc::CongestionController;
use usertcp_tcp::LeastProgress;

/// Looks per interval.
const LOOKS: u64 = 4;
/// The shortest time between two looks.
const LEAST_GAP: Span = Span::from_millis(10);

/// Who is watched.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// By record index.
    marks: BTreeMap<u32, Watched>,
    due: BTreeSet<(Instant, u32)>,
}

#[derive(Debug)]
struct Watched {
    id: ConnId,
    next: Instant,
    /// SND.UNA at each look of the interval, as long as something waited all the time.
    marks: VecDeque<(Instant, Seq)>,
    /// End of what waited at the last look.
    end: Seq,
}

/// What a look shows.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    GoesOn,
    TooSlow,
}

impl Watched {
    /// One look, at what waits for the peer.
    fn look(&mut self, now: Instant, waits: Option<(Seq, Seq)>, least: &LeastProgress) -> Seen {
        let Some((una, end)) = waits else {
            self.marks.clear();
            return Seen::GoesOn;
        };
        // All that waited at the last look got through: perhaps nothing waited for a while.
        if una.at_or_after(self.end) {
            self.marks.clear();
        }
        while let Some(&(at, before)) = self.marks.front()
            && now.since(at) >= least.interval
        {
            if una.since(before) < least.octets {
                return Seen::TooSlow;
            }
            self.marks.pop_front();
        }
        self.marks.push_back((now, una));
        self.end = end;
        Seen::GoesOn
    }
}

impl Watch {
    /// Whether nobody is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// When somebody is looked at next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|due| due.0)
    }

    fn add(&mut self, now: Instant, id: ConnId) {
        let fresh = Watched { id, next: now, marks: VecDeque::new(), end: Seq(0) };
        match self.marks.entry(id.slot) {
            Entry::Occupied(known) if known.get().id == id => return,
            Entry::Occupied(mut other) => {
                self.due.remove(&(other.get().next, id.slot));
                other.insert(fresh);
            }
            Entry::Vacant(place) => {
                place.insert(fresh);
            }
        }
        self.due.insert((now, id.slot));
    }

    fn take_due(&mut self, now: Instant) -> Option<Watched> {
        let &(at, slot) = self.due.first().filter(|due| due.0 <= now)?;
        self.due.remove(&(at, slot));
        self.marks.remove(&slot)
    }

    fn put_back(&mut self, watched: Watched) {
        self.due.insert((watched.next, watched.id.slot));
        self.marks.insert(watched.id.slot, watched);
    }
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Connection `id` may have to make progress from now on.
    pub(crate) fn watch(&mut self, now: Instant, id: ConnId) {
        if self.least_progress(id).is_some() {
            self.watch.add(now, id);
            self.common.unusual = true;
        }
    }

    fn least_progress(&self, id: ConnId) -> Option<LeastProgress> {
        let Body::Hot(hot, _) = self.table.anchors.get(id)?.body else { return None };
        self.table.hot.at(hot)?.settings().least_progress
    }

    /// Looks at those that are due, `budget` at most; whether that was all.
    pub(crate) fn look_at_slow_peers(&mut self, now: Instant, budget: u32) -> bool {
        for _ in 0..budget {
            let Some(watched) = self.watch.take_due(now) else { return true };
            self.look_at(now, watched);
        }
        self.watch.next_deadline().is_none_or(|next| next > now)
    }

    fn look_at(&mut self, now: Instant, mut watched: Watched) {
        let id = watched.id;
        // It is over, or its settings changed: not watched any more.
        let Some(least) = self.least_progress(id) else { return };
        let Some(Body::Hot(hot, _)) = self.table.anchors.get(id).map(|anchor| &anchor.body) else {
            return;
        };
        let Some(tcb) = self.table.hot.at_mut(*hot) else { return };
        match watched.look(now, tcb.undelivered(), &least) {
            Seen::GoesOn => {
                watched.next = now + least.interval.divided_by(LOOKS).max(LEAST_GAP);
                self.watch.put_back(watched);
            }
            Seen::TooSlow => {
                let effects = tcb.end_for_limit(&mut self.common.env(now, id));
                self.apply(now, id, effects);
            }
        }
    }
}

#[cfg(test)]
mod tests;

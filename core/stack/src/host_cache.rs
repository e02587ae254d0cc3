//! What is remembered of remote hosts between connections.
//!
//! Owns: `HostCache`: a bounded, ageing table from host to path facts, and who must make room in it.
//! Must not know: how a connection finds facts out or uses them (`tcp`).
//! Implements: RFC 9040 §4–6, §8–11 (9040-1, 9040-2), P-8, AT-44.
//!
//! Entries live in small sets chosen by a keyed hash. In a full set a newcomer takes the place of an
//! entry that is out of date, or else of the oldest that only one connection has vouched for. What
//! several connections confirmed stays until it is out of date: a flood of hosts seen once cannot
//! drive it out.

use alloc::vec::Vec;
use usertcp_base::{FlowKey, Instant, LocalIndex, Purpose, RemoteAddr, Secrets, Span};
use usertcp_tcp::{HostFacts, LearnedPath};

/// How long facts are believed.
pub(crate) const LIFETIME: Span = Span::from_secs(600);
/// Entries of a set.
const WAYS: usize = 8;
/// A slow-start threshold below this is not handed on: it would hold a new connection back for what
/// happened to another (9040-3 asks for the initial window, no less).
const LEAST_THRESHOLD_OCTETS: u32 = 14_600;

/// The cache.
#[derive(Debug)]
pub(crate) struct HostCache {
    secrets: Secrets,
    sets: Vec<Vec<Entry>>,
    /// Sets there may be; none is made before the first entry.
    set_count: u32,
    ways: usize,
    len: u32,
}

/// Whose facts: not shared between local addresses, which may be different tenants'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Host {
    remote: RemoteAddr,
    local: LocalIndex,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    host: Host,
    facts: HostFacts,
    learned_at: Instant,
    /// More than one connection found it so.
    confirmed: bool,
}

impl Entry {
    fn is_old(&self, now: Instant) -> bool {
        now.since(self.learned_at) >= LIFETIME
    }
}

impl HostCache {
    /// A cache of at most `capacity` hosts.
    pub(crate) fn new(secrets: Secrets, capacity: u32) -> HostCache {
        let ways = WAYS.min(capacity as usize);
        let set_count = capacity / WAYS as u32;
        HostCache { secrets, sets: Vec::new(), set_count: set_count.max(1), ways, len: 0 }
    }

    /// Hosts remembered, those out of date included.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing was learnt of any yet.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    fn place(&self, host: &Host) -> usize {
        let mut octets = [0; 18];
        let (remote, local) = octets.split_at_mut(16);
        remote.copy_from_slice(&host.remote.0);
        local.copy_from_slice(&host.local.0.to_le_bytes());
        let hash = self.secrets.hash_internal(Purpose::Hosts, &octets);
        (hash % u64::from(self.set_count)) as usize
    }

    /// What a new connection of `flow` may begin with.
    pub(crate) fn find(&self, now: Instant, flow: &FlowKey) -> Option<HostFacts> {
        if self.is_empty() {
            return None;
        }
        let host = Host { remote: flow.remote, local: flow.local };
        let set = self.sets.get(self.place(&host))?;
        let entry = set.iter().find(|entry| entry.host == host)?;
        (!entry.is_old(now)).then_some(entry.facts)
    }

    /// A connection of `flow` is over and found this.
    pub(crate) fn learn(&mut self, now: Instant, flow: &FlowKey, facts: &HostFacts) {
        if self.ways == 0 {
            return;
        }
        let host = Host { remote: flow.remote, local: flow.local };
        let facts = bounded(now, facts);
        let place = self.place(&host);
        if self.sets.is_empty() {
            self.sets.resize_with(self.set_count as usize, Vec::new);
        }
        let Some(set) = self.sets.get_mut(place) else { return };
        let fresh = Entry { host, facts, learned_at: now, confirmed: false };
        if let Some(entry) = set.iter_mut().find(|entry| entry.host == host) {
            *entry = if entry.is_old(now) { fresh } else { merged(entry, &fresh) };
        } else if set.len() < self.ways {
            set.push(fresh);
            self.len += 1;
        } else if let Some(entry) = least_useful(now, set) {
            *entry = fresh;
        }
    }
}

/// Who makes room, if anyone.
fn least_useful(now: Instant, set: &mut [Entry]) -> Option<&mut Entry> {
    let candidates = set.iter_mut().filter(|entry| !entry.confirmed || entry.is_old(now));
    candidates.min_by_key(|entry| (!entry.is_old(now), entry.learned_at))
}

/// Of two connections: the newer size, the mean of the estimates (RFC 9040 §6.3).
fn merged(old: &Entry, new: &Entry) -> Entry {
    let mean = |a: Span, b: Span| a.saturating_add(b).divided_by(2);
    let (before, after) = (&old.facts, &new.facts);
    let rtt = match (before.rtt, after.rtt) {
        (Some(a), Some(b)) => Some((mean(a.0, b.0), mean(a.1, b.1))),
        (a, b) => b.or(a),
    };
    let threshold_octets = match (before.threshold_octets, after.threshold_octets) {
        (Some(a), Some(b)) => Some(a / 2 + b / 2),
        (a, b) => b.or(a),
    };
    let reorders = before.reorders || after.reorders;
    let facts = HostFacts { path: after.path, rtt, threshold_octets, reorders };
    Entry { facts, confirmed: true, ..*new }
}

/// What is handed on has floors, and an end.
fn bounded(now: Instant, facts: &HostFacts) -> HostFacts {
    let until = |path: LearnedPath| LearnedPath { until: path.until.min(now + LIFETIME), ..path };
    HostFacts {
        path: facts.path.map(until),
        threshold_octets: facts.threshold_octets.filter(|octets| *octets >= LEAST_THRESHOLD_OCTETS),
        ..*facts
    }
}

#[cfg(test)]
mod tests;

//! The cookies we were given, and where Fast Open failed.
//!
//! Owns: per pair of addresses the cookie and the MSS; per pair and port when to try again after a
//! failure. Both bounded, both aging.
//! Must not know: segments, connections.
//! Implements: RFC 7413 §4.1.3, §4.1.3.1 (7413-5). Cookies are those of addresses; failures are those
//! of ports too, because services behind one address may differ. What is here changes how a later
//! connection to the same address begins, and nothing else (AT-44).

use alloc::collections::BTreeMap;
use usertcp_base::{FlowKey, Instant, Limits, LocalIndex, RemoteAddr};
use usertcp_wire::tcp::Cookie;

/// Doublings of the pause after a failure.
const DOUBLINGS: u8 = 7;

/// The addresses a cookie belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Pair {
    local: LocalIndex,
    remote: RemoteAddr,
}

impl Pair {
    fn of(flow: &FlowKey) -> Pair {
        Pair { local: flow.local, remote: flow.remote }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    cookie: Cookie,
    mss_octets: u16,
    given: Instant,
    used: Instant,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u8,
    until: Instant,
}

/// How to open to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Advice {
    /// With this cookie; its data are at most what this MSS has room for.
    Cookie(Cookie, u16),
    /// Ask for one.
    Ask,
    /// As if there were no Fast Open: it failed lately.
    Pause,
}

/// The cache of a shard.
#[derive(Debug, Default)]
pub(crate) struct CookieCache {
    entries: BTreeMap<Pair, Entry>,
    failed: BTreeMap<(Pair, u16), Failed>,
}

impl CookieCache {
    /// How to open `flow`.
    pub(crate) fn advise(&mut self, now: Instant, flow: &FlowKey, limits: &Limits) -> Advice {
        let pair = Pair::of(flow);
        let failed = self.failed.get(&(pair, flow.remote_port));
        if failed.is_some_and(|failed| now < failed.until) {
            return Advice::Pause;
        }
        let Some(entry) = self.entries.get_mut(&pair) else { return Advice::Ask };
        if now.since(entry.given) >= limits.fast_open_cookie_lifetime {
            self.entries.remove(&pair);
            return Advice::Ask;
        }
        entry.used = now;
        Advice::Cookie(entry.cookie, entry.mss_octets)
    }

    /// The MSS the peer of `flow` announced when it gave a cookie.
    pub(crate) fn mss_octets(&self, flow: &FlowKey) -> Option<u16> {
        self.entries.get(&Pair::of(flow)).map(|entry| entry.mss_octets)
    }

    /// The peer gave a cookie.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        cookie: Cookie,
        mss_octets: u16,
        limits: &Limits,
    ) {
        let entry = Entry { cookie, mss_octets, given: now, used: now };
        insert(&mut self.entries, Pair::of(flow), entry, limits, |entry| entry.used);
    }

    /// The peer answered as it should: earlier failures count no more, and its MSS is this.
    pub(crate) fn on_success(&mut self, flow: &FlowKey, mss_octets: u16) {
        let pair = Pair::of(flow);
        self.failed.remove(&(pair, flow.remote_port));
        if let Some(entry) = self.entries.get_mut(&pair) {
            entry.mss_octets = mss_octets;
        }
    }

    /// A SYN with a Fast Open option, or its answer, seems to have been lost for it, or its data was
    /// refused.
    pub(crate) fn on_failure(&mut self, now: Instant, flow: &FlowKey, limits: &Limits) {
        let key = (Pair::of(flow), flow.remote_port);
        let before = self.failed.get(&key).map_or(0, |failed| failed.times);
        let pause = limits.fast_open_pause.doubled(u32::from(before));
        let times = before.saturating_add(1).min(DOUBLINGS);
        let failed = Failed { times, until: now + pause };
        insert(&mut self.failed, key, failed, limits, |failed| failed.until);
    }

    /// Entries: for tests of the bound.
    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.failed.len())
    }
}

/// Adds an entry; the one of the earliest `moment` makes room.
fn insert<K: Ord + Copy, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    limits: &Limits,
    moment: impl Fn(&V) -> Instant,
) {
    let most = limits.fast_open_peers as usize;
    while map.len() >= most.max(1) && !map.contains_key(&key) {
        let oldest = map.iter().min_by_key(|(_, value)| moment(value)).map(|(key, _)| *key);
        let Some(oldest) = oldest else { break };
        map.remove(&oldest);
    }
    if most > 0 {
        map.insert(key, value);
    }
}

#[cfg(test)]
mod tests;

//! Listeners: who takes a SYN, and how many wait.
//!
//! Owns: bindings, half-open accounting per listener and per source, accept queues.
//! Must not know: segments; a connection is a handle here.
//! Implements: RFC 9293 §3.9.1.1 (MUST-41, MUST-42, E-31); 4987-1, AT-39, AT-42, BG-5.
//!
//! A listener is not an endpoint in some state, and never becomes a connection. It is bound to one
//! address or any, and one port or any (DESIGN §10); the most specific binding that fits wins.

use crate::fast_open::FastOpenListen;
use crate::fast_open::pending::PendingFastOpens;
use crate::fifo::Sifted;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use usertcp_base::{ConnId, Limits, ListenerId, LocalIndex, Purpose, RemoteAddr, Secrets};

/// Counters of half-open records by source; sources that meet in one share it.
const SOURCES: usize = 512;
/// Dead entries that are tolerated in an accept queue.
const SLACK: usize = 16;

/// Where a listener listens. `None` is "any".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Binding {
    /// One of our addresses.
    pub local: Option<LocalIndex>,
    /// A port.
    pub port: Option<u16>,
}

/// Who decides on a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gate {
    /// The stack: whoever finds room is answered.
    #[default]
    Open,
    /// The application, each time; until then nothing is answered.
    Ask,
}

/// Why a half-open record is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmbryoRefused {
    /// The listener has as many as it may.
    Listener,
    /// This source has its share of them.
    Source,
}

/// All listeners of a shard; `S` is what each keeps for the connections it accepts.
#[derive(Debug)]
pub struct Listeners<S> {
    bound: BTreeMap<Binding, ListenerId>,
    /// In the order of their handles.
    listeners: Vec<(ListenerId, Listener<S>)>,
    /// The one that was found last, and for what: mostly that of the next SYN too.
    found: Option<((LocalIndex, u16), ListenerId)>,
    next: u32,
    secrets: Secrets,
    embryo_limit: u32,
    source_limit: u32,
}

/// One listener.
#[derive(Debug)]
pub struct Listener<S> {
    binding: Binding,
    gate: Gate,
    settings: S,
    backlog: u32,
    /// Connections that are open and not accepted. Some may have ended since: `waiting` counts
    /// those that have not.
    queue: Sifted<ConnId>,
    waiting: u32,
    embryos: u32,
    sources: Option<Box<[u16; SOURCES]>>,
    fast_open: Option<PendingFastOpens>,
}

impl<S> Listeners<S> {
    /// No listener yet.
    pub fn new(secrets: Secrets, limits: &Limits) -> Listeners<S> {
        let embryo_limit = limits.embryos_per_listener;
        let source_limit = match limits.embryo_source_share {
            0 | 1 => u32::MAX,
            share => (embryo_limit / share).max(1),
        };
        let (bound, listeners) = (BTreeMap::new(), Vec::new());
        let found = None;
        Listeners { bound, listeners, found, next: 0, secrets, embryo_limit, source_limit }
    }

    /// Whether a listener has exactly this binding.
    pub fn is_bound(&self, binding: Binding) -> bool {
        self.bound.contains_key(&binding)
    }

    /// A new listener; `None` when one has exactly this binding (MUST-41). Connections from the
    /// same port are not touched (MUST-42).
    pub fn bind(&mut self, binding: Binding, backlog: u32, settings: S) -> Option<ListenerId> {
        if self.bound.contains_key(&binding) {
            return None;
        }
        let id = ListenerId(self.next);
        self.next = self.next.wrapping_add(1);
        self.bound.insert(binding, id);
        self.found = None;
        let place = self.listeners.partition_point(|(other, _)| *other < id);
        self.listeners.insert(place, (id, Listener::new(binding, backlog.max(1), settings)));
        Some(id)
    }

    /// Takes a listener away. What waited to be accepted is returned: it is to be reset.
    pub fn unbind(&mut self, id: ListenerId) -> Option<impl Iterator<Item = ConnId> + use<S>> {
        let (_, listener) = self.listeners.remove(self.place(id)?);
        self.bound.remove(&listener.binding);
        self.found = None;
        let mut queue = listener.queue;
        Some(core::iter::from_fn(move || queue.pop()))
    }

    /// The listener for a SYN to this address and port: the most specific one.
    #[inline(always)] // for each SYN
    pub fn find(&mut self, local: LocalIndex, port: u16) -> Option<ListenerId> {
        match self.found {
            Some((at, listener)) if at == (local, port) => Some(listener),
            _ => self.look_up(local, port),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, local: LocalIndex, port: u16) -> Option<ListenerId> {
        let listener = self.most_specific(local, port)?;
        self.found = Some(((local, port), listener));
        Some(listener)
    }

    fn most_specific(&self, local: LocalIndex, port: u16) -> Option<ListenerId> {
        let (local, port) = (Some(local), Some(port));
        [(local, port), (None, port), (local, None), (None, None)]
            .into_iter()
            .find_map(|(local, port)| self.bound.get(&Binding { local, port }).copied())
    }

    /// Whether any listener is bound to this very port.
    pub fn uses_port(&self, local: LocalIndex, port: u16) -> bool {
        let port = Some(port);
        let binds = |local| self.bound.contains_key(&Binding { local, port });
        !self.bound.is_empty() && (binds(Some(local)) || binds(None))
    }

    /// The listener `id`.
    #[inline]
    pub fn get(&self, id: ListenerId) -> Option<&Listener<S>> {
        self.listeners.get(self.place(id)?).map(|(_, listener)| listener)
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener<S>> {
        let place = self.place(id)?;
        self.listeners.get_mut(place).map(|(_, listener)| listener)
    }

    /// Where a listener is: most often there is one.
    #[inline(always)] // a comparison
    fn place(&self, id: ListenerId) -> Option<usize> {
        match self.listeners.first() {
            Some((first, _)) if *first == id => Some(0),
            _ => self.search(id),
        }
    }

    #[inline(never)]
    fn search(&self, id: ListenerId) -> Option<usize> {
        self.listeners.binary_search_by_key(&id, |(other, _)| *other).ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Takes one more half-open record on `id` from `source` into account. No one source gets more
    /// than its share (AT-39). The count by source is a table of fixed size with a keyed hash: two
    /// sources may share a counter and get cookies earlier, nobody gets more.
    pub fn add_embryo(&mut self, id: ListenerId, source: &RemoteAddr) -> Result<(), EmbryoRefused> {
        let bucket = self.source_bucket(source);
        let (embryo_limit, source_limit) = (self.embryo_limit, self.source_limit);
        let Some(listener) = self.get_mut(id) else {
            return Err(EmbryoRefused::Listener);
        };
        if listener.embryos >= embryo_limit {
            return Err(EmbryoRefused::Listener);
        }
        if let Some(bucket) = bucket
            && let Some(count) =
                listener.sources.get_or_insert_with(|| Box::new([0; SOURCES])).get_mut(bucket)
        {
            if u32::from(*count) >= source_limit {
                return Err(EmbryoRefused::Source);
            }
            *count = count.saturating_add(1);
        }
        listener.embryos += 1;
        Ok(())
    }

    /// A half-open record of `id` from `source` is one no more.
    pub fn remove_embryo(&mut self, id: ListenerId, source: &RemoteAddr) {
        let bucket = self.source_bucket(source);
        if let Some(listener) = self.get_mut(id) {
            listener.leave_embryo(bucket);
        }
    }

    /// A half-open record of `id` from `source` is a connection that waits to be accepted; false when the queue is
    /// full. `lives` as for [`Listener::push`].
    #[must_use]
    pub fn complete(
        &mut self,
        id: ListenerId,
        source: &RemoteAddr,
        connection: ConnId,
        lives: impl Fn(ConnId) -> bool,
    ) -> bool {
        let bucket = self.source_bucket(source);
        let Some(listener) = self.get_mut(id) else { return false };
        listener.leave_embryo(bucket);
        listener.push(connection, lives)
    }

    /// The counter of a source; `None` when a source may have as many as there are.
    fn source_bucket(&self, source: &RemoteAddr) -> Option<usize> {
        if self.source_limit == u32::MAX {
            return None;
        }
        let hash = self.secrets.hash_internal(Purpose::Demux, &source_group(source));
        Some(hash as usize % SOURCES)
    }
}

impl<S> Listener<S> {
    fn new(binding: Binding, backlog: u32, settings: S) -> Listener<S> {
        let queue = Sifted::default();
        let gate = Gate::Open;
        let (sources, fast_open) = (None, None);
        let (waiting, embryos) = (0, 0);
        Listener { binding, gate, settings, backlog, queue, waiting, embryos, sources, fast_open }
    }

    /// A half-open record that was counted in this bucket of sources is one no more.
    fn leave_embryo(&mut self, bucket: Option<usize>) {
        self.embryos = self.embryos.saturating_sub(1);
        if let Some(sources) = &mut self.sources
            && let Some(count) = bucket.and_then(|bucket| sources.get_mut(bucket))
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Where it listens.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Who decides on a SYN.
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Lets another decide.
    pub fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// Fast opens at this listener; `None`: it takes none.
    pub(crate) fn fast_open(&mut self) -> Option<&mut PendingFastOpens> {
        self.fast_open.as_mut()
    }

    /// Takes fast opens, or none any more.
    pub(crate) fn set_fast_open(&mut self, setup: Option<FastOpenListen>) {
        match (setup, &mut self.fast_open) {
            (Some(setup), Some(pending)) => pending.set(setup),
            (setup, pending) => *pending = setup.map(PendingFastOpens::new),
        }
    }

    /// Fast opens whose handshakes are not complete.
    pub fn fast_opens_pending(&self) -> u32 {
        self.fast_open.as_ref().map_or(0, PendingFastOpens::open)
    }

    /// What connections it accepts start with.
    pub fn settings(&self) -> &S {
        &self.settings
    }

    /// The same, to change for connections to come.
    pub fn settings_mut(&mut self) -> &mut S {
        &mut self.settings
    }

    /// Half-open records.
    pub fn embryos(&self) -> u32 {
        self.embryos
    }

    /// Connections that wait to be accepted.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether as many wait as may: the last acknowledgement of a handshake is dropped then, and
    /// the peer sends again (AT-42).
    pub fn is_full(&self) -> bool {
        self.waiting >= self.backlog
    }

    /// A connection is open and waits; false when the queue is full. `lives` tells which handles
    /// still are connections.
    #[must_use]
    pub fn push(&mut self, connection: ConnId, lives: impl Fn(ConnId) -> bool) -> bool {
        if self.is_full() {
            return false;
        }
        self.waiting += 1;
        self.queue.push(connection, self.waiting as usize, SLACK, |id| lives(*id));
        true
    }

    /// The connection that has waited longest of those that `take` still finds.
    pub fn accept(&mut self, mut take: impl FnMut(ConnId) -> bool) -> Option<ConnId> {
        while let Some(id) = self.queue.pop() {
            if take(id) {
                self.waiting = self.waiting.saturating_sub(1);
                return Some(id);
            }
        }
        None
    }

    /// A connection that waited has ended.
    pub fn forget(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }
}

/// The octets by which sources are told apart: an IPv4 address whole, of an IPv6 address the half
/// that names a network, because one host owns the other half.
fn source_group(source: &RemoteAddr) -> [u8; 16] {
    let mut octets = source.0;
    let mapped = octets[..10] == [0; 10] && octets[10..12] == [0xFF; 2];
    if !mapped {
        octets[8..].fill(0);
    }
    octets
}

#[cfg(test)]
mod tests;

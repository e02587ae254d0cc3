//! What a stack tells about itself from outside.
//!
//! Owns: the published snapshot of counters, the row that describes a connection.
//! Must not know: how they are shown.

use crate::engine::{ConnInfo, Engine};
use crate::native::Context;
use crate::runtime::commands::lock;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use usertcp_base::{ConnId, Counters, Instant, Span};
use usertcp_frame::PoolStats;
use usertcp_tcp::{Info, StateName};

/// A stack's figures, or a shard's, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What was counted since the start.
    pub counters: Counters,
    /// Memory for packets and queues.
    pub memory: PoolStats,
    /// Connections that are established and not over.
    pub connections: usize,
}

impl Snapshot {
    /// The figures of a stack, of those of its shards.
    pub(crate) fn sum(shards: impl IntoIterator<Item = Snapshot>) -> Snapshot {
        let mut sum = Snapshot::default();
        for shard in shards {
            sum.counters.add(&shard.counters);
            sum.memory = add(sum.memory, shard.memory);
            sum.connections += shard.connections;
        }
        sum
    }
}

fn add(one: PoolStats, other: PoolStats) -> PoolStats {
    PoolStats {
        budget_octets: one.budget_octets + other.budget_octets,
        used_octets: one.used_octets + other.used_octets,
        peak_octets: one.peak_octets + other.peak_octets,
        small_out: one.small_out + other.small_out,
        reserve: one.reserve + other.reserve,
        reserve_out: one.reserve_out + other.reserve_out,
        full_out: one.full_out + other.full_out,
        large_out: one.large_out + other.large_out,
        lent: one.lent + other.lent,
        octets_copied: one.octets_copied.wrapping_add(other.octets_copied),
        refused: one.refused.wrapping_add(other.refused),
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionRow {
    /// The shard that has it.
    pub shard: usize,
    /// Its handle there.
    pub id: ConnId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The RFC's state.
    pub state: StateName,
    /// Everything else, while the connection has more than a record.
    pub info: Option<Info>,
}

/// The figures of this moment.
#[cfg(feature = "local")]
pub(crate) fn snapshot(engine: &dyn Engine) -> Snapshot {
    let counters = engine.counters().clone();
    Snapshot { counters, memory: engine.pool().stats(), connections: engine.live() }
}

/// All connections of the shard behind `context`, at most `most`.
pub(crate) fn rows(context: &Context<'_>, shard: usize, most: usize) -> Vec<ConnectionRow> {
    let first = context.next_connection(None);
    let ids = std::iter::successors(first, |conn| context.next_connection(Some(*conn)));
    let row = |id| {
        let ConnInfo { local, remote, state, figures } = context.info(id)?;
        Some(ConnectionRow { shard, id, local, remote, state, info: figures })
    };
    ids.filter_map(row).take(most).collect()
}

/// The worker's page: written at most every 50 ms, read by anyone at any time.
#[derive(Debug)]
pub(crate) struct Published {
    page: Mutex<Snapshot>,
    /// When it was written, in microseconds. Written by the worker only.
    written: AtomicU64,
    /// A digest of what was written, and whether there is something newer.
    digest: AtomicU64,
    stale: std::sync::atomic::AtomicBool,
}

/// Least time between two writings.
const INTERVAL: Span = Span::from_millis(50);

impl Published {
    pub(crate) fn new() -> Published {
        Published {
            page: Mutex::default(),
            written: AtomicU64::new(0),
            digest: AtomicU64::new(u64::MAX),
            stale: false.into(),
        }
    }

    /// The worker has done a round.
    pub(crate) fn offer(&self, now: Instant, engine: &dyn Engine) {
        let digest = digest(engine.counters(), engine.live());
        if digest == self.digest.load(Ordering::Relaxed) {
            return;
        }
        let written = Instant::from_micros(self.written.load(Ordering::Relaxed));
        let early = now.since(written) < INTERVAL;
        self.stale.store(early, Ordering::Relaxed);
        if early {
            return;
        }
        self.written.store(now.as_micros(), Ordering::Relaxed);
        self.digest.store(digest, Ordering::Relaxed);
        self.write(engine);
    }

    /// The worker ends.
    pub(crate) fn offer_last(&self, engine: &dyn Engine) {
        self.write(engine);
    }

    /// When the worker has to write again even if nothing happens until then.
    pub(crate) fn due(&self) -> Option<Instant> {
        let written = Instant::from_micros(self.written.load(Ordering::Relaxed));
        self.stale.load(Ordering::Relaxed).then_some(written + INTERVAL)
    }

    pub(crate) fn read(&self) -> Snapshot {
        lock(&self.page).clone()
    }

    fn write(&self, engine: &dyn Engine) {
        let memory = engine.pool().stats();
        let mut page = lock(&self.page);
        page.counters.clone_from(engine.counters());
        page.memory = memory;
        page.connections = engine.live();
    }
}

/// Changes whenever something worth telling happened: each of these only grows.
fn digest(counters: &Counters, connections: usize) -> u64 {
    counters
        .packets_in
        .wrapping_add(counters.packets_out.wrapping_mul(3))
        .wrapping_add(counters.closes.wrapping_mul(7))
        .wrapping_add(counters.active_opens.wrapping_mul(11))
        .wrapping_add((connections as u64).wrapping_mul(13))
}

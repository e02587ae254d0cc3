//! What the server counts. Owns: requests, answers by class, octets, connections.
//! Must not know: who looks at it.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one server. Each stands alone, so relaxed order is enough.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    answers: [AtomicU64; 6],
    octets_out: AtomicU64,
    octets_in: AtomicU64,
    connections: AtomicU64,
    closed: AtomicU64,
}

/// A tally at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests answered.
    pub requests: u64,
    /// Answers by class: 1xx to 5xx, from index 1; index 0 stays zero.
    pub answers: [u64; 6],
    /// Octets of bodies sent.
    pub octets_out: u64,
    /// Octets of bodies received.
    pub octets_in: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
}

/// Counts a connection as open while it lives.
#[derive(Debug)]
pub struct OpenConnection(Arc<Tally>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}

impl Tally {
    /// Counts a connection; it is open until the result is dropped.
    pub fn connection(self: &Arc<Tally>) -> OpenConnection {
        self.connections.fetch_add(1, Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts an answer by its status code.
    pub fn answered(&self, status: u16) {
        self.requests.fetch_add(1, Relaxed);
        if let Some(class) = self.answers.get(usize::from(status / 100)) {
            class.fetch_add(1, Relaxed);
        }
    }

    /// Counts body octets sent.
    pub fn sent(&self, octets: usize) {
        self.octets_out.fetch_add(octets as u64, Relaxed);
    }

    /// Counts body octets received.
    pub fn received(&self, octets: usize) {
        self.octets_in.fetch_add(octets as u64, Relaxed);
    }

    /// All counts now.
    pub fn totals(&self) -> Totals {
        // In this order: the difference must not go below zero.
        let closed = self.closed.load(Relaxed);
        let connections = self.connections.load(Relaxed);
        Totals {
            requests: self.requests.load(Relaxed),
            answers: std::array::from_fn(|class| self.answers[class].load(Relaxed)),
            octets_out: self.octets_out.load(Relaxed),
            octets_in: self.octets_in.load(Relaxed),
            connections,
            connections_open: connections.saturating_sub(closed),
        }
    }
}

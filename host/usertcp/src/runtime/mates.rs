//! The end of a stack of several shards.
//!
//! Owns: how many of them are not done yet. Must not know: what being done takes.
//!
//! A shard that is done goes on: packets of the others arrive at its queue too.

use crate::runtime::doorbell::Doorbell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the workers of one stack share.
#[derive(Debug)]
pub(crate) struct Mates {
    working: AtomicUsize,
    bells: Vec<Arc<Doorbell>>,
}

impl Mates {
    pub(crate) fn new(bells: Vec<Arc<Doorbell>>) -> Mates {
        Mates { working: AtomicUsize::new(bells.len()), bells }
    }

    /// One worker is done. Called once by each.
    pub(crate) fn leave(&self) {
        if self.working.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.bells.iter().for_each(|bell| bell.ring());
        }
    }

    /// Whether all are.
    pub(crate) fn are_done(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }
}

//! What a stream's writer has for the worker.
//!
//! Owns: the queue of filled frames, the credit, and how far closing has come.
//! Must not know: locks, wakers, who writes. (`cell` wraps it in the stream's one lock.)

use std::collections::VecDeque;
use usertcp_frame::{Lent, LentFrame};

/// Octets on their way to the worker.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A frame this stack lent, filled by the application.
    Frame(LentFrame),
    /// Octets that arrived on some stream, from this one on, passed on as they are.
    Slice(Lent, usize),
}

impl Parcel {
    /// How many octets.
    pub(crate) fn len(&self) -> usize {
        match self {
            Parcel::Frame(frame) => frame.len(),
            Parcel::Slice(lent, from) => lent.len().saturating_sub(*from),
        }
    }
}

/// How far closing the sending side has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Shut {
    /// Open.
    #[default]
    No,
    /// The application asked.
    Asked,
    /// The connection has all data and the order to send FIN after it.
    Done,
}

/// An empty queue keeps room for this many parcels and no more.
const KEPT: usize = 8;

/// The queue and its credit.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    parcels: VecDeque<Parcel>,
    /// Octets in `parcels`, and octets a writer is copying at this moment.
    queued: usize,
    /// Octets the connection had room for when the worker looked last, less what it took since.
    granted: usize,
    /// Closing.
    pub(crate) shut: Shut,
}

impl Outbound {
    /// Octets not yet taken by the worker.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }
    /// Octets that may be written now.
    pub(crate) fn credit(&self) -> usize {
        self.granted.saturating_sub(self.queued)
    }
    /// The worker found room for so many octets, beyond all it has taken.
    pub(crate) fn grant(&mut self, octets: usize) {
        self.granted = octets;
    }
    /// A writer begins to copy `octets`.
    pub(crate) fn reserve(&mut self, octets: usize) {
        self.queued += octets;
    }
    /// It copied fewer.
    pub(crate) fn release(&mut self, octets: usize) {
        self.queued -= octets;
    }
    /// It is done with this one, whose octets are reserved.
    pub(crate) fn push(&mut self, parcel: Parcel) {
        self.parcels.push_back(parcel);
    }
    /// Room in the last frame that the worker has not taken yet.
    pub(crate) fn open_frame(&mut self) -> Option<&mut LentFrame> {
        match self.parcels.back_mut() {
            Some(Parcel::Frame(frame)) if frame.tailroom() > 0 => Some(frame),
            _ => None,
        }
    }
    /// The worker takes all that is complete. What a writer copies meanwhile stays accounted.
    pub(crate) fn take(&mut self, into: &mut VecDeque<Parcel>) {
        debug_assert!(into.is_empty());
        into.extend(self.parcels.drain(..));
        if self.parcels.capacity() > KEPT {
            // Ten thousand idle streams must not each keep the room one burst needed.
            self.parcels = VecDeque::new();
        }
        let octets: usize = into.iter().map(Parcel::len).sum();
        self.queued -= octets;
        self.granted = self.granted.saturating_sub(octets);
    }
}

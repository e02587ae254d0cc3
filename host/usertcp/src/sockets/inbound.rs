//! What the worker has lent a stream's reader.
//!
//! Owns: the queue of lent slices, its bounds, the end of the stream.
//! Must not know: locks, wakers, who reads. (`cell` wraps it in the stream's one lock.)

use std::collections::VecDeque;
use usertcp_frame::Lent;

/// Octets on their way to a reader: a slice of a frame, where reading has come in it, and the
/// memory it pins.
#[derive(Debug)]
pub(crate) struct Piece {
    lent: Lent,
    from: usize,
    charge: usize,
}

impl Piece {
    /// All of `lent`.
    pub(crate) fn new(lent: Lent, charge: usize) -> Piece {
        Piece { lent, from: 0, charge }
    }
    /// What is not read yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.lent.get(self.from..).unwrap_or_default()
    }
    /// How much that is.
    pub(crate) fn len(&self) -> usize {
        self.lent.len() - self.from
    }
    /// `n` octets are read.
    pub(crate) fn advance(&mut self, n: usize) {
        self.from = (self.from + n).min(self.lent.len());
    }
    /// The slice, and where reading has come in it.
    pub(crate) fn into_parts(self) -> (Lent, usize) {
        (self.lent, self.from)
    }
}

/// Bounds of one stream's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InboundLimits {
    /// Octets lent at most. What exceeds it stays in the connection, whose window then closes.
    pub(crate) octets: usize,
    /// Memory pinned by them at most: a one-octet segment may sit in a large frame.
    pub(crate) charge: usize,
}

impl InboundLimits {
    /// An eighth of them while memory is short: what is lent here is beyond the reach of the
    /// windows by which the connections themselves save memory.
    pub(crate) fn when(&self, tight: bool) -> InboundLimits {
        let part = if tight { 8 } else { 1 };
        InboundLimits { octets: self.octets / part, charge: self.charge / part }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    pieces: VecDeque<Piece>,
    octets: usize,
    charge: usize,
    /// A reader holds the first piece and will bring back what it leaves of it.
    pub(crate) borrowed: bool,
    /// No more will come.
    pub(crate) finished: bool,
    /// The worker stopped at the bounds; the connection may hold more.
    pub(crate) held_back: bool,
}

/// An empty queue keeps room for this many pieces and no more.
const KEPT: usize = 8;

impl Inbound {
    /// Octets in the queue.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }
    /// Whether there is nothing to read now.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
    /// Octets that may still be lent; 0 when the bounds are reached.
    pub(crate) fn room(&self, limits: &InboundLimits) -> usize {
        if self.charge >= limits.charge { 0 } else { limits.octets.saturating_sub(self.octets) }
    }
    /// Whether the worker held something back and half of the bounds are free again. Says so once.
    #[must_use]
    pub(crate) fn resumes(&mut self, limits: &InboundLimits) -> bool {
        let low = self.octets <= limits.octets / 2 && self.charge <= limits.charge / 2;
        self.held_back && low && std::mem::take(&mut self.held_back)
    }
    /// Adds what arrived.
    pub(crate) fn append(&mut self, pieces: impl Iterator<Item = Piece>) {
        for piece in pieces {
            self.octets += piece.len();
            self.charge += piece.charge;
            self.pieces.push_back(piece);
        }
    }
    /// The first piece.
    pub(crate) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.octets -= piece.len();
        self.charge -= piece.charge;
        if self.pieces.is_empty() && self.pieces.capacity() > KEPT {
            self.pieces = VecDeque::new();
        }
        Some(piece)
    }
    /// Brings back what is left of the first piece.
    pub(crate) fn restore(&mut self, piece: Piece) {
        self.octets += piece.len();
        self.charge += piece.charge;
        self.pieces.push_front(piece);
    }
    /// Everything, to be dropped once no lock is held.
    pub(crate) fn take_all(&mut self) -> VecDeque<Piece> {
        (self.octets, self.charge) = (0, 0);
        std::mem::take(&mut self.pieces)
    }
}

//! Moving octets between an application's buffers and a stream's cell.
//!
//! Owns: the reading and writing side of [`Cell`], as the application calls it: the one copy that a
//! foreign buffer costs, and the ways without one. Must not know: traits of any runtime.

use crate::sockets::cell::{Cell, Haste, State};
use crate::sockets::inbound::Piece;
use crate::sockets::outbound::Parcel;
use crate::sockets::relay::Waiting;
use crate::sockets::stash::{BULK_OCTETS, Order};

use arrayvec::ArrayVec;
use std::io::{self, IoSlice};
use std::sync::{Arc, MutexGuard};
use std::task::{Poll, Waker};
use usertcp_frame::{LentFrame, copy};

/// Where a read puts octets.
pub(crate) trait Sink {
    /// Octets that still fit.
    fn room(&self) -> usize;
    /// Takes octets, at most as many as fit.
    fn put(&mut self, octets: &[u8]);
}

/// Pieces one read takes at a time.
type Batch = ArrayVec<Piece, 16>;

/// Octets one write takes at most: what is copied first is sent while the rest is copied.
const WRITE_MOST: usize = 256 << 10;
/// A write of so many octets goes on in the last frame, under the lock; the copy takes a fraction
/// of a microsecond.
const APPEND_MOST: usize = 8 << 10;

/// So many octets are worth the worker's attention at once.
const MUCH_OCTETS: usize = 8 << 10;

impl Cell {
    /// Copies what there is into `sink`. Ready with `false`: the end of the stream.
    pub(crate) fn poll_read(
        self: &Arc<Self>,
        sink: &mut impl Sink,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<bool>> {
        if sink.room() == 0 {
            return Poll::Ready(Ok(true));
        }
        let mut batch = Batch::new();
        match self.poll_pieces(&mut batch, Some(sink.room()), waker) {
            Poll::Ready(Ok(true)) => {}
            other => return other,
        }
        while sink.room() > 0 {
            let Some(mut piece) = batch.pop_at(0) else { break };
            let fits = piece.len().min(sink.room());
            sink.put(piece.bytes().get(..fits).unwrap_or_default());
            piece.advance(fits);
            if piece.len() > 0 {
                self.bring_back(piece);
            }
        }
        // More pieces may be due than the batch holds, but a short read is a good read.
        Poll::Ready(Ok(true))
    }

    /// Takes pieces of `octets` in all; the last may be longer, and is then to be brought back.
    /// Without `octets`: one piece, whole.
    fn poll_pieces(
        self: &Arc<Self>,
        batch: &mut Batch,
        octets: Option<usize>,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<bool>> {
        let mut state = self.lock();
        if state.inbound.is_empty() || state.inbound.borrowed {
            // While a piece is borrowed, reading on would change the order.
            let end = if state.inbound.borrowed { None } else { state.read_end() };
            if let Some(end) = end {
                return Poll::Ready(end.map(|()| false));
            }
            self.wait(state, waker, State::readers);
            return Poll::Pending;
        }
        let mut taken = 0;
        while taken < octets.unwrap_or(1) && !batch.is_full() {
            let Some(piece) = state.inbound.pop() else { break };
            taken += piece.len();
            batch.push(piece);
        }
        state.inbound.borrowed = octets.is_some_and(|octets| taken > octets);
        state.totals.0 += octets.map_or(taken, |octets| taken.min(octets)) as u64;
        if state.made_room(&self.hub.inbound_limits) {
            self.announce_as(state, Haste::Now);
        }
        Poll::Ready(Ok(true))
    }

    /// The rest of a piece that was too long.
    fn bring_back(&self, piece: Piece) {
        let (late, woken) = {
            let mut state = self.lock();
            state.inbound.borrowed = false;
            if state.is_released() {
                (Some(piece), Waiting::default())
            } else {
                state.inbound.restore(piece);
                (None, state.take_readers())
            }
        };
        drop(late);
        woken.wake();
    }

    /// Takes the next piece whole. Ready with `None`: the end of the stream.
    pub(crate) fn poll_piece(
        self: &Arc<Self>,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<Option<Piece>>> {
        let mut batch = Batch::new();
        self.poll_pieces(&mut batch, None, waker).map_ok(|_| batch.pop())
    }

    /// Ready when a read would find something: data, the end, or an error.
    pub(crate) fn poll_readable(&self, waker: &Waker) -> Poll<()> {
        let state = self.lock();
        let data = !state.inbound.is_empty() && !state.inbound.borrowed;
        if data || state.read_end().is_some() {
            return Poll::Ready(());
        }
        self.wait(state, Some(waker), State::readers);
        Poll::Pending
    }

    /// Ready when a write would find credit, or an error.
    pub(crate) fn poll_writable(&self, waker: &Waker) -> Poll<()> {
        let state = self.lock();
        if state.write_end().is_some() {
            return Poll::Ready(());
        }
        if state.outbound.credit() == 0 {
            self.wait(state, Some(waker), State::writers);
            return Poll::Pending;
        }
        drop(state);
        if self.hub.stash.poll_ready(waker) {
            return Poll::Ready(());
        }
        self.hub.doorbell.ring();
        Poll::Pending
    }

    /// Copies octets into frames for the worker; how many.
    pub(crate) fn poll_write(
        self: &Arc<Self>,
        slices: &[IoSlice<'_>],
        waker: Option<&Waker>,
    ) -> Poll<io::Result<usize>> {
        let total = slices.iter().fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        let mut state = self.lock();
        if let Some(error) = state.write_end() {
            return Poll::Ready(Err(error));
        }
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let credit = state.outbound.credit();
        if credit == 0 {
            self.wait(state, waker, State::writers);
            return Poll::Pending;
        }
        let octets = total.min(credit).min(WRITE_MOST);
        let mut source = Source::new(slices, octets);
        if octets <= APPEND_MOST && self.append(&mut state, &mut source) {
            self.written(state, octets);
            return Poll::Ready(Ok(octets));
        }
        state.outbound.reserve(octets);
        let bulk = self.frame_octets == usize::MAX && state.outbound.queued() >= BULK_OCTETS;
        drop(state);
        let order = Order { octets, bulk, each: self.frame_octets };
        self.fill(source, order, waker)
    }

    /// Goes on in the last frame, if all fits there.
    fn append(&self, state: &mut State, source: &mut Source<'_>) -> bool {
        let octets = source.left;
        let Some(frame) = state.outbound.open_frame() else { return false };
        let room = self.frame_octets.saturating_sub(frame.len()).min(frame.tailroom());
        if room < octets {
            return false;
        }
        source.copy_to(frame, octets);
        state.outbound.reserve(octets);
        true
    }

    /// Fills frames of the stash with what is reserved.
    fn fill(
        self: &Arc<Self>,
        mut source: Source<'_>,
        order: Order,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<usize>> {
        let Some(mut frames) = self.hub.stash.take(order, waker) else {
            self.unreserve(order.octets);
            self.hub.doorbell.ring();
            return Poll::Pending;
        };
        for frame in &mut frames {
            source.copy_to(frame, order.each);
        }
        let missing = source.left;
        let mut state = self.lock();
        state.outbound.release(missing);
        for frame in frames {
            if !frame.is_empty() {
                state.outbound.push(Parcel::Frame(frame));
            }
        }
        self.written(state, order.octets - missing);
        Poll::Ready(Ok(order.octets - missing))
    }

    /// Credit that was reserved and is not used: somebody else may have waited for it.
    fn unreserve(&self, octets: usize) {
        let woken = {
            let mut state = self.lock();
            state.outbound.release(octets);
            state.take_writers()
        };
        woken.wake();
    }

    fn written(self: &Arc<Self>, mut state: MutexGuard<'_, State>, octets: usize) {
        state.totals.1 += octets as u64;
        let much = state.outbound.queued() >= MUCH_OCTETS;
        self.announce_as(state, if much { Haste::Now } else { Haste::Soon });
    }

    /// Hands over a parcel as it is. It may be longer than the credit, of which there must be some.
    pub(crate) fn poll_parcel(
        self: &Arc<Self>,
        parcel: &mut Option<Parcel>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if let Some(error) = state.write_end() {
            return Poll::Ready(Err(error));
        }
        if state.outbound.credit() == 0 {
            self.wait(state, Some(waker), State::writers);
            return Poll::Pending;
        }
        if let Some(parcel) = parcel.take()
            && parcel.len() > 0
        {
            let octets = parcel.len();
            state.outbound.reserve(octets);
            state.outbound.push(parcel);
            self.written(state, octets);
        }
        Poll::Ready(Ok(()))
    }

    /// An empty frame to be filled by the application.
    pub(crate) fn poll_frame(&self, octets: usize, waker: &Waker) -> Poll<io::Result<LentFrame>> {
        if let Some(error) = self.lock().write_end() {
            return Poll::Ready(Err(error));
        }
        match self.hub.stash.take_one(octets, waker) {
            Some(frame) => Poll::Ready(Ok(frame)),
            None => {
                self.hub.doorbell.ring();
                Poll::Pending
            }
        }
    }
}

/// Octets to be copied out of several slices.
struct Source<'a> {
    slices: &'a [IoSlice<'a>],
    /// Octets of the first slice that are copied.
    from: usize,
    /// Octets still to be copied, of all slices.
    left: usize,
}

impl<'a> Source<'a> {
    fn new(slices: &'a [IoSlice<'a>], octets: usize) -> Source<'a> {
        Source { slices, from: 0, left: octets }
    }

    /// Copies at most `most` octets behind what `frame` holds.
    fn copy_to(&mut self, frame: &mut LentFrame, most: usize) {
        let mut room = most.min(frame.tailroom()).min(self.left);
        while room > 0 {
            let Some((first, others)) = self.slices.split_first() else { return };
            let rest = first.get(self.from..).unwrap_or_default();
            let count = rest.len().min(room);
            if let (Some(spare), Some(octets)) =
                (frame.spare_mut().get_mut(..count), rest.get(..count))
            {
                copy(spare, octets);
            }
            frame.advance_len(count);
            self.left -= count;
            room -= count;
            self.from += count;
            if count == rest.len() {
                (self.slices, self.from) = (others, 0);
            }
        }
    }
}

impl Sink for &mut [u8] {
    fn room(&self) -> usize {
        self.len()
    }
    fn put(&mut self, octets: &[u8]) {
        let (head, tail) = std::mem::take(self).split_at_mut(octets.len());
        copy(head, octets);
        *self = tail;
    }
}

impl Sink for tokio::io::ReadBuf<'_> {
    fn room(&self) -> usize {
        self.remaining()
    }
    fn put(&mut self, octets: &[u8]) {
        self.put_slice(octets);
    }
}

/// Several buffers, filled one after the other.
pub(crate) struct Scatter<'a, 'b> {
    pub(crate) buffers: &'a mut [io::IoSliceMut<'b>],
    pub(crate) at: (usize, usize),
}

impl Sink for Scatter<'_, '_> {
    fn room(&self) -> usize {
        let rest = self.buffers.get(self.at.0..).unwrap_or_default();
        rest.iter().map(|buffer| buffer.len()).sum::<usize>().saturating_sub(self.at.1)
    }
    fn put(&mut self, mut octets: &[u8]) {
        while let (false, Some(buffer)) = (octets.is_empty(), self.buffers.get_mut(self.at.0)) {
            let rest = buffer.get_mut(self.at.1..).unwrap_or_default();
            let count = rest.len().min(octets.len());
            let (now, later) = octets.split_at(count);
            if let Some(place) = rest.get_mut(..count) {
                copy(place, now);
            }
            octets = later;
            self.at.1 += count;
            if self.at.1 == buffer.len() {
                self.at = (self.at.0 + 1, 0);
            }
        }
    }
}
